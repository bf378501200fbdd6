"""A validated data set: schema, encoded arrays, target, weights, groups, folds; on disk as npy files and one JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autopytorch_lite.data.checks import check_groups, check_length, check_sample_weight
from autopytorch_lite.data.columns import Column, ColumnKind
from autopytorch_lite.data.fingerprint import fingerprint
from autopytorch_lite.data.inputs import as_raw_table
from autopytorch_lite.data.schema import EncodedTable, TableSchema
from autopytorch_lite.data.splits import HOLDOUT_FRACTION, Fold, Resampling, make_folds
from autopytorch_lite.data.target import TargetSchema
from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Array, DatasetInfo, FloatArray, IntArray

__all__ = [
    "Column",
    "ColumnKind",
    "Dataset",
    "EncodedTable",
    "Fold",
    "TableSchema",
    "TargetSchema",
    "load_schemas",
    "make_dataset",
    "save_schemas",
]

_FORMAT = 1
_SCHEMA_FILE = "schema.json"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Everything a search reads; arrays may be memory-mapped and must not be written to.

    Attributes:
        schema: how the table was encoded.
        target: how the target was encoded.
        table: the encoded rows.
        y: int64 class codes, shape (n,); or float64, shape (n, n_targets).
        sample_weight: float64, shape (n,), or None.
        groups: int64, shape (n,), or None.
        folds: which rows train and which validate.
        fingerprint: hash of all of it but groups and folds.
    """

    schema: TableSchema
    target: TargetSchema
    table: EncodedTable
    y: Array
    sample_weight: FloatArray | None
    groups: IntArray | None
    folds: tuple[Fold, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def info(self) -> DatasetInfo:
        """The facts that components and the space may depend on."""
        is_classification = self.target.task.is_classification
        counts = np.bincount(self.y, minlength=self.target.n_outputs).tolist() if is_classification else ()
        return DatasetInfo(
            task=self.target.task,
            n_rows=len(self),
            n_numeric=self.table.numeric.shape[1],
            cardinalities=self.schema.cardinalities,
            n_outputs=self.target.n_outputs,
            class_counts=tuple(counts),
            has_missing=self.table.has_missing,
        )

    def describe_folds(self) -> str:
        """How rows are divided, for people to read: "5 folds of about 360 validation rows"."""
        sizes = [len(fold.val_idx) for fold in self.folds]
        if len(sizes) == 1:
            return f"holdout: {len(self.folds[0].train_idx):,} training and {sizes[0]:,} validation rows"
        return f"{len(sizes)} folds of about {round(sum(sizes) / len(sizes)):,} validation rows"

    def save(self, folder: Path | str) -> None:
        """Write to a folder, made if absent; `schema.json` comes last, so that its presence means all is there."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays().items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        facts = {"fingerprint": self.fingerprint, "n_folds": len(self.folds)}
        _write_schema_file(folder, self.schema, self.target, facts)

    def _arrays(self) -> dict[str, Array]:
        arrays = {"numeric": self.table.numeric, "categorical": self.table.categorical, "y": self.y}
        optional = {"sample_weight": self.sample_weight, "groups": self.groups}
        arrays |= {name: array for name, array in optional.items() if array is not None}
        for number, fold in enumerate(self.folds):
            arrays |= {f"fold_{number}_train": fold.train_idx, f"fold_{number}_val": fold.val_idx}
        return arrays

    @classmethod
    def load(cls, folder: Path | str, mmap: bool = True) -> Dataset:
        """Read what `save` wrote.

        Args:
            folder: where it was saved.
            mmap: map the arrays read-only, so that processes on one machine share the memory; False reads copies.

        Raises:
            DataError: the folder holds no complete data set of this format.
        """
        folder = Path(folder)
        data = _read_schema_file(folder)
        if "n_folds" not in data:
            raise DataError(f"{folder} holds the schema of a data set but not its rows.")

        def array(name: str) -> Any:
            return np.load(folder / f"{name}.npy", mmap_mode="r" if mmap else None, allow_pickle=False)

        def optional(name: str) -> Any:
            return array(name) if (folder / f"{name}.npy").exists() else None

        return cls(
            TableSchema.from_json(data["table"]),
            TargetSchema.from_json(data["target"]),
            EncodedTable(array("numeric"), array("categorical")),
            array("y"),
            optional("sample_weight"),
            optional("groups"),
            tuple(Fold(array(f"fold_{k}_train"), array(f"fold_{k}_val")) for k in range(data["n_folds"])),
            data["fingerprint"],
        )


def save_schemas(folder: Path | str, schema: TableSchema, target: TargetSchema) -> None:
    """Write `schema.json` alone, for a predictor that keeps no training data; `load_schemas` reads it."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    _write_schema_file(Path(folder), schema, target, {})


def _write_schema_file(folder: Path, schema: TableSchema, target: TargetSchema, facts: Mapping[str, Any]) -> None:
    data = {"format": _FORMAT, **facts, "table": schema.to_json(), "target": target.to_json()}
    (folder / _SCHEMA_FILE).write_text(json.dumps(data), encoding="utf-8")


def load_schemas(folder: Path | str) -> tuple[TableSchema, TargetSchema]:
    """The schemas of table and target from `schema.json` alone: all that prediction needs of the training data.

    Raises:
        DataError: the folder holds no such file.
    """
    data = _read_schema_file(Path(folder))
    return TableSchema.from_json(data["table"]), TargetSchema.from_json(data["target"])


def _read_schema_file(folder: Path) -> Any:
    path = folder / _SCHEMA_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} must hold a saved data set; {path.name} cannot be read: {error}") from error
    if data.get("format") != _FORMAT:
        raise DataError(f"{path} must have format {_FORMAT}, got {data.get('format')!r}.")
    return data


