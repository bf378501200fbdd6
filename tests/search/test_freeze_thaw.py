"""FreezeThaw finds optima, continues from checkpoints, uses other tasks, survives failures, and never idles."""

from __future__ import annotations

import numpy as np
import pytest

from autopytorch_lite.execution.simulated import SimulatedCurve, SimulatedExecutor
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.history.trial import EARLIER_RUN, Done, Finished, Proposal, Proposed, Status
from autopytorch_lite.search import BOHB, FreezeThaw, RandomSearch
from autopytorch_lite.tuner import TuneResult, tune
from autopytorch_lite.types import Config
from tests.search.spaces import flat_space, small_space, tree_space
from tests.search.test_task_prior import SPACE, make_matrix

BUDGETS = (1, 3, 9)


def curves(config: Config, budget: int) -> SimulatedCurve:
    """A new task of the family of `make_matrix`: its optimum is at x = 0.42; what y adds is small."""
    final = (float(config["x"]) - 0.42) ** 2 + 0.05 * (float(config["y"]) - 0.8) ** 2
    epochs = np.arange(1, budget + 1)
    return SimulatedCurve(final + 1 / epochs, epochs * np.exp(float(config["y"])))


def search(searcher, n_workers: int = 1, **limits) -> TuneResult:
    return tune(searcher, executor=SimulatedExecutor(curves, n_workers), store=MemoryStore(), **limits)


def regret(result: TuneResult) -> float:
    assert result.incumbent is not None
    assert result.incumbent.budget == BUDGETS[-1]
    return result.incumbent.loss - 1 / 9


def loss_of_incumbent(result: TuneResult) -> float:
    """What the incumbent comes to at the end, at whatever budget it was found."""
    assert result.incumbent is not None
    return float(curves(result.incumbent.config, BUDGETS[-1]).losses[-1]) - 1 / 9


def make(seed: int = 0, **options) -> FreezeThaw:
    return FreezeThaw(SPACE, min_budget=1, max_budget=9, seed=seed, **options)


def test_is_far_better_than_random_search_and_bohb_at_the_same_cost() -> None:
    limit = 15 * 9 * 1.7  # fifteen full trainings of average cost
    found = [regret(search(make(seed), time_limit=limit)) for seed in range(3)]
    random = [regret(search(RandomSearch(SPACE, max_budget=9, seed=seed), time_limit=limit)) for seed in range(3)]
    bohb = [regret(search(BOHB(SPACE, min_budget=1, max_budget=9, seed=seed), time_limit=limit)) for seed in range(3)]
    assert np.mean(found) < 0.2 * np.mean(random)
    assert np.mean(found) < 0.5 * np.mean(bohb)


def test_other_tasks_shorten_the_beginning() -> None:
    limit = 1.5 * 9 * 1.7  # time for one full training and a few short ones
    cold = [loss_of_incumbent(search(make(seed), time_limit=limit)) for seed in range(6)]
    warm = [loss_of_incumbent(search(make(seed, prior=make_matrix()), time_limit=limit)) for seed in range(6)]
    assert np.mean(warm) < 0.5 * np.mean(cold)


def test_the_scale_and_the_level_of_the_loss_do_not_matter() -> None:
    def stretched(config: Config, budget: int) -> SimulatedCurve:
        curve = curves(config, budget)
        return SimulatedCurve(1000 * curve.losses - 77, curve.seconds)

    executor = SimulatedExecutor(stretched)
    result = tune(make(prior=make_matrix()), executor=executor, store=MemoryStore(), n_trials=40)
    plain = search(make(prior=make_matrix()), n_trials=40)
    assert result.incumbent is not None
    assert (result.incumbent.loss + 77) / 1000 - 1 / 9 < max(4 * regret(plain), 1e-3)


def test_trainings_are_continued_not_repeated() -> None:
    result = search(make(), n_trials=60)
    seen: dict[int, int] = {}
    for line in result.lines:
        if isinstance(line, Proposed):
            assert line.proposal.resume_from == seen.get(line.key.config_id)
            seen[line.key.config_id] = line.key.budget
    assert sum(budget == 9 for budget in seen.values()) >= 10


@pytest.mark.parametrize(("informed", "most"), [(False, 3), (True, 9)])
def test_rungs_stay_near_the_proportions_of_successive_halving(informed: bool, most: int) -> None:
    result = search(make(prior=make_matrix() if informed else None), n_trials=150)
    counts = [
        sum(line.key.budget == budget for line in result.lines if isinstance(line, Finished)) for budget in BUDGETS
    ]
    assert counts[0] <= most * (counts[1] + 1) + 1
    assert counts[1] <= most * (counts[2] + 1) + 1


