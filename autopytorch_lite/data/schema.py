"""The schema of a table: its columns as learnt, and the encoding of any later table like it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from autopytorch_lite.data.columns import (
    ALL_MISSING,
    Column,
    ColumnKind,
    date_cells,
    infer_column,
    level_codes,
    looks_numeric,
    numeric_cells,
)
from autopytorch_lite.data.inputs import RawTable, as_raw_table
from autopytorch_lite.data.values import as_objects
from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import Array, FloatArray, IntArray

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class EncodedTable:
    """A table as arrays.

    Attributes:
        numeric: float64, shape (n, n_numeric); NaN = missing.
        categorical: int32, shape (n, n_categorical); level codes from 0, -1 = missing or not seen at training.
        kept: what was made of these rows, by name; None where nothing is kept.
    """

    numeric: FloatArray
    categorical: IntArray
    kept: dict[Hashable, Any] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.numeric)

    def take(self, idx: IntArray | slice) -> EncodedTable:
        """The rows at `idx` (positions, a mask, or a slice)."""
        return EncodedTable(self.numeric[idx], self.categorical[idx])

    def keeping(self) -> EncodedTable:
        """The same rows, which from now on keep what is made of them by `derived`."""
        return replace(self, kept={})

    def derived(self, name: Callable[[], Hashable], make: Callable[[], T]) -> T:
        """What `make` makes of these rows; where it is kept, one result serves all who call it by the same name.

        Nobody may change it.
        """
        if self.kept is None:
            return make()
        called = name()
        if called not in self.kept:
            self.kept[called] = make()
        made: T = self.kept[called]
        return made

    @property
    def n_missing(self) -> int:
        """Number of missing cells."""
        return int(np.isnan(self.numeric).sum() + (self.categorical < 0).sum())

    @property
    def has_missing(self) -> bool:
        """Whether any cell is missing."""
        return self.n_missing > 0


@dataclass(frozen=True)
class TableSchema:
    """Columns of a table and the rules to encode it.

    Numbers, durations (in seconds) and the parts of dates become numeric columns; texts, booleans, categories and
    mixtures become level codes. Left out are columns without any value and columns of at least 50 texts that all differ
    (their levels can never be met again); `dropped` says which and why, and naming the kind of a column of texts keeps
    it.

    Attributes:
        columns: all columns in the order of the training table, dropped ones included.
        named: whether that table had column names.
    """

    columns: tuple[Column, ...]
    named: bool

    @classmethod
    def infer(cls, X: Any, overrides: Mapping[str, str] | None = None) -> TableSchema:
        """Learn the schema of a table.

        Args:
            X: see `as_raw_table`.
            overrides: column name -> "numeric", "categorical" or "datetime", against the type of its cells. Columns of
                an array are called "x0", "x1", ...

        Raises:
            UnknownNameError: an override names no column, or no kind.
            DataError: a column cannot be used, or no column is left.
        """
        raw = as_raw_table(X)
        kinds = _checked_kinds(overrides or {}, raw.names)
        columns = _infer_from_matrix(raw) if raw.matrix is not None and not kinds else _infer_each(raw, kinds)
        if all(column.dropped for column in columns):
            reasons = ", ".join(f"{column.name!r}: {column.dropped}" for column in columns[:5])
            raise DataError(f"At least one column of X must be usable; {len(columns)} came and none is ({reasons}).")
        return cls(columns, raw.named)

    def encode(self, X: Any, *, owner: str = "TableSchema") -> EncodedTable:
        """Encode a table like the one learnt from.

        Columns of a frame are matched by name, in any order, and further ones are ignored; everything without names is
        matched by position and must have the right number of columns. A level not seen before is missing.

        Args:
            X: see `as_raw_table`.
            owner: who asks, for messages about columns.

        Raises:
            DataError: missing columns, a wrong number of them, or cells that do not fit the column's kind.
        """
        raw = as_raw_table(X)
        positions = self._match(raw, owner)
        used = [(column, at) for column, at in zip(self.columns, positions, strict=True) if not column.dropped]
        if all(column.kind is ColumnKind.NUMERIC for column, _ in used):
            matrix = _numbers_of(raw)
            if matrix is not None:
                return _encode_matrix(matrix, used)
        n_rows = raw.shape[0]
        numeric = [_numeric_block(raw.column(at), column) for column, at in used if column.numeric_names]
        codes = [level_codes(raw.column(at), column) for column, at in used if column.is_encoded_categorical]
        return EncodedTable(
            np.column_stack(numeric) if numeric else np.empty((n_rows, 0)),
            np.column_stack(codes) if codes else np.empty((n_rows, 0), dtype=np.int32),
        )

    def decode(self, table: EncodedTable) -> pd.DataFrame | Array:
        """A table whose encoding is `table`, of the kind that the schema was learnt from; dropped columns are empty."""
        numbers, codes = iter(table.numeric.T), iter(table.categorical.T)
        cells = {column.name: _decoded(column, len(table), numbers, codes) for column in self.columns}
        if not self.named and all(column.kind is ColumnKind.NUMERIC for column in self.columns):
            return np.column_stack(list(cells.values()))
        return pd.DataFrame(cells)

    def _match(self, raw: RawTable, owner: str) -> list[int]:
        """Position in `raw` of each column; 0 for dropped ones that are absent."""
        if self.named and raw.named:
            at = {name: position for position, name in enumerate(raw.names)}
            missing = [column.name for column in self.columns if column.name not in at and not column.dropped]
            if missing:
                raise DataError(f"X lacks column {', '.join(map(repr, missing[:5]))}, which {owner} was fitted with.")
            return [at.get(column.name, 0) for column in self.columns]
        if raw.shape[1] != len(self.columns):
            raise DataError(
                f"X has {raw.shape[1]} features, but {owner} is expecting {len(self.columns)} features as input."
            )
        return list(range(len(self.columns)))

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """Names of `EncodedTable.numeric`, dates expanded ("when.year")."""
        return tuple(name for column in self.columns for name in column.numeric_names)

    @property
    def categorical_names(self) -> tuple[str, ...]:
        """Names of `EncodedTable.categorical`."""
        return tuple(column.name for column in self.columns if column.is_encoded_categorical)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of known levels of each categorical column."""
        return tuple(len(column.categories) for column in self.columns if column.is_encoded_categorical)

    @property
    def dropped(self) -> dict[str, str]:
        """Columns left out of the encoding -> why."""
        return {column.name: column.dropped for column in self.columns if column.dropped}

    def summary(self) -> str:
        """The columns as an aligned text table: name, kind, type, missing cells, what came of it."""
        rows = [("column", "kind", "type", "missing", "details")]
        rows += [(c.name, c.kind.value, c.dtype, str(c.n_missing or ""), _details(c)) for c in self.columns]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
            for row in rows
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        columns = [column.to_json() for column in self.columns]
        return {"named": self.named, "columns": columns}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableSchema:
        """Inverse of `to_json`."""
        columns = tuple(Column.from_json(column) for column in data["columns"])
        return cls(columns, bool(data["named"]))


