"""Tables described by a manifest, and their division into training and unseen rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
from sklearn.model_selection import train_test_split

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import Task

TEST_FRACTION = 0.33
"""Of the rows, unseen by every system; the holdout of LCBench and of the paper's test tasks."""


class ReadableTable(Protocol):
    """A table with a name that can be read."""

    @property
    def name(self) -> str:
        """Unique among the tables it is used with."""
        ...

    @property
    def task(self) -> Task:
        """What is predicted."""
        ...

    def read(self) -> tuple[pd.DataFrame, pd.Series[Any]]:
        """The columns, with dtype category where values are categories, and the target."""
        ...


T = TypeVar("T", bound=ReadableTable)


@dataclass(frozen=True)
class Table:
    """One entry of the manifest.

    Attributes:
        name: unique within the manifest.
        path: csv file, possibly compressed.
        task: what is predicted.
        target: name of the target column.
        categorical: names of the columns whose values are categories, whatever they look like.
    """

    name: str
    path: Path
    task: Task
    target: str
    categorical: tuple[str, ...] = ()

    def read(self) -> tuple[pd.DataFrame, pd.Series[Any]]:
        """The columns, with dtype category where the manifest says so, and the target."""
        frame = pd.read_csv(self.path)
        missing = sorted({self.target, *self.categorical} - set(frame.columns))
        if missing:
            raise DataError(f"The manifest names columns that {self.path} lacks: {', '.join(missing)}.")
        columns = frame.drop(columns=self.target).astype(dict.fromkeys(self.categorical, "category"))
        return columns, frame[self.target]


@dataclass(frozen=True)
class Split:
    """A table divided into rows to learn from and unseen ones."""

    task: Task
    X_train: pd.DataFrame
    X_test: pd.DataFrame
    y_train: pd.Series[Any]
    y_test: pd.Series[Any]


def read_manifest(folder: Path) -> list[Table]:
    """The tables that ``folder/manifest.json`` describes, in its order.

    Raises:
        DataError: there is no manifest, or an entry lacks a field.
    """
    path = folder / "manifest.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [_table(folder, entry) for entry in entries]
    except FileNotFoundError as error:
        raise DataError(f"A folder of tables needs a manifest.json, {folder} has none.") from error
    except (KeyError, TypeError, ValueError) as error:
        fields = "name, file, task (binary, multiclass or regression), target, categorical"
        raise DataError(f"Every entry of {path} needs {fields}; one does not fit: {error!r}.") from error


def choose(tables: Sequence[T], names: Sequence[str]) -> list[T]:
    """The tables of these names, in this order; all of them if there are no names.

    Raises:
        UnknownNameError: a name is not in the manifest.
    """
    by_name = {table.name: table for table in tables}
    for name in names:
        if name not in by_name:
            raise UnknownNameError("table", name, by_name)
    return [by_name[name] for name in names or by_name]


def split(table: ReadableTable, seed: int) -> Split:
    """67 % of the rows to learn from, the others unseen; stratified if every class has two rows or more."""
    X, y = table.read()
    stratify = y if table.task.is_classification and y.value_counts().min() >= 2 else None
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=TEST_FRACTION, random_state=seed, stratify=stratify
    )
    return Split(table.task, X_train, X_test, y_train, y_test)


def _table(folder: Path, entry: dict[str, Any]) -> Table:
    return Table(
        name=entry["name"],
        path=folder / entry["file"],
        task=Task(entry["task"]),
        target=entry["target"],
        categorical=tuple(entry.get("categorical", ())),
    )
