"""What every store must do. Call `check_store` from the tests of each implementation.

`make()` returns a store of the same run each time it is called, not yet open.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.lines import lines_equal
from autopytorch_lite.history.store import Store
from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey

LINES: tuple[Line, ...] = (
    Proposed(Proposal(0, {"x": 0.5, "kind": "NaN", "n": 3, "flag": True}, 1, None, "portfolio", 0, 0)),
    Proposed(Proposal(1, {"x": 1e-300}, 1)),
    Finished(
        TrialKey(1, 1),
        Status.OK,
        0.1,
        2.5,
        (math.inf, 0.1),
        {"learning_rate": (-math.inf, 1e-3)},
        {"auc": math.nan},
        {"n_parameters": 12, "shape": [1, 2], "device": "cpu"},
        started_s=1.0,
        finished_s=3.5,
        worker=2,
    ),
    Finished(TrialKey(0, 1), Status.CRASHED, error="ValueError: Grüße \ud800", traceback="line 1\nline 2\r\n"),
    Proposed(Proposal(1, {"x": 1e-300}, 3, 1, "random", 0, 1)),
    Finished(TrialKey(1, 3), Status.CANCELLED),
)


def check_store(make: Callable[[], Store]) -> None:
    """Run all checks on one kind of store; the run must be empty."""
    store = make()
    assert store.read() == []
    with pytest.raises(HistoryError, match="open"):
        store.append(LINES[0])
    assert store.open() is store
    assert store.open() is store, "opening an open store does nothing"
    for n, line in enumerate(LINES, start=1):
        store.append(line)
        assert lines_equal(store.read(), LINES[:n]), "a line can be read as soon as it is appended"
    first, second = store.read(), store.read()
    assert first is not second, "what a reader does to its list is its own business"
    assert [type(line) for line in first] == [type(line) for line in LINES]
    assert repr(first) == repr(list(LINES)), "clocks, types and non-finite numbers are kept"
    store.close()
    store.close()
    with pytest.raises(HistoryError, match="open"):
        store.append(LINES[0])
    store.open()
    assert lines_equal(store.read(), LINES), "closing and opening again changes nothing"
    store.close()
