"""The target: class labels as codes, numbers as numbers, and back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as dtypes
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import check_classification_targets

from autopytorch_lite.data.columns import numeric_cells
from autopytorch_lite.data.values import (
    Value,
    as_objects,
    factorize,
    find_codes,
    plain,
    sorted_values,
    values_from_json,
    values_to_json,
)
from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Array, FloatArray, IntArray, Task

MAX_CLASSES_OF_INTEGERS = 20
"""Integers with at most so many distinct values are taken for classes where nobody says what the task is."""


@dataclass(frozen=True)
class TargetSchema:
    """What is predicted, with the original labels.

    Attributes:
        task: kind of problem.
        target_names: name of the target; of each target for regression with several.
        labels: the classes as plain values, in order; empty for regression.
        dtype: numpy type of the array of classes.
    """

    task: Task
    target_names: tuple[str, ...]
    labels: tuple[Value, ...] = ()
    dtype: str = "float64"

    @classmethod
    def infer(cls, y: Any, task: Task | str | None = None) -> TargetSchema:
        """Learn the target.

        Args:
            y: series, one-column frame, array of shape (n,) or (n, 1), or list; labels of any types for classification.
                For regression numbers, and also a frame or array of several columns.
            task: a `Task`, "classification", or "regression"; None to decide by `guess_kind`. Whether a classification
                is binary follows from the labels.

        Raises:
            DataError: missing, infinite, constant or continuous (for classification) target.
        """
        kind = guess_kind(y) if task is None else task
        if kind in (Task.REGRESSION, "regression"):
            values, names = _numbers(y)
            _check_varies(values, names)
            return cls(Task.REGRESSION, names)
        labels, name = _labels(y)
        classes = _distinct(labels)
        if len(classes) < 2:
            raise DataError(
                f"Target {name!r} must have at least 2 classes; all {len(labels)} rows are of one class,"
                f" {plain(classes[0])!r}."
            )
        task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
        return cls(task, (name,), tuple(plain(label) for label in classes), classes.dtype.str)

    @property
    def classes(self) -> Array:
        """The original labels, sorted as `numpy.unique` does, shape (n_classes,); empty for regression."""
        if self.dtype == "|O":
            return as_objects(self.labels)
        values = [label.to_datetime64() if isinstance(label, pd.Timestamp) else label for label in self.labels]
        return np.array(values, dtype=self.dtype)

    @property
    def n_outputs(self) -> int:
        """Number of classes (2 for binary) or of regression targets."""
        return len(self.labels) if self.task.is_classification else len(self.target_names)

    def encode(self, y: Any, *, name: str = "y") -> Array:
        """Targets as the models see them.

        Args:
            y: see `infer`.
            name: what to call it in errors.

        Returns:
            Classification: int64 codes, shape (n,). Regression: float64, shape (n, n_targets).

        Raises:
            DataError: a label that is not among the classes; other number of targets; missing or infinite values.
        """
        return self._encode_labels(y, name) if self.task.is_classification else self._encode_numbers(y, name)

    def _encode_labels(self, y: Any, name: str) -> IntArray:
        labels, _ = _labels(y)
        codes, distinct = pd.factorize(labels)
        known = find_codes(distinct, self.labels)
        if (known < 0).any():
            label = plain(distinct[int((known < 0).argmax())])
            raise DataError(
                f"{name} holds the label {label!r}, which is not one of the {len(self.labels)} known classes."
            )
        return known[codes].astype(np.int64)

    def _encode_numbers(self, y: Any, name: str) -> FloatArray:
        values, _ = _numbers(y)
        if values.shape[1] != len(self.target_names):
            raise DataError(f"{name} must have {len(self.target_names)} target column(s), got {values.shape[1]}.")
        return values

    def decode(self, codes: Array) -> Array:
        """Inverse of `encode`.

        Args:
            codes: int array, shape (n,), of class codes; or float array, shape (n, n_targets).

        Returns:
            Labels, shape (n,); or numbers, shape (n,) for one target and (n, n_targets) for several.
        """
        if self.task.is_classification:
            return self.classes[codes]
        return codes[:, 0] if codes.ndim == 2 and codes.shape[1] == 1 else codes

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        data: dict[str, Any] = {"task": self.task.value, "target_names": list(self.target_names)}
        if self.task.is_classification:
            data |= {"classes": values_to_json(self.labels), "dtype": self.dtype}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TargetSchema:
        """Inverse of `to_json`."""
        task, names = Task(data["task"]), tuple(data["target_names"])
        if not task.is_classification:
            return cls(task, names)
        return cls(task, names, values_from_json(data["classes"]), data["dtype"])


def guess_kind(y: Any) -> str:
    """Classification or regression, by the values of y.

    Texts, booleans, categories: classification. Numbers that are not whole, and several columns: regression. Whole
    numbers: classification up to `MAX_CLASSES_OF_INTEGERS` distinct ones.

    Returns:
        "classification" or "regression".
    """
    columns = _target_columns(y)
    if len(columns) > 1:
        return "regression"
    series = columns[0].dropna().infer_objects()
    if not dtypes.is_numeric_dtype(series.dtype) or dtypes.is_bool_dtype(series.dtype):
        return "classification"
    is_whole = bool((series % 1 == 0).all())
    return "classification" if is_whole and series.nunique() <= MAX_CLASSES_OF_INTEGERS else "regression"


def _target_columns(y: Any) -> list[pd.Series]:
    """The target column(s) as named series."""
    if y is None:
        raise DataError("Fitting requires y to be passed, but the target y is None.")
    if not isinstance(y, pd.Series | pd.DataFrame) and hasattr(y, "to_pandas"):
        y = y.to_pandas()
    if isinstance(y, pd.api.extensions.ExtensionArray | pd.Index):
        y = pd.Series(y)
    if isinstance(y, pd.DataFrame):
        return [y.iloc[:, at].rename(str(name)) for at, name in enumerate(y.columns)]
    if isinstance(y, pd.Series):
        return [y.rename("y" if y.name is None else str(y.name))]
    return _columns_of_array(_as_array(y))


def _as_array(y: Any) -> Array:
    """An array that keeps the types of mixed labels in a list, which numpy would turn into texts."""
    is_flat_list = isinstance(y, list | tuple) and not any(dtypes.is_list_like(label) for label in y[:1])
    if is_flat_list and len({type(label) for label in y}) > 1:
        return pd.Series(y, dtype=object).infer_objects().to_numpy()
    return np.asarray(y)


def _columns_of_array(y: Array) -> list[pd.Series]:
    if y.dtype.kind == "c":
        raise DataError("Complex data not supported: y holds complex numbers.")
    if y.ndim == 1:
        return [pd.Series(y, name="y")]
    if y.ndim != 2:
        raise DataError(f"y should be a 1d array, got an array of shape {y.shape} instead.")
    if y.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples,),"
            " for example using ravel().",
            DataConversionWarning,
            stacklevel=2,
        )
        return [pd.Series(y[:, 0], name="y")]
    return [pd.Series(y[:, at], name=f"y{at}") for at in range(y.shape[1])]


def _refuse_missing(series: pd.Series) -> None:
    n_missing = int(series.isna().sum())
    if n_missing:
        raise DataError(
            f"Input y contains NaN: {n_missing} of {len(series)} rows miss the target {series.name!r}; drop these rows."
        )


def _labels(y: Any) -> tuple[Array, str]:
    """Labels as an array of one numpy type, shape (n,), and the name of the target.

    Raises:
        DataError: several columns, missing labels, or numbers that are not whole.
    """
    columns = _target_columns(y)
    if len(columns) != 1:
        raise DataError(f"Classification takes one target column, got {len(columns)}: one of the values in a row.")
    series = columns[0]
    _refuse_missing(series)
    labels = _label_array(series)
    if labels.dtype.kind == "f" and not isinstance(series.dtype, pd.CategoricalDtype):
        _check_discrete(labels)
    return labels.astype(str) if _came_as_numpy_text(y, labels) else labels, str(series.name)


def _came_as_numpy_text(y: Any, labels: Array) -> bool:
    """Whether `numpy.unique(y)` would be an array of numpy's own texts, as scikit-learn's users expect of classes."""
    dtype = getattr(y, "dtype", None if isinstance(y, list | tuple) else object)
    if isinstance(dtype, np.dtype):
        return dtype.kind == "U"
    return dtype is None and dtypes.infer_dtype(labels) == "string"


def _label_array(series: pd.Series) -> Array:
    labels = np.asarray(series.infer_objects() if series.dtype == object else series)
    if labels.dtype.kind in "biufM":
        return labels
    if labels.dtype.kind == "c":
        raise DataError("Complex data not supported: y holds complex numbers.")
    codes, distinct = factorize(series)
    return as_objects([plain(label) for label in distinct])[codes]


def _check_discrete(labels: FloatArray) -> None:
    try:
        check_classification_targets(labels)
    except ValueError as error:
        raise DataError(f"A classifier needs discrete labels. {error}") from error


def _distinct(labels: Array) -> Array:
    """Sorted distinct labels; labels of mixed types are sorted by type first."""
    if labels.dtype.kind != "O":
        return np.unique(labels)
    return as_objects(sorted_values(pd.unique(labels)))


def _numbers(y: Any) -> tuple[FloatArray, tuple[str, ...]]:
    """Numbers of a regression target, shape (n, n_targets), and the names of the targets.

    Raises:
        DataError: a target is missing, infinite, or no number.
    """
    columns = _target_columns(y)
    for series in columns:
        _refuse_missing(series)
    values = [_number_column(series) for series in columns]
    return np.column_stack(values), tuple(str(series.name) for series in columns)


def _number_column(series: pd.Series) -> FloatArray:
    if series.dtype.kind == "f" and np.isinf(series.to_numpy(dtype=np.float64)).any():
        raise DataError(
            f"Input y contains infinity or a value too large for dtype('float64'), in target {series.name!r}."
        )
    try:
        return numeric_cells(series, str(series.name))
    except DataError as error:
        raise DataError(f"Regression needs a target of finite numbers: {error}") from error


def _check_varies(values: FloatArray, names: tuple[str, ...]) -> None:
    if len(values) < 2:
        return
    constant = (values == values[0]).all(axis=0)
    if constant.any():
        at = int(constant.argmax())
        raise DataError(f"Target {names[at]!r} must vary; all {len(values)} rows hold {values[0, at]:g}.")
