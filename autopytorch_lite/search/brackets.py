"""Hyperband's arithmetic and the state of its brackets: which rung holds whom, who is promoted, what can be asked next.

Source: Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar (2018), "Hyperband", JMLR 18, algorithm 1. How to round, and how
to run several brackets at once, is as in HpBandSter (optimizers/hyperband.py, core/base_iteration.py, core/master.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.history.trial import Done, Proposal, TrialKey, Wait

ROUNDING = 1e-9
"""Slack for quotients that are whole numbers up to floating-point error."""
_LOWEST_RUNG = 0.9
"""A rung below min_budget by less than this factor, and not below it when rounded, is kept."""


def check_budgets(min_budget: int, max_budget: int, eta: float = 3) -> None:
    """Check what every multi-fidelity searcher is given.

    Raises:
        BudgetError: budgets are no whole numbers of epochs, out of order, or eta is below 2.
    """
    for name, budget in (("min_budget", min_budget), ("max_budget", max_budget)):
        if isinstance(budget, bool) or int(budget) != budget:
            raise BudgetError(f"{name} must be a whole number of epochs, got {budget!r}.")
    if not 1 <= min_budget <= max_budget:
        raise BudgetError(
            f"min_budget must be at least 1 epoch and at most max_budget, got {min_budget=} and {max_budget=}."
        )
    if not (math.isfinite(eta) and eta >= 2):
        raise BudgetError(f"eta, the quotient of neighbouring rungs, must be a number from 2 on, got {eta!r}.")


def check_n_brackets(max_brackets: int | None) -> None:
    """Check a limit of brackets.

    Raises:
        ValueError: it is below 1.
    """
    if max_brackets is not None and max_brackets < 1:
        raise ValueError(f"max_brackets must be None or at least 1, got {max_brackets!r}.")


def check_fits(proposal: Proposal, racing: Set[int], accepts: Callable[[Proposal], bool], rule: str) -> None:
    """Check a proposal to a schedule. One without a bracket, a user's own trial, fits unless it continues a racing one.

    Args:
        proposal: what is to be evaluated.
        racing: configurations that were proposed in a bracket; only that may continue them.
        accepts: whether a proposal with a bracket fills a free slot.
        rule: what such a proposal must do, for the message.

    Raises:
        ValueError: it does not fit; the message names the trial.
    """
    if proposal.bracket is None:
        if proposal.config_id in racing:
            raise ValueError(f"Only its bracket continues a configuration, but trial {proposal.key} has no bracket.")
    elif not accepts(proposal):
        raise ValueError(
            f"A proposal must {rule}; bracket {proposal.bracket} has no slot for trial {proposal.key} at rung "
            f"{proposal.rung}. Was the history made with other budgets, another eta or another schedule?"
        )


def rungs(min_budget: int, max_budget: int, eta: float = 3) -> tuple[int, ...]:
    """Budgets of successive halving, ascending: max_budget / eta^k, rounded, as far down as min_budget.

    A level counts as not below min_budget if it is not when rounded, and at least 0.9 min_budget before that.

    Args:
        min_budget: smallest budget that may be used, epochs.
        max_budget: the last rung, epochs.
        eta: quotient of neighbouring rungs, at least 2.

    Returns:
        Epochs, strictly ascending; the last is max_budget. rungs(1, 50, 3) is (2, 6, 17, 50), rungs(2, 52, 3) is
        (2, 6, 17, 52).

    Raises:
        BudgetError: see `check_budgets`.

    Source: HpBandSter optimizers/hyperband.py: floor(log_eta(max / min)) + 1 levels, geometric from the top. Ours:
    whole epochs, and the tolerance of the lowest level, which would be lost to rounding in rungs(2, 52, 3).
    """
    check_budgets(min_budget, max_budget, eta)
    budgets = []
    budget = float(max_budget)
    while round(budget) >= min_budget and budget >= _LOWEST_RUNG * min_budget - ROUNDING:
        budgets.append(round(budget))
        budget /= eta
    return tuple(reversed(budgets))


def bracket_sizes(n_rungs: int, number: int, eta: float = 3, n_at_least: int = 0) -> tuple[int, ...]:
    """How many configurations each rung of a bracket holds.

    Brackets repeat with period n_rungs: the first starts at the lowest of the rungs, the next one rung higher, and so
    on; the last of the period evaluates at the largest budget only.

    Args:
        n_rungs: number of budgets there are.
        number: which bracket, from 0.
        eta: one in eta configurations is promoted.
        n_at_least: the first rung is enlarged to this if it would hold fewer; the later ones follow.

    Returns:
        Sizes of the bracket's rungs, which are the last len(sizes) of all rungs. None is below 1.

    Source: Li et al. (2018), algorithm 1, with HpBandSter's rounding: n_0 = floor((s_max + 1) / (s + 1)) eta^s and
    n_i = floor(n_0 / eta^i).
    """
    s = n_rungs - 1 - number % n_rungs
    n_first = max(int(n_rungs // (s + 1) * eta**s + ROUNDING), n_at_least)
    return tuple(max(int(n_first / eta**i + ROUNDING), 1) for i in range(s + 1))


def best(losses: Mapping[int, float], n: int) -> list[int]:
    """The at most n configurations with the smallest losses, best first.

    Args:
        losses: loss by config_id; infinite if the trial failed. Failures are never chosen, however few are left.
        n: how many to choose.
    """
    ranked = sorted((loss, config_id) for config_id, loss in losses.items() if math.isfinite(loss))
    return [config_id for _, config_id in ranked[:n]]


@dataclass(frozen=True)
class Slot:
    """A free place in a bracket.

    Attributes:
        budget: epochs in total.
        bracket: number of the bracket, from 0; None outside of brackets.
        rung: number of the budget level inside the bracket, from 0.
        config_id: who is promoted into it; None asks for a new configuration.
        resume_from: budget of the trial to continue; None for a new configuration.
    """

    budget: int
    bracket: int | None = None
    rung: int | None = None
    config_id: int | None = None
    resume_from: int | None = None


class Bracket:
    """One synchronous successive-halving race: a rung must be finished before its best are promoted to the next.

    Args:
        number: number of the bracket, from 0.
        budgets: epochs of each rung, ascending.
        sizes: how many configurations each rung holds.
    """

    def __init__(self, number: int, budgets: Sequence[int], sizes: Sequence[int]):
        self.number = number
        self.budgets = tuple(budgets)
        self.sizes = tuple(sizes)
        self.is_over = False
        self._rung = 0
        self._promoted: list[int] = []  # into the current rung, not proposed yet, best first
        self._members: set[int] = set()  # of the current rung, proposed
        self._losses: dict[int, float] = {}  # of the current rung, finished

    def next_slot(self, *, can_grow: bool) -> Slot | None:
        """What this bracket wants to be evaluated next; None if it waits for running trials or is over.

        Args:
            can_grow: whether there are configurations that have not been proposed yet.
        """
        if self._promoted:
            budget, previous = self.budgets[self._rung], self.budgets[self._rung - 1]
            return Slot(budget, self.number, self._rung, self._promoted[0], previous)
        if can_grow and self._wants_new:
            return Slot(self.budgets[0], self.number, 0)
        return None

    def accepts(self, proposal: Proposal) -> bool:
        """Whether the proposal fills a free slot of the current rung."""
        if self.is_over or proposal.rung != self._rung or proposal.budget != self.budgets[self._rung]:
            return False
        if self._rung == 0:
            return self._wants_new and proposal.resume_from is None
        return proposal.config_id in self._promoted

    def fill(self, proposal: Proposal) -> None:
        """Put an accepted proposal into its slot."""
        self._members.add(proposal.config_id)
        if self._rung > 0:
            self._promoted.remove(proposal.config_id)

    def finish(self, config_id: int, loss: float) -> None:
        """Take in the loss of a member at the current rung; infinite if it failed."""
        self._losses[config_id] = loss

    def continuable(self) -> set[TrialKey]:
        """Trials that this bracket may still continue, or that a running trial of it continues."""
        waiting = {*self._promoted, *(self._members - self._losses.keys())} if self._rung > 0 else set()
        keys = {TrialKey(config_id, self.budgets[self._rung - 1]) for config_id in waiting}
        if self._rung + 1 < len(self.sizes):
            keys |= {TrialKey(config_id, self.budgets[self._rung]) for config_id in self._members}
        return keys

    def settle(self, *, can_grow: bool) -> None:
        """Promote once the current rung is full and finished. A rung of failures only ends the bracket."""
        awaits_members = bool(self._promoted) or (can_grow and self._wants_new)
        if self.is_over or awaits_members or len(self._losses) < len(self._members):
            return
        next_rung = self._rung + 1
        promoted = best(self._losses, self.sizes[next_rung]) if next_rung < len(self.sizes) else []
        if not promoted:
            self.is_over = True
            return
        self._rung, self._promoted, self._members, self._losses = next_rung, promoted, set(), {}

    @property
    def _wants_new(self) -> bool:
        return self._rung == 0 and len(self._members) < self.sizes[0]


class BracketSchedule:
    """All brackets of a search, oldest first. A new one is opened as soon as the open ones have nothing to ask.

    Proposals without a bracket (a user's own trials) take part in no race and are ignored.

    Args:
        budgets: all rungs, epochs, ascending.
        eta: one in eta configurations is promoted.
        n_first: the first bracket holds at least so many configurations.
        max_brackets: how many brackets there may be; None for no limit.

    Raises:
        ValueError: max_brackets is below 1.
    """

    def __init__(self, budgets: Sequence[int], eta: float, *, n_first: int = 0, max_brackets: int | None = None):
        check_n_brackets(max_brackets)
        self.budgets = tuple(budgets)
        self._eta = eta
        self._n_first = n_first
        self._max_brackets = max_brackets
        self._n_opened = 0
        self._open: dict[int, Bracket] = {}
        self._bracket_of: dict[TrialKey, Bracket] = {}  # of trials that have not finished
        self._racing: set[int] = set()  # configurations of all brackets

    def next_slot(self, *, can_grow: bool) -> Slot | Wait | Done:
        """The slot to be filled next. Changes nothing.

        Args:
            can_grow: whether there are configurations that have not been proposed yet.
        """
        for bracket in self._open.values():
            slot = bracket.next_slot(can_grow=can_grow)
            if slot is not None:
                return slot
        if can_grow and (self._max_brackets is None or self._n_opened < self._max_brackets):
            bracket = self._new_bracket()
            return Slot(bracket.budgets[0], bracket.number, 0)
        return Wait() if self._open else Done()

    def check(self, proposal: Proposal) -> None:
        """See `check_fits`."""
        check_fits(proposal, self._racing, self._accepts, "fill a free slot of an open bracket")

    def propose(self, proposal: Proposal, *, can_grow: bool) -> None:
        """Fill the slot of a checked proposal, opening its bracket if it is the next one."""
        if proposal.bracket == self._n_opened:
            self._open[self._n_opened] = self._new_bracket()
            self._n_opened += 1
        if proposal.bracket is not None:
            bracket = self._open[proposal.bracket]
            bracket.fill(proposal)
            self._bracket_of[proposal.key] = bracket
            self._racing.add(proposal.config_id)
        self._settle(can_grow=can_grow)

    def finish(self, key: TrialKey, loss: float, *, can_grow: bool) -> None:
        """Take in the loss of a trial, infinite if it failed."""
        bracket = self._bracket_of.pop(key, None)
        if bracket is not None:
            bracket.finish(key.config_id, loss)
            self._settle(can_grow=can_grow)

    def continuable(self) -> set[TrialKey]:
        """Trials that an open bracket may still continue."""
        return set().union(*(bracket.continuable() for bracket in self._open.values()))

    def _accepts(self, proposal: Proposal) -> bool:
        if proposal.bracket is None:
            return False
        is_next = proposal.bracket == self._n_opened
        bracket = self._new_bracket() if is_next else self._open.get(proposal.bracket)
        return bracket is not None and bracket.accepts(proposal)

    def _new_bracket(self) -> Bracket:
        n_at_least = self._n_first if self._n_opened == 0 else 0
        sizes = bracket_sizes(len(self.budgets), self._n_opened, self._eta, n_at_least)
        return Bracket(self._n_opened, self.budgets[-len(sizes) :], sizes)

    def _settle(self, *, can_grow: bool) -> None:
        for bracket in list(self._open.values()):
            bracket.settle(can_grow=can_grow)
            if bracket.is_over:
                del self._open[bracket.number]
