"""Plain values: types, order, JSON, look-up."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from autopytorch_lite.data.values import (
    LevelFinder,
    find_codes,
    plain,
    sorted_values,
    text_of,
    values_from_json,
    values_to_json,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int8(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (b"a", "a"),
        (np.datetime64("2020-01-01"), pd.Timestamp("2020-01-01")),
        ((1, 2), "(1, 2)"),
    ],
)
def test_plain(value, expected):
    assert plain(value) == expected and type(plain(value)) is type(expected)


def test_order_is_total_over_types():
    moments = pd.Timestamp("2020-01-01"), pd.Timestamp("2019-01-01", tz="UTC")
    assert sorted_values([*moments, "b", 2, "a", 1.5, False]) == (False, 1.5, 2, "a", "b", *moments)
    assert sorted_values([1, True, 1.0, "1"]) == (1, "1")


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("a", "1", ""),
        (1, 2**70),
        (1.0, 2.5, float("inf"), float("-inf")),
        (False, True),
        (False, 1.5, 3, "3", pd.Timestamp("2020-01-01 10:00:00.000001"), pd.Timestamp("2020-01-01", tz="UTC")),
    ],
)
def test_json_keeps_types(values):
    written = json.dumps(values_to_json(values), allow_nan=False)
    again = values_from_json(json.loads(written))
    assert again == values and [type(value) for value in again] == [type(value) for value in values]


def test_codes():
    known = (1, 2.0, "1", "x")
    assert find_codes([2, "x", "2", "y"], known).tolist() == [1, 3, -1, -1]
    assert find_codes([2, "2", "1", 1.0], known, by_text=True).tolist() == [1, 1, 2, 0]
    assert find_codes([], known).dtype == np.int32
    assert text_of(2.0) == "2" and text_of(2.5) == "2.5"


def test_categories_of_another_table_are_looked_up_anew():
    finder = LevelFinder(("a", "b", "1"), by_text=True)
    for categories in (pd.Index(["b", "c"]), pd.Index([1, 2]), pd.Index(["b", "c"])):
        for _ in range(2):
            expected = find_codes(categories, ("a", "b", "1"), by_text=True)
            np.testing.assert_array_equal(finder.codes_of_categories(categories), expected)