def _checked_kinds(overrides: Mapping[str, str], names: tuple[str, ...]) -> dict[str, ColumnKind]:
    for name, kind in overrides.items():
        if str(name) not in names:
            raise UnknownNameError("column in column_kinds", name, names)
        if kind not in list(ColumnKind):
            raise UnknownNameError(f"kind of column {name!r}", kind, list(ColumnKind))
    return {str(name): ColumnKind(kind) for name, kind in overrides.items()}


def _infer_each(raw: RawTable, kinds: Mapping[str, ColumnKind]) -> tuple[Column, ...]:
    columns = []
    for position, name in enumerate(raw.names):
        series = raw.column(position)
        kind = kinds.get(name)
        if kind is None and raw.from_text and looks_numeric(series):
            kind = ColumnKind.NUMERIC
        columns.append(infer_column(series, name, kind))
    return tuple(columns)


def _infer_from_matrix(raw: RawTable) -> tuple[Column, ...]:
    assert raw.matrix is not None
    _refuse_infinite_cells(raw.matrix, raw.names)
    n_missing = np.isnan(raw.matrix).sum(axis=0).tolist()
    dtype, n_rows = str(raw.matrix.dtype), len(raw.matrix)
    return tuple(
        Column(name, ColumnKind.NUMERIC, dtype, missing, dropped=ALL_MISSING if missing == n_rows else "")
        for name, missing in zip(raw.names, n_missing, strict=True)
    )


def _numbers_of(raw: RawTable) -> Array | None:
    """All cells as one array, where all are plain numbers; column by column, a row of many takes milliseconds."""
    if raw.matrix is not None or raw.frame is None:
        return raw.matrix
    is_plain = all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in raw.frame.dtypes)
    return raw.frame.to_numpy(dtype=np.float64) if is_plain else None


def _encode_matrix(matrix: Array, used: list[tuple[Column, int]]) -> EncodedTable:
    positions = [at for _, at in used]
    if positions != list(range(matrix.shape[1])):
        matrix = np.take(matrix, positions, axis=1)
    _refuse_infinite_cells(matrix, tuple(column.name for column, _ in used))
    numeric = np.array(matrix, dtype=np.float64, order="C")
    return EncodedTable(numeric, np.empty((len(numeric), 0), dtype=np.int32))


def _refuse_infinite_cells(matrix: Array, names: tuple[str, ...]) -> None:
    infinite = np.isinf(matrix)
    if infinite.any():
        name = names[int(infinite.any(axis=0).argmax())]
        raise DataError(f"Input X contains infinity in column {name!r}; cells must be finite or missing.")


def _numeric_block(series: pd.Series, column: Column) -> FloatArray:
    return numeric_cells(series, column.name) if column.dates is None else date_cells(series, column)


def _decoded(column: Column, n_rows: int, numbers: Iterator[FloatArray], codes: Iterator[IntArray]) -> Any:
    """The cells of a column, of its arrays, which are taken from the iterators."""
    if column.dropped:
        return np.full(n_rows, np.nan)
    if column.is_encoded_categorical:
        known: Any = pd.Index(as_objects(column.categories))
        levels = pd.Categorical.from_codes(next(codes), categories=known)
        return levels if column.dtype == "category" else levels.astype(object)
    blocks = [next(numbers) for _ in column.numeric_names]
    if column.dates is None:
        return blocks[0]
    return pd.Timestamp(column.dates.origin) + pd.to_timedelta(blocks[0], unit="D")


def _details(column: Column) -> str:
    if column.dropped:
        return f"left out: {column.dropped}"
    if column.dates is not None:
        return ", ".join(column.dates.parts)
    if column.kind is ColumnKind.NUMERIC:
        return ""
    shown = ", ".join(map(str, column.categories[:4])) + (", ..." if len(column.categories) > 4 else "")
    return f"{len(column.categories)} {'ordered ' if column.ordered else ''}levels: {shown}"
