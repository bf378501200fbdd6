"""Datetimes as numbers: the parts of a date, and the wall clock they are read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as dtypes

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import FloatArray

ELAPSED = "elapsed_days"
CALENDAR_PARTS = {
    "year": "year",
    "month": "month",
    "day": "day",
    "weekday": "day_of_week",
    "hour": "hour",
    "minute": "minute",
    "second": "second",
}
"""Names of the parts -> what pandas calls them."""


@dataclass(frozen=True)
class DateParts:
    """How a datetime column is expanded.

    Attributes:
        origin: ISO time of the earliest date seen; `elapsed_days` counts from here.
        parts: "elapsed_days" (with fraction), then the calendar parts that were not constant; weekday 0 is Monday.
        timezone: name of the time zone whose wall clock is read; None if the column had none.
    """

    origin: str
    parts: tuple[str, ...]
    timezone: str | None = None

    @classmethod
    def infer(cls, series: pd.Series, name: str) -> DateParts:
        """Learn the parts from a column with at least one date."""
        timezone = _timezone_of(series)
        times = to_wall_clock(series, name, timezone).dropna()
        varying = tuple(part for part, accessor in CALENDAR_PARTS.items() if getattr(times.dt, accessor).nunique() > 1)
        return cls(origin=times.min().isoformat(), parts=(ELAPSED, *varying), timezone=timezone)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DateParts:
        """Inverse of `dataclasses.asdict`."""
        return cls(origin=data["origin"], parts=tuple(data["parts"]), timezone=data["timezone"])

    def expand(self, times: pd.Series) -> FloatArray:
        """Parts of wall-clock times.

        Args:
            times: datetimes without time zone, shape (n,); missing allowed.

        Returns:
            float64 array, shape (n, len(parts)); NaN = missing.
        """
        columns = [self._part(times, part) for part in self.parts]
        return np.column_stack([part.to_numpy(dtype=np.float64, na_value=np.nan) for part in columns])

    def _part(self, times: pd.Series, part: str) -> pd.Series:
        if part == ELAPSED:
            return (times - pd.Timestamp(self.origin)).dt.total_seconds() / 86_400
        return getattr(times.dt, CALENDAR_PARTS[part])


def _timezone_of(series: pd.Series) -> str | None:
    """Name of the column's time zone; "UTC" for mixed ones and for zones that cannot be told by name."""
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return _name_of(series.dtype.tz)
    if not dtypes.is_object_dtype(series.dtype):
        return None
    zones = {getattr(value, "tzinfo", None) for value in series.dropna()}
    if zones <= {None}:
        return None
    return _name_of(zones.pop()) if len(zones) == 1 else "UTC"


def _name_of(zone: Any) -> str:
    try:
        pd.Timestamp("2000-01-01", tz="UTC").tz_convert(str(zone))
    except (KeyError, ValueError, OSError):
        return "UTC"
    return str(zone)


def to_wall_clock(series: pd.Series, name: str, timezone: str | None) -> pd.Series:
    """Datetimes as read from a clock in `timezone`, without time zone.

    Times without zone are taken as that clock's. Times with another zone are converted; where the column had no zone
    when it was learnt, to UTC. Texts are parsed: ISO 8601 first, else value by value as pandas does (month before day).

    Raises:
        DataError: a cell is no date.
    """
    if isinstance(series.dtype, pd.PeriodDtype):
        return series.dt.to_timestamp()
    if not dtypes.is_datetime64_any_dtype(series.dtype):
        series = _parse_dates(series, name)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return series.dt.tz_convert(timezone or "UTC").dt.tz_localize(None)
    return series


def _parse_dates(series: pd.Series, name: str) -> pd.Series:
    cells = series.astype(object).where(series.notna(), None)
    if dtypes.infer_dtype(cells, skipna=True) in ("integer", "floating", "mixed-integer-float", "boolean", "decimal"):
        raise DataError(f"Column {name!r} must hold dates; it holds numbers. Convert it with pandas.to_datetime first.")
    has_zone = _names_zone(cells)
    times = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=has_zone)
    refused = times.isna() & cells.notna()
    if refused.any():
        times = pd.to_datetime(cells, format="mixed", errors="coerce", utc=has_zone)
        refused = times.isna() & cells.notna()
    if refused.any():
        raise DataError(
            f"Column {name!r} must hold dates; row {refused.to_numpy().argmax()} holds {cells[refused].iloc[0]!r}."
        )
    return times


def _names_zone(cells: pd.Series) -> bool:
    """Whether any of the cells (texts or time objects) says its time zone."""
    if dtypes.infer_dtype(cells, skipna=True) == "string":
        return bool(cells.str.contains(r"\d(?:Z|[+-]\d\d:?\d\d)$", na=False).any())
    return any(getattr(cell, "tzinfo", None) is not None for cell in cells)
