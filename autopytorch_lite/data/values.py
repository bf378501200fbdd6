"""Labels and categories as plain values: builtin types, a total order, JSON that keeps types, and look-up of codes."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from autopytorch_lite.types import Array, IntArray

Value: TypeAlias = str | int | float | bool | pd.Timestamp
"""A label or category. Everything else (decimals, tuples, dates, ...) is known by its text."""

_READERS: dict[str, Any] = {"bool": bool, "int": int, "float": float, "str": str, "timestamp": pd.Timestamp}


def plain(value: Any) -> Value:
    """The builtin twin of a scalar; anything that is no number, text or time becomes its text."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, datetime.datetime | np.datetime64):
        return pd.Timestamp(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def as_objects(values: Sequence[Value]) -> Array:
    """An object array of the values, shape (len(values),)."""
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


def sorted_values(values: Iterable[Any]) -> tuple[Value, ...]:
    """Distinct plain values in a total order: numbers and booleans, then texts, then times.

    Values that Python takes for equal (``1``, ``1.0``, ``True``) are one; the first stays.
    """
    return tuple(sorted(dict.fromkeys(plain(value) for value in values), key=_order))


def _order(value: Value) -> tuple[int, Any]:
    if isinstance(value, str):
        return 1, value
    if isinstance(value, pd.Timestamp):
        return (2, value) if value.tzinfo is None else (3, value)
    return 0, value


def text_of(value: Value) -> str:
    """How a value is written in a text file; whole floats are written as integers."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def factorize(series: pd.Series) -> tuple[IntArray, Any]:
    """Codes of the cells, shape (n,), -1 = missing, and the distinct cells; where one cannot be hashed, their texts."""
    try:
        return pd.factorize(series)
    except TypeError:
        return pd.factorize(series.map(plain, na_action="ignore"))


class LevelFinder:
    """Finds values among known ones; made once where many tables are read.

    Args:
        known: distinct plain values.
        by_text: whether a value that equals none may match by its text, so that ``1``, ``1.0`` and ``"1"`` are found
            when a file gives the same column another type.
    """

    def __init__(self, known: Sequence[Value], *, by_text: bool = False):
        self._exact = {value: code for code, value in enumerate(known)}
        self._texts = {text_of(value): code for code, value in reversed(list(enumerate(known)))} if by_text else {}
        self._last: tuple[Any, IntArray] = (None, np.empty(0, dtype=np.int32))

    def code(self, value: Any) -> int:
        """Position of a scalar that is not missing; -1 where it is not known."""
        value = plain(value)
        code = self._exact.get(value)
        return self._texts.get(text_of(value), -1) if code is None else code

    def codes(self, values: Iterable[Any]) -> IntArray:
        """Positions of scalars, int32, shape (n,); -1 for those that are not known."""
        return np.fromiter(map(self.code, values), dtype=np.int32)

    def codes_of_categories(self, categories: pd.Index) -> IntArray:
        """As `codes`; tables of one program often share their categories, so the last answer is kept."""
        asked, answer = self._last
        if asked is not categories:
            answer = self.codes(categories)
            self._last = (categories, answer)
        return answer


def find_codes(values: Iterable[Any], known: Sequence[Value], *, by_text: bool = False) -> IntArray:
    """Positions of `values` in `known`, int32, shape (len(values),); -1 where absent. See `LevelFinder`."""
    return LevelFinder(known, by_text=by_text).codes(values)


def _type_name(value: Value) -> str:
    return "timestamp" if isinstance(value, pd.Timestamp) else type(value).__name__


def values_to_json(values: Sequence[Value]) -> dict[str, Any]:
    """Plain data that remembers types: one type name for all values, or one for each if they differ."""
    types = [_type_name(value) for value in values]
    written = [value if isinstance(value, bool | int | str) else _write(value) for value in values]
    return {"types": types[0] if len(set(types)) == 1 else types, "values": written}


def _write(value: float | pd.Timestamp) -> float | str:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value if np.isfinite(value) else str(value)


def values_from_json(data: Mapping[str, Any]) -> tuple[Value, ...]:
    """Inverse of `values_to_json`."""
    values, types = data["values"], data["types"]
    names = [types] * len(values) if isinstance(types, str) else types
    return tuple(_READERS[name](value) for name, value in zip(names, values, strict=True))
