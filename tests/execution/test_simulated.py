from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.execution.base import Checkpoint, Objective, Result
from autopytorch_lite.execution.simulated import SimulatedCurve, SimulatedExecutor, SimulatedFailure
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.history.summary import closed
from autopytorch_lite.history.trial import Finished, Proposal, Status
from autopytorch_lite.search import Hyperband
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config
from tests.contracts.check_executor import EXPECTED, check_executor, run_all
from tests.searchers import Counting

NO_CURVE = "TypeError: curves() must return a SimulatedCurve, got "


def linear(config: Config, budget: int) -> SimulatedCurve:
    """Loss x / epoch; config["s"] seconds an epoch."""
    epochs = np.arange(1.0, budget + 1)
    return SimulatedCurve(float(config["x"]) / epochs, float(config.get("s", 1.0)) * epochs)


def looked_up(objective: Objective) -> Any:
    """Curves that end as the objective does."""

    def curves(config: Config, budget: int) -> Any:
        returned: Any = objective(config, budget, Checkpoint(None))  # type: ignore[arg-type]
        seconds = np.linspace(0.1, 1.0, budget)
        if isinstance(returned, Result):
            return SimulatedCurve(np.array(returned.curve), seconds, returned.curves, returned.metrics, returned.info)
        return SimulatedCurve(np.full(budget, returned), seconds) if isinstance(returned, float) else returned

    return curves


@pytest.mark.parametrize("n_workers", [1, 3])
def test_simulated_executor_keeps_the_contract(n_workers: int) -> None:
    expected = EXPECTED | {
        "nothing": (Status.CRASHED, NO_CURVE + "NoneType: None"),
        "text": (Status.CRASHED, NO_CURVE + "str: '0.5'"),
    }
    del expected["odd fact"]  # what a store cannot hold is refused by the store
    check_executor(
        lambda objective: SimulatedExecutor(looked_up(objective), n_workers), expected=expected, measures_memory=False
    )


def test_a_trial_takes_its_seconds_and_has_its_curve() -> None:
    executor = SimulatedExecutor(linear)
    executor.submit(Proposal(0, {"x": 6.0, "s": 2.0}, 3))
    assert executor.now() == 0
    assert executor.wait(5.5) == []
    assert executor.now() == 5.5
    (line,) = executor.wait()
    assert executor.now() == line.seconds == 6.0
    assert line.curve == (6.0, 3.0, 2.0)
    assert line.loss == 2.0


def test_a_continued_trial_takes_the_additional_seconds_and_has_the_whole_curve() -> None:
    executor = SimulatedExecutor(linear)
    (line,) = run_all(executor, [Proposal(0, {"x": 6.0, "s": 2.0}, 3, resume_from=1)])
    assert executor.now() == line.seconds == 4.0
    assert line.curve == (6.0, 3.0, 2.0)


def test_workers_overlap_and_simultaneous_ends_come_in_the_order_submitted() -> None:
    executor = SimulatedExecutor(linear, n_workers=3)
    for n, seconds in enumerate([2.0, 1.0, 2.0]):
        executor.submit(Proposal(n, {"x": 1.0, "s": seconds}, 1))
    assert [line.key.config_id for line in executor.wait()] == [1]
    executor.submit(Proposal(3, {"x": 1.0}, 1))
    assert [line.key.config_id for line in executor.wait()] == [0, 2, 3]
    assert executor.now() == 2.0


def test_cancelled_trials_say_how_long_they_ran() -> None:
    executor = SimulatedExecutor(linear, n_workers=2)
    executor.submit(Proposal(0, {"x": 1.0}, 9))
    executor.submit(Proposal(1, {"x": 1.0}, 4))
    executor.wait(3)
    lines = executor.cancel_all()
    assert [(line.key.config_id, line.status, line.seconds) for line in lines] == [
        (0, Status.CANCELLED, 3.0),
        (1, Status.CANCELLED, 3.0),
    ]
    assert executor.n_free() == 2


def failing(config: Config, budget: int) -> SimulatedCurve:
    if config["x"] == 1:
        raise SimulatedFailure("Out of luck.", seconds=1.5, status=Status.MEMORY)
    if config["x"] == 2:
        return SimulatedCurve(np.ones(budget + 1), np.ones(budget + 1))
    if config["x"] == 3:
        return SimulatedCurve(np.ones(budget), np.arange(float(budget))[::-1])
    return linear(config, budget).diverging_at(3)


def test_failures_are_rows_with_a_reason_and_take_their_time() -> None:
    executor = SimulatedExecutor(failing)
    proposals = [Proposal(n, {"x": n}, 5, resume_from=2 if n == 4 else None) for n in range(5)]
    diverged, unlucky, long, backwards, continued = run_all(executor, proposals)
    assert (diverged.status, diverged.loss, diverged.seconds) == (Status.DIVERGED, None, 3.0)
    assert diverged.error == "DivergedError: The loss must be finite, got nan. It was so in epoch 3."
    assert (unlucky.status, unlucky.error, unlucky.seconds) == (Status.MEMORY, "Out of luck.", 1.5)
    assert long.error.startswith("ValueError: A SimulatedCurve must have one loss and one time per epoch, here 5;")
    assert backwards.error.startswith("ValueError: The seconds of a SimulatedCurve are cumulative")
    assert continued.seconds == 1.0
    assert executor.now() == 5.5


def test_time_limit_of_a_trial_is_kept_on_the_simulated_clock() -> None:
    executor = SimulatedExecutor(linear, trial_time_limit_s=4)
    late, whole = run_all(executor, [Proposal(0, {"x": 1.0}, 5), Proposal(1, {"x": 1.0}, 4)])
    assert (late.status, late.seconds, late.error) == (Status.TIMEOUT, 4, "Took more than the limit of 4 seconds.")
    assert whole.ok
    executor.submit(Proposal(2, {"x": 1.0}, 5), time_limit_s=5)
    assert executor.wait()[0].ok


def test_no_worker_is_an_error() -> None:
    with pytest.raises(BudgetError, match="n_workers=0"):
        SimulatedExecutor(linear, 0)


SPACE = ConfigurationSpace({"x": (0.0, 1.0)})


def search(n_workers: int, **limits: Any) -> list[Finished]:
    searcher = Hyperband(SPACE, min_budget=1, max_budget=9, seed=0)
    return closed(tune(searcher, executor=SimulatedExecutor(linear, n_workers), **limits).lines)


def test_a_search_keeps_a_simulated_time_limit() -> None:
    result = tune(Hyperband(SPACE, min_budget=1, max_budget=9), executor=SimulatedExecutor(linear, 4), time_limit=100.3)
    assert math.isclose(result.seconds, 100.3)
    assert sum(line.seconds for line in closed(result.lines)) > 350, "four workers are busy side by side"


def test_a_simulated_search_repeats_itself() -> None:
    assert search(3, time_limit=50) == search(3, time_limit=50)


@pytest.mark.parametrize("n_workers", [1, 100])
def test_thousands_of_evaluations_go_through_the_unmodified_loop(n_workers: int) -> None:
    result = tune(Counting(), executor=SimulatedExecutor(linear, n_workers), store=MemoryStore(), n_trials=5_000)
    assert len(closed(result.lines)) == 5_000
    assert result.seconds == 5_000 / n_workers
