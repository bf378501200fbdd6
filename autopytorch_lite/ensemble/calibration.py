"""How sure an ensemble may be: one temperature for its probabilities, learned on the rows it was selected on.

The mean of many models is less sure than each of them, and on new rows all folds vote, not one. Source: Guo, Pleiss,
Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2, with a prior around 1: where
nothing is ever mistaken, the rows alone would allow any certainty.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Array, FloatArray

METRICS = ("neg_log_loss",)
"""Metrics that a temperature can improve and that ask for true probabilities."""

SPREAD = 0.2
"""Standard deviation of the log temperature to expect."""

_LARGEST = 1.0
"""Of the absolute log temperature."""
_TINY = 1e-15


def temperature_of(
    metric: Metric, targets: Array, probabilities: FloatArray, sample_weight: FloatArray | None = None
) -> float:
    """The most likely temperature; 1 for metrics that do not ask for probabilities.

    Args:
        metric: what counts.
        targets: class codes, shape (n_rows,).
        probabilities: for the same rows, float array, shape (n_rows, n_classes).
        sample_weight: float array, shape (n_rows,), or None.
    """
    if metric.name not in METRICS:
        return 1.0
    logs = _logs(probabilities)
    right = np.asarray(targets).astype(np.int64)[:, None]
    weights = np.ones(len(logs)) if sample_weight is None else sample_weight * (len(logs) / sample_weight.sum())

    def surprise(log_temperature: float) -> float:
        """Negative log of the posterior density."""
        log_likelihoods = np.take_along_axis(log_softmax(logs * np.exp(-log_temperature), axis=1), right, axis=1)[:, 0]
        return float((log_temperature / SPREAD) ** 2 / 2 - weights @ log_likelihoods)

    found = minimize_scalar(surprise, bounds=(-_LARGEST, _LARGEST), method="bounded", options={"xatol": 0.005})
    return float(np.exp(found.x))


def sharpened(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Probabilities to the power of 1 / temperature, normalised, float array, shape (n_rows, n_classes)."""
    if temperature == 1:
        return probabilities
    return np.asarray(softmax(_logs(probabilities) / temperature, axis=1))


def _logs(probabilities: FloatArray) -> FloatArray:
    return np.log(np.clip(probabilities, _TINY, None))
