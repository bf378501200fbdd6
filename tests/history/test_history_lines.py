from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.history.lines import comparable, dump_line, lines_equal, load_line, to_plain
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey


def strict(text: str) -> object:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_non_finite_numbers_survive_as_strict_json() -> None:
    line = Finished(
        TrialKey(0, 2),
        loss=0.5,
        curve=(math.nan, -math.inf),
        metrics={"auc": math.inf},
        info={"norms": [math.inf, 1.0]},
    )
    text = dump_line(line)
    assert strict(text)
    back = load_line(text)
    assert isinstance(back, Finished)
    assert math.isnan(back.curve[0])
    assert back.curve[1] == -math.inf
    assert back.metrics == {"auc": math.inf}
    assert back.info == {"norms": [math.inf, 1.0]}


def test_numpy_values_become_builtin_ones() -> None:
    line = Proposed(Proposal(np.int64(3), {"x": np.float32(0.5), "n": np.int32(2), "b": np.bool_(True)}, np.int64(9)))
    back = load_line(dump_line(line))
    assert isinstance(back, Proposed)
    assert back.proposal.config == {"x": 0.5, "n": 2, "b": True}
    assert [type(value) for value in back.proposal.config.values()] == [float, int, bool]
    assert type(back.proposal.config_id) is int
    assert to_plain({"a": np.array([1.0, np.nan]), "p": Path("x"), "s": Status.OK}) == {
        "a": [1.0, "NaN"],
        "p": "x",
        "s": "ok",
    }


def test_text_of_a_configuration_is_not_taken_for_a_number() -> None:
    line = Proposed(Proposal(0, {"fill": "NaN"}, 1))
    assert load_line(dump_line(line)) == line


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": {3, 4}}, b"bytes"])
def test_what_json_cannot_hold_is_named(value: object) -> None:
    with pytest.raises(TypeError, match="history line"):
        to_plain(value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"type":"other"}', '{"type":"finished"}', '{"type":"proposed","x":1}']
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        load_line(text)


def test_comparison_leaves_out_what_is_measured_and_nothing_else() -> None:
    one = Finished(
        TrialKey(0, 1), loss=0.5, seconds=1.0, started_s=1, finished_s=2, worker=0, info={"peak_memory_mb": 3.0}
    )
    other = Finished(
        TrialKey(0, 1), loss=0.5, seconds=2.0, started_s=3, finished_s=5, worker=1, info={"peak_memory_mb": 9.0}
    )
    assert lines_equal([one], [other])
    assert not lines_equal([one], [one, other])
    assert not lines_equal([one], [Finished(TrialKey(0, 1), loss=0.25)])
    assert comparable(Proposed(Proposal(0, {"x": 1}, 1)))["config"] == {"x": 1}
