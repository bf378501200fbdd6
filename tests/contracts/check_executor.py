"""What every executor must do. Call `check_executor` from the tests of each implementation.

`make(objective)` returns a new executor; `objective` is `probe`, which does what the configuration says. An executor
that evaluates no objectives wraps it, and says what differs by `expected`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from autopytorch_lite.errors import DivergedError
from autopytorch_lite.execution.base import Checkpoint, Executor, Objective, Result
from autopytorch_lite.history.trial import Finished, Proposal, Status, TrialKey
from autopytorch_lite.types import Config

MakeExecutor = Callable[[Objective], Executor]


def probe(config: Config, budget: int, checkpoint: Checkpoint) -> Any:
    """Ends in the way that config["do"] names."""
    do = config["do"]
    if do == "diverge":
        raise DivergedError("The loss must be finite, got inf.")
    if do == "allocate":
        raise MemoryError
    if do == "raise":
        raise ValueError("first line\nsecond line")
    if do == "exit":
        raise SystemExit(0)
    if do == "result":
        return Result(0.25, (0.5, float("inf"), 0.25), {"lr": (1.0, 0.5, 0.1)}, {"auc": 0.9}, {"n_parameters": 3})
    returned: Mapping[str, Any] = {"number": 0.5, "nothing": None, "text": "0.5", "nan": float("nan")}
    if do == "odd fact":
        return Result(0.5, info={"module": Checkpoint})
    return returned[str(do)]


EXPECTED = {
    "number": (Status.OK, ""),
    "result": (Status.OK, ""),
    "diverge": (Status.DIVERGED, "DivergedError: The loss must be finite, got inf."),
    "nan": (Status.DIVERGED, "DivergedError: The loss must be finite, got nan."),
    "allocate": (Status.MEMORY, "MemoryError"),
    "raise": (Status.CRASHED, "ValueError: first line"),
    "exit": (Status.CRASHED, "SystemExit: 0"),
    "nothing": (
        Status.CRASHED,
        "TypeError: An objective must return a Result or a number (the loss), got NoneType: None",
    ),
    "text": (Status.CRASHED, "TypeError: An objective must return a Result or a number (the loss), got str: '0.5'"),
    "odd fact": (Status.CRASHED, "TypeError: A history line holds numbers"),
}


def check_executor(
    make: MakeExecutor, *, expected: Mapping[str, tuple[Status, str]] = EXPECTED, measures_memory: bool = True
) -> None:
    """Run all checks on one kind of executor.

    Args:
        make: makes one.
        expected: status and begin of the reason for each thing that `probe` can do.
        measures_memory: whether evaluations take memory, so that the peak is recorded.
    """
    executor = make(probe)
    _check_counting(executor)
    _check_outcomes(executor, expected, measures_memory)
    _check_timeouts(executor)
    _check_cancelling(executor)
    _check_closing(executor)
    _check_closing_while_busy(make(probe))


def run_all(executor: Executor, proposals: list[Proposal]) -> list[Finished]:
    """Evaluate proposals with as many workers as there are; the lines in the order of the proposals."""
    lines: list[Finished] = []
    for proposal in proposals:
        while executor.n_free() == 0:
            lines += executor.wait()
        executor.submit(proposal)
    while len(lines) < len(proposals):
        ended = executor.wait()
        assert ended, "wait without a timeout returns when something has ended"
        lines += ended
    order = [proposal.key for proposal in proposals]
    return sorted(lines, key=lambda line: order.index(line.key))


def _check_counting(executor: Executor) -> None:
    assert executor.n_workers >= 1
    assert executor.n_free() == executor.n_workers
    assert executor.wait() == [], "waiting for nothing returns at once"
    for n in range(executor.n_workers):
        executor.submit(Proposal(n, {"do": "number"}, 1))
        assert executor.n_free() == executor.n_workers - n - 1
    with pytest.raises(RuntimeError, match="99@1"):
        executor.submit(Proposal(99, {"do": "number"}, 1))
    before = executor.now()
    keys: set[TrialKey] = set()
    while len(keys) < executor.n_workers:
        keys |= {line.key for line in executor.wait()}
    assert keys == {(n, 1) for n in range(executor.n_workers)}
    assert executor.now() >= before
    assert executor.n_free() == executor.n_workers


def _check_outcomes(executor: Executor, expected: Mapping[str, tuple[Status, str]], measures_memory: bool) -> None:
    proposals = [Proposal(n, {"do": do}, 3) for n, do in enumerate(expected)]
    for line, (do, (status, error)) in zip(run_all(executor, proposals), expected.items(), strict=True):
        assert line.status is status, do
        assert line.error.startswith(error), do
        assert bool(line.error) == (not line.ok), do
        assert ("Traceback" in line.traceback) == (not line.ok), do
        assert (line.loss is None) == (not line.ok), do
        assert line.seconds >= 0
        assert 0 <= line.worker < executor.n_workers
        assert not measures_memory or line.info["peak_memory_mb"] >= 0
        if do == "result":
            assert (line.loss, line.curve, line.metrics) == (0.25, (0.5, float("inf"), 0.25), {"auc": 0.9})
            assert line.curves == {"lr": (1.0, 0.5, 0.1)}
            assert line.info["n_parameters"] == 3


def _check_timeouts(executor: Executor) -> None:
    """Waiting in small steps ends, on whatever clock: each step moves the clock or returns what has ended."""
    executor.submit(Proposal(8, {"do": "number"}, 1))
    start_s = executor.now()
    lines: list[Finished] = []
    while not lines:
        assert executor.now() - start_s < 60
        lines = executor.wait(timeout_s=0.25)
    assert [line.key for line in lines] == [(8, 1)]
    assert lines[0].seconds <= executor.now() - start_s + 1e-6


def _check_cancelling(executor: Executor) -> None:
    assert executor.cancel_all() == []
    executor.submit(Proposal(7, {"do": "number"}, 1))
    (line,) = executor.cancel_all()
    assert line.key == (7, 1)
    assert line.status is Status.CANCELLED or line.ok
    assert executor.n_free() == executor.n_workers
    (again,) = run_all(executor, [Proposal(7, {"do": "number"}, 1)])
    assert again.loss == 0.5, "a cancelled proposal can be submitted again"


def _check_closing(executor: Executor) -> None:
    executor.close()
    executor.close()
    with pytest.raises(RuntimeError):
        executor.submit(Proposal(0, {"do": "number"}, 1))


def _check_closing_while_busy(executor: Executor) -> None:
    executor.submit(Proposal(0, {"do": "number"}, 1))
    executor.close()
    assert executor.wait() == []
