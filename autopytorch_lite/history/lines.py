"""History lines as text: strict JSON both ways, non-finite numbers and numpy scalars included."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from autopytorch_lite.history.trial import Finished, Line, Proposed, line_from_json

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MEASURED_INFO = ("peak_memory_mb", "predict_ms", "read_ms", "seconds")


def to_plain(value: Any) -> Any:
    """Builtin types only, as strict JSON has them.

    Numpy scalars and arrays become numbers and lists, paths become text, and a float that is not finite becomes one of
    the strings "NaN", "Infinity" and "-Infinity" (JSON has no such numbers; protobuf writes them so too).

    Raises:
        TypeError: a value or a mapping's key has no JSON form.
    """
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return _plain_float(float(value))
    if isinstance(value, Mapping):
        return {_plain_name(name): to_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, Enum):
        return to_plain(value.value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"A history line holds numbers, text, lists and mappings, got {value!r} of type {type(value)}.")


def dump_line(line: Line) -> str:
    """One line of `history.jsonl`, without the line end.

    Raises:
        TypeError: the line holds a value that has no JSON form.
    """
    return json.dumps(to_plain(line.to_json()), allow_nan=False, separators=(",", ":"))


def load_line(text: str | bytes) -> Line:
    """Inverse of `dump_line`.

    Raises:
        KeyError, TypeError, ValueError: the text is not a history line.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError(f"A history line is a JSON object, got {type(data).__name__}.")
    line = line_from_json(data)
    return _revived(line) if isinstance(line, Finished) else line


def comparable(line: Line) -> dict[str, Any]:
    """The line as plain data without what differs between two runs of the same search: clocks, memory, worker."""
    data = to_plain(line.to_json())
    if isinstance(line, Proposed):
        return data
    for name in ("seconds", "started_s", "finished_s", "worker", "traceback"):
        del data[name]
    data["curves"].pop("seconds", None)
    data["info"] = {name: value for name, value in data["info"].items() if name not in _MEASURED_INFO}
    return data


def lines_equal(left: Iterable[Line], right: Iterable[Line]) -> bool:
    """Whether two histories tell the same search, clocks aside."""
    return [comparable(line) for line in left] == [comparable(line) for line in right]


def _plain_float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _plain_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"Names in a history line are text, got {name!r} of type {type(name)}.")
    return str(name)


def _revived(line: Finished) -> Finished:
    """Numbers as floats again; `float` reads the three names of non-finite numbers too."""
    return replace(
        line,
        loss=None if line.loss is None else float(line.loss),
        curve=tuple(map(float, line.curve)),
        curves={name: tuple(map(float, values)) for name, values in line.curves.items()},
        metrics={name: float(value) for name, value in line.metrics.items()},
        info=_revived_info(line.info),
    )


def _revived_info(value: Any) -> Any:
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    if isinstance(value, dict):
        return {name: _revived_info(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_revived_info(item) for item in value]
    return value
