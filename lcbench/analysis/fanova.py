"""Functional analysis of variance of a random forest over a space: which hyperparameters the losses vary with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Self

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace
from sklearn.ensemble import RandomForestRegressor

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.types import Config, ConfigValue, FloatArray
from lcbench.spaces import Features, space_of

N_TREES = 64


@dataclass(frozen=True, eq=False)
class Boxes:
    """A regression tree as a partition of the unit cube.

    Attributes:
        low: float64, shape (n_leaves, n_dims).
        high: as `low`.
        values: what the tree predicts in each box, float64, shape (n_leaves,).
    """

    low: FloatArray
    high: FloatArray
    values: FloatArray

    @classmethod
    def of(cls, tree: Any, n_dims: int) -> Self:
        """The leaves of a scikit-learn tree (its `tree_`) that was fitted in the unit cube."""
        low, high = np.zeros((tree.node_count, n_dims)), np.ones((tree.node_count, n_dims))
        nodes = np.array([0])
        while (nodes := nodes[tree.feature[nodes] >= 0]).size:
            left, right = tree.children_left[nodes], tree.children_right[nodes]
            for children in (left, right):
                low[children], high[children] = low[nodes], high[nodes]
            high[left, tree.feature[nodes]] = tree.threshold[nodes]
            low[right, tree.feature[nodes]] = tree.threshold[nodes]
            nodes = np.concatenate([left, right])
        is_leaf = tree.feature < 0
        return cls(low[is_leaf], high[is_leaf], tree.value[is_leaf, 0, 0])

    @property
    def mean(self) -> float:
        """The mean over the cube."""
        return float((self.values * (self.high - self.low).prod(axis=1)).sum())

    @property
    def variance(self) -> float:
        """The variance over the cube."""
        volumes = (self.high - self.low).prod(axis=1)
        return float((volumes * (self.values - self.mean) ** 2).sum())

    def marginal(self, dims: Sequence[int]) -> tuple[list[FloatArray], FloatArray]:
        """The mean over all other dimensions, as a function of these, constant in the cells of a grid.

        Returns:
            The edges of the cells along each dimension, ascending, and the mean in each cell, float64, shape
            (n_edges - 1 along each dimension).
        """
        lengths = self.high - self.low
        edges = [np.unique(np.concatenate([self.low[:, dim], self.high[:, dim]])) for dim in dims]
        added = self.values * np.delete(lengths, list(dims), axis=1).prod(axis=1)
        cells = np.zeros([len(along) for along in edges])
        for corner in product((self.low, self.high), repeat=len(dims)):
            sign = -1.0 if sum(end is self.high for end in corner) % 2 else 1.0
            places = [np.searchsorted(along, end[:, dim]) for along, end, dim in zip(edges, corner, dims, strict=True)]
            np.add.at(cells, tuple(places), sign * added)
        for axis in range(len(dims)):
            cells = cells.cumsum(axis=axis)
        return edges, cells[(slice(-1),) * len(dims)]

    def explained(self, dims: Sequence[int]) -> float:
        """Variance of the marginal: of these dimensions alone and together."""
        edges, cells = self.marginal(dims)
        squares = (cells - self.mean) ** 2
        for along in reversed(edges):
            squares = squares @ np.diff(along)
        return float(squares)


class Fanova:
    """How the losses of recorded configurations depend on each hyperparameter, all others averaged over the space.

    A random forest is fitted to the losses. Each of its trees is constant in boxes, so means and variances over the
    space are sums over boxes, without sampling. The measure is uniform along each axis of the space, logarithmic or
    not; choices are ordered by their mean loss and have equal shares. A hyperparameter that some configurations lack
    has a part of its axis for "inactive", as large as their share; it is averaged over independently of its parent.

    Args:
        configs: the configurations.
        losses: float64, shape (n_configs,), finite.
        space: that they are points of; None: what they show, see `space_of`.
        seed: of the forest.

    Attributes:
        names: the hyperparameters that were varied.

    Raises:
        DataError: all configurations are equal.
        SpaceError: a configuration is no point of the space.

    Source: Hutter, Hoos, Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014.
    """

    def __init__(
        self, configs: Sequence[Config], losses: FloatArray, *, space: ConfigurationSpace | None = None, seed: int = 0
    ) -> None:
        self._features = Features(space or space_of(configs))
        self.names = self._features.codec.names
        vectors = self._features.vectors(configs)
        self._inactive = np.isnan(vectors).mean(axis=0)
        self._orders = [
            _order_of_choices(column, losses, n)
            for column, n in zip(vectors.T, self._features.codec.n_choices, strict=True)
        ]
        points = self._points(vectors)
        self._forest = RandomForestRegressor(n_estimators=N_TREES, random_state=seed).fit(points, losses)
        boxes = [Boxes.of(tree.tree_, len(self.names)) for tree in self._forest.estimators_]
        self._boxes = [(tree, variance) for tree in boxes if (variance := tree.variance) > 0]
        self._known: dict[tuple[int, ...], FloatArray] = {}

    def importance(self, *names: str) -> float:
        """Share of the variance that these hyperparameters explain only together; of one name: that it explains alone.

        The mean over trees, in [0, 1] up to rounding; 0 where nothing varies.

        Raises:
            UnknownNameError: a hyperparameter does not exist or was not varied.
        """
        dims = [self._dim(name) for name in names]
        shares = sum(
            (-1) ** (len(dims) - size) * self._explained(subset)
            for size in range(1, len(dims) + 1)
            for subset in combinations(dims, size)
        )
        return float(np.mean(shares)) if self._boxes else 0.0

    def importances(self) -> pd.Series:
        """`importance` of each hyperparameter, the largest first."""
        found = pd.Series({name: self.importance(name) for name in self.names}, dtype=float)
        return found.sort_values(ascending=False, kind="stable")

    def pairs(self, n_names: int = 6) -> pd.Series:
        """`importance` of pairs of the `n_names` most important hyperparameters, the largest first."""
        first = set(self.importances().index[:n_names])
        pairs = combinations([name for name in self.names if name in first], 2)  # the same pair on every data set
        found = pd.Series({pair: self.importance(*pair) for pair in pairs}, dtype=float)
        return found.sort_values(ascending=False, kind="stable")

    def effect(self, name: str, n_points: int = 60) -> pd.DataFrame:
        """Mean loss as a function of one hyperparameter, all others averaged.

        Returns:
            Columns "value", "mean" over the trees and "deviation" between them, float64 (values as they are): a row for
            each of `n_points` evenly spaced values along the axis, or for each choice.
        """
        dim = self._dim(name)
        values, positions = self._axis(dim, n_points)
        curves = []
        for tree, _ in self._boxes:
            (edges,), means = tree.marginal([dim])
            curves.append(means[np.clip(np.searchsorted(edges, positions, side="right") - 1, 0, len(means) - 1)])
        found = np.array(curves) if curves else np.zeros((1, len(positions)))
        return pd.DataFrame({"value": values, "mean": found.mean(axis=0), "deviation": found.std(axis=0)})

    def local_importances(self, config: Config) -> pd.Series:
        """How much the predicted loss varies when one hyperparameter of a configuration changes and no other does.

        Each variance as a share of their sum, the largest first; 0 for what is inactive in the configuration.

        Source: Biedenkapp, Marben, Lindauer, Hutter, CAVE: Configuration Assessment, Visualization and Evaluation,
            LION 12, 2018, section on local parameter importance.
        """
        variances = {
            name: float(np.var(self.local_effect(config, name)["mean"])) for name in self.names if name in config
        }
        found = pd.Series({name: variances.get(name, 0.0) for name in self.names}, dtype=float)
        return (found / (found.sum() or 1.0)).sort_values(ascending=False, kind="stable")

    def local_effect(self, config: Config, name: str, n_points: int = 60) -> pd.DataFrame:
        """Predicted loss as a function of one hyperparameter of a configuration; columns and rows as `effect`."""
        dim = self._dim(name)
        values, positions = self._axis(dim, n_points)
        points = np.repeat(self._points(self._features.vectors([config])), len(positions), axis=0)
        points[:, dim] = positions
        found = np.array([tree.predict(points) for tree in self._forest.estimators_])
        return pd.DataFrame({"value": values, "mean": found.mean(axis=0), "deviation": found.std(axis=0)})

    def _explained(self, dims: tuple[int, ...]) -> FloatArray:
        """Share of each tree's variance that these dimensions explain alone and together, float64, shape (n_trees,)."""
        if dims not in self._known:
            self._known[dims] = np.array([tree.explained(dims) / variance for tree, variance in self._boxes])
        return self._known[dims]

    def _dim(self, name: str) -> int:
        if name not in self.names:
            raise UnknownNameError("hyperparameter that was varied", name, self.names)
        return self.names.index(name)

    def _points(self, vectors: FloatArray) -> FloatArray:
        """Vectors of the codec as points of the unit cube."""
        points = np.empty_like(vectors)
        for dim, column in enumerate(vectors.T):
            n_choices, share = int(self._features.codec.n_choices[dim]), self._inactive[dim]
            is_active = ~np.isnan(column)
            position = column.copy()
            if n_choices:
                position[is_active] = (self._orders[dim][column[is_active].astype(int)] + 0.5) / n_choices
            points[:, dim] = np.where(is_active, share + (1 - share) * position, share / 2)
        return points

    def _axis(self, dim: int, n_points: int) -> tuple[list[ConfigValue], FloatArray]:
        """Values along a hyperparameter's axis and where they lie in the unit cube."""
        n_choices = int(self._features.codec.n_choices[dim])
        places = np.arange(n_choices, dtype=float) if n_choices else np.linspace(0, 1, n_points)
        vectors = np.full((len(places), len(self.names)), np.nan)
        vectors[:, dim] = places
        domain = self._features.domains[self.names[dim]]
        return [domain.decode(place) for place in places], self._points(vectors)[:, dim]


def _order_of_choices(column: FloatArray, losses: FloatArray, n_choices: int) -> FloatArray:
    """Rank of each choice by its mean loss, float64, shape (n_choices,); choices that nobody took come last."""
    means = [losses[column == choice].mean() if (column == choice).any() else np.inf for choice in range(n_choices)]
    return np.argsort(np.argsort(means, kind="stable"), kind="stable").astype(float)
