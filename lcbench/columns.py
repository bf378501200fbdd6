"""The values of one tag in many runs: collected value by value, written as bytes, read back exactly.

Numbers go to one matrix of float64; next to it stands what each of them was in the JSON text, for an integer is not a
float there, and a missing value is neither. Strings and whatever else there is are kept as JSON.
"""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, BinaryIO

import numpy as np

from autopytorch_lite.types import Array, FloatArray
from lcbench import number_codec

_MAX_EXACT = 2**53
"""Integers up to here are exact as float64; larger ones are kept as JSON."""


class Kind(IntEnum):
    """What a value was in the JSON text; part of the file format."""

    FLOAT = 0
    INTEGER = 1
    NULL = 2
    FALSE = 3
    TRUE = 4
    OTHER = 5
    ABSENT = 6
    """The curve has ended before."""


_CONSTANTS = {Kind.NULL: None, Kind.FALSE: False, Kind.TRUE: True}


class ColumnWriter:
    """Collects the values of one tag, one curve per run; a single value is a curve of one step.

    Numbers take nine bytes each while they are collected.
    """

    def __init__(self) -> None:
        self._kinds = bytearray()
        self._numbers = array("d")
        self._others: list[str] = []
        self._lengths: list[int] = []

    def add(self, curve: Sequence[Any]) -> None:
        """Take in the values of the next run.

        Raises:
            TypeError: a value is none that JSON can hold.
        """
        self._lengths.append(len(curve))
        if set(map(type, curve)) <= {float}:
            self._kinds += bytes(len(curve))
            self._numbers.extend(curve)
        else:
            for value in curve:
                self._add_value(value)

    def _add_value(self, value: Any) -> None:
        kind = _kind(value)
        self._kinds.append(kind)
        if kind == Kind.OTHER:
            self._others.append(json.dumps(value))
        last = self._numbers[-1] if self._numbers else 0.0  # what is no number must not disturb the predictions
        self._numbers.append(float(value) if kind in (Kind.FLOAT, Kind.INTEGER) else last)

    def to_bytes(self) -> bytes:
        """The column: a line of JSON, then what it describes."""
        lengths = np.array(self._lengths, dtype=np.int64)
        kinds = _padded(np.frombuffer(bytes(self._kinds), np.uint8), lengths)
        numbers = _padded(np.frombuffer(self._numbers.tobytes()), lengths)
        is_absent = np.arange(len(kinds))[:, None] >= lengths
        kinds[is_absent] = Kind.ABSENT
        numbers_header, numbers_bytes = number_codec.encode(numbers)
        header: dict[str, Any] = {"numbers": numbers_header}
        parts = [numbers_bytes]
        if len(np.unique(kinds)) <= 1:
            header["kind"] = int(kinds.max(initial=0))
        else:
            parts.append(kinds.tobytes())
        if self._others:
            parts.append(f"[{', '.join(self._others)}]".encode())
            header["n_bytes_of_others"] = len(parts[-1])
        return b"".join([json.dumps(header).encode(), b"\n", *parts])


@dataclass(frozen=True)
class Column:
    """The values of one tag.

    Attributes:
        numbers: float64, shape (n_runs, n_steps).
        kinds: `Kind` of each value, uint8, shape (n_runs, n_steps), or of all values, shape ().
        others: (run, step) -> the value, for each `Kind.OTHER`.
    """

    numbers: FloatArray
    kinds: Array
    others: dict[tuple[int, int], Any]

    @property
    def n_bytes(self) -> int:
        """Of memory, without the other values."""
        return self.numbers.nbytes + self.kinds.nbytes

    @classmethod
    def read(cls, file: BinaryIO) -> Column:
        """The next column of a file; see `ColumnWriter.to_bytes`."""
        header = json.loads(file.readline())
        numbers = np.ascontiguousarray(number_codec.decode(header["numbers"], file).T)
        if "kind" in header:
            kinds = np.array(header["kind"], dtype=np.uint8)
        else:
            steps_first = np.frombuffer(file.read(numbers.size), np.uint8).reshape(numbers.shape[::-1])
            kinds = np.ascontiguousarray(steps_first.T)
        others = json.loads(file.read(header["n_bytes_of_others"])) if "n_bytes_of_others" in header else []
        runs, steps = np.nonzero(np.broadcast_to(kinds, numbers.shape) == Kind.OTHER)
        places = zip(runs.tolist(), steps.tolist(), strict=True)
        return cls(numbers, kinds, dict(zip(places, others, strict=True)))

    def curve(self, run: int) -> list[Any]:
        """The values of one run, as they were in the JSON text."""
        values = self.numbers[run].tolist()
        if self.kinds.ndim == 0 and self.kinds == Kind.FLOAT:
            return values
        kinds = np.broadcast_to(self.kinds, self.numbers.shape)[run].tolist()
        return [
            self._value(kind, value, (run, step))
            for step, (kind, value) in enumerate(zip(kinds, values, strict=True))
            if kind != Kind.ABSENT
        ]

    def _value(self, kind: int, number: float, place: tuple[int, int]) -> Any:
        if kind == Kind.FLOAT:
            return number
        if kind == Kind.INTEGER:
            return int(number)
        return self.others[place] if kind == Kind.OTHER else _CONSTANTS[Kind(kind)]


def read_columns(content: bytes) -> Iterator[Column]:
    """Columns that were written one after another."""
    file = io.BytesIO(content)
    while file.tell() < len(content):
        yield Column.read(file)


def _kind(value: Any) -> Kind:
    if value is None:
        return Kind.NULL
    if isinstance(value, bool):
        return Kind.TRUE if value else Kind.FALSE
    if isinstance(value, float):
        return Kind.FLOAT
    if isinstance(value, int) and abs(value) <= _MAX_EXACT:
        return Kind.INTEGER
    return Kind.OTHER


def _padded(values: Array, lengths: Array) -> Array:
    """Curves one after another as a matrix, shape (n_steps, n_runs); a curve that ended keeps its last value."""
    n_steps, starts = int(lengths.max(initial=0)), np.cumsum(lengths) - lengths
    if (lengths == n_steps).all():
        return values.reshape(len(lengths), n_steps).T.copy()
    steps = np.minimum(np.arange(n_steps)[:, None], np.maximum(lengths - 1, 0))
    return np.concatenate([values, np.zeros(1, values.dtype)])[starts + steps]
