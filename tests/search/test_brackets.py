from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.history.trial import Done, Finished, Line, Proposal, Proposed, TrialKey, Wait
from autopytorch_lite.search import BOHB, Hyperband
from autopytorch_lite.search.brackets import Bracket, BracketSchedule, Slot, best, bracket_sizes, rungs
from autopytorch_lite.search.ledger import loss_of
from tests.contracts.check_searcher import simulate
from tests.search.spaces import flat_space, small_space

RUNGS = {
    (1, 50, 3): (2, 6, 17, 50),
    (2, 52, 3): (2, 6, 17, 52),  # 52 / 27 = 1.93
    (2, 50, 3): (2, 6, 17, 50),
    (2, 48, 3): (5, 16, 48),  # 48 / 27 = 1.78
    (10, 50, 2): (12, 25, 50),
    (12, 50, 2): (12, 25, 50),
    (13, 50, 2): (25, 50),
    (1, 81, 3): (1, 3, 9, 27, 81),
    (1, 27, 3): (1, 3, 9, 27),
    (1, 243, 3): (1, 3, 9, 27, 81, 243),
    (1, 1000, 10): (1, 10, 100, 1000),
    (5, 5, 3): (5,),
    (1, 1, 3): (1,),
    (1, 2, 2): (1, 2),
    (1, 50, 2.5): (1, 3, 8, 20, 50),
}
SIZES = {  # (n_rungs, eta) -> sizes of the brackets of one period
    (3, 2): [(4, 2, 1), (2, 1), (3,)],  # A, B, C of the paper's setting
    (4, 3): [(27, 9, 3, 1), (9, 3, 1), (6, 2), (4,)],
    (5, 3): [(81, 27, 9, 3, 1), (27, 9, 3, 1), (9, 3, 1), (6, 2), (5,)],
    (1, 3): [(1,)],
    (4, 2.5): [(15, 6, 2, 1), (6, 2, 1), (5, 2), (4,)],
}


@pytest.mark.parametrize(("arguments", "expected"), RUNGS.items())
def test_rung_table(arguments, expected) -> None:
    assert rungs(*arguments) == expected


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_rungs_ascend_from_the_smallest_allowed_to_the_largest(eta: int) -> None:
    for max_budget in range(1, 130):
        for min_budget in range(1, max_budget + 1):
            budgets = rungs(min_budget, max_budget, eta)
            assert list(budgets) == sorted(set(budgets))
            assert budgets[-1] == max_budget
            assert budgets[0] >= min_budget
            assert max_budget / eta ** (len(budgets) - 1) >= 0.9 * min_budget - 1e-9
            too_low = max_budget / eta ** len(budgets)
            assert round(too_low) < min_budget or too_low < 0.9 * min_budget


@pytest.mark.parametrize(
    ("min_budget", "max_budget", "eta"),
    [(0, 50, 3), (-1, 50, 3), (51, 50, 3), (1.5, 50, 3), (1, 50.5, 3), (1, 50, 1.5), (1, 50, math.nan), (True, 50, 3)],
)
def test_bad_budgets_name_the_culprit(min_budget, max_budget, eta) -> None:
    with pytest.raises(BudgetError, match=r"budget|eta"):
        BOHB(flat_space(), min_budget=min_budget, max_budget=max_budget, eta=eta)


@pytest.mark.parametrize(("arguments", "expected"), SIZES.items())
def test_bracket_table(arguments, expected) -> None:
    n_rungs, eta = arguments
    assert [bracket_sizes(n_rungs, number, eta) for number in range(n_rungs)] == expected
    assert bracket_sizes(n_rungs, n_rungs, eta) == expected[0]


def test_enlarged_bracket() -> None:
    assert bracket_sizes(4, 0, 3, n_at_least=40) == (40, 13, 4, 1)
    assert bracket_sizes(4, 0, 3, n_at_least=16) == (27, 9, 3, 1)


def test_best_ranks_by_loss_then_number_and_leaves_failures_out() -> None:
    losses = {4: 0.5, 7: 0.1, 2: 0.5, 9: math.inf, 1: 0.9}
    assert best(losses, 3) == [7, 2, 4]
    assert best(losses, 10) == [7, 2, 4, 1]
    assert best({1: math.inf}, 1) == []


