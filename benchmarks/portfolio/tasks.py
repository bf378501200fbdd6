"""The tables on which candidates are trained: sampled, divided once for all, and kept on disk for the workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from autopytorch_lite.data.dataset import Dataset, make_dataset
from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.data.splits import MIN_ROWS_FOR_HOLDOUT
from autopytorch_lite.execution.tabular import TabularObjective, validation_rows
from autopytorch_lite.history.whole_files import replacing
from autopytorch_lite.metrics import Metric, resolve_metric
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.search.brackets import rungs
from autopytorch_lite.settings import resolve_budgets
from autopytorch_lite.types import Array, DatasetInfo, Task
from benchmarks.networks import sampled
from benchmarks.scores import metric_of
from benchmarks.tables import ReadableTable, Split, split

N_FOLDS = 3
"""Folds of tables below the size from which estimators hold rows out."""

_TASK_FILE = "task.json"


@dataclass(frozen=True)
class BundledTable:
    """A table that comes with scikit-learn; see `ReadableTable`."""

    name: str
    task: Task
    load: Callable[..., Any]

    def read(self) -> tuple[pd.DataFrame, pd.Series[Any]]:
        """The columns and the target."""
        frame = self.load(as_frame=True).frame
        return frame.drop(columns="target"), frame["target"]


BUNDLED = (
    BundledTable("sklearn-breast_cancer", Task.BINARY, datasets.load_breast_cancer),
    BundledTable("sklearn-digits", Task.MULTICLASS, datasets.load_digits),
    BundledTable("sklearn-diabetes", Task.REGRESSION, datasets.load_diabetes),
)
"""Those with more than a hundred unseen rows: fewer (iris, wine) tell no two configurations apart."""


@dataclass(frozen=True)
class PoolTask:
    """A prepared table.

    Attributes:
        name: of the table.
        folder: where `prepare` put it.
        metric: what trainings minimise and are compared by.
        max_budget: epochs of a full training, as the estimators would grant them.
    """

    name: str
    folder: Path
    metric: Metric
    max_budget: int

    @cached_property
    def dataset(self) -> Dataset:
        """The rows to learn from, with their folds."""
        return Dataset.load(self.folder, mmap=True)

    @property
    def info(self) -> DatasetInfo:
        """The facts that configurations depend on."""
        return self.dataset.info

    @cached_property
    def unseen(self) -> tuple[EncodedTable, Array]:
        """The rows that no training sees, and their targets."""
        with np.load(self.folder / "unseen.npz", allow_pickle=False) as arrays:
            return EncodedTable(arrays["numeric"], arrays["categorical"]), arrays["y"]

    @cached_property
    def validation_targets(self) -> Array:
        """Targets of the validation rows, in the order in which predictions are stored."""
        return np.asarray(self.dataset.y[validation_rows(self.dataset)])

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs of the rungs, as the estimators have them; the last is `max_budget`."""
        return rungs(max(1, self.max_budget // 9), self.max_budget)

    def objective(self) -> TabularObjective:
        """Trains as the estimators do, on one thread."""
        return TabularObjective(
            data_folder=str(self.folder),
            fingerprint=self.dataset.fingerprint,
            graph=default_graph(),
            metric=self.metric,
            seed=0,
            max_budget=self.max_budget,
        )


def prepare(tables: Sequence[ReadableTable], root: Path, *, max_rows: int, binary_metric: str) -> list[PoolTask]:
    """Sample, divide, encode and store what is not stored yet.

    Args:
        tables: in the order of the result.
        root: one folder for each table is made in it.
        max_rows: of a table, 67 % of them to learn from.
        binary_metric: roc_auc or log_loss.
    """
    for table in tables:
        if not (root / table.name / _TASK_FILE).exists():
            _prepare(table, root / table.name, max_rows, binary_metric)
    return [open_task(root / table.name) for table in tables]


def open_task(folder: Path) -> PoolTask:
    """What `prepare` stored."""
    facts = json.loads((folder / _TASK_FILE).read_text(encoding="utf-8"))
    metric = Metric(facts["metric"], Task(facts["task"]), facts["n_outputs"])
    return PoolTask(folder.name, folder, metric, facts["max_budget"])


def _prepare(table: ReadableTable, folder: Path, max_rows: int, binary_metric: str) -> None:
    """The file that says what is there comes last."""
    data = _sample(table, max_rows)
    resampling = "auto" if len(data.y_train) >= MIN_ROWS_FOR_HOLDOUT else N_FOLDS
    kind = "classification" if table.task.is_classification else "regression"
    dataset = make_dataset(data.X_train, data.y_train, kind=kind, resampling=resampling, seed=0)
    dataset.save(folder)
    unseen = dataset.schema.encode(data.X_test)
    y = dataset.target.encode(data.y_test)
    with replacing(folder / "unseen.npz") as file:
        np.savez_compressed(file, numeric=unseen.numeric, categorical=unseen.categorical, y=y)
    info = dataset.info
    facts = {
        "metric": resolve_metric(metric_of(table.task, binary_metric), info.task, info.n_outputs).name,
        "task": info.task.value,
        "n_outputs": info.n_outputs,
        "max_budget": resolve_budgets({"min_budget": None, "max_budget": None}, {}, info)[1],
    }
    with replacing(folder / _TASK_FILE) as file:
        file.write(json.dumps(facts).encode())


def _sample(table: ReadableTable, max_rows: int) -> Split:
    """The division of `benchmarks.tabular`'s first seed, less unseen rows of classes that no other row has."""
    data = sampled(split(table, seed=0), max_rows, seed=0)
    if not table.task.is_classification:
        return data
    known = data.y_test.isin(data.y_train.unique())
    return Split(data.task, data.X_train, data.X_test[known], data.y_train, data.y_test[known])
