"""How sure an ensemble may be: its probabilities are corrected by what the rows it was selected on say of them.

The mean of many models is less sure than each of them, and on new rows all folds vote, not one: one temperature for all
classes (Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2). A metric
that only asks who is ahead of whom selects models of any scale: there, two classes have a temperature and a shift of
the log odds (Platt, "Probabilistic outputs for support vector machines", 1999), which keeps the order, up to
rounding next to 0 and 1, and so the loss.
Both have a prior around no correction: where nothing is ever mistaken, the rows alone would allow any certainty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Array, FloatArray, Task


class Spread(NamedTuple):
    """Standard deviations to expect of the logarithm of a temperature, and of a shift."""

    temperature: float
    shift: float


ORDER_METRICS = ("roc_auc", "average_precision")
"""Metrics of two classes that only ask who is ahead of whom."""

SPREADS = {"neg_log_loss": Spread(0.2, 0.0), **dict.fromkeys(ORDER_METRICS, Spread(0.3, 0.5))}
"""By metric. The others compare predicted labels, which selection has chosen as they are, or no probabilities."""
SPREADS_OF_FOLDS = {**SPREADS, "neg_log_loss": Spread(0.5, 0.0)}
"""Of folds each row was predicted by one model; on new rows all vote, whose mean is right more often and less sure of
it, so that there is more to correct than these rows can show."""

_LARGEST = (1.0, 5.0)
"""Of the absolute log temperature and shift."""
_TINY = 1e-15


@dataclass(frozen=True)
class Calibration:
    """What is done to the probabilities that members vote for.

    Attributes:
        temperature: below 1 they become surer, above 1 less sure.
        shift: is added to the log odds of the second of two classes.
    """

    temperature: float = 1.0
    shift: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """From the entries of `ensemble.json`; without them there is none."""
        return cls(data.get("temperature", 1.0), data.get("shift", 0.0))

    def __call__(self, predictions: FloatArray) -> FloatArray:
        """Corrected predictions, float array of the same shape, (n_rows, n_outputs); untouched without a correction."""
        if self == UNCHANGED:
            return predictions
        return np.asarray(softmax(self._logits(_logs(predictions)), axis=1))

    def changes(self, metric: str) -> bool:
        """Whether a metric, by its scikit-learn name, sees a difference; one that only asks for the order does not."""
        return self != UNCHANGED and metric not in ORDER_METRICS

    def log_likelihoods(self, logs: FloatArray, targets: Array) -> FloatArray:
        """Of the true classes, shape (n_rows,), given logarithms of probabilities, shape (n_rows, n_classes)."""
        right = np.asarray(targets).astype(np.int64)[:, None]
        return np.take_along_axis(log_softmax(self._logits(logs), axis=1), right, axis=1)[:, 0]

    def _logits(self, logs: FloatArray) -> FloatArray:
        logits = logs / self.temperature
        if self.shift:
            logits[:, 1] += self.shift
        return logits


UNCHANGED = Calibration()
"""Probabilities as they are."""


def calibration_of(
    metric: Metric,
    targets: Array,
    predictions: FloatArray,
    sample_weight: FloatArray | None = None,
    *,
    n_folds: int = 1,
) -> Calibration:
    """The most likely calibration; none for metrics that do not ask for it.

    Args:
        metric: what counts.
        targets: class codes, shape (n_rows,).
        predictions: for the same rows: class probabilities, float array, shape (n_rows, n_classes).
        sample_weight: float array, shape (n_rows,), or None.
        n_folds: models that vote together on new rows, each of which predicted a part of these.
    """
    spread = (SPREADS_OF_FOLDS if n_folds > 1 else SPREADS).get(metric.name)
    if spread is None or (spread.shift and metric.task is not Task.BINARY):
        return UNCHANGED
    logs = _logs(predictions)
    weights = np.ones(len(logs)) if sample_weight is None else sample_weight * (len(logs) / sample_weight.sum())
    spreads = np.array(spread)[: 2 if spread.shift else 1]

    def surprise(point: FloatArray) -> float:
        """Negative log of the posterior density."""
        log_likelihoods = _at(point).log_likelihoods(logs, targets)
        return float(((point / spreads) ** 2).sum() / 2 - weights @ log_likelihoods)

    bounds = [(-largest, largest) for largest in _LARGEST[: len(spreads)]]
    return _at(minimize(surprise, np.zeros(len(spreads)), method="L-BFGS-B", bounds=bounds).x)


def _at(point: FloatArray) -> Calibration:
    """From log temperature, and shift if there is one."""
    return Calibration(float(np.exp(point[0])), float(point[1]) if len(point) > 1 else 0.0)


def _logs(probabilities: FloatArray) -> FloatArray:
    return np.log(np.clip(probabilities, _TINY, None))
