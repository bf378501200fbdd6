from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from autopytorch_lite.execution.simulated import SimulatedCurve, SimulatedExecutor
from autopytorch_lite.history.trial import Done, Finished, Proposal, Proposed, TrialKey, Wait
from autopytorch_lite.search import BOHB, Hyperband, Searcher
from autopytorch_lite.search.asynchronous import AsynchronousSchedule, Rung
from autopytorch_lite.search.ledger import loss_of
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config
from tests.contracts.check_searcher import proposals_of, simulate
from tests.search.spaces import flat_space, small_space, two_valleys

BUDGETS = (2, 6, 17, 50)


def hyperband(**arguments) -> Hyperband:
    return Hyperband(flat_space(), schedule="asynchronous", **arguments)


def finish(searcher: Searcher, proposal: Proposal, loss: float | None) -> None:
    searcher.tell(Finished(proposal.key, "ok" if loss is not None else "crashed", loss))


def start(searcher: Searcher) -> Proposal:
    proposal = searcher.ask()
    assert isinstance(proposal, Proposal)
    searcher.tell(Proposed(proposal))
    return proposal


def heavy_tailed(config: Config, budget: int) -> SimulatedCurve:
    """An epoch's seconds are log-normal with sigma 2: the mean is 7 times the median, one in a hundred takes 100 times.

    They depend on the configuration only.
    """
    seconds_per_epoch = np.random.default_rng(int(config["learning_rate"] * 1e15)).lognormal(0.0, 2.0)
    losses = [two_valleys(Proposal(0, config, epoch)) for epoch in range(1, budget + 1)]
    return SimulatedCurve(np.array(losses), seconds_per_epoch * np.arange(1, budget + 1))


@pytest.mark.parametrize("kind", [Hyperband, BOHB])
def test_eight_workers_with_heavy_tailed_times_are_busy(kind: type) -> None:
    until_s = 10_000.0
    for seed in range(2):
        searcher = kind(flat_space(), seed=seed, schedule="asynchronous")
        lines = tune(searcher, executor=SimulatedExecutor(heavy_tailed, 8), time_limit=until_s).lines
        busy_s = sum(line.seconds for line in lines if isinstance(line, Finished))
        assert busy_s >= 0.95 * 8 * until_s
        assert {proposal.budget for proposal in proposals_of(lines)} == set(BUDGETS)


