"""What is measured on unseen rows, computed by scikit-learn alone, the same for every system."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Array, FloatArray, Task


def metric_of(task: Task, binary_metric: str) -> str:
    """The metric that systems are told and compared by: `binary_metric` of two classes, log_loss of more, or rmse."""
    if task is Task.BINARY:
        return binary_metric
    return "log_loss" if task.is_classification else "rmse"


def loss_of(scores: Mapping[str, float | None], metric: str) -> float:
    """A metric as a loss, lower is better: roc_auc as 1 - AUC, the others as they are.

    Raises:
        DataError: the metric is not defined on these rows.
    """
    value = scores[metric]
    if value is None:
        raise DataError(f"{metric} is not defined: a class has no unseen row.")
    return 1 - value if metric == "roc_auc" else value


def classification_scores(y_true: npt.ArrayLike, probabilities: FloatArray, classes: Array) -> dict[str, float | None]:
    """Scores of class probabilities.

    Args:
        y_true: labels, shape (n_rows,); one that is not in `classes` counts as predicted with probability zero.
        probabilities: shape (n_rows, n_classes).
        classes: labels of the columns.

    Returns:
        accuracy, balanced_accuracy, log_loss and roc_auc (one against the rest); roc_auc is None where a class has no
        unseen row.
    """
    truth = np.asarray(y_true)
    labels = np.union1d(classes, truth)
    full = _all_columns(probabilities, np.asarray(classes), labels)
    predicted = labels[full.argmax(axis=1)]
    return {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(truth, predicted)),
        "log_loss": float(metrics.log_loss(truth, full, labels=labels)),
        "roc_auc": _roc_auc(truth, full, labels),
    }


def regression_scores(y_true: npt.ArrayLike, predicted: FloatArray) -> dict[str, float | None]:
    """RMSE (units of the target) and R2 of predictions, shape (n_rows,)."""
    return {
        "rmse": math.sqrt(metrics.mean_squared_error(y_true, predicted)),
        "r2": float(metrics.r2_score(y_true, predicted)),
    }


def error_rate(row: dict[str, Any]) -> float:
    """The share of wrong rows, or of variance left unexplained, from the metrics of a result."""
    return 1 - (row["accuracy"] if "accuracy" in row else row["r2"])


def _all_columns(probabilities: FloatArray, classes: Array, labels: Array) -> FloatArray:
    """Columns for every label, zero for those without; shape (n_rows, n_labels)."""
    full = np.zeros((len(probabilities), len(labels)))
    full[:, np.searchsorted(labels, classes)] = probabilities
    return full


def _roc_auc(truth: Array, probabilities: FloatArray, labels: Array) -> float | None:
    if len(np.unique(truth)) < len(labels):
        return None
    if len(labels) == 2:
        return float(metrics.roc_auc_score(truth == labels[1], probabilities[:, 1]))
    return float(metrics.roc_auc_score(truth, probabilities, multi_class="ovr", labels=labels))
