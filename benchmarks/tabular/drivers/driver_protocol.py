"""A system's side of one fit. Runs in the system's environment: the standard library, numpy and pandas only.

The job is a folder. In it lie `job.json`, `train.csv` and `test.csv` (without target) and `target.npy`: class numbers
from 0, or values. The driver leaves there, in this order, `predictions.npy` (class probabilities, shape (n_rows,
n_classes), or values, shape (n_rows,)), `facts.json` (seconds, and whatever the system says of itself) and
`speed.json`; or `error.json`.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Predict = Callable[[pd.DataFrame], Any]

N_SPEED_ROWS = 10_000
_N_SINGLE_ROWS = 50
_SINGLE_ROWS_S = 10.0
"""One-row predictions are timed so many times, but no longer than this."""


@dataclass(frozen=True)
class Job:
    """What a system is asked.

    Attributes:
        folder: of the job; the system may write below it.
        options: of the system, from the list of systems.
        task: binary, multiclass or regression.
        metric: what is compared: roc_auc, log_loss or rmse.
        n_classes: 0 for regression.
        time_limit_s: seconds for the fit; None: no limit.
        n_trials: evaluations, for systems that can be told; None: no limit.
        n_cores: how many the system may use.
        seed: for everything random.
        X: rows to learn from; dtype category where columns are categories.
        y: class numbers, int64, or values, float64; shape (n_rows,).
    """

    folder: Path
    options: Mapping[str, Any]
    task: str
    metric: str
    n_classes: int
    time_limit_s: float | None
    n_trials: int | None
    n_cores: int
    seed: int
    X: pd.DataFrame
    y: np.ndarray

    @property
    def is_classification(self) -> bool:
        """Whether probabilities are wanted."""
        return self.task != "regression"


@dataclass(frozen=True)
class Fitted:
    """What a fit gives.

    Attributes:
        predict: class probabilities or values for a frame like `Job.X`.
        facts: plain data worth keeping.
        classes: class numbers of the columns that `predict` gives; None: all in order.
    """

    predict: Predict
    facts: Mapping[str, Any] = field(default_factory=dict)
    classes: Any = None


def of_estimator(estimator: Any, job: Job, **facts: Any) -> Fitted:
    """The predictions of a fitted scikit-learn estimator."""
    if job.is_classification:
        return Fitted(estimator.predict_proba, facts, estimator.classes_)
    return Fitted(estimator.predict, facts)


def plain_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with columns c0, c1, ..., for libraries that refuse certain characters in names."""
    return frame.set_axis([f"c{i}" for i in range(frame.shape[1])], axis=1)


def serve(fit: Callable[[Job], Fitted]) -> None:
    """Do the job in the folder that the command line names."""
    folder = Path(sys.argv[1])
    try:
        _work(folder, fit)
    except Exception as error:  # whatever a system raises is its result
        lines = str(error).strip().splitlines() or [""]
        reason = f"{type(error).__name__}: {lines[0]}"
        _write(folder / "error.json", {"reason": reason, "traceback": traceback.format_exc()})
        raise SystemExit(1) from error


def _work(folder: Path, fit: Callable[[Job], Fitted]) -> None:
    description = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    columns = description.pop("columns")
    job = Job(folder, X=read(folder / "train.csv", columns), y=np.load(folder / "target.npy"), **description)
    X_test = read(folder / "test.csv", columns)
    start = time.perf_counter()
    fitted = fit(job)
    fit_seconds = time.perf_counter() - start
    start = time.perf_counter()
    predicted = _in_order(fitted, job, X_test)
    predict_seconds = time.perf_counter() - start
    np.save(folder / "predictions.npy", predicted)
    seconds = {"fit_seconds": fit_seconds, "predict_seconds": predict_seconds}
    _write(folder / "facts.json", {**seconds, "facts": dict(fitted.facts)})
    _write(folder / "speed.json", _speed(fitted.predict, X_test))


def read(path: Path, columns: Mapping[str, Any]) -> pd.DataFrame:
    """A table as our side wrote it; nothing but an empty cell is missing.

    Args:
        path: csv file.
        columns: name -> levels (texts) of a column of categories, otherwise the name of its dtype.
    """
    dtypes = {name: "str" if isinstance(kind, list) else kind for name, kind in columns.items()}
    frame = pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""], float_precision="round_trip")
    levels = {name: pd.CategoricalDtype(kind) for name, kind in columns.items() if isinstance(kind, list)}
    return frame.astype(levels)


def _in_order(fitted: Fitted, job: Job, X: pd.DataFrame) -> np.ndarray:
    predicted = np.asarray(fitted.predict(X), dtype=np.float64)
    if not job.is_classification:
        return predicted.reshape(len(X))
    full = np.zeros((len(X), job.n_classes))
    full[:, slice(None) if fitted.classes is None else np.asarray(fitted.classes, dtype=int)] = predicted
    return full


def _speed(predict: Predict, X: pd.DataFrame) -> dict[str, float]:
    """Seconds for 10,000 rows, repeated if there are fewer, and the median milliseconds for one row."""
    many = X.take(np.arange(N_SPEED_ROWS) % len(X)).reset_index(drop=True)
    start = time.perf_counter()
    predict(many)
    many_seconds = time.perf_counter() - start
    singles: list[float] = []
    begin = time.perf_counter()
    while len(singles) < _N_SINGLE_ROWS and (not singles or time.perf_counter() - begin < _SINGLE_ROWS_S):
        row = X.iloc[[len(singles) % len(X)]]
        start = time.perf_counter()
        predict(row)
        singles.append(time.perf_counter() - start)
    return {"predict_10k_seconds": many_seconds, "predict_row_ms": 1000 * float(np.median(singles))}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Write as a whole or not at all; numpy's numbers as Python's."""
    unfinished = path.with_suffix(".part")
    text = json.dumps(content, default=lambda value: value.item() if hasattr(value, "item") else str(value))
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
