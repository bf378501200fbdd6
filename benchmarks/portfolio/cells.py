"""Cells of the matrix: every candidate trained in full on every table, over several sittings, one row for each."""

from __future__ import annotations

import json
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import click
import numpy as np

from autopytorch_lite.errors import DataError
from autopytorch_lite.execution.base import Checkpoint, Executor, Result
from autopytorch_lite.execution.tabular import fold_folder
from autopytorch_lite.execution.workers import ProcessExecutor
from autopytorch_lite.history.files import VALIDATION_PREDICTIONS
from autopytorch_lite.history.trial import Finished, Proposal
from autopytorch_lite.history.whole_files import replacing
from autopytorch_lite.pipeline.build import default_graph, load_learner
from autopytorch_lite.types import Config, FloatArray
from benchmarks.portfolio.pool import Candidate
from benchmarks.portfolio.tasks import PoolTask, open_task
from benchmarks.tabular.results import Results, Row, RowKey

SKIPPED = "skipped"
"""Status of a cell whose candidate does not apply to the table."""

EXPECTED_S = {
    "linear": 0.1,
    "extra_trees": 0.5,
    "support_vectors": 0.5,
    "random_forest": 1.0,
    "lightgbm": 1.0,
    "xgboost": 1.0,
    "hist_gradient_boosting": 1.5,
    "catboost": 3.0,
    "tabm": 12.0,
    "realmlp": 12.0,
}
"""CPU seconds of a training, by family, until some have been measured; others take `OTHERS_S`."""
OTHERS_S = 5.0

WAVES = (("by_hand",), ("published", "drawn"), ("paper",))
"""Sources in the order in which they are trained; within a wave what is cheap comes first."""


ROW_KINDS = ("validation", "unseen")
"""Rows that are predicted after each rung; arrays of predictions are named by kind and epochs."""

Cell: TypeAlias = tuple[PoolTask, Candidate]


class PoolFolder:
    """Where tables, rows of results and predictions of a pool are kept.

    Args:
        path: made if absent.
        config: what was asked for; its "constraint" must equal the one of earlier sittings.

    Raises:
        HistoryError: the folder holds results under another constraint, or a damaged row.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]):
        self.path = path.resolve()
        self.config = dict(config)
        self.results = Results(self.path, config)

    @classmethod
    def open(cls, path: Path) -> PoolFolder:
        """A pool that was begun earlier.

        Raises:
            DataError: the folder is none.
        """
        try:
            return cls(path, json.loads((path / "config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} must be a folder of `benchmarks.portfolio build`: {error!r}.") from error

    def row(self, task: str, candidate: Candidate) -> Row | None:
        """What is known of a cell, if the candidate has not changed since."""
        key = _key(task, candidate)
        return self.results.rows[key] if self.results.is_done(key, candidate.revision) else None

    def append(self, task: str, candidate: Candidate, row: Row) -> None:
        """Keep one row; it is on disk when this returns."""
        self.results.append(_key(task, candidate), {**row, "revision": candidate.revision})

    def task_folder(self, task: str) -> Path:
        """Where `tasks.prepare` puts a table."""
        return self.path / "tasks" / task

    def predictions(self, task: PoolTask, candidate: str, budget: int | None = None) -> tuple[FloatArray, FloatArray]:
        """Predictions of the validation rows and of the unseen rows, float32, shapes (n_rows, n_outputs).

        Args:
            task: the table.
            candidate: its name.
            budget: a rung, epochs; None: the last.
        """
        rung = task.max_budget if budget is None else budget
        with np.load(_predictions_file(self.path, task.name, candidate), allow_pickle=False) as arrays:
            validation, unseen = (arrays[f"{kind}{rung}"] for kind in ROW_KINDS)
        return validation, unseen


@dataclass(frozen=True)
class CellObjective:
    """Trains one candidate on one table as the estimators would, and stores its predictions.

    A configuration of this objective names both: {"task": name, "candidate": name}. The models are not kept.

    Attributes:
        root: the pool's folder.
        candidates: by name.
    """

    root: Path
    candidates: Mapping[str, Candidate]

    def __call__(self, config: Config, budget: int, checkpoint: Checkpoint) -> Result:
        """The validation loss; CPU seconds and the loss on unseen rows, of each rung, are in its info."""
        task = open_task(self.root / "tasks" / str(config["task"]))
        candidate = self.candidates[str(config["candidate"])]
        fitted = candidate.fitted(task.info)
        assert fitted is not None, "cells of candidates that do not apply are not submitted"
        rows: list[Row] = []
        predictions: dict[str, Any] = {}
        here = checkpoint
        for rung in task.rungs:
            previous = here.folder if rows else None
            here = replace(checkpoint, folder=checkpoint.folder / f"rung{rung}", previous=previous)
            here.folder.mkdir()
            result, row, of_rung = _trained_to(rung, task, fitted, here)
            rows.append(row)
            predictions |= of_rung
        with replacing(_predictions_file(self.root, task.name, candidate.name)) as file:
            np.savez_compressed(file, **predictions)
        _empty(checkpoint.folder)
        cpu_seconds = sum(row["cpu_seconds"] for row in rows)
        info = {"cpu_seconds": cpu_seconds, "unseen_loss": rows[-1]["unseen_loss"], "rungs": rows}
        return replace(result, curve=(), curves={}, info=info)


def _trained_to(
    budget: int, task: PoolTask, config: Config, checkpoint: Checkpoint
) -> tuple[Result, Row, dict[str, FloatArray]]:
    """One rung of a training: its result, what is kept of that, and predictions by kind of rows and epochs."""
    start = time.process_time()
    result = task.objective()(config, budget, checkpoint)
    seconds = time.process_time() - start
    validation, unseen = np.load(checkpoint.folder / VALIDATION_PREDICTIONS), _predict_unseen(task, checkpoint.folder)
    unseen_loss = task.metric.loss(task.unseen[1], unseen)
    row = {"budget": budget, "loss": result.loss, "unseen_loss": unseen_loss, "cpu_seconds": seconds}
    predictions = zip(ROW_KINDS, (validation, unseen), strict=True)
    return result, row, {f"{kind}{budget}": values.astype(np.float32) for kind, values in predictions}


def train_missing(
    pool: PoolFolder,
    tasks: Sequence[PoolTask],
    candidates: Sequence[Candidate],
    *,
    n_jobs: int,
    limit_s: float,
    seconds_per_table: float | None,
) -> None:
    """Train what has no row yet, candidate by candidate on all tables; a failure becomes a row with its reason.

    Args:
        pool: where everything is kept.
        tasks: the tables.
        candidates: of any source; see `WAVES`.
        n_jobs: trainings at once, each on one thread.
        limit_s: wall-clock seconds of one training.
        seconds_per_table: CPU seconds for each table, those of earlier sittings included; None: as many as it takes.
    """
    executor = ProcessExecutor(
        CellObjective(pool.path, {candidate.name: candidate for candidate in candidates}),
        n_workers=n_jobs,
        files_root=pool.path / "files",
        trial_time_limit_s=limit_s,
    )
    try:
        for (task, candidate), line in _trained(executor, _missing(pool, tasks, candidates, seconds_per_table)):
            pool.append(task.name, candidate, _row(line, task))
            click.echo(f"{candidate.name:32} {task.name:24} {line.status.value:8} {line.seconds:6.1f} s", err=True)
    finally:
        executor.close()


def _trained(executor: Executor, todo: Iterator[Cell]) -> Iterator[tuple[Cell, Finished]]:
    """Cells as they end, in whatever order; the next ones are taken from `todo` when a worker is free."""
    running: dict[int, Cell] = {}
    while True:
        for cell in islice(todo, executor.n_free()):
            proposal = _proposal(*cell)
            running[proposal.config_id] = cell
            executor.submit(proposal)
        finished = executor.wait()
        if not finished:
            return
        yield from ((running.pop(line.key.config_id), line) for line in finished)


def _missing(
    pool: PoolFolder, tasks: Sequence[PoolTask], candidates: Sequence[Candidate], seconds_per_table: float | None
) -> Iterator[Cell]:
    """Cells to train; a candidate's column is begun when the one before is, so what was measured meanwhile counts."""
    left = list(candidates)
    while left:
        candidate = min(left, key=lambda c: (_wave(c), expected_seconds(pool, c)))
        left.remove(candidate)
        for task in tasks:
            if pool.row(task.name, candidate) is not None:
                continue
            if candidate.fitted(task.info) is None:
                pool.append(task.name, candidate, {"status": SKIPPED, "reason": "does not apply to this table"})
            elif seconds_per_table is None or spent_seconds(pool, task.name) < seconds_per_table:
                yield task, candidate


