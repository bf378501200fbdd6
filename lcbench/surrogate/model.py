"""The model of one data set's curves: components, a regression of their weights, and calibrated uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from autopytorch_lite.types import Array, FloatArray
from lcbench.surrogate.curve_space import CurveSpace
from lcbench.surrogate.predictors import Predictor
from lcbench.surrogate.regressors import FAMILIES

LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Shares of held-out curves for which the width of an interval is known."""


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of one data set as a regression sees them.

    Attributes:
        x: features, float64, shape (n_runs, n_columns).
        losses: float64, shape (n_runs, n_epochs), lower is better, finite.
        seconds: cumulative, positive, float64, shape (n_runs, n_epochs).
    """

    x: FloatArray
    losses: FloatArray
    seconds: FloatArray

    def __len__(self) -> int:
        return len(self.x)

    def part(self, rows: Array) -> Runs:
        """The runs with these numbers."""
        return Runs(self.x[rows], self.losses[rows], self.seconds[rows])


@dataclass(frozen=True, eq=False)
class Calibration:
    """How wide an interval must be so that it holds a given share of curves the regression has not seen.

    A residual is measured in deviations: of the regression's own uncertainty and the noise together. Their quantiles
    are counted, not assumed to be normal.

    Attributes:
        noise: standard deviation that the regression does not account for, float64, shape (n_epochs,).
        quantiles: deviations that hold each of `LEVELS`, float64, shape (n_levels, n_epochs).

    Source: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005 (conformal prediction); with
        normalised residuals of cross-validation.
    """

    noise: FloatArray
    quantiles: FloatArray

    @classmethod
    def fit(cls, residuals: FloatArray, spread: FloatArray) -> Self:
        """From what cross-validation left over; both arrays float64, shape (n_runs, n_epochs)."""
        squares = (residuals**2).mean(axis=0)
        noise = np.sqrt(np.maximum(squares - (spread**2).mean(axis=0), 0.1 * squares) + 1e-12)
        deviations = np.abs(residuals) / np.sqrt(spread**2 + noise**2)
        n = len(residuals)
        levels = np.minimum(np.array(LEVELS) * (n + 1) / n, 1.0)
        return cls(noise, np.quantile(deviations, levels, axis=0))

    def half_width(self, level: float, spread: FloatArray) -> FloatArray:
        """What lies on either side of the prediction, the shape of `spread`; `level` is between those known."""
        deviations = np.array([np.interp(level, LEVELS, of_epoch) for of_epoch in self.quantiles.T])
        return deviations * np.sqrt(spread**2 + self.noise**2)


@dataclass(frozen=True, eq=False)
class CurveModel:
    """Predicts curves and times of one data set.

    Attributes:
        family: of `FAMILIES`.
        curve_space: between curves and weights.
        predictor: from features to weights.
        calibration: of the curves.
    """

    family: str
    curve_space: CurveSpace
    predictor: Predictor
    calibration: Calibration

    @classmethod
    def fit(cls, runs: Runs, family: str, calibration: Calibration, seed: int) -> Self:
        """Fit a family to all runs; the calibration is that of `cross_validate`."""
        curve_space = CurveSpace.fit(runs.losses, runs.seconds)
        weights = curve_space.weights(runs.losses, runs.seconds)
        return cls(family, curve_space, FAMILIES[family].fit(runs.x, weights, seed), calibration)

    def scores(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Curves on the even scale and the regression's own deviation, float64, shape (n, n_epochs) each."""
        mean, deviation = self.predictor.predict(x)
        return self.curve_space.scores(mean), self.curve_space.spread(deviation)

    def losses(self, x: FloatArray) -> FloatArray:
        """Predicted losses, float64, shape (n, n_epochs), between the smallest and the largest one recorded."""
        return self.curve_space.scale.to_values(self.scores(x)[0])

    def interval(self, x: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
        """Losses between which a new run lies with probability `level`, float64, shape (n, n_epochs) each."""
        scores, spread = self.scores(x)
        half, scale = self.calibration.half_width(level, spread), self.curve_space.scale
        return scale.to_values(scores - half), scale.to_values(scores + half)

    def seconds(self, x: FloatArray) -> FloatArray:
        """Cumulative seconds, float64, shape (n, n_epochs)."""
        return self.curve_space.seconds(self.predictor.predict(x)[0])

    def arrays(self) -> dict[str, Array]:
        """Everything but the family."""
        return {
            **{f"curve_space/{name}": array for name, array in self.curve_space.arrays().items()},
            **{f"predictor/{name}": array for name, array in self.predictor.arrays().items()},
            "calibration/noise": self.calibration.noise,
            "calibration/quantiles": self.calibration.quantiles,
        }

    @classmethod
    def from_arrays(cls, family: str, arrays: Mapping[str, Array]) -> Self:
        """Inverse of `arrays`."""
        return cls(
            family,
            CurveSpace.from_arrays(below("curve_space", arrays)),
            FAMILIES[family].predictor.from_arrays(below("predictor", arrays)),
            Calibration(arrays["calibration/noise"], arrays["calibration/quantiles"]),
        )


def below(folder: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays whose names begin with "folder/", without that."""
    return {name[len(folder) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{folder}/")}


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of runs by regressions that were fitted without them.

    Attributes:
        error: root mean squared error on the even scale, all epochs together; what families are chosen by.
        losses: predicted, float64, shape (n_runs, n_epochs).
        calibration: learned from their residuals.
    """

    error: float
    losses: FloatArray
    calibration: Calibration


def cross_validate(runs: Runs, family: str, *, n_folds: int, seed: int) -> OutOfFold:
    """Fit a family on all folds but one, in turn, and predict that one."""
    curve_space = CurveSpace.fit(runs.losses, runs.seconds)
    weights = curve_space.weights(runs.losses, runs.seconds)
    scores, spread = np.empty((2, *runs.losses.shape))
    folds = np.array_split(np.random.default_rng(seed).permutation(len(runs)), n_folds)
    for held_out in folds:
        rest = np.setdiff1d(np.arange(len(runs)), held_out)
        predictor = FAMILIES[family].fit(runs.x[rest], weights[rest], seed)
        mean, deviation = predictor.predict(runs.x[held_out])
        scores[held_out], spread[held_out] = curve_space.scores(mean), curve_space.spread(deviation)
    residuals = curve_space.scale.to_scores(runs.losses) - scores
    error = float(np.sqrt((residuals**2).mean()))
    return OutOfFold(error, curve_space.scale.to_values(scores), Calibration.fit(residuals, spread))
