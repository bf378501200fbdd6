"""What callers may pass as X, brought to one form."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Array

MAX_DENSE_BYTES = 4 * 2**30
"""Largest table (as float64) that a sparse matrix is turned into."""

_MISSING_TEXTS = ("", "nan", "None", "<NA>")


@dataclass(frozen=True)
class RawTable:
    """A table as it came, checked for shape only.

    Attributes:
        names: column names; "x0", "x1", ... where the input has none.
        named: whether the input had names.
        matrix: the cells if all are plain numbers in one array, shape (n, n_columns).
        frame: the cells otherwise; columns in the order of `names`.
        from_text: whether the input was an array of strings, which cannot hold numbers next to words.
    """

    names: tuple[str, ...]
    named: bool
    matrix: Array | None = None
    frame: pd.DataFrame | None = None
    from_text: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        table = self.frame if self.matrix is None else self.matrix
        assert table is not None
        return table.shape[0], table.shape[1]

    def column(self, position: int) -> pd.Series:
        """One column by position."""
        if self.frame is None:
            assert self.matrix is not None
            return pd.Series(self.matrix[:, position])
        series = self.frame.iloc[:, position]
        return series.mask(series.isin(_MISSING_TEXTS)) if self.from_text else series


def as_raw_table(X: Any) -> RawTable:
    """Read X, whatever it is.

    Args:
        X: pandas frame (or anything with `to_pandas`), numpy array of numbers, objects or strings, scipy sparse matrix
            (made dense), list of rows, or a `RawTable`. In an array of strings, "", "nan", "None", "<NA>" are missing.

    Raises:
        DataError: not two-dimensional, no rows, no columns, duplicate names, complex numbers, or a sparse matrix that
            would need more than `MAX_DENSE_BYTES`. Messages follow scikit-learn's wording.
    """
    if isinstance(X, RawTable):
        return X
    table = _from_sparse(X) if scipy.sparse.issparse(X) else _from_dense(X)
    _check_not_empty(table.shape)
    return table


def _from_dense(X: Any) -> RawTable:
    if not isinstance(X, pd.DataFrame) and hasattr(X, "to_pandas"):
        X = X.to_pandas()
    if isinstance(X, pd.DataFrame):
        return _from_frame(X)
    if isinstance(X, list | tuple) and len(X) and all(isinstance(row, list | tuple | dict) for row in X):
        return _from_rows(X)
    return _from_array(np.asarray(X))


def _from_frame(X: pd.DataFrame) -> RawTable:
    names = tuple(str(name) for name in X.columns)
    repeated = [name for name, count in collections.Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"Column names must differ; X has {repeated[0]!r} {names.count(repeated[0])} times.")
    return RawTable(names, named=True, frame=X)


def _from_rows(X: Any) -> RawTable:
    lengths = {len(row) for row in X}
    if len(lengths) > 1:
        raise DataError(f"All rows of X must have the same length; lengths go from {min(lengths)} to {max(lengths)}.")
    frame = pd.DataFrame(list(X))
    return _from_frame(frame) if isinstance(X[0], dict) else RawTable(_positions(frame.shape[1]), False, frame=frame)


def _from_array(X: Array) -> RawTable:
    if X.ndim != 2:
        raise DataError(_dimension_message(X))
    names = _positions(X.shape[1])
    if X.dtype.kind == "c":
        raise DataError("Complex data not supported: X is an array of complex numbers.")
    if X.dtype.kind in "iuf":
        return RawTable(names, named=False, matrix=X)
    if X.dtype.kind == "S":
        X = np.char.decode(X, "utf-8")
    text = X.dtype.kind == "U"
    frame = pd.DataFrame(X.astype(object) if text else X)
    return RawTable(names, named=False, frame=frame, from_text=text)


def _from_sparse(X: Any) -> RawTable:
    n_bytes = X.shape[0] * X.shape[1] * 8
    if n_bytes > MAX_DENSE_BYTES:
        raise DataError(
            f"Sparse X of shape {X.shape} would take {n_bytes / 2**30:.1f} GiB as a dense table; at most"
            f" {MAX_DENSE_BYTES / 2**30:.0f} GiB are allowed. Reduce its columns first, for example by TruncatedSVD."
        )
    return _from_array(X.toarray())


def _positions(n_columns: int) -> tuple[str, ...]:
    return tuple(f"x{position}" for position in range(n_columns))


def _dimension_message(X: Array) -> str:
    if X.ndim > 2:
        return f"Found array with dim {X.ndim}, while dim <= 2 is required: X has shape {X.shape}."
    kind = "1D" if X.ndim == 1 else "scalar"
    return (
        f"Expected 2D array, got {kind} array instead (shape={X.shape}). Reshape your data either using"
        " array.reshape(-1, 1) if it has a single feature or array.reshape(1, -1) if it contains a single sample."
    )


def _check_not_empty(shape: tuple[int, int]) -> None:
    for size, what in zip(shape, ("sample", "feature"), strict=True):
        if size == 0:
            raise DataError(f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required.")
