"""Fitted regressions from features to several weights, as a few arrays each.

The arrays are all there is: what predicts, what is saved, and what becomes an ONNX graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from autopytorch_lite.types import Array, FloatArray, IntArray

Prediction: TypeAlias = tuple[FloatArray, FloatArray]
"""Mean and standard deviation of each weight, float64, shape (n, n_weights) each."""


class Predictor(Protocol):
    """A fitted regression."""

    def predict(self, x: FloatArray) -> Prediction:
        """Weights at features, shape (n, n_columns), and how far the model's own opinions about them differ."""
        ...

    def arrays(self) -> dict[str, Array]:
        """All that `from_arrays` needs."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """Inverse of `arrays`."""
        ...


class _Arrays:
    """A value whose fields are arrays."""

    def arrays(self) -> dict[str, Array]:
        """Its fields by name."""
        return {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """Inverse of `arrays`."""
        return cls(**{item.name: arrays[item.name] for item in fields(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Trees(_Arrays):
    """Regression trees, each for one weight: the weight is its base plus the scaled sum of its trees.

    Attributes:
        feature: column that a node compares, int64, shape (n_nodes,); -1 in a leaf.
        threshold: the left child is next where the column, in single precision, is at most this; float64,
            shape (n_nodes,).
        left: number of the left child, int64, shape (n_nodes,); a leaf is its own child.
        right: as `left`.
        value: of a leaf, float64, shape (n_nodes,).
        roots: number of each tree's first node, int64, shape (n_weights, n_trees).
        base: float64, shape (n_weights,).
        scale: factor of each tree, float64, shape ().
        spread: factor of the standard deviation between trees, float64, shape (); 0 where it means nothing.
    """

    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray
    roots: IntArray
    base: FloatArray
    scale: FloatArray
    spread: FloatArray

    @classmethod
    def packed(cls, forests: Sequence[Sequence[Any]], base: Sequence[float], scale: float, spread: float) -> Self:
        """From scikit-learn's trees (their `tree_`), as many for each weight."""
        trees = [tree for forest in forests for tree in forest]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        shifts, own = np.repeat(starts[:-1], np.diff(starts)), np.arange(starts[-1])
        feature = np.concatenate([tree.feature for tree in trees])
        is_leaf = feature < 0
        left = np.concatenate([tree.children_left for tree in trees]) + shifts
        right = np.concatenate([tree.children_right for tree in trees]) + shifts
        return cls(
            feature=np.where(is_leaf, -1, feature),
            threshold=np.where(is_leaf, 0.0, np.concatenate([tree.threshold for tree in trees])),
            left=np.where(is_leaf, own, left),
            right=np.where(is_leaf, own, right),
            value=np.concatenate([tree.value[:, 0, 0] for tree in trees]),
            roots=starts[:-1].reshape(len(forests), -1),
            base=np.array(base, dtype=float),
            scale=np.array(scale),
            spread=np.array(spread),
        )

    def predict(self, x: FloatArray) -> Prediction:
        """See `Predictor`."""
        leaves = self._leaves(x)
        return self.base + self.scale * leaves.sum(axis=2), self.spread * leaves.std(axis=2)

    def _leaves(self, x: FloatArray) -> FloatArray:
        """Value of the leaf that each row reaches in each tree, float64, shape (n, n_weights, n_trees)."""
        x = np.asarray(x, dtype=np.float32)  # as scikit-learn compares
        node, rows = np.tile(self.roots, (len(x), 1, 1)), np.arange(len(x))[:, None, None]
        while ((column := self.feature[node]) >= 0).any():
            goes_left = x[rows, np.maximum(column, 0)] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
        return self.value[node]


@dataclass(frozen=True, eq=False)
class Networks(_Arrays):
    """Small networks of two hidden layers; that they disagree is the uncertainty.

    Attributes:
        first: float64, shape (n_members, n_columns, n_units).
        first_bias: float64, shape (n_members, 1, n_units).
        second: float64, shape (n_members, n_units, n_units).
        second_bias: float64, shape (n_members, 1, n_units).
        last: float64, shape (n_members, n_units, n_weights).
        last_bias: float64, shape (n_members, 1, n_weights).
    """

    first: FloatArray
    first_bias: FloatArray
    second: FloatArray
    second_bias: FloatArray
    last: FloatArray
    last_bias: FloatArray

    def predict(self, x: FloatArray) -> Prediction:
        """See `Predictor`."""
        hidden = np.tanh(x @ self.first + self.first_bias)
        hidden = np.tanh(hidden @ self.second + self.second_bias)
        members = hidden @ self.last + self.last_bias
        return members.mean(axis=0), members.std(axis=0)


@dataclass(frozen=True, eq=False)
class GaussianProcesses(_Arrays):
    """One Gaussian process per weight: Matern 5/2, a lengthscale per column, noise.

    The posterior variance is that of the first `n_for_variance` rows: it is calibrated afterwards, and the matrix of
    all rows would fill the file.

    Attributes:
        x: features of the rows, float64, shape (n_rows, n_columns).
        lengths: float64, shape (n_weights, n_columns).
        variance: float64, shape (n_weights,).
        coefficients: of each row in the mean, float64, shape (n_weights, n_rows).
        precision: inverse covariance of the first rows, float64, shape (n_weights, n_for_variance, n_for_variance).

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1.
    """

    x: FloatArray
    lengths: FloatArray
    variance: FloatArray
    coefficients: FloatArray
    precision: FloatArray

    def predict(self, x: FloatArray) -> Prediction:
        """See `Predictor`."""
        mean, deviation = np.empty((2, len(x), len(self.lengths)))
        n = self.precision.shape[1]
        for k, lengths in enumerate(self.lengths):
            covariance = self.variance[k] * matern(x / lengths, self.x / lengths)
            mean[:, k] = covariance @ self.coefficients[k]
            explained = ((covariance[:, :n] @ self.precision[k]) * covariance[:, :n]).sum(axis=1)
            deviation[:, k] = np.sqrt(np.maximum(self.variance[k] - explained, 0))
        return mean, deviation


def matern(a: FloatArray, b: FloatArray) -> FloatArray:
    """Matern 5/2 correlations between rows of scaled features, float64, shape (n_a, n_b)."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    distance = np.sqrt(5 * np.maximum(squared, 0))
    return (1 + distance + distance**2 / 3) * np.exp(-distance)
