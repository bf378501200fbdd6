"""Curves as a few numbers and back: losses on an even scale, then principal components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import norm, rankdata

from autopytorch_lite.types import Array, FloatArray

N_KNOTS = 64
MAX_COMPONENTS = 6
EXPLAINED = 0.995
"""Share of the variance that the components keep; what is left is mostly noise between epochs."""


@dataclass(frozen=True, eq=False)
class NormalScale:
    """A monotone scale on which the values are normally distributed: each between two knots, straight lines between.

    Accuracies crowd below their best value, losses have long tails; here both are spread evenly. What comes back lies
    between the smallest and the largest value that the scale was fitted to.

    Attributes:
        values: float64, shape (n_knots,), ascending.
        scores: their place on the scale, float64, shape (n_knots,), ascending.
    """

    values: FloatArray
    scores: FloatArray

    @classmethod
    def fit(cls, values: FloatArray) -> Self:
        """The scale of all entries of an array; equal values share the place in their middle."""
        flat = np.asarray(values, dtype=float).ravel()
        distinct, first = np.unique(flat, return_index=True)
        scores = norm.ppf((rankdata(flat)[first] - 0.5) / len(flat))
        if len(distinct) > N_KNOTS:
            even = np.linspace(scores[0], scores[-1], N_KNOTS)
            kept = np.unique(np.clip(np.searchsorted(scores, even), 0, len(scores) - 1))
            distinct, scores = distinct[kept], scores[kept]
        return cls(distinct, scores)

    def to_scores(self, values: FloatArray) -> FloatArray:
        """Places on the scale, the shape of `values`."""
        return np.interp(values, self.values, self.scores)

    def to_values(self, scores: FloatArray) -> FloatArray:
        """Inverse of `to_scores`; beyond the knots the outermost values."""
        return np.interp(scores, self.scores, self.values)


@dataclass(frozen=True, eq=False)
class Components:
    """Rows of numbers as a mean and a few principal components, whose weights have mean 0 and variance 1.

    Attributes:
        mean: float64, shape (n_epochs,).
        components: float64, shape (n_components, n_epochs): what one unit of each weight adds.
    """

    mean: FloatArray
    components: FloatArray

    @classmethod
    def fit(cls, rows: FloatArray, max_components: int = MAX_COMPONENTS) -> Self:
        """As many components as `EXPLAINED` asks for, one at least.

        Args:
            rows: float64, shape (n_runs, n_epochs).
            max_components: at most so many.
        """
        mean = rows.mean(axis=0)
        _, lengths, directions = np.linalg.svd(rows - mean, full_matrices=False)
        total = float((lengths**2).sum())
        explained = np.cumsum(lengths**2) / total if total > 0 else np.ones(1)
        n_components = min(int(np.searchsorted(explained, EXPLAINED)) + 1, max_components, len(lengths))
        deviations = np.maximum(lengths[:n_components] / np.sqrt(len(rows)), 1e-12)
        return cls(mean, directions[:n_components] * deviations[:, None])

    def weights(self, rows: FloatArray) -> FloatArray:
        """Weights of rows, float64, shape (n_runs, n_components)."""
        squared = (self.components**2).sum(axis=1)
        return (rows - self.mean) @ self.components.T / squared

    def rows(self, weights: FloatArray) -> FloatArray:
        """Rows of weights, float64, shape (n_runs, n_epochs)."""
        return self.mean + weights @ self.components

    def spread(self, deviations: FloatArray) -> FloatArray:
        """Standard deviation of rows whose weights have these independent ones, float64, shape (n_runs, n_epochs)."""
        return np.sqrt(deviations**2 @ self.components**2)


@dataclass(frozen=True, eq=False)
class CurveSpace:
    """Learning curves and times of one data set as the weights that a regression predicts.

    Attributes:
        scale: of the losses, all epochs together.
        losses: components of the curves on that scale.
        times: components of the logarithms of cumulative seconds.
    """

    scale: NormalScale
    losses: Components
    times: Components

    @classmethod
    def fit(cls, losses: FloatArray, seconds: FloatArray) -> Self:
        """The space of recorded runs; both arrays float64, shape (n_runs, n_epochs), seconds positive."""
        scale = NormalScale.fit(losses)
        return cls(scale, Components.fit(scale.to_scores(losses)), Components.fit(np.log(seconds), max_components=2))

    @property
    def n_loss_weights(self) -> int:
        """How many of the weights belong to the losses; they come first."""
        return len(self.losses.components)

    def weights(self, losses: FloatArray, seconds: FloatArray) -> FloatArray:
        """What a regression learns, float64, shape (n_runs, n_weights)."""
        return np.hstack([self.losses.weights(self.scale.to_scores(losses)), self.times.weights(np.log(seconds))])

    def scores(self, weights: FloatArray) -> FloatArray:
        """Curves on the scale, float64, shape (n_runs, n_epochs)."""
        return self.losses.rows(weights[:, : self.n_loss_weights])

    def spread(self, deviations: FloatArray) -> FloatArray:
        """Standard deviation of `scores`, float64, shape (n_runs, n_epochs)."""
        return self.losses.spread(deviations[:, : self.n_loss_weights])

    def seconds(self, weights: FloatArray) -> FloatArray:
        """Cumulative seconds, never falling, float64, shape (n_runs, n_epochs)."""
        return np.maximum.accumulate(np.exp(self.times.rows(weights[:, self.n_loss_weights :])), axis=1)

    def arrays(self) -> dict[str, Array]:
        """Everything that `from_arrays` needs."""
        return {
            "knot_values": self.scale.values,
            "knot_scores": self.scale.scores,
            "loss_mean": self.losses.mean,
            "loss_components": self.losses.components,
            "time_mean": self.times.mean,
            "time_components": self.times.components,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """Inverse of `arrays`."""
        return cls(
            NormalScale(arrays["knot_values"], arrays["knot_scores"]),
            Components(arrays["loss_mean"], arrays["loss_components"]),
            Components(arrays["time_mean"], arrays["time_components"]),
        )
