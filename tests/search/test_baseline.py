"""Configurations the user already trusts come before everything else."""

from __future__ import annotations

import numpy as np
import pytest

from autopytorch_lite.errors import SpaceError
from autopytorch_lite.history.trial import Done, Finished, Proposal, Proposed
from autopytorch_lite.search import BOHB, Hyperband, RandomSearch
from autopytorch_lite.space.encode import VectorCodec
from tests.contracts.check_searcher import check_searcher, proposals_of, simulate
from tests.search.spaces import flat_space

SEARCHERS = [BOHB, Hyperband, RandomSearch]


def configs_of(n: int) -> list[dict]:
    codec, rng = VectorCodec(flat_space()), np.random.default_rng(5)
    return [codec.sample(rng) for _ in range(n)]


@pytest.mark.parametrize("make", SEARCHERS)
def test_the_baseline_is_evaluated_first_at_the_full_budget(make) -> None:
    trusted, other = configs_of(5)[:2], configs_of(5)[2:]
    searcher = make(flat_space(), max_budget=50, baseline=trusted, portfolio=[*other, trusted[0]])
    proposals = proposals_of(simulate(searcher, 12, n_workers=3, rng=np.random.default_rng(0)))
    assert [proposal.config for proposal in proposals[:5]] == [*trusted, *other]
    assert [(p.budget, p.origin, p.bracket) for p in proposals[:2]] == [(50, "user", None)] * 2
    assert [proposal.origin for proposal in proposals[2:5]] == ["portfolio"] * 3


@pytest.mark.parametrize("make", SEARCHERS)
@pytest.mark.parametrize("schedule", ["synchronous", "asynchronous"])
def test_searchers_with_a_baseline_keep_the_contract(make, schedule: str) -> None:
    trusted = configs_of(3)
    further = {} if make is RandomSearch else {"schedule": schedule}
    check_searcher(lambda: make(flat_space(), baseline=trusted, portfolio=configs_of(6), **further), flat_space())


@pytest.mark.parametrize("make", SEARCHERS)
def test_a_trusted_configuration_that_was_told_is_not_repeated(make) -> None:
    trusted = configs_of(2)
    searcher = make(flat_space(), baseline=trusted)
    searcher.tell(Proposed(Proposal(0, trusted[0], 50, origin="user")))
    searcher.tell(Finished((0, 50), loss=0.5))
    assert searcher.ask() == Proposal(1, trusted[1], 50, origin="user")


def test_the_baseline_counts_as_configurations_and_is_a_setting() -> None:
    searcher = RandomSearch(flat_space(), baseline=configs_of(2), n_configurations=2)
    simulate(searcher, 10, rng=np.random.default_rng(0))
    assert searcher.ask() == Done()
    assert searcher.settings["baseline"] == configs_of(2)
    assert "baseline" not in RandomSearch(flat_space()).settings


def test_a_bad_entry_is_named() -> None:
    broken = configs_of(1)[0] | {"num_layers": 99}
    with pytest.raises(SpaceError, match=r"Baseline entry 1 .*num_layers"):
        BOHB(flat_space(), baseline=[configs_of(1)[0], broken])
