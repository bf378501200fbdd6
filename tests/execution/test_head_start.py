"""The first evaluation in this process, the others on workers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from autopytorch_lite.execution.costs import EvaluationCosts
from autopytorch_lite.execution.head_start import HeadStart, is_short
from autopytorch_lite.execution.workers import SerialExecutor
from autopytorch_lite.history.trial import Proposal, Status


def executor(tmp_path: Path, *, is_short: bool = True) -> HeadStart:
    """Here means loss 1, on the worker loss 2."""
    workers, here = (SerialExecutor(lambda *_, loss=loss: loss, files_root=tmp_path) for loss in (2.0, 1.0))
    return HeadStart(workers, here, lambda proposal: is_short)


def test_only_the_first_is_evaluated_here_and_it_ends_first(tmp_path: Path) -> None:
    both = executor(tmp_path)
    assert (both.n_workers, both.n_free()) == (1, 2)
    for config_id in range(2):
        both.submit(Proposal(config_id, {}, 1))
    assert both.n_free() == 0
    assert [line.loss for line in both.wait() + both.wait()] == [1.0, 2.0]
    assert both.n_free() == 1
    both.submit(Proposal(2, {}, 1))
    assert both.wait()[0].loss == 2.0
    assert both.wait() == []


def test_cores_are_told_to_be_busy_while_the_first_is_evaluated_here(tmp_path: Path) -> None:
    told: list[int] = []
    workers = SerialExecutor(lambda *_: 2.0, files_root=tmp_path)
    here = SerialExecutor(lambda *_: float(told == [2]), files_root=tmp_path)
    both = HeadStart(workers, here, lambda proposal: True, 2, told.append)
    both.submit(Proposal(0, {}, 1))
    assert both.wait()[0].loss == 1.0
    both.submit(Proposal(1, {}, 1))
    both.wait()
    assert set(told[1:]) == {0}


def test_what_may_take_long_is_left_to_the_workers(tmp_path: Path) -> None:
    both = executor(tmp_path, is_short=False)
    both.submit(Proposal(0, {}, 1))
    assert both.n_free() == 0
    assert both.wait()[0].loss == 2.0


def test_cancelling_and_closing_ends_both(tmp_path: Path) -> None:
    both = executor(tmp_path)
    for config_id in range(2):
        both.submit(Proposal(config_id, {}, 1))
    assert [line.status for line in both.cancel_all()] == [Status.CANCELLED] * 2
    both.close()
    assert both.n_free() == 0


def test_an_interrupted_head_start_is_cancelled_not_lost(tmp_path: Path) -> None:
    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    workers = SerialExecutor(lambda *_: 0.0, files_root=tmp_path)
    both = HeadStart(workers, SerialExecutor(interrupted, files_root=tmp_path), lambda proposal: True)
    both.submit(Proposal(0, {}, 1))
    with pytest.raises(KeyboardInterrupt):
        both.wait()
    assert [line.status for line in both.cancel_all()] == [Status.CANCELLED]


@pytest.mark.parametrize(
    ("expected_s", "safe_s", "time_limit_s", "here"),
    [
        (4.0, 9.0, None, True),
        (4.0, 9.0, 60.0, True),
        (4.0, 9.0, 16.0, False),
        (4.0, 12.0, 60.0, True),
        (4.0, 13.0, 60.0, False),
        (6.0, 7.0, 60.0, False),
        (1.0, 2.0, 6.0, True),
    ],
)
def test_the_first_is_evaluated_here_if_it_is_short(
    expected_s: float, safe_s: float, time_limit_s: float | None, here: bool
) -> None:
    costs = SimpleNamespace(expected_s=lambda config, budget: expected_s, safe_s=lambda config, budget: safe_s)
    assert is_short(Proposal(0, {}, 9), cast(EvaluationCosts, costs), time_limit_s) is here
