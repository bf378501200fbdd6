"""The systems compared: ours through its public estimators, and scikit-learn's gradient boosting with defaults."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autopytorch_lite.types import Array, FloatArray
from benchmarks.memory import PeakMemory
from benchmarks.scores import classification_scores, regression_scores
from benchmarks.tables import Split, Table, split

BASELINE = "hgb"
"""scikit-learn's HistGradientBoosting with defaults; categories by dtype."""

OURS = "ours-"
"""Followed by the value of the estimator's `learners`, for example ours-all or ours-neural."""


@dataclass(frozen=True)
class Constraint:
    """What a system may use.

    Attributes:
        time_limit_s: seconds for fitting; None: no limit.
        n_trials: evaluations; None: no limit.
        n_jobs: worker processes of ours.
        search_space: name or path of ours.
    """

    time_limit_s: float | None
    n_trials: int | None
    n_jobs: int
    search_space: str = "default"


@dataclass(frozen=True)
class Fitted:
    """What a system predicts for the unseen rows.

    Attributes:
        predicted: probabilities, shape (n_rows, n_classes), or values, shape (n_rows,).
        classes: labels of the columns; None for regression.
        fit_seconds: wall clock of fitting.
        predict_seconds: wall clock of predicting.
        facts: anything else worth keeping.
    """

    predicted: FloatArray
    classes: Array | None
    fit_seconds: float
    predict_seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


def evaluate(table: Table, system: str, seed: int, constraint: Constraint, run_dir: Path | None) -> dict[str, Any]:
    """Fit one system on one split of one table and measure it on the unseen rows.

    Returns:
        metrics, fit_seconds, predict_seconds, overrun_seconds (None without a limit), peak_memory_mb, n_train, n_test,
        facts: plain data.
    """
    data = split(table, seed)
    with PeakMemory() as memory:
        fitted = _fit_baseline(data, seed) if system == BASELINE else _fit_ours(data, system, seed, constraint, run_dir)
    limit = None if system == BASELINE else constraint.time_limit_s
    return {
        "metrics": _scores(data, fitted),
        "fit_seconds": fitted.fit_seconds,
        "predict_seconds": fitted.predict_seconds,
        "overrun_seconds": None if limit is None else fitted.fit_seconds - limit,
        "peak_memory_mb": memory.megabytes,
        "n_train": len(data.y_train),
        "n_test": len(data.y_test),
        "facts": fitted.facts,
    }


def _scores(data: Split, fitted: Fitted) -> dict[str, float | None]:
    if fitted.classes is None:
        return regression_scores(data.y_test, fitted.predicted)
    return classification_scores(data.y_test, fitted.predicted, fitted.classes)


def _fit_baseline(data: Split, seed: int) -> Fitted:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    cls = HistGradientBoostingClassifier if data.task.is_classification else HistGradientBoostingRegressor
    return _fit(cls(categorical_features="from_dtype", random_state=seed), data)


def _fit_ours(data: Split, system: str, seed: int, constraint: Constraint, run_dir: Path | None) -> Fitted:
    from autopytorch_lite import AutoTabularClassifier, AutoTabularRegressor

    cls = AutoTabularClassifier if data.task.is_classification else AutoTabularRegressor
    estimator = cls(
        time_limit=constraint.time_limit_s,
        n_trials=constraint.n_trials,
        n_jobs=constraint.n_jobs,
        search_space=constraint.search_space,
        learners=system.removeprefix(OURS),
        run_dir=run_dir,
        random_state=seed,
        verbose=0,
    )
    fitted = _fit(estimator, data)
    counts = estimator.history_["status"].value_counts()
    fitted.facts["evaluations"] = {status: int(count) for status, count in counts.items()}
    fitted.facts["n_members"] = len(estimator.ensemble_)
    return fitted


def _fit(estimator: Any, data: Split) -> Fitted:
    start = time.perf_counter()
    estimator.fit(data.X_train, data.y_train)
    fit_seconds = time.perf_counter() - start
    start = time.perf_counter()
    predict = estimator.predict_proba if data.task.is_classification else estimator.predict
    predicted = np.asarray(predict(data.X_test), dtype=np.float64)
    classes = np.asarray(estimator.classes_) if data.task.is_classification else None
    return Fitted(predicted, classes, fit_seconds, time.perf_counter() - start)
