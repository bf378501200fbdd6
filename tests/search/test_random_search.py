from __future__ import annotations

import numpy as np
import pytest

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.history.trial import Done, Proposed
from autopytorch_lite.search import RandomSearch
from tests.search.spaces import flat_space


def test_done_after_the_number_asked_for_even_while_trials_run() -> None:
    searcher = RandomSearch(flat_space(), n_configurations=3)
    for _ in range(3):
        searcher.tell(Proposed(searcher.ask()))
    assert searcher.ask() == Done()
    assert len(searcher.open_proposals()) == 3


def test_a_longer_search_starts_with_the_shorter_one() -> None:
    def configs(n: int) -> list[dict]:
        searcher = RandomSearch(flat_space(), seed=7, n_configurations=n)
        found = []
        while searcher.ask() != Done():
            found.append(searcher.ask().config)
            searcher.tell(Proposed(searcher.ask()))
        return found

    assert configs(10)[:4] == configs(4)
    assert len(np.unique([config["momentum"] for config in configs(10)])) == 10


@pytest.mark.parametrize("max_budget", [0, 2.5, -3])
def test_bad_budget(max_budget) -> None:
    with pytest.raises(BudgetError, match="max_budget"):
        RandomSearch(flat_space(), max_budget=max_budget)


def test_bad_number_of_configurations() -> None:
    with pytest.raises(ValueError, match="n_configurations"):
        RandomSearch(flat_space(), n_configurations=0)
