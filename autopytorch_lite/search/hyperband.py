"""Hyperband: successive halving of random configurations, in brackets that start at different budgets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.search.brackets import BracketSchedule, rungs
from autopytorch_lite.search.scheduled import ScheduledSearcher
from autopytorch_lite.types import Config


class Hyperband(ScheduledSearcher):
    """Hyperband over brackets that are opened as workers need them.

    Args:
        space: what to search.
        min_budget: smallest budget that may be used, epochs.
        max_budget: largest budget, epochs; the last rung of every bracket.
        eta: quotient of neighbouring rungs; one in eta configurations is promoted.
        portfolio: configurations to evaluate first, all at the lowest budget; the first bracket is enlarged if needed.
        seed: of everything random.
        max_brackets: the search is done after so many brackets; None: only when the space has nothing new.

    Raises:
        BudgetError: budgets or eta contradict each other.
        SpaceError: a portfolio entry is not valid in the space.

    Source: Li et al. (2018), "Hyperband", JMLR 18.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        min_budget: int = 1,
        max_budget: int = 50,
        eta: float = 3,
        portfolio: Sequence[Config] = (),
        seed: int = 0,
        max_brackets: int | None = None,
    ):
        budgets = rungs(min_budget, max_budget, eta)
        super().__init__(
            space,
            lambda n_first: BracketSchedule(budgets, eta, n_first=n_first, max_brackets=max_brackets),
            portfolio,
            seed,
            {"budgets": list(budgets), "eta": eta},
        )

    def _new_configuration(self, rng: np.random.Generator) -> tuple[Config, str]:
        return self._sampler.sample(rng, self._ledger.knows), "random"