def expected_promotable(losses: dict[int, float], promoted: set[int], eta: int) -> list[int]:
    """Algorithm 2 by hand: who of the best floor(n / eta) has not been promoted, best first."""
    ranked = sorted((loss, config_id) for config_id, loss in losses.items())
    top = [config_id for loss, config_id in ranked[: len(losses) // eta] if loss < math.inf]
    return [config_id for config_id in top if config_id not in promoted]


@pytest.mark.parametrize("n_workers", [1, 3, 8, 50])
@pytest.mark.parametrize("failure_rate", [0.0, 0.4])
def test_promotions_match_brute_force(n_workers: int, failure_rate: float) -> None:
    """At every proposal: a promotion to the largest budget where the algorithm has one, else a new configuration."""
    lines = simulate(
        hyperband(), 500, n_workers=n_workers, failure_rate=failure_rate, rng=np.random.default_rng(n_workers)
    )
    losses: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    promoted: dict[tuple[int, int], set[int]] = defaultdict(set)
    bracket_of: dict[int, int] = {}
    for line in lines:
        if isinstance(line, Finished):
            if line.status != "cancelled":
                losses[bracket_of[line.key.config_id], line.key.budget][line.key.config_id] = loss_of(line)
            continue
        proposal = line.proposal
        options = [
            (next_budget, bracket, config_id)
            for budget, next_budget in reversed(list(pairwise(BUDGETS)))
            for bracket in range(4)
            for config_id in expected_promotable(losses[bracket, budget], promoted[bracket, budget], 3)[:1]
        ]
        if options:
            assert (proposal.budget, proposal.bracket, proposal.config_id) == options[0]
            promoted[proposal.bracket, proposal.resume_from].add(proposal.config_id)
        else:
            assert (proposal.rung, proposal.resume_from) == (0, None)
            bracket_of[proposal.config_id] = proposal.bracket


def test_new_configurations_enter_the_brackets_in_turn() -> None:
    searcher = hyperband()
    brackets = Counter()
    for _ in range(2 * (27 + 9 + 6 + 4)):  # nothing ever finishes
        proposal = start(searcher)
        brackets[proposal.bracket] += 1
        assert proposal.budget == BUDGETS[proposal.bracket]
    assert brackets == {0: 54, 1: 18, 2: 12, 3: 8}


def test_the_first_turn_holds_the_whole_portfolio() -> None:
    rng = np.random.default_rng(0)
    space = flat_space()
    portfolio = [dict(Hyperband(space, seed=int(seed)).ask().config) for seed in rng.integers(10**6, size=40)]
    searcher = Hyperband(space, portfolio=portfolio, schedule="asynchronous")
    proposals = [start(searcher) for _ in range(41)]
    assert [proposal.config for proposal in proposals[:40]] == portfolio
    assert {proposal.budget for proposal in proposals[:40]} == {2}
    assert proposals[40].bracket == 1


def test_promotions_wait_for_eta_results_and_no_longer() -> None:
    searcher = hyperband()
    first = [start(searcher) for _ in range(4)]
    finish(searcher, first[0], 0.3)
    finish(searcher, first[1], 0.2)
    assert searcher.ask().resume_from is None
    finish(searcher, first[2], None)
    promoted = start(searcher)
    assert (promoted.config_id, promoted.budget, promoted.resume_from) == (1, 6, 2)
    assert searcher.ask().resume_from is None


def test_a_configuration_that_was_promoted_keeps_its_place_and_others_may_follow() -> None:
    """Three early results promote the best of them; two better ones come later and are promoted as well."""
    searcher = hyperband()
    early = [start(searcher) for _ in range(6)]
    for proposal, loss in zip(early[:3], (0.5, 0.6, 0.7), strict=True):
        finish(searcher, proposal, loss)
    assert start(searcher).config_id == 0
    for proposal, loss in zip(early[3:], (0.2, 0.1, 0.3), strict=True):
        finish(searcher, proposal, loss)
    assert [start(searcher).config_id for _ in range(2)] == [4, 3]
    assert searcher.ask().resume_from is None


def test_what_can_be_continued_stays_few() -> None:
    """Contenders per rung are bounded by the synchronous bracket's size, however long the search is."""
    searcher = hyperband()
    rng, sizes = np.random.default_rng(0), []
    for _ in range(4000):
        proposal = start(searcher)
        finish(searcher, proposal, float(rng.random()))
        sizes.append(len(searcher.continuable()))
    assert max(sizes) < 100
    assert max(sizes[3000:]) < 1.5 * max(sizes[:1000])


def test_whoever_was_given_up_is_not_promoted_later() -> None:
    """Rank 4 is given up when one of five is good; it stays so when one of three of many more would include it."""
    rung = Rung(eta=3, n_spare=3)
    for config_id in range(5):
        rung.finish(config_id, float(config_id))
    assert rung.contenders() == [0, 1, 2, 3]
    for config_id in range(100, 140):
        rung.finish(config_id, math.inf)
    for config_id in (0, 1, 2, 3):
        assert rung.promotable() == config_id
        rung.promote(config_id)
    assert rung.promotable() is None


def test_a_space_with_nothing_new_still_reaches_the_largest_budget() -> None:
    """Seven configurations: two are promoted by the rule, then one goes on to the end."""
    for n_workers in (1, 4):
        searcher = Hyperband(small_space(), schedule="asynchronous")
        lines = simulate(searcher, 1000, n_workers=n_workers, rng=np.random.default_rng(1))
        assert searcher.ask() == Done()
        budgets = Counter(proposal.budget for proposal in proposals_of(lines))
        assert budgets[2] == 7
        assert budgets[6] >= 2
        assert budgets[50] >= 1


def test_the_end_of_a_limited_search_finishes_what_is_running() -> None:
    searcher = hyperband(min_budget=17, max_brackets=1)
    proposals = [start(searcher) for _ in range(3)]
    assert searcher.ask() == Wait()
    for proposal in proposals:
        finish(searcher, proposal, 0.1)
    last = start(searcher)
    assert (last.config_id, last.budget) == (0, 50)
    assert searcher.ask() == Wait()
    finish(searcher, last, 0.1)
    assert searcher.ask() == Done()


def test_failures_only_do_not_stop_the_search() -> None:
    lines = simulate(hyperband(), 100, failure_rate=1.0, rng=np.random.default_rng(0))
    assert {proposal.rung for proposal in proposals_of(lines)} == {0}
    assert len(proposals_of(lines)) == 100


def test_epochs_are_shared_like_in_the_synchronous_schedule() -> None:
    def epochs(schedule: str) -> Counter:
        searcher = Hyperband(flat_space(), schedule=schedule)
        spent: Counter = Counter()
        for proposal in proposals_of(simulate(searcher, 3000, n_workers=8, rng=np.random.default_rng(0))):
            spent[proposal.budget] += proposal.budget - (proposal.resume_from or 0)
        return spent

    synchronous, asynchronous = epochs("synchronous"), epochs("asynchronous")
    for budget in BUDGETS:
        share = synchronous[budget] / synchronous.total()
        assert asynchronous[budget] / asynchronous.total() == pytest.approx(share, rel=0.15)


@pytest.mark.parametrize(
    ("bracket", "rung", "budget", "resume_from"),
    [(0, 0, 6, None), (1, 0, 6, None), (0, 1, 6, None), (0, 1, 6, 2), (4, 0, 2, None), (-1, 0, 2, None)],
)
def test_a_proposal_that_fits_no_slot_is_refused(bracket, rung, budget, resume_from) -> None:
    searcher = hyperband()
    start(searcher)
    before = searcher.ask()
    wrong = Proposal(1, before.config, budget, resume_from=resume_from, bracket=bracket, rung=rung)
    with pytest.raises(ValueError, match=f"1@{budget}"):
        searcher.tell(Proposed(wrong))
    assert searcher.ask() == before


def test_a_promotion_that_skips_a_rung_is_refused() -> None:
    searcher = hyperband()
    first = start(searcher)
    finish(searcher, first, 0.1)
    with pytest.raises(ValueError, match="0@17"):
        searcher.tell(Proposed(Proposal(0, first.config, 17, resume_from=2, bracket=0, rung=1)))


def test_settings_name_the_schedule_only_when_it_is_asynchronous() -> None:
    """A directory of the synchronous schedule, begun before there was a choice, can be continued."""
    for kind in (Hyperband, BOHB):
        assert "schedule" not in kind(flat_space()).settings
        assert kind(flat_space(), schedule="asynchronous").settings["schedule"] == "asynchronous"


def test_an_unknown_schedule_is_named() -> None:
    with pytest.raises(ValueError, match="synchronous, asynchronous, got 'eventually'"):
        Hyperband(flat_space(), schedule="eventually")


def test_max_brackets_must_be_positive() -> None:
    with pytest.raises(ValueError, match="max_brackets"):
        AsynchronousSchedule((1, 3), 3, max_brackets=0)


def test_a_user_trial_takes_part_in_no_race() -> None:
    searcher = hyperband()
    config = searcher.ask().config
    own = Proposal(0, config, 50, origin="user")
    searcher.tell(Proposed(own))
    finish(searcher, own, 0.0)
    assert TrialKey(0, 50) not in searcher.continuable()
    assert searcher.ask().budget == 2
