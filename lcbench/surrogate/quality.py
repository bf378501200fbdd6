"""How good predicted curves are on runs that a surrogate was not fitted to."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from autopytorch_lite.types import FloatArray

EPOCHS = (1, 12, 25, 50)
"""Where quality is reported, as far as they were recorded; the last epoch always is."""


def report_epochs(n_epochs: int) -> list[int]:
    """The epochs at which curves of this length are judged."""
    return sorted({epoch for epoch in EPOCHS if epoch <= n_epochs} | {n_epochs})


def skill(measured: FloatArray, predicted: FloatArray) -> dict[str, float]:
    """R2 and Spearman's rank correlation of predictions; both arrays float64, shape (n_runs,).

    NaN where all measured values are equal; constant predictions have no ranks, so a correlation of 0.
    """
    variance = float(np.var(measured))
    if variance == 0:
        return {"R2": float("nan"), "Spearman": float("nan")}
    r2 = 1 - float(np.mean((measured - predicted) ** 2)) / variance
    correlation = float(spearmanr(measured, predicted).statistic) if np.ptp(predicted) > 0 else 0.0
    return {"R2": r2, "Spearman": correlation}


def coverage(measured: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Share of measured values between two bounds, in [0, 1]."""
    return float(np.mean((low <= measured) & (measured <= high)))
