from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lcbench.columns import ColumnWriter, read_columns

CURVES: dict[str, list[list[Any]]] = {
    "floats": [[0.5, 1.5], [2.5, -0.0]],
    "integers": [[0, 1, 2], [3, -4, 2**53]],
    "a mixture": [[0, 0.0, None, True, False], [1.0, 1, "1", {"a": [1]}, 10**30]],
    "missing first": [[None, 0.25, 0.5], [None, 0.75, 0.5]],
    "different lengths": [[0.5, 1.5, 2.5], [], [3.5], [None, 4.5]],
    "strings": [["relu"], ["tanh"], ["relu"]],
    "not finite": [[float("inf"), -float("inf"), 1e308]],
    "nothing": [[], []],
}


@pytest.mark.parametrize("name", list(CURVES))
def test_values_come_back_as_what_they_were(name: str) -> None:
    writer = ColumnWriter()
    for curve in CURVES[name]:
        writer.add(curve)
    columns = list(read_columns(writer.to_bytes() * 2))
    assert len(columns) == 2
    for column in columns:
        found = [column.curve(run) for run in range(len(CURVES[name]))]
        assert found == CURVES[name]
        assert [[type(value) for value in curve] for curve in found] == [list(map(type, c)) for c in CURVES[name]]


def test_the_sign_of_zero_and_nan_come_back() -> None:
    writer = ColumnWriter()
    writer.add([-0.0, float("nan"), 0.0])
    (column,) = read_columns(writer.to_bytes())
    values = column.curve(0)
    assert np.signbit(values).tolist() == [True, False, False]
    assert np.isnan(values[1])
