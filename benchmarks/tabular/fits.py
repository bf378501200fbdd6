"""One fit of one system on one split: the job is written, done by the driver, and scored here. A failure is a row."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Array, FloatArray
from benchmarks.scores import classification_scores, loss_of, metric_of, regression_scores
from benchmarks.tables import Split
from benchmarks.tabular.processes import Ended, run_process
from benchmarks.tabular.results import Row
from benchmarks.tabular.systems import System, UnavailableError

ROOT = Path(__file__).parents[2]
UNTIMED_KILL_S = 3600.0
"""When a model without a time limit counts as hanging."""


@dataclass(frozen=True)
class Constraint:
    """What a system may use, and what it is told.

    Attributes:
        time_limit_s: seconds for fitting; None: no limit.
        n_trials: evaluations of ours; None: no limit.
        n_jobs: cores of every system, and worker processes of ours.
        search_space: name or path, of ours.
        binary_metric: roc_auc or log_loss.
    """

    time_limit_s: float | None
    n_trials: int | None = None
    n_jobs: int = 1
    search_space: str = "default"
    binary_metric: str = "roc_auc"

    def kill_after_s(self, system: System) -> float | None:
        """Seconds after which a fit is killed; long after its limit, so that overruns are still measured."""
        if not system.is_timed:
            return UNTIMED_KILL_S
        return None if self.time_limit_s is None else 2 * self.time_limit_s + 60


class FitError(Exception):
    """A fit gave nothing to score; the message is one line, `traceback` what the system said."""

    def __init__(self, message: str, traceback: str = ""):
        super().__init__(message)
        self.traceback = traceback


def measure(
    system: System,
    data: Split,
    seed: int,
    constraint: Constraint,
    *,
    environments: Path | None = None,
    run_dir: Path | None = None,
) -> Row:
    """Fit a system on the rows to learn from and score it on the others.

    Args:
        system: what to fit.
        data: both kinds of rows.
        seed: for everything random in the system.
        constraint: limits and metric.
        environments: folder of the environments of public systems.
        run_dir: where ours keeps its run; one that is there is removed. None: nowhere.

    Returns:
        Plain data: status, reason, metric, revision, and either metrics, seconds, memory and facts, or the traceback.
    """
    metric = metric_of(data.task, constraint.binary_metric)
    row: Row = {"status": "ok", "reason": "", "metric": metric, "revision": system.revision()}
    if run_dir is not None and run_dir.exists():
        shutil.rmtree(run_dir)  # else it would be continued
    with tempfile.TemporaryDirectory(prefix="benchmark_", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        try:
            python = system.python(environments)
            classes = _write_job(folder, system, data, seed, constraint, run_dir)
            ended = run_process(
                [str(python), str(system.script.resolve()), str(folder)],
                folder / "log.txt",
                n_cores=constraint.n_jobs,
                time_limit_s=constraint.kill_after_s(system),
                python_path=ROOT if system.environment is None else None,
            )
            limit_s = constraint.time_limit_s if system.is_timed else None
            return row | _outcome(folder, ended, data, classes, metric, limit_s)
        except UnavailableError as error:
            return row | {"status": "unavailable", "reason": str(error), "traceback": ""}
        except FitError as error:
            return row | {"status": "failed", "reason": str(error), "traceback": error.traceback}


def _write_job(
    folder: Path, system: System, data: Split, seed: int, constraint: Constraint, run_dir: Path | None
) -> Array | None:
    """Write what the driver reads; returns the labels of the classes by number."""
    classes, target = None, np.asarray(data.y_train)
    if data.task.is_classification:
        classes, target = np.unique(target, return_inverse=True)
    np.save(folder / "target.npy", target.astype(np.int64 if classes is not None else np.float64))
    train, test = with_categories(data)
    for name, frame in (("train", train), ("test", test)):
        frame.to_csv(folder / f"{name}.csv", index=False)
    job = {
        "options": {**system.options, **(_options_of_ours(constraint, run_dir) if system.driver == "ours" else {})},
        "task": data.task.value,
        "metric": metric_of(data.task, constraint.binary_metric),
        "n_classes": 0 if classes is None else len(classes),
        "time_limit_s": constraint.time_limit_s if system.is_timed else None,
        "n_trials": constraint.n_trials,
        "n_cores": constraint.n_jobs,
        "seed": seed,
        "columns": {name: _kind(column) for name, column in train.items()},
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return classes


def _options_of_ours(constraint: Constraint, run_dir: Path | None) -> dict[str, str]:
    """The driver works in another folder, so that paths are made absolute."""
    space = Path(constraint.search_space)
    kept = {} if run_dir is None else {"run_dir": str(run_dir.resolve())}
    return {"search_space": str(space.resolve()) if space.is_file() else constraint.search_space, **kept}


def with_categories(data: Split) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both frames; all that is not a number is a category, whose levels are texts and the same in both."""
    frame = pd.concat([data.X_train, data.X_test])
    for name in frame.select_dtypes(exclude=["number", "bool"]).columns:
        frame[name] = frame[name].astype("category").cat.rename_categories(str)
    return frame.iloc[: len(data.X_train)], frame.iloc[len(data.X_train) :]


def _kind(column: pd.Series[Any]) -> str | list[str]:
    return list(column.cat.categories) if isinstance(column.dtype, pd.CategoricalDtype) else str(column.dtype)


def _outcome(folder: Path, ended: Ended, data: Split, classes: Array | None, metric: str, limit_s: float | None) -> Row:
    """What the driver left, scored."""
    facts = _read_json(folder / "facts.json")
    if facts is None:  # a driver that is killed while its speed is measured has done its work
        said = _read_json(folder / "error.json") or {"reason": ended.reason, "traceback": ended.log}
        raise FitError(said["reason"], said["traceback"])
    return {
        "metrics": score_predictions(data, np.load(folder / "predictions.npy"), classes, metric),
        **facts,
        "predict_10k_seconds": None,
        "predict_row_ms": None,
        **(_read_json(folder / "speed.json") or {}),
        "overrun_seconds": None if limit_s is None else facts["fit_seconds"] - limit_s,
        "wall_seconds": ended.seconds,
        "peak_memory_mb": ended.peak_memory_mb,
        "n_train": len(data.y_train),
        "n_test": len(data.y_test),
    }


def score_predictions(
    data: Split, predicted: FloatArray, classes: Array | None, metric: str
) -> Mapping[str, float | None]:
    """All scores of predictions for the unseen rows.

    Args:
        data: the split.
        predicted: probabilities, shape (n_rows, n_classes), or values, shape (n_rows,).
        classes: labels of the columns; None for regression.
        metric: must be defined on these rows.

    Raises:
        FitError: predictions are not finite, probabilities do not sum to 1, or the metric is not defined.
    """
    if not np.isfinite(predicted).all():
        raise FitError("predictions must be finite numbers, some are not")
    if classes is None:
        return regression_scores(data.y_test, predicted)
    sums = predicted.sum(axis=1, keepdims=True)
    if (predicted < 0).any() or np.abs(sums - 1).max() > 1e-3:
        raise FitError(f"probabilities must sum to 1, some sums are {sums.min():g} to {sums.max():g}")
    scores = classification_scores(data.y_test, predicted / sums, classes)
    try:
        loss_of(scores, metric)
    except DataError as error:
        raise FitError(str(error)) from error
    return scores


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
