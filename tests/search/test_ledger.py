from __future__ import annotations

import math

import pytest

from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.search import BOHB, Hyperband, RandomSearch
from autopytorch_lite.search.ledger import Ledger, loss_of
from tests.search.spaces import flat_space, tree_space


def ledger_of(*losses: tuple[int, int, float | None]) -> Ledger:
    """A ledger of finished trials (config_id, budget, loss); None is a failure."""
    ledger = Ledger()
    for config_id, budget, loss in losses:
        resume_from = None if config_id == len(ledger.configs) else max(b for b in (2, 6, 17) if b < budget)
        status = Status.OK if loss is not None else Status.CRASHED
        for line in (
            Proposed(Proposal(config_id, {"x": config_id}, budget, resume_from)),
            Finished(TrialKey(config_id, budget), status, loss),
        ):
            ledger.check(line)
            ledger.record(line)
    return ledger


def test_the_incumbent_is_best_at_the_largest_budget_that_has_a_result() -> None:
    assert Ledger().incumbent() is None
    assert ledger_of((0, 2, None)).incumbent() is None
    assert ledger_of((0, 2, 0.3), (1, 2, 0.1), (2, 2, 0.2)).incumbent().key == (1, 2)
    assert ledger_of((0, 2, 0.3), (1, 2, 0.1), (0, 6, 0.4)).incumbent().key == (0, 6)
    assert ledger_of((0, 2, 0.3), (1, 2, 0.1), (1, 6, None)).incumbent().key == (1, 2)
    assert ledger_of((0, 2, 0.1), (1, 2, 0.1)).incumbent().key == (0, 2)


def test_losses_keep_the_order_of_finishing_and_failures() -> None:
    ledger = ledger_of((0, 2, 0.3), (1, 2, None), (0, 6, 0.2))
    assert list(ledger.losses(2).items()) == [(0, 0.3), (1, math.inf)]
    assert ledger.budgets() == [6, 2]
    assert ledger.losses(50) == {}
    assert ledger.ranking(2) == [(0.3, 0), (math.inf, 1)]
    assert ledger.ranking(50) == []


@pytest.mark.parametrize("loss", [None, math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ranks_as_a_failure(loss) -> None:
    assert loss_of(Finished(TrialKey(0, 1), loss=loss)) == math.inf


def test_continuing_what_has_not_finished_is_refused() -> None:
    ledger = ledger_of((0, 2, 0.1))
    with pytest.raises(ValueError, match="0@17 continues budget 6"):
        ledger.check(Proposed(Proposal(0, {"x": 0}, 17, resume_from=6)))


def test_open_proposals_are_in_order_and_survive_cancelling() -> None:
    searcher = Hyperband(flat_space())
    proposals = []
    for _ in range(4):
        proposals.append(searcher.ask())
        searcher.tell(Proposed(proposals[-1]))
    searcher.tell(Finished(proposals[1].key, Status.CANCELLED))
    searcher.tell(Finished(proposals[2].key, Status.TIMEOUT))
    assert searcher.open_proposals() == [proposals[0], proposals[1], proposals[3]]
    searcher.tell(Finished(proposals[1].key, loss=0.1))
    assert searcher.open_proposals() == [proposals[0], proposals[3]]
    assert searcher.incumbent().key == proposals[1].key


@pytest.mark.parametrize("make", [BOHB, Hyperband, RandomSearch])
def test_a_users_own_trial_is_remembered_and_takes_part_in_no_race(make) -> None:
    searcher, space = make(flat_space()), flat_space()
    config = dict(space.get_default_configuration())
    own = Proposal(0, config, 33, origin="user")
    searcher.tell(Proposed(own))
    searcher.tell(Finished(own.key, loss=0.0))
    assert searcher.incumbent().key == (0, 33)
    following = searcher.ask()
    assert following.config_id == 1
    searcher.tell(Proposed(following))


def test_a_configuration_of_another_space_is_refused() -> None:
    searcher, foreign = BOHB(flat_space()), Hyperband(tree_space(), max_budget=50).ask()
    before = searcher.ask()
    with pytest.raises(ValueError, match=r"0@2.*net"):
        searcher.tell(Proposed(foreign))
    assert searcher.ask() == before


def test_changing_a_proposal_does_not_change_the_searcher() -> None:
    searcher = Hyperband(flat_space(), min_budget=12, eta=2)
    momentum = {}
    for _ in range(7):  # four, then two of them, then one
        proposal = searcher.ask()
        assert proposal.config["momentum"] == momentum.setdefault(proposal.config_id, proposal.config["momentum"])
        searcher.tell(Proposed(proposal))
        searcher.tell(Finished(proposal.key, loss=0.1))
        proposal.config["momentum"] = 99.0
    assert proposal.budget == 50


def test_a_configuration_has_one_open_trial_at_most() -> None:
    ledger = Ledger()
    first = Proposal(0, {"x": 1}, 2)
    for line in (Proposed(first), Finished((0, 2), loss=0.1), Proposed(Proposal(0, {"x": 1}, 6, resume_from=2))):
        ledger.check(line)
        ledger.record(line)
    with pytest.raises(ValueError, match="0@17"):
        ledger.check(Proposed(Proposal(0, {"x": 1}, 17, resume_from=2)))
