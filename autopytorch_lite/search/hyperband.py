"""Hyperband: successive halving of random configurations, in brackets that start at different budgets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.search.brackets import rungs
from autopytorch_lite.search.scheduled import MultiFidelity, ScheduledSearcher
from autopytorch_lite.types import Config


class Hyperband(ScheduledSearcher):
    """Hyperband over brackets that are opened as workers need them.

    Args:
        space: what to search.
        min_budget: smallest budget that may be used, epochs.
        max_budget: largest budget, epochs; the last rung of every bracket.
        eta: quotient of neighbouring rungs; one in eta configurations is promoted.
        portfolio: configurations to evaluate first, all at the lowest budget; the first bracket is enlarged if needed.
        baseline: configurations you already trust, evaluated before everything else at the largest budget.
        seed: of everything random.
        max_brackets: the search is done after so many brackets; None: only when the space has nothing new.
        schedule: "synchronous": a rung is finished before its best are promoted, and a free worker opens another
            bracket; "asynchronous": whoever is among the best so far is promoted at once. Neither lets a worker wait
            while there are new configurations.

    Raises:
        BudgetError: budgets or eta contradict each other.
        SpaceError: an entry of portfolio or baseline is not valid in the space.
        ValueError: the schedule has no such name.

    Source: Li et al. (2018), "Hyperband", JMLR 18; Li et al. (2020), "A System for Massively Parallel Hyperparameter
    Tuning", MLSys, for the asynchronous schedule.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        min_budget: int = 1,
        max_budget: int = 50,
        eta: float = 3,
        portfolio: Sequence[Config] = (),
        baseline: Sequence[Config] = (),
        seed: int = 0,
        max_brackets: int | None = None,
        schedule: str = "synchronous",
    ):
        fidelity = MultiFidelity(schedule, rungs(min_budget, max_budget, eta), eta, max_brackets)
        super().__init__(
            space,
            fidelity,
            portfolio,
            seed,
            fidelity.settings,
            baseline=baseline,
            baseline_budget=max_budget,
        )

    def _new_configuration(self, rng: np.random.Generator) -> tuple[Config, str]:
        return self._sampler.sample(rng, self._ledger.knows), "random"
