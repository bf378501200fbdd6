"""One column: which kind it is, and how its cells become numbers or level codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as dtypes

from autopytorch_lite.data.datetimes import DateParts, to_wall_clock
from autopytorch_lite.data.values import (
    LevelFinder,
    Value,
    factorize,
    plain,
    sorted_values,
    values_from_json,
    values_to_json,
)
from autopytorch_lite.errors import DataError
from autopytorch_lite.types import FloatArray, IntArray

MIN_ROWS_OF_IDENTIFIER = 50
"""From so many values on, a column of texts that are all different is taken for an identifier and left out."""

FEW_ROWS = 30
"""Cells up to which each is looked up by itself; to find the distinct ones first takes longer."""

ALL_MISSING = "all missing"
IDENTIFIER = "every value differs"


class ColumnKind(StrEnum):
    """How a column is treated."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    DATETIME = "datetime"


_OBJECT_KINDS = {
    "integer": ColumnKind.NUMERIC,
    "floating": ColumnKind.NUMERIC,
    "mixed-integer-float": ColumnKind.NUMERIC,
    "decimal": ColumnKind.NUMERIC,
    "timedelta": ColumnKind.NUMERIC,
    "timedelta64": ColumnKind.NUMERIC,
    "empty": ColumnKind.NUMERIC,
    "datetime": ColumnKind.DATETIME,
    "datetime64": ColumnKind.DATETIME,
    "date": ColumnKind.DATETIME,
}


