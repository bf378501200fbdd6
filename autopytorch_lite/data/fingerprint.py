"""A short hash that tells whether two data sets are the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from autopytorch_lite.types import Array


def fingerprint(facts: Any, *arrays: Array | None) -> str:
    """Hash of plain data and arrays; the same on every machine and in every process.

    Args:
        facts: plain data for JSON.
        arrays: number arrays of any shape; None counts as "absent". All NaN are equal, and so are 0.0 and -0.0.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in arrays:
        digest.update(b"absent" if array is None else repr(array.shape).encode())
        if array is not None:
            digest.update(_canonical(array).data)
    return digest.hexdigest()[:32]


def _canonical(array: Array) -> Array:
    if array.dtype.kind != "f":
        return np.ascontiguousarray(array, dtype="<i8")
    cells = array.astype("<f8", order="C") + 0.0
    cells[np.isnan(cells)] = np.nan
    return cells
