"""A table on its way into a run: read, divided into three parts, and stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autopytorch_lite.data.dataset import Dataset, Fold, make_dataset
from autopytorch_lite.data.readers import read_table
from autopytorch_lite.data.splits import make_folds
from autopytorch_lite.data.target import guess_kind
from autopytorch_lite.errors import DataError
from autopytorch_lite.history.store import write_json_atomic

TEST_SHARE = 0.33
"""As in LCBench; validation takes the same share of what remains."""
TABLE_FILE = "table.json"


@dataclass(frozen=True)
class SourceTable:
    """A table to generate learning curves on.

    Attributes:
        name: of the data set in the file that is made.
        X: the columns.
        y: what is predicted; by its values classes or numbers.
        openml_task_id: noted in the records; 0 if there is none.
    """

    name: str
    X: Any
    y: Any
    openml_task_id: int = 0


def read_source(table: str, target: str | None, name: str | None) -> SourceTable:
    """A table by path, "openml:TASK_ID" or "sklearn:NAME"; see `data.readers.read_table`.

    Raises:
        DataError: it cannot be read, or no column is named as the target.
        UnknownNameError: there is no such column or bundled set.
    """
    X, y, _ = read_table(table, target)
    if y is None:
        raise DataError(f"{table} does not say what is to be predicted; name the column with --target.")
    scheme, _, rest = table.rpartition(":")
    task_id = int(rest) if scheme == "openml" and rest.isdigit() else 0
    return SourceTable(name or Path(rest).name.split(".")[0], X, y, task_id)


def divided(source: SourceTable, seed: int) -> Dataset:
    """A table with one fold of training and validation rows; those of neither part are for the test.

    Both divisions are stratified by class.

    Raises:
        DataError: the table cannot be used.
    """
    whole = make_dataset(source.X, source.y, kind=guess_kind(source.y), resampling=TEST_SHARE, seed=seed)
    learn_idx = whole.folds[0].train_idx
    (inner,) = make_folds(
        whole.y[learn_idx], is_classification=whole.info.task.is_classification, resampling=TEST_SHARE, seed=seed
    )
    fold = Fold(learn_idx[inner.train_idx], learn_idx[inner.val_idx])
    return replace(whole, folds=(fold,))


def store_table(source: SourceTable, dataset: Dataset, folder: Path) -> None:
    """Write a divided table for `TrainingTable`."""
    dataset.save(folder)
    write_json_atomic(folder / TABLE_FILE, {"name": source.name, "openml_task_id": source.openml_task_id})