@dataclass(frozen=True)
class Column:
    """What was learnt about one column; plain data, JSON both ways.

    Attributes:
        name: its name; "x0", "x1", ... for arrays.
        kind: how it is treated.
        dtype: type of its cells when it was learnt, for people to read.
        n_missing: missing cells when it was learnt.
        categories: the known levels of a categorical column; code = position.
        ordered: whether the levels have an order (ordered pandas categories).
        dates: how a datetime column is expanded.
        dropped: why the column is left out of the encoding; empty if it is used.
    """

    name: str
    kind: ColumnKind
    dtype: str = ""
    n_missing: int = 0
    categories: tuple[Value, ...] = ()
    ordered: bool = False
    dates: DateParts | None = None
    dropped: str = ""

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """Names of the numeric columns it is encoded to; dates give several."""
        if self.dropped or self.kind is ColumnKind.CATEGORICAL:
            return ()
        return (self.name,) if self.dates is None else tuple(f"{self.name}.{part}" for part in self.dates.parts)

    @property
    def is_encoded_categorical(self) -> bool:
        """Whether it is encoded to level codes."""
        return self.kind is ColumnKind.CATEGORICAL and not self.dropped

    @cached_property
    def finder(self) -> LevelFinder:
        """Finds cells among the categories, by their text if need be."""
        return LevelFinder(self.categories, by_text=True)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`; defaults are left out."""
        data: dict[str, Any] = {"name": self.name, "kind": self.kind.value, "dtype": self.dtype}
        optional = {"n_missing": self.n_missing, "ordered": self.ordered, "dropped": self.dropped}
        data |= {name: value for name, value in optional.items() if value}
        if self.categories:
            data["categories"] = values_to_json(self.categories)
        if self.dates is not None:
            data["dates"] = asdict(self.dates)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """Inverse of `to_json`."""
        fields = dict(data) | {"kind": ColumnKind(data["kind"])}
        if "categories" in data:
            fields["categories"] = values_from_json(data["categories"])
        if "dates" in data:
            fields["dates"] = DateParts.from_json(data["dates"])
        return cls(**fields)


def infer_column(series: pd.Series, name: str, kind: ColumnKind | None = None) -> Column:
    """Learn one column.

    Args:
        series: the cells, shape (n,).
        name: what to call it, in errors too.
        kind: the user's wish; None to decide from the type of the cells: numbers and durations are numeric; dates,
            times and periods are datetimes; texts, booleans, pandas categories and mixtures are categorical.

    Raises:
        DataError: infinite or complex values, or cells that the wished kind cannot hold.
    """
    series = _numpy_backed(series)
    facts: dict[str, Any] = {
        "name": name,
        "kind": kind or kind_of(series, name),
        "dtype": str(series.dtype),
        "n_missing": int(series.isna().sum()),
    }
    if facts["n_missing"] == len(series):
        return Column(**facts, dropped=ALL_MISSING)
    if facts["kind"] is ColumnKind.CATEGORICAL:
        return _infer_categorical(series, facts, is_wish=kind is not None)
    if facts["kind"] is ColumnKind.DATETIME:
        return Column(**facts, dates=DateParts.infer(series, name))
    numeric_cells(series, name)
    return Column(**facts)


def kind_of(series: pd.Series, name: str) -> ColumnKind:
    """Kind of a column by the type of its cells; see `infer_column`."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype) or dtypes.is_bool_dtype(dtype):
        return ColumnKind.CATEGORICAL
    if dtypes.is_complex_dtype(dtype):
        raise DataError(f"Complex data not supported: column {name!r} has complex numbers.")
    if dtypes.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return ColumnKind.DATETIME
    if dtypes.is_numeric_dtype(dtype) or dtypes.is_timedelta64_dtype(dtype):
        return ColumnKind.NUMERIC
    if dtypes.is_object_dtype(dtype):
        return _OBJECT_KINDS.get(dtypes.infer_dtype(series, skipna=True), ColumnKind.CATEGORICAL)
    return ColumnKind.CATEGORICAL


def _numpy_backed(series: pd.Series) -> pd.Series:
    """The same cells without sparse or arrow storage where pandas treats that storage differently."""
    if isinstance(series.dtype, pd.SparseDtype):
        return pd.Series(np.asarray(series), index=series.index)
    if isinstance(series.dtype, pd.ArrowDtype) and series.dtype.kind not in "iufbU":
        return series.astype(object).where(series.notna(), None)
    return series


def _infer_categorical(series: pd.Series, facts: dict[str, Any], *, is_wish: bool) -> Column:
    if isinstance(series.dtype, pd.CategoricalDtype):
        used = np.flatnonzero(np.bincount(series.cat.codes[series.cat.codes >= 0], minlength=1))
        levels = tuple(dict.fromkeys(plain(level) for level in series.cat.categories[used]))
        _refuse_infinite(levels, facts["name"])
        return Column(**facts, categories=levels, ordered=bool(series.cat.ordered))
    if _is_boolean(series):
        return Column(**facts, categories=(False, True))
    levels_found = sorted_values(factorize(series)[1])
    _refuse_infinite(levels_found, facts["name"])
    n_present = len(series) - facts["n_missing"]
    is_identifier = not is_wish and n_present >= MIN_ROWS_OF_IDENTIFIER and len(levels_found) == n_present
    return Column(**facts, categories=levels_found) if not is_identifier else Column(**facts, dropped=IDENTIFIER)


def _is_boolean(series: pd.Series) -> bool:
    if dtypes.is_bool_dtype(series.dtype):
        return True
    return dtypes.is_object_dtype(series.dtype) and dtypes.infer_dtype(series, skipna=True) == "boolean"


def _refuse_infinite(levels: tuple[Value, ...], name: str) -> None:
    if any(isinstance(level, float) and np.isinf(level) for level in levels):
        raise DataError(_infinity_message(name))


def _infinity_message(name: str) -> str:
    return f"Input X contains infinity in column {name!r}; cells must be finite or missing."


def numeric_cells(series: pd.Series, name: str) -> FloatArray:
    """Cells as numbers; durations in seconds.

    Returns:
        float64 array, shape (n,); NaN = missing.

    Raises:
        DataError: a cell is infinite or no number; texts that spell numbers are numbers.
    """
    numbers = _to_float(_numpy_backed(series), name)
    if np.isinf(numbers).any():
        raise DataError(_infinity_message(name))
    return numbers


def _to_float(series: pd.Series, name: str) -> FloatArray:
    dtype = series.dtype
    if dtypes.is_complex_dtype(dtype):
        raise DataError(f"Complex data not supported: column {name!r} has complex numbers.")
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        return series.to_numpy(dtype=np.float64)
    if dtypes.is_timedelta64_dtype(dtype):
        return series.dt.total_seconds().to_numpy(dtype=np.float64)
    if dtypes.is_numeric_dtype(dtype) or dtypes.is_bool_dtype(dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if dtypes.is_object_dtype(dtype) and dtypes.infer_dtype(series, skipna=True).startswith("timedelta"):
        return pd.to_timedelta(series).dt.total_seconds().to_numpy(dtype=np.float64)
    return _parse_numbers(series, name)


def _parse_numbers(series: pd.Series, name: str) -> FloatArray:
    if series.isna().all():
        return np.full(len(series), np.nan)
    if dtypes.is_datetime64_any_dtype(series.dtype) or isinstance(series.dtype, pd.PeriodDtype):
        raise DataError(f"Column {name!r} must be numeric; it holds dates ({series.dtype}).")
    cells = series.astype(object)
    numbers = pd.to_numeric(cells, errors="coerce")
    refused = numbers.isna().to_numpy() & cells.notna().to_numpy() & ~cells.isin(["nan", "NaN"]).to_numpy()
    if refused.any():
        raise DataError(f"Column {name!r} must be numeric; row {refused.argmax()} holds {cells[refused].iloc[0]!r}.")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def looks_numeric(series: pd.Series) -> bool:
    """Whether every present cell of a column of texts spells a number."""
    present = series.dropna()
    return len(present) > 0 and bool(pd.to_numeric(present, errors="coerce").notna().all())


def level_codes(series: pd.Series, column: Column) -> IntArray:
    """Cells as positions in `column.categories`.

    A cell that equals no level may match one by its text, so that ``1``, ``1.0`` and ``"1"`` are the same level when a
    file gives the column another type than it had at training.

    Returns:
        int32 array, shape (n,); -1 = missing, or a level not seen when the column was learnt.
    """
    series = _numpy_backed(series)
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes, known = series.array.codes, column.finder.codes_of_categories(series.dtype.categories)
    elif len(series) <= FEW_ROWS:
        cells = zip(series.array, series.isna(), strict=True)
        return np.fromiter((-1 if missing else column.finder.code(cell) for cell, missing in cells), dtype=np.int32)
    else:
        codes, distinct = factorize(series)
        known = column.finder.codes(distinct)
    return np.append(known, np.int32(-1))[codes]


def date_cells(series: pd.Series, column: Column) -> FloatArray:
    """Cells of a datetime column expanded to its parts.

    Returns:
        float64 array, shape (n, len(column.dates.parts)); NaN = missing.
    """
    assert column.dates is not None
    return column.dates.expand(to_wall_clock(_numpy_backed(series), column.name, column.dates.timezone))
