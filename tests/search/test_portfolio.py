from __future__ import annotations

import numpy as np
import pytest

from autopytorch_lite.errors import SpaceError
from autopytorch_lite.history.trial import Proposed
from autopytorch_lite.search import BOHB, Hyperband, RandomSearch
from autopytorch_lite.space.encode import VectorCodec
from tests.contracts.check_searcher import proposals_of, simulate
from tests.search.spaces import flat_space, tree_space


def portfolio_of(n: int) -> list[dict]:
    codec, rng = VectorCodec(flat_space()), np.random.default_rng(5)
    return [codec.sample(rng) for _ in range(n)]


@pytest.mark.parametrize("make", [BOHB, Hyperband])
@pytest.mark.parametrize("n", [1, 16, 27, 40])
def test_the_whole_portfolio_comes_first_at_the_lowest_budget_in_order(make, n: int) -> None:
    portfolio = portfolio_of(n)
    searcher = make(flat_space(), portfolio=portfolio)
    proposals = proposals_of(simulate(searcher, 60, n_workers=7, rng=np.random.default_rng(0)))
    assert [proposal.config for proposal in proposals[:n]] == portfolio
    assert {(proposal.budget, proposal.bracket, proposal.origin) for proposal in proposals[:n]} == {(2, 0, "portfolio")}
    n_first = max(n, 27)
    assert [proposal.rung for proposal in proposals if proposal.bracket == 0].count(0) == n_first
    assert all(proposal.origin != "portfolio" for proposal in proposals[n:n_first])


def test_only_the_first_bracket_is_enlarged() -> None:
    searcher = Hyperband(flat_space(), portfolio=portfolio_of(40), max_brackets=5)
    proposals = proposals_of(simulate(searcher, 1000, n_workers=3, rng=np.random.default_rng(0)))
    first_rungs = [proposal.bracket for proposal in proposals if proposal.rung == 0]
    assert [first_rungs.count(bracket) for bracket in range(5)] == [40, 9, 6, 4, 27]


def test_a_promoted_entry_keeps_its_origin() -> None:
    portfolio = portfolio_of(4)
    lines = simulate(
        Hyperband(flat_space(), portfolio=portfolio),
        60,
        loss=lambda proposal: float(proposal.config_id),
        rng=np.random.default_rng(0),
    )
    promoted = [proposal for proposal in proposals_of(lines) if proposal.config_id == 0]
    assert [(proposal.budget, proposal.origin) for proposal in promoted] == [
        (budget, "portfolio") for budget in (2, 6, 17, 50)
    ]


def test_random_search_evaluates_the_portfolio_at_the_full_budget() -> None:
    portfolio = portfolio_of(3)
    searcher = RandomSearch(flat_space(), max_budget=50, portfolio=portfolio, n_configurations=5)
    proposals = proposals_of(simulate(searcher, 100, rng=np.random.default_rng(0)))
    assert [proposal.config for proposal in proposals[:3]] == portfolio
    assert [proposal.origin for proposal in proposals] == ["portfolio"] * 3 + ["random"] * 2
    assert {proposal.budget for proposal in proposals} == {50}


def test_equal_entries_are_evaluated_once() -> None:
    first, second = portfolio_of(2)
    searcher = BOHB(flat_space(), portfolio=[first, dict(first), second, first])
    proposals = []
    for _ in range(3):
        proposals.append(searcher.ask())
        searcher.tell(Proposed(proposals[-1]))
    assert [proposal.origin for proposal in proposals] == ["portfolio", "portfolio", "random"]
    assert [proposal.config for proposal in proposals[:2]] == [first, second]


VALID = {"net": "mlp", "depth": 3, "use_dropout": False, "optimizer": "adam", "epochs": 50}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"depth": 99}, "depth"),
        ({"net": "transformer"}, "net"),
        ({"dpeth": 3}, "dpeth"),
        ({"rate": 0.5}, "rate"),
        ({"depth": None}, "depth"),
        ({"epochs": 20}, "epochs"),
    ],
)
@pytest.mark.parametrize("make", [BOHB, Hyperband, RandomSearch])
def test_a_bad_entry_is_named_at_construction(make, change: dict, names: str) -> None:
    broken = {name: value for name, value in (VALID | change).items() if value is not None}
    make(tree_space(), portfolio=[VALID])
    with pytest.raises(SpaceError, match=f"entry 1 .*{names}"):
        make(tree_space(), portfolio=[VALID, broken])


def test_a_forbidden_entry_is_refused() -> None:
    forbidden = {"net": "linear", "optimizer": "sgd", "momentum": 0.9, "epochs": 50}
    with pytest.raises(SpaceError, match=r"entry 0 .*forbidden"):
        BOHB(tree_space(), portfolio=[forbidden])
