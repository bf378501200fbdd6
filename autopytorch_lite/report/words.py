"""How names from the record are written for people: metrics, learners, hyperparameters, numbers and durations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_METRIC_WORDS = {
    "roc_auc": "ROC AUC",
    "roc_auc_ovr": "ROC AUC",
    "root_mean_squared_error": "RMSE",
    "mean_squared_error": "mean squared error",
    "mean_absolute_error": "mean absolute error",
    "r2": "R²",
}


def metric_words(name: str) -> str:
    """A metric's name in words: "neg_log_loss" -> "log loss"."""
    label = name.removeprefix("neg_")
    return _METRIC_WORDS.get(label, label.replace("_", " "))


def loss_words(metric: str) -> str:
    """What the recorded loss of a metric is: "log loss", "1 − accuracy" of a score, "loss" of a function."""
    if not metric:
        return "loss"
    words = metric_words(metric)
    return words if metric.startswith("neg_") else f"1 − {words}"


def hyperparameter_words(name: str) -> str:
    """A full hyperparameter name shortened for an axis: "optimizer:sgd:learning_rate" -> "sgd learning rate"."""
    node, *rest = name.split(":")
    if not rest:
        return name.replace("_", " ")
    if rest[-1] == "__choice__":
        return node.replace("_", " ")
    named = [node, rest[-1]] if rest[0] == "*" else rest[-2:]
    return " ".join(part.replace("_", " ") for part in named)


def number(value: Any, digits: int = 4) -> str:
    """A number with `digits` significant digits, without needless zeros; "–" where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e6):
        return f"{int(value):,}"
    return f"{value:.{digits}g}"


def measured(value: float | None) -> str:
    """A loss or score with four significant digits, zeros kept, so that numbers align; "–" where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:#.4g}".rstrip(".") if 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """Seconds for people: "0.4 s", "42 s", "3 min 05 s", "2 h 07 min"."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: "1 epoch", "3 epochs"."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(counts: Mapping[str, int]) -> str:
    """Counts in one phrase: {"timeout": 3, "crashed": 1} -> "3 timeout, 1 crashed"."""
    return ", ".join(f"{n} {name}" for name, n in counts.items())