def test_workers_are_always_busy_and_never_on_the_same_configuration() -> None:
    result = search(make(), n_workers=8, n_trials=120)
    running: set[int] = set()
    idle = 0
    for line in result.lines:
        if isinstance(line, Proposed):
            assert line.key.config_id not in running
            running.add(line.key.config_id)
        else:
            running.remove(line.key.config_id)
            idle += len(running) < 7
    assert idle <= 8, "only at the end"


@pytest.mark.no_cover
def test_eight_workers_find_as_much_in_a_fifth_of_the_time() -> None:
    limit = 40 * 9 * 1.7
    alone = [regret(search(make(seed), time_limit=limit)) for seed in range(3)]
    together = [regret(search(make(seed), n_workers=8, time_limit=limit / 5)) for seed in range(3)]
    assert np.mean(together) < max(2 * np.mean(alone), 2e-4)


@pytest.mark.parametrize("make_space", [flat_space, tree_space])
def test_failures_everywhere_are_survived(make_space) -> None:
    searcher = FreezeThaw(make_space(), min_budget=1, max_budget=9, n_candidates=30, n_local=20)
    for _ in range(25):
        proposal = searcher.ask()
        assert isinstance(proposal, Proposal)
        searcher.tell(Proposed(proposal))
        searcher.tell(Finished(proposal.key, Status.CRASHED, error="always"))
    assert not searcher.continuable()


def test_where_trials_fail_nobody_goes_on() -> None:
    def failing(config: Config, budget: int) -> SimulatedCurve:
        if float(config["x"]) > 0.4:
            raise RuntimeError("out of memory")
        return curves(config, budget)

    result = tune(make(), executor=SimulatedExecutor(failing), store=MemoryStore(), n_trials=80)
    failed = [line.status is Status.CRASHED for line in result.lines if isinstance(line, Finished)]
    assert np.mean(failed[40:]) < 0.35
    assert result.incumbent is not None


def test_a_stopped_trial_counts_by_its_curve_and_is_not_continued() -> None:
    searcher = make()
    proposal = searcher.ask()
    assert isinstance(proposal, Proposal)
    searcher.tell(Proposed(proposal))
    searcher.tell(Finished(proposal.key, Status.STOPPED, loss=0.9, curve=(0.9,)))
    assert not searcher.continuable()
    assert isinstance(searcher.ask(), Proposal)


def test_trials_of_an_earlier_run_teach_but_are_never_continued() -> None:
    searcher = make()
    for number in range(6):
        config = {"x": number / 6, "y": 0.5}
        earlier = Proposal(number, config, 3, origin=EARLIER_RUN)
        searcher.tell(Proposed(earlier))
        curve = curves(config, 3).losses
        searcher.tell(Finished(earlier.key, loss=float(curve[-1]), curve=tuple(curve.tolist()), seconds=1.0))
    assert not searcher.continuable()
    proposal = searcher.ask()
    assert isinstance(proposal, Proposal)
    assert proposal.config_id == 6
    assert proposal.resume_from is None


def test_baseline_first_then_portfolio_then_the_model() -> None:
    baseline, member = {"x": 0.9, "y": 0.1}, {"x": 0.2, "y": 0.2}
    result = search(make(baseline=[baseline], portfolio=[member, baseline]), n_trials=6)
    proposals = [line.proposal for line in result.lines if isinstance(line, Proposed)]
    assert (proposals[0].config, proposals[0].budget, proposals[0].origin) == (baseline, 9, "user")
    assert (proposals[1].config, proposals[1].budget, proposals[1].origin) == (member, 1, "portfolio")
    assert {proposal.origin for proposal in proposals[2:]} <= {"model", "portfolio"}


def test_a_small_space_is_finished() -> None:
    searcher = FreezeThaw(small_space(), min_budget=1, max_budget=3)
    for _ in range(200):
        proposal = searcher.ask()
        if isinstance(proposal, Done):
            break
        searcher.tell(Proposed(proposal))
        searcher.tell(Finished(proposal.key, loss=float(proposal.config_id), seconds=1.0))
    assert isinstance(proposal, Done)


def test_without_costs_the_seconds_change_nothing() -> None:
    """What makes a run of the estimator that ends by number repeatable."""
    histories = []
    for factor in (1.0, 7.0):
        searcher = make(cost_exponent=0)
        rng = np.random.default_rng(0)
        for _ in range(40):
            proposal = searcher.ask()
            assert isinstance(proposal, Proposal)
            searcher.tell(Proposed(proposal))
            loss = float(curves(proposal.config, proposal.budget).losses[-1])
            searcher.tell(Finished(proposal.key, loss=loss, seconds=factor * rng.random()))
        histories.append([searcher.ask(), searcher.incumbent().key])
    assert histories[0] == histories[1]


@pytest.mark.parametrize(("option", "value"), [("n_candidates", 0), ("n_local", -1), ("cost_exponent", -0.1)])
def test_settings_out_of_range_are_named(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=option):
        make(**{option: value})
