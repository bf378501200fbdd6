"""Targets: labels of any type to codes and back, numbers, and what a target must not be."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import DataConversionWarning

from autopytorch_lite.data.dataset import TargetSchema
from autopytorch_lite.data.target import guess_kind
from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Task


def through_json(schema: TargetSchema) -> TargetSchema:
    return TargetSchema.from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False)))


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["no", "yes", "no"], np.array(["no", "yes"])),
        (pd.Series(["no", "yes", "no"]), np.array(["no", "yes"], dtype=object)),
        (np.array(["no", "yes"], dtype=object), np.array(["no", "yes"], dtype=object)),
        ([3, 1, 7], np.array([1, 3, 7])),
        (np.array([3, 1], dtype=np.int8), np.array([1, 3], dtype=np.int8)),
        ([True, False], np.array([False, True])),
        ([2.0, 1.0, 1.0], np.array([1.0, 2.0])),
        (np.array([2, 1], dtype=np.float32), np.array([1, 2], dtype=np.float32)),
        (np.array([2, 1], dtype=object), np.array([1, 2])),
        (pd.Categorical(["b", "a"], ["b", "a", "unused"]), np.array(["a", "b"], dtype=object)),
        (pd.Categorical([5, 2]), np.array([2, 5])),
        (pd.array([5, 2], dtype="Int64"), np.array([2, 5])),
        (pd.array([True, False], dtype="boolean"), np.array([False, True])),
        (pd.array(["b", "a"], dtype="string[pyarrow]"), np.array(["a", "b"], dtype=object)),
        (pd.array([5, 2], dtype="int64[pyarrow]"), np.array([2, 5])),
        (["a", 1, 2.5, "a"], np.array([1, 2.5, "a"], dtype=object)),
        (pd.Series([{"k": 1}, "a"]), np.array(["a", "{'k': 1}"], dtype=object)),
        (pd.DataFrame({"t": ["b", "a"]}), np.array(["a", "b"], dtype=object)),
        (
            np.array(["2021-01-01", "2020-01-01"], dtype="datetime64[us]"),
            np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[us]"),
        ),
    ],
)
def test_labels_of_any_type_survive_codes_and_json(y, classes):
    schema = TargetSchema.infer(y, "classification")
    again = through_json(schema)
    assert again == schema
    for one in (schema, again):
        assert one.classes.dtype.kind == classes.dtype.kind
        assert one.classes.tolist() == classes.tolist()
        assert [type(label) for label in one.classes] == [type(label) for label in classes]
        codes = one.encode(y)
        assert codes.dtype == np.int64 and codes.ndim == 1
        expected = [
            label if not isinstance(label, dict) else str(label)
            for label in (y["t"] if isinstance(y, pd.DataFrame) else y)
        ]
        assert one.decode(codes).tolist() == np.asarray(expected, dtype=classes.dtype).tolist()
    assert schema.task is (Task.BINARY if len(classes) == 2 else Task.MULTICLASS)
    assert schema.n_outputs == len(classes)


def test_target_is_called_what_the_caller_calls_it():
    assert TargetSchema.infer(pd.Series([1, 0], name="sick"), "classification").target_names == ("sick",)
    assert TargetSchema.infer([1, 0], "classification").target_names == ("y",)
    assert TargetSchema.infer(pd.DataFrame({"a": [1, 2], "b": [3, 4]}), "regression").target_names == ("a", "b")


def test_a_column_vector_is_taken_with_a_warning():
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array was expected"):
        schema = TargetSchema.infer(np.array([[1], [0]]), "classification")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert schema.encode(pd.DataFrame({"t": [1, 0]})).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("y", "shape"),
    [
        ([1.5, 2, 3], (3, 1)),
        (np.array([[1.5, 2], [2, 1]]), (2, 2)),
        (pd.DataFrame({"a": [1, 2], "b": pd.array([1, 2], dtype="Int64")}), (2, 2)),
        (np.array(["1", "2.5"], dtype=object), (2, 1)),
        ([True, False], (2, 1)),
    ],
)
def test_numbers_survive(y, shape):
    schema = through_json(TargetSchema.infer(y, "regression"))
    values = schema.encode(y)
    assert schema.task is Task.REGRESSION and schema.n_outputs == shape[1]
    assert values.shape == shape and values.dtype == np.float64
    assert schema.decode(values).shape == (shape if shape[1] > 1 else shape[:1])
    assert schema.classes.shape == (0,)


@pytest.mark.parametrize(
    ("y", "kind", "words"),
    [
        (None, "classification", "requires y to be passed, but the target y is None"),
        ([1, 1, 1], "classification", "'y' must have at least 2 classes; all 3 rows are of one class, 1"),
        ([2.0, 2.0], "regression", "'y' must vary; all 2 rows hold 2"),
        (pd.DataFrame({"a": [1, 2], "b": [3, 3]}), "regression", "'b' must vary"),
        (["a", None, "b", np.nan], "classification", "Input y contains NaN: 2 of 4 rows miss the target 'y'"),
        ([1.0, np.nan], "regression", "Input y contains NaN: 1 of 2"),
        (pd.array([1, None], dtype="Int64"), "regression", "Input y contains NaN: 1 of 2"),
        ([1.0, np.inf], "regression", "Input y contains infinity or a value too large for dtype"),
        ([0.5, 1.25, 2.5], "classification", "Unknown label type: continuous"),
        (np.array([0.5, 1.25], dtype=object), "classification", "Unknown label type: continuous"),
        (np.array([1j, 2]), "classification", "Complex data not supported"),
        (np.array([1j, 2]), "regression", "Complex data not supported"),
        (["a", "b"], "regression", "target of finite numbers.*'a'"),
        (np.ones((2, 2)), "classification", "one target column, got 2"),
        (np.ones((2, 2, 2)), "regression", r"y should be a 1d array, got an array of shape \(2, 2, 2\)"),
        (3, "regression", r"y should be a 1d array, got an array of shape \(\)"),
    ],
)
def test_targets_that_cannot_be_used(y, kind, words):
    with pytest.raises(DataError, match=words) as caught:
        TargetSchema.infer(y, kind)
    assert "\n" not in str(caught.value)


def test_a_label_unknown_at_fit_is_named():
    schema = TargetSchema.infer(["a", "b"], "classification")
    with pytest.raises(DataError, match="y_val holds the label 'c', which is not one of the 2 known classes"):
        schema.encode(["a", "c"], name="y_val")
    with pytest.raises(DataError, match=r"y must have 1 target column\(s\), got 2"):
        TargetSchema.infer([1.0, 2.0], "regression").encode(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        (pd.Categorical([1.5, 2.5]), "classification"),
        ([0, 1, 2], "classification"),
        ([0.0, 1.0, 1.0, None], "classification"),
        (range(20), "classification"),
        (range(21), "regression"),
        ([0.5, 1.0], "regression"),
        (np.array([1.5, 2], dtype=object), "regression"),
        (np.ones((3, 2)), "regression"),
    ],
)
def test_kind_is_guessed_from_values(y, kind):
    assert guess_kind(y) == kind
    if kind == "classification" and len(y) < 4:
        assert TargetSchema.infer(y).task.is_classification


LABELS = st.text(max_size=3) | st.integers(-9, 9) | st.booleans()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(LABELS, min_size=2, max_size=12))
def test_any_mixture_of_labels_is_decoded_to_itself(labels):
    series = pd.Series(labels, dtype=object)
    if len(set(labels)) < 2:
        with pytest.raises(DataError, match="at least 2 classes"):
            TargetSchema.infer(series, "classification")
        return
    schema = through_json(TargetSchema.infer(series, "classification"))
    codes = schema.encode(series)
    assert set(codes) == set(range(schema.n_outputs))
    assert schema.decode(codes).tolist() == labels
