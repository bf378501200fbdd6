"""Random search at the largest budget: the baseline every other searcher has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.history.trial import EARLIER_RUN, Done, Proposal, TrialKey, Wait
from autopytorch_lite.search.brackets import Slot, check_budgets
from autopytorch_lite.search.scheduled import ScheduledSearcher
from autopytorch_lite.types import Config


class FullBudget:
    """The schedule of random search: every configuration at one budget, none promoted.

    Args:
        budget: epochs.
        n_configurations: how many there are to be; None for no limit.

    Raises:
        ValueError: n_configurations is below 1.
    """

    def __init__(self, budget: int, n_configurations: int | None = None):
        if n_configurations is not None and n_configurations < 1:
            raise ValueError(f"n_configurations must be None or at least 1, got {n_configurations!r}.")
        self._budget = budget
        self._n_configurations = n_configurations
        self._n_proposed = 0

    def next_slot(self, *, can_grow: bool) -> Slot | Wait | Done:
        """A slot for a new configuration as long as there are any."""
        is_full = self._n_configurations is not None and self._n_proposed >= self._n_configurations
        return Slot(self._budget) if can_grow and not is_full else Done()

    def check(self, proposal: Proposal) -> None:
        """Every proposal that the ledger accepts is fine."""

    def propose(self, proposal: Proposal, *, can_grow: bool) -> None:
        """Count the proposal, unless another run made it."""
        self._n_proposed += proposal.origin != EARLIER_RUN

    def finish(self, key: TrialKey, loss: float, *, can_grow: bool) -> None:
        """Nothing follows from a loss."""

    def continuable(self) -> set[TrialKey]:
        """None: every trial is whole."""
        return set()


class RandomSearch(ScheduledSearcher):
    """Random configurations, each evaluated at the largest budget; no configuration twice.

    Args:
        space: what to search.
        max_budget: epochs of every trial.
        portfolio: configurations to evaluate first.
        baseline: configurations you already trust, evaluated before everything else.
        seed: of everything random.
        n_configurations: the search is done after so many, baseline and portfolio included; None: only when the space
            has nothing new.

    Raises:
        BudgetError: max_budget is not a whole number of at least one epoch.
        SpaceError: an entry of portfolio or baseline is not valid in the space.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        max_budget: int = 50,
        portfolio: Sequence[Config] = (),
        baseline: Sequence[Config] = (),
        seed: int = 0,
        n_configurations: int | None = None,
    ):
        check_budgets(1, max_budget)
        super().__init__(
            space,
            lambda n_first: FullBudget(max_budget, n_configurations),
            portfolio,
            seed,
            {"max_budget": max_budget},
            baseline=baseline,
            baseline_budget=max_budget,
        )

    def _new_configuration(self, rng: np.random.Generator) -> tuple[Config, str]:
        return self._sampler.sample(rng, self._ledger.knows), "random"
