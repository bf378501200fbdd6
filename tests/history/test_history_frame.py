from __future__ import annotations

import pandas as pd

from autopytorch_lite.history.frame import COLUMNS, history_frame
from autopytorch_lite.history.summary import (
    Incumbent,
    closed,
    elapsed_s,
    failure_summary,
    incumbent,
    open_proposals,
)
from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey

FIRST = Proposal(0, {"x": 0.5, "kind": "a"}, 1, None, "portfolio", 0, 0)
SECOND = Proposal(1, {"x": 0.25}, 1, None, "random", 0, 0)
CONTINUED = Proposal(0, {"x": 0.5, "kind": "a"}, 3, 1, "portfolio", 0, 1)
THIRD = Proposal(2, {"x": 0.75}, 1)
LINES: list[Line] = [
    Proposed(FIRST),
    Finished(FIRST.key, loss=0.3, seconds=2.0, curve=(0.3,), metrics={"auc": 0.8}, started_s=0.5, finished_s=2.5),
    Proposed(SECOND),
    Finished(SECOND.key, Status.CRASHED, error="ValueError: x", traceback="Traceback one", finished_s=4.0),
    Proposed(CONTINUED),
    Finished(CONTINUED.key, Status.CANCELLED, error="Cancelled.", finished_s=9.0),
    Proposed(THIRD),
]


def test_one_row_per_evaluation() -> None:
    frame = history_frame(LINES)
    assert list(frame.columns) == [*COLUMNS, "metric:auc", "config:x", "config:kind"]
    assert list(frame["status"]) == ["ok", "crashed", "cancelled"]
    assert list(frame["config_id"]) == [0, 1, 0]
    assert list(frame["budget"]) == [1, 1, 3]
    assert frame["loss"].tolist()[0] == 0.3
    assert frame["loss"].isna().tolist() == [False, True, True]
    assert frame["resume_from"].isna().tolist() == [True, True, False]
    assert frame["rung"].tolist() == [0, 0, 1]
    assert frame["config:kind"].isna().tolist() == [False, True, False]
    assert frame["curve"].tolist() == [(0.3,), (), ()]
    assert frame["error"].tolist() == ["", "ValueError: x", "Cancelled."]


def test_open_proposals_are_rows_on_request() -> None:
    frame = history_frame(LINES, include_open=True)
    assert list(frame["status"]) == ["ok", "crashed", "cancelled", "open", "open"]
    assert list(frame["config_id"]) == [0, 1, 0, 0, 2]


def test_empty_history_has_the_same_columns_and_types() -> None:
    frame = history_frame([])
    assert list(frame.columns) == list(COLUMNS)
    assert frame.dtypes["config_id"] == "int64"
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 0


def test_open_are_those_without_a_result() -> None:
    assert open_proposals(LINES) == [CONTINUED, THIRD]
    assert len(closed(LINES)) == 2
    assert elapsed_s(LINES) == 9.0
    assert elapsed_s([]) == 0.0


def test_incumbent_is_the_best_on_the_largest_budget_with_a_success() -> None:
    assert incumbent([]) is None
    assert incumbent(LINES) == Incumbent(0, {"x": 0.5, "kind": "a"}, 1, 0.3)
    better_but_smaller = Finished(TrialKey(2, 1), loss=0.1)
    larger = Finished(CONTINUED.key, loss=0.4)
    assert incumbent([*LINES, better_but_smaller]) == Incumbent(2, {"x": 0.75}, 1, 0.1)
    assert incumbent([*LINES, better_but_smaller, larger]) == Incumbent(0, {"x": 0.5, "kind": "a"}, 3, 0.4)
    equal = Finished(TrialKey(2, 1), loss=0.3)
    assert incumbent([*LINES, equal]) == Incumbent(0, {"x": 0.5, "kind": "a"}, 1, 0.3)


def test_failures_are_counted_by_kind_with_the_first_tracebacks() -> None:
    assert failure_summary([LINES[0], LINES[1]]) == ""
    failures = [
        Finished(TrialKey(n, 1), status, error=f"error {n}", traceback=f"Traceback {n}")
        for n, status in enumerate([Status.TIMEOUT, Status.CRASHED, Status.CRASHED, Status.MEMORY], start=3)
    ]
    text = failure_summary([LINES[0], LINES[1], *failures])
    assert text.startswith("4 of 5 evaluations failed: 2 crashed, 1 timeout, 1 memory.")
    assert "Trial 3@1 (timeout): error 3\nTraceback 3" in text
    assert "Traceback 5" in text
    assert "Traceback 6" not in text