def fill(bracket: Bracket, losses: dict[int, float]) -> None:
    rung = bracket.next_slot(can_grow=True).rung
    for config_id in losses:
        bracket.fill(Proposal(config_id, {}, bracket.budgets[rung], bracket=0, rung=rung))
    for config_id, loss in losses.items():
        bracket.finish(config_id, loss)
    bracket.settle(can_grow=True)


def test_a_rung_of_failures_ends_the_bracket() -> None:
    bracket = Bracket(0, (2, 6, 17), (4, 2, 1))
    fill(bracket, dict.fromkeys(range(4), math.inf))
    assert bracket.is_over
    assert bracket.next_slot(can_grow=True) is None


def test_few_successes_are_promoted_without_failures() -> None:
    bracket = Bracket(0, (2, 6, 17), (4, 2, 1))
    fill(bracket, {0: math.inf, 1: math.inf, 2: 0.3, 3: math.inf})
    assert bracket.next_slot(can_grow=True) == Slot(6, 0, 1, config_id=2, resume_from=2)
    fill(bracket, {2: math.inf})
    assert bracket.is_over


def test_failures_only_do_not_stop_the_search() -> None:
    lines = simulate(Hyperband(flat_space()), 100, failure_rate=1.0, rng=np.random.default_rng(0))
    proposals = [line.proposal for line in lines if isinstance(line, Proposed)]
    assert len(proposals) == 100
    assert {proposal.rung for proposal in proposals} == {0}


def members_by_rung(lines: list[Line]) -> dict[tuple[int, int], list[Proposal]]:
    members = defaultdict(list)
    for line in lines:
        if isinstance(line, Proposed):
            members[line.proposal.bracket, line.proposal.rung].append(line.proposal)
    return members


@pytest.mark.parametrize("n_workers", [1, 3, 8, 50])
@pytest.mark.parametrize("failure_rate", [0.0, 0.4, 0.8])
def test_promotions_match_brute_force(n_workers: int, failure_rate: float) -> None:
    searcher = Hyperband(flat_space(), max_brackets=9)
    rng = np.random.default_rng(n_workers)
    lines = simulate(searcher, 10_000, n_workers=n_workers, failure_rate=failure_rate, rng=rng)
    assert searcher.ask() == Done()
    losses = {line.key: loss_of(line) for line in lines if isinstance(line, Finished)}
    members = members_by_rung(lines)
    for number in range(9):
        sizes = bracket_sizes(4, number, 3)
        budgets = (2, 6, 17, 50)[-len(sizes) :]
        expected = {proposal.config_id for proposal in members[number, 0]}
        assert len(expected) == sizes[0]
        for rung, budget in enumerate(budgets):
            assert {proposal.config_id for proposal in members[number, rung]} == expected
            assert {proposal.budget for proposal in members[number, rung]} <= {budget}
            ranked = sorted((losses[TrialKey(config_id, budget)], config_id) for config_id in expected)
            n_next = sizes[rung + 1] if rung + 1 < len(sizes) else 0
            expected = {config_id for loss, config_id in ranked[:n_next] if loss < math.inf}


def test_equal_losses_promote_the_lower_numbers() -> None:
    searcher = Hyperband(flat_space(), max_brackets=1)
    lines = simulate(searcher, 1000, n_workers=5, loss=lambda proposal: 1.0, rng=np.random.default_rng(0))
    members = members_by_rung(lines)
    assert [proposal.config_id for proposal in members[0, 1]] == list(range(9))
    assert [proposal.config_id for proposal in members[0, 3]] == [0]


def test_promoted_trials_continue_the_previous_budget() -> None:
    lines = simulate(Hyperband(flat_space(), max_brackets=1), 1000, rng=np.random.default_rng(0))
    previous = {2: None, 6: 2, 17: 6, 50: 17}
    assert all(
        line.proposal.resume_from == previous[line.proposal.budget] for line in lines if isinstance(line, Proposed)
    )


def test_workers_never_wait_while_brackets_may_be_opened() -> None:
    searcher = Hyperband(flat_space())
    answers = []
    for _ in range(200):  # nothing ever finishes
        answers.append(searcher.ask())
        searcher.tell(Proposed(answers[-1]))
    assert {answer.rung for answer in answers} == {0}
    assert [answer.bracket for answer in answers] == sorted(answer.bracket for answer in answers)
    assert len(searcher.open_proposals()) == 200


