"""What searchers share: a schedule says which budget is next, a subclass where new configurations come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.history.trial import Done, Finished, Line, Proposal, Proposed, Status, TrialKey, Wait
from autopytorch_lite.search.asynchronous import AsynchronousSchedule
from autopytorch_lite.search.brackets import BracketSchedule, Slot
from autopytorch_lite.search.ledger import Ledger, loss_of
from autopytorch_lite.search.portfolio import BASELINE_ORIGIN, ORIGIN, Portfolio
from autopytorch_lite.search.sampling import ConfigurationSampler, search_rng
from autopytorch_lite.types import Config


class Schedule(Protocol):
    """Decides who is evaluated at which budget, from losses alone; for example `brackets.BracketSchedule`."""

    def next_slot(self, *, can_grow: bool) -> Slot | Wait | Done:
        """The slot to be filled next; changes nothing. `can_grow`: whether new configurations exist."""
        ...

    def check(self, proposal: Proposal) -> None:
        """Raise a ValueError that names the trial unless the proposal fills a free slot."""
        ...

    def propose(self, proposal: Proposal, *, can_grow: bool) -> None:
        """Take in a checked proposal."""
        ...

    def finish(self, key: TrialKey, loss: float, *, can_grow: bool) -> None:
        """Take in a loss, infinite for a failure."""
        ...

    def continuable(self) -> set[TrialKey]:
        """Trials that may still be continued."""
        ...


SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
    "synchronous": BracketSchedule,
    "asynchronous": AsynchronousSchedule,
}
"""Schedules over several budgets by name."""


@dataclass(frozen=True)
class MultiFidelity:
    """Which schedule over which budgets; called with the portfolio's size it makes the schedule.

    Args:
        schedule: "synchronous" or "asynchronous".
        budgets: all rungs, epochs, ascending.
        eta: one in eta configurations is promoted.
        max_brackets: how many brackets there may be; None for no limit.

    Raises:
        ValueError: the schedule has no such name.
    """

    schedule: str
    budgets: tuple[int, ...]
    eta: float
    max_brackets: int | None

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}.")

    def __call__(self, n_first: int) -> Schedule:
        """A new schedule whose first bracket holds at least `n_first` configurations."""
        return SCHEDULES[self.schedule](self.budgets, self.eta, n_first=n_first, max_brackets=self.max_brackets)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides who is proposed, plain data; the schedule is named unless it is the synchronous one."""
        named = {} if self.schedule == "synchronous" else {"schedule": self.schedule}
        return {"budgets": list(self.budgets), "eta": self.eta, **named}


class ScheduledSearcher(ABC):
    """Fills the slots of a schedule: with the portfolio first, then with what `_new_configuration` gives.

    Before all that comes the baseline, at the full budget and outside of every race.

    Proposals without a bracket may be told as well (a user's own trials): they are remembered, and a model may learn
    from them, but they take part in no race.

    Args:
        space: what to search.
        schedule_for: makes the schedule; is given how many configurations the portfolio has.
        portfolio: configurations to start with.
        seed: of everything random, at least 0.
        settings: further arguments that decide what is proposed, plain data.
        baseline: configurations the user already trusts, evaluated first; one that was told before is not repeated.
        baseline_budget: epochs of the baseline.

    Attributes:
        space: what is searched.
        settings: plain data; two searchers of one class with equal space and settings propose the same. How many
            proposals there are to be is left out: a run may be continued to a larger number.

    Raises:
        SpaceError: an entry of portfolio or baseline is not valid in the space.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        schedule_for: Callable[[int], Schedule],
        portfolio: Sequence[Config],
        seed: int,
        settings: Mapping[str, Any],
        *,
        baseline: Sequence[Config] = (),
        baseline_budget: int = 1,
    ):
        self.space = space
        self._sampler = ConfigurationSampler(space)
        self._baseline = Portfolio(baseline, self._sampler, "Baseline")
        self._baseline_budget = baseline_budget
        self._portfolio = Portfolio(portfolio, self._sampler, without=self._baseline.entries)
        self._schedule = schedule_for(len(self._portfolio))
        self._seed = seed
        self.settings = {**settings, "seed": seed, "portfolio": [dict(entry) for entry in self._portfolio.entries]}
        if self._baseline.entries:
            self.settings["baseline"] = [dict(entry) for entry in self._baseline.entries]
        self._ledger = Ledger()

    def ask(self) -> Proposal | Wait | Done:
        """The next proposal; see `Searcher`."""
        slot = self._schedule.next_slot(can_grow=self._can_grow)
        trusted = None if isinstance(slot, Done) else self._baseline.next_unknown(self._ledger)
        if trusted is not None:
            return Proposal(len(self._ledger.configs), trusted, self._baseline_budget, origin=BASELINE_ORIGIN)
        if not isinstance(slot, Slot):
            return slot
        if slot.config_id is None:
            config_id = len(self._ledger.configs)
            config, origin = self._first_or_new(search_rng(self._seed, self._ledger.n_proposed))
        else:
            config_id = slot.config_id
            config, origin = dict(self._ledger.configs[config_id]), self._ledger.origins[config_id]
        return Proposal(config_id, config, slot.budget, slot.resume_from, origin, slot.bracket, slot.rung)

    def tell(self, line: Proposed | Finished) -> None:
        """Take in one history line; see `Searcher`."""
        self._check(line)
        self._ledger.record(line)
        if isinstance(line, Finished):
            if line.status is not Status.CANCELLED:
                self._schedule.finish(line.key, loss_of(line), can_grow=self._can_grow)
        else:
            self._schedule.propose(line.proposal, can_grow=self._can_grow)

    def open_proposals(self) -> list[Proposal]:
        """Proposals that have not finished, in the order proposed."""
        return self._ledger.open_proposals()

    def continuable(self) -> set[TrialKey]:
        """Trials whose checkpoints are still needed; see `KnowsContinuable`."""
        return self._schedule.continuable()

    def incumbent(self) -> Finished | None:
        """The best finished trial on the largest budget evaluated so far."""
        return self._ledger.incumbent()

    @abstractmethod
    def _new_configuration(self, rng: np.random.Generator) -> tuple[Config, str]:
        """A configuration and its origin. A pure function of what was told and of the generator."""

    def _check(self, line: Line) -> None:
        self._ledger.check(line)
        if isinstance(line, Finished):
            return
        self._schedule.check(line.proposal)
        if line.proposal.resume_from is None:
            try:
                self._sampler.check(line.proposal.config)
            except (SpaceError, UnknownNameError) as error:
                raise ValueError(f"Trial {line.key} must be a configuration of the space: {error}") from error

    def _first_or_new(self, rng: np.random.Generator) -> tuple[Config, str]:
        entry = self._portfolio.next_entry(self._ledger)
        return self._new_configuration(rng) if entry is None else (entry, ORIGIN)

    @property
    def _can_grow(self) -> bool:
        n_configurations = self._sampler.n_configurations
        return n_configurations is None or self._ledger.n_distinct < n_configurations
