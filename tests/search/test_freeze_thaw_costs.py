"""FreezeThaw with predicted costs: nothing begins that cannot end, short entries come first, replay is as before."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autopytorch_lite.execution.simulated import SimulatedCurve, SimulatedExecutor
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.history.trial import Done, Finished, Line, Proposal, Proposed, Status, Wait
from autopytorch_lite.search import FreezeThaw
from autopytorch_lite.tuner import TuneResult, tune
from autopytorch_lite.types import Config
from tests.contracts.check_searcher import check_searcher
from tests.search.test_task_prior import SPACE


class KnownCosts:
    """An epoch takes exp(4 y) seconds; counts what it is told."""

    def __init__(self) -> None:
        self.n_told = 0

    def tell(self, line: Line) -> None:
        self.n_told += 1

    def expected_s(self, config: Config, budget: int, resume_from: int | None = None) -> float:
        return (budget - (resume_from or 0)) * math.exp(4 * float(config["y"]))

    def safe_s(self, config: Config, budget: int, resume_from: int | None = None) -> float:
        return 1.1 * self.expected_s(config, budget, resume_from)


def curves(config: Config, budget: int) -> SimulatedCurve:
    """The slower the better, so that whoever ignores time runs out of it."""
    epochs = np.arange(1, budget + 1)
    final = (float(config["x"]) - 0.42) ** 2 + 1 - float(config["y"])
    return SimulatedCurve(final + 1 / epochs, epochs * math.exp(4 * float(config["y"])))


def make(**options) -> FreezeThaw:
    return FreezeThaw(SPACE, **{"min_budget": 1, "max_budget": 9, "cost_exponent": 0.3, "n_candidates": 60} | options)


def search(searcher: FreezeThaw, n_workers: int = 1, **limits) -> TuneResult:
    return tune(searcher, executor=SimulatedExecutor(curves, n_workers), store=MemoryStore(), **limits)


def statuses(result: TuneResult) -> list[Status]:
    return [line.status for line in result.lines if isinstance(line, Finished)]


@pytest.mark.parametrize("n_workers", [1, 3])
def test_nothing_begins_that_cannot_end_in_time(n_workers: int) -> None:
    blind, seeing = (search(make(costs=costs), n_workers, time_limit=300.0) for costs in (None, KnownCosts()))
    assert Status.CANCELLED in statuses(blind), "the test must be able to fail"
    assert set(statuses(seeing)) == {Status.OK}
    assert seeing.reason == "nothing more would end within the time limit"
    assert seeing.seconds > 270, "the time is used"


def test_a_limit_on_single_evaluations_is_kept_too() -> None:
    result = search(make(costs=KnownCosts()), time_limit=400.0, trial_time_limit=20.0)
    assert set(statuses(result)) == {Status.OK}
    assert max(line.seconds for line in result.lines if isinstance(line, Finished)) <= 20


def test_time_is_left_for_something_else() -> None:
    result = search(make(costs=KnownCosts()), time_limit=300.0, leave_s=lambda: 60.0)
    assert set(statuses(result)) == {Status.OK}
    assert 200 < result.seconds <= 240


def test_what_runs_is_not_ended_for_time_that_is_needed_later() -> None:
    begun = []
    blind = search(make(), time_limit=300.0, leave_s=lambda: begun.append(1) or 300.0)
    assert blind.seconds == 300, "who knows nothing of time cannot leave any"
    assert begun


def test_the_contract_holds_with_costs_too() -> None:
    def new_searcher() -> FreezeThaw:
        return make(portfolio=[entry(9), entry(1)], costs=KnownCosts(), n_candidates=20, n_local=10)

    check_searcher(new_searcher, SPACE, n_proposals=25)


def test_without_a_limit_there_is_none() -> None:
    searcher = make(costs=KnownCosts())
    assert searcher.ask_within(math.inf) == searcher.ask()
    assert isinstance(searcher.ask(), Proposal)


def test_where_nothing_fits_it_waits_for_what_runs_and_is_done_otherwise() -> None:
    searcher = make(costs=KnownCosts())
    assert isinstance(searcher.ask_within(0.5), Done)
    proposal = searcher.ask()
    assert isinstance(proposal, Proposal)
    searcher.tell(Proposed(proposal))
    assert isinstance(searcher.ask_within(0.5), Wait)
    searcher.tell(Finished(proposal.key, loss=1.0, seconds=1.0))
    assert isinstance(searcher.ask_within(0.5), Done)
    assert isinstance(searcher.ask_within(100.0), Proposal)


def test_a_replay_does_not_ask_for_the_time() -> None:
    result = search(make(costs=KnownCosts()), time_limit=200.0)
    costs = KnownCosts()
    replayed = make(costs=costs)
    for line in result.lines:
        replayed.tell(line)
    assert costs.n_told == len(result.lines)
    once_more = make(costs=KnownCosts())
    for line in result.lines:
        once_more.ask_within(7.0)
        once_more.tell(line)
    assert replayed.ask_within(50.0) == once_more.ask_within(50.0)


def entry(seconds: float) -> Config:
    return {"x": seconds / 1000, "y": math.log(seconds) / 4}


def order(portfolio: list[float], limit_s: float) -> list[float]:
    """The seconds of the entries of a portfolio, as they are proposed while each evaluation has the same limit."""
    searcher = make(portfolio=[entry(seconds) for seconds in portfolio], costs=KnownCosts())
    proposed = []
    while isinstance(proposal := searcher.ask_within(limit_s), Proposal) and proposal.config_id < len(portfolio):
        if proposal.resume_from is not None or proposal.origin != "portfolio":
            break
        searcher.tell(Proposed(proposal))
        searcher.tell(Finished(proposal.key, loss=1.0, seconds=1.0))
        proposed.append(round(float(proposal.config["x"]) * 1000))
    return proposed


@pytest.mark.parametrize(
    ("portfolio", "limit_s", "expected"),
    [
        ([9, 1, 3, 2, 4], 1000, [1, 2, 3, 4, 9]),
        ([1, 1.2, 1.4], 1000, [1, 1, 1]),
        ([1, 30, 2, 3], 1000, [1, 2, 3, 30]),
        ([1, 30, 2, 3], 50, [1, 2, 3]),
        ([40, 50], 30, [40]),
    ],
    ids=["each at most all before", "order stays", "long ones later", "too long ones never", "an attempt in any case"],
)
def test_a_portfolio_begins_with_what_is_short(portfolio: list[float], limit_s: float, expected: list[float]) -> None:
    assert order(portfolio, limit_s) == expected


def test_costs_replace_what_the_model_learns_of_time() -> None:
    """Cheap configurations of equal promise are preferred before anything was measured."""
    searcher = make(costs=KnownCosts(), cost_exponent=3.0)
    assert float(searcher.ask().config["y"]) < 0.15