def expected_seconds(pool: PoolFolder, candidate: Candidate) -> float:
    """CPU seconds of one training: the mean of the candidate's own, else its family's typical ones."""
    own = [row["cpu_seconds"] for key, row in pool.results.rows.items() if key.system == candidate.name and _ok(row)]
    return fmean(own) if own else EXPECTED_S.get(candidate.family, OTHERS_S)


def spent_seconds(pool: PoolFolder, task: str) -> float:
    """Seconds that all trainings on a table have taken."""
    return float(np.nansum([seconds_of(row) for key, row in pool.results.rows.items() if key.table == task]))


def seconds_of(row: Row) -> float:
    """CPU seconds of a training, wall clock of one that failed; NaN where the candidate does not apply."""
    return float(next((row[name] for name in ("cpu_seconds", "seconds") if name in row), np.nan))


def _wave(candidate: Candidate) -> int:
    return next(number for number, sources in enumerate(WAVES) if candidate.source in sources)


def _proposal(task: PoolTask, candidate: Candidate) -> Proposal:
    """The number of a cell follows from its name, so that its seed is the same in every sitting."""
    number = zlib.crc32(f"{task.name}/{candidate.name}".encode())
    return Proposal(number, {"task": task.name, "candidate": candidate.name}, task.max_budget)


def _row(line: Finished, task: PoolTask) -> Row:
    facts = {"status": line.status.value, "reason": line.error, "seconds": line.seconds, "metric": task.metric.label}
    if not line.ok:
        return facts
    measured = {name: line.info[name] for name in ("cpu_seconds", "unseen_loss", "rungs")}
    return {**facts, "validation_loss": line.loss, **measured, "metrics": dict(line.metrics)}


def _predict_unseen(task: PoolTask, folder: Path) -> FloatArray:
    """Mean over the models of the folds, shape (n_rows, n_outputs)."""
    graph = default_graph()
    learners = (load_learner(fold_folder(folder, i), graph) for i in range(len(task.dataset.folds)))
    return np.mean([learner.predict(task.unseen[0]) for learner in learners], axis=0)


def _empty(folder: Path) -> None:
    """Leave nothing that would be kept as files of a trial."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _predictions_file(root: Path, task: str, candidate: str) -> Path:
    return root / "predictions" / task / f"{candidate}.npz"


def _key(task: str, candidate: Candidate) -> RowKey:
    return RowKey(task, candidate.name, 0)


def _ok(row: Row) -> bool:
    return bool(row["status"] == "ok")