def test_promotions_go_before_new_configurations() -> None:
    searcher = Hyperband(flat_space())
    first = []
    for _ in range(27):
        first.append(searcher.ask())
        searcher.tell(Proposed(first[-1]))
    other = searcher.ask()
    searcher.tell(Proposed(other))
    assert (other.bracket, other.budget) == (1, 6)
    for proposal in first:
        searcher.tell(Finished(proposal.key, loss=-proposal.config_id))
    promoted = searcher.ask()
    assert (promoted.bracket, promoted.rung, promoted.config_id, promoted.resume_from) == (0, 1, 26, 2)


def test_waits_for_running_trials_when_no_bracket_may_be_opened() -> None:
    searcher = Hyperband(flat_space(), min_budget=25, max_brackets=1, eta=2)
    proposals = []
    while not isinstance(answer := searcher.ask(), Wait):
        proposals.append(answer)
        searcher.tell(Proposed(answer))
    assert len(proposals) == 2
    for proposal in proposals:
        searcher.tell(Finished(proposal.key, loss=0.1))
    last = searcher.ask()
    searcher.tell(Proposed(last))
    assert searcher.ask() == Wait()
    searcher.tell(Finished(last.key, loss=0.1))
    assert searcher.ask() == Done()


@pytest.mark.parametrize("n_workers", [1, 4])
def test_a_space_with_nothing_new_ends_the_search_after_promotions(n_workers: int) -> None:
    searcher = Hyperband(small_space())
    lines = simulate(searcher, 1000, n_workers=n_workers, rng=np.random.default_rng(0))
    members = members_by_rung(lines)
    assert searcher.ask() == Done()
    assert {(key, len(value)) for key, value in members.items()} == {((0, 0), 7), ((0, 1), 7), ((0, 2), 3), ((0, 3), 1)}


@pytest.mark.parametrize(
    ("bracket", "rung", "budget"), [(0, 0, 6), (0, 1, 6), (1, 1, 17), (2, 0, 17), (-1, 0, 2), (0, None, 2)]
)
def test_a_proposal_that_fits_no_slot_is_refused(bracket, rung, budget) -> None:
    searcher = Hyperband(flat_space())
    first = searcher.ask()
    searcher.tell(Proposed(first))
    before = searcher.ask()
    wrong = Proposal(1, before.config, budget, bracket=bracket, rung=rung)
    with pytest.raises(ValueError, match=f"1@{budget}"):
        searcher.tell(Proposed(wrong))
    assert searcher.ask() == before


def test_a_finished_configuration_does_not_enter_a_first_rung() -> None:
    searcher = Hyperband(flat_space())
    first = searcher.ask()
    searcher.tell(Proposed(first))
    searcher.tell(Finished(first.key, loss=0.1))
    again = Proposal(0, first.config, 6, resume_from=2, bracket=1, rung=0)
    with pytest.raises(ValueError, match="0@6"):
        searcher.tell(Proposed(again))


@pytest.mark.parametrize("schedule", ["synchronous", "asynchronous"])
def test_a_trial_outside_of_brackets_does_not_take_a_promotion_away(schedule: str) -> None:
    searcher = Hyperband(flat_space(), schedule=schedule)
    first = searcher.ask()
    searcher.tell(Proposed(first))
    searcher.tell(Finished(first.key, loss=0.1))
    before = searcher.ask()
    with pytest.raises(ValueError, match="0@6"):
        searcher.tell(Proposed(Proposal(0, first.config, 6, resume_from=2, origin="user")))
    assert searcher.ask() == before
    own = Proposal(1, before.config, 2, origin="user")
    for line in (Proposed(own), Finished(own.key, loss=0.1), Proposed(replace(own, budget=6, resume_from=2))):
        searcher.tell(line)
    assert searcher.open_proposals() == [replace(own, budget=6, resume_from=2)]


def test_other_budgets_than_the_history_was_made_with_are_refused() -> None:
    lines = simulate(Hyperband(flat_space(), max_budget=50), 5, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="0@2"):
        Hyperband(flat_space(), max_budget=100, min_budget=4).tell(lines[0])


def test_max_brackets_must_be_positive() -> None:
    with pytest.raises(ValueError, match="max_brackets"):
        BracketSchedule((1, 3), 3, max_brackets=0)