def make_dataset(
    X: Any,
    y: Any,
    *,
    kind: str,
    sample_weight: Any = None,
    groups: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    resampling: Resampling = "auto",
    column_kinds: Mapping[str, str] | None = None,
    seed: int = 0,
    max_cells_for_folds: float | None = None,
) -> Dataset:
    """Validate, encode and divide a table.

    With `X_val` and `y_val` there is exactly one fold, and they are its validation rows: they are appended after the
    rows of X, so that position len(X) is the first of them. The schema is learnt from X alone (a level that only they
    have counts as missing), their weight is one, and they form a group of their own.

    Args:
        X: the table; see `as_raw_table`.
        y: the target; see `TargetSchema.infer`.
        kind: "classification" or "regression".
        sample_weight: not negative, shape (n,); rows of weight zero only train.
        groups: labels, shape (n,); rows of one group stay on one side of every division.
        X_val: rows to validate on, with the columns of X.
        y_val: their targets; no label that y lacks.
        resampling: see `make_folds`; must be "auto" where `X_val` is given.
        column_kinds: column name -> "numeric", "categorical" or "datetime".
        seed: of the division.
        max_cells_for_folds: under "auto", tables with more cells (rows x columns x classes) get a holdout instead of
            folds; for short time limits, in which several trainings of one configuration would leave no time to search.

    Raises:
        DataError: anything that cannot be used; the message names the column, argument or value.
        UnknownNameError: `column_kinds` names no column or kind.
    """
    raw = as_raw_table(X)
    n_rows = raw.shape[0]
    if y is not None:
        check_length(y, n_rows, "y")
    target = TargetSchema.infer(y, kind)
    codes = target.encode(y)
    weights = None if sample_weight is None else check_sample_weight(sample_weight, n_rows)
    _check_classes_have_weight(target, codes, weights)
    group_codes = None if groups is None else check_groups(groups, n_rows)
    schema = TableSchema.infer(raw, column_kinds)
    rows = _Rows(schema.encode(raw), codes, weights, group_codes)
    if X_val is None and y_val is None:
        resampling = _affordable(resampling, rows.table, target, max_cells_for_folds)
        folds = _divided(rows, target, resampling, seed, X)
    else:
        _check_validation(X_val, y_val, resampling)
        rows = _with_validation(rows, schema, target, X_val, y_val)
        folds = (Fold(np.arange(n_rows), np.arange(n_rows, len(rows.table))),)
    name = fingerprint(_facts(schema, target), rows.table.numeric, rows.table.categorical, rows.y, rows.sample_weight)
    return Dataset(schema, target, *rows, folds, name)


class _Rows(NamedTuple):
    """The fields of a `Dataset` that have one entry per row."""

    table: EncodedTable
    y: Array
    sample_weight: FloatArray | None
    groups: IntArray | None


def _affordable(resampling: Resampling, table: EncodedTable, target: TargetSchema, max_cells: float | None) -> Any:
    """A holdout where "auto" may decide and folds of so many cells would take too long; else what was asked for."""
    is_too_large = max_cells is not None and _n_cells(table, target) > max_cells
    return HOLDOUT_FRACTION if is_too_large and _is_auto(resampling) else resampling


def _divided(rows: _Rows, target: TargetSchema, resampling: Resampling, seed: int, X: Any) -> tuple[Fold, ...]:
    return make_folds(
        rows.y,
        is_classification=target.task.is_classification,
        resampling=resampling,
        groups=rows.groups,
        sample_weight=rows.sample_weight,
        seed=seed,
        X=X,
    )


def _facts(schema: TableSchema, target: TargetSchema) -> Any:
    """What a fingerprint depends on besides the arrays: not on how pandas and numpy store the same values."""
    columns = [{**column.to_json(), "dtype": ""} for column in schema.columns]
    return columns, {**target.to_json(), "dtype": ""}


def _n_cells(table: EncodedTable, target: TargetSchema) -> int:
    n_columns = table.numeric.shape[1] + table.categorical.shape[1]
    return len(table) * n_columns * (target.n_outputs if target.task.is_classification else 1)


def _is_auto(resampling: Resampling) -> bool:
    return isinstance(resampling, str) and resampling == "auto"


def _check_classes_have_weight(target: TargetSchema, codes: Array, weights: FloatArray | None) -> None:
    if weights is None or not target.task.is_classification:
        return
    left = np.unique(codes[weights > 0])
    if len(left) < 2:
        raise DataError(
            f"sample_weight must leave at least 2 classes with rows of positive weight; only class"
            f" {target.labels[left[0]]!r} has any."
        )


def _check_validation(X_val: Any, y_val: Any, resampling: Resampling) -> None:
    if X_val is None or y_val is None:
        given, absent = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
        raise DataError(f"X_val and y_val must be given together; {given} came without {absent}.")
    if not _is_auto(resampling):
        raise DataError(f"Given X_val, the division is settled and resampling must be 'auto', got {resampling!r}.")


def _with_validation(rows: _Rows, schema: TableSchema, target: TargetSchema, X_val: Any, y_val: Any) -> _Rows:
    """The rows, and after them those to validate on: of weight one and in a group of their own."""
    table, y, weights, groups = rows
    try:
        added = schema.encode(X_val)
    except DataError as error:
        raise DataError(f"X_val does not fit X: {error}") from error
    n_val = len(added)
    check_length(y_val, n_val, "y_val", "X_val")
    return _Rows(
        EncodedTable(np.vstack([table.numeric, added.numeric]), np.vstack([table.categorical, added.categorical])),
        np.concatenate([y, target.encode(y_val, name="y_val")]),
        None if weights is None else np.append(weights, np.ones(n_val)),
        None if groups is None else np.append(groups, np.full(n_val, groups.max() + 1)),
    )
