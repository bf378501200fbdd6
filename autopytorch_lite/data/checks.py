"""Checks of what comes beside the table: weights, groups, lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Array, FloatArray, IntArray


def check_length(values: Any, n_rows: int, name: str, table: str = "X") -> None:
    """Refuse anything that has not one entry per row of the table.

    Raises:
        DataError: another length.
    """
    if not hasattr(values, "__len__"):
        values = np.atleast_1d(np.asarray(values))
    n_values = len(values)
    if n_values != n_rows:
        raise DataError(f"{name} must have as many rows as {table}: {table} has {n_rows}, {name} has {n_values}.")


def check_sample_weight(sample_weight: Any, n_rows: int) -> FloatArray:
    """Weights as float64, shape (n,).

    Raises:
        DataError: wrong shape or length; negative, missing or infinite weights; all weights zero.
    """
    weights = _one_dimensional(sample_weight, n_rows, "sample_weight")
    try:
        weights = weights.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight must hold numbers: {error}") from error
    for bad, what in ((np.isnan(weights), "NaN"), (np.isinf(weights), "infinity"), (weights < 0, "a negative value")):
        if bad.any():
            raise DataError(f"sample_weight must be finite and not negative; row {bad.argmax()} holds {what}.")
    if not weights.any():
        raise DataError("Sample weights must contain at least one non-zero number.")
    return weights


def check_groups(groups: Any, n_rows: int) -> IntArray:
    """Groups of any labels as int64 numbers from 0, shape (n,).

    Raises:
        DataError: wrong shape or length, or a missing group.
    """
    codes, _ = pd.factorize(_one_dimensional(groups, n_rows, "groups"))
    if (codes < 0).any():
        raise DataError(f"groups must name a group for every row; row {(codes < 0).argmax()} has none.")
    return codes.astype(np.int64)


def _one_dimensional(values: Any, n_rows: int, name: str) -> Array:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1 and isinstance(values, pd.DataFrame):
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{name} must be one-dimensional, got shape {array.shape}.")
    check_length(array, n_rows, name)
    return array
