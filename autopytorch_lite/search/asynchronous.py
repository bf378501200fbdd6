"""Asynchronous promotion: a configuration goes on as soon as it is among the best of its rung so far; nobody waits.

Source: Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar (2020), "A System for Massively Parallel
Hyperparameter Tuning", MLSys, algorithm 2 (ASHA) and section 3.2 (several brackets: asynchronous Hyperband).
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence

from autopytorch_lite.history.trial import Done, Proposal, TrialKey, Wait
from autopytorch_lite.search.brackets import ROUNDING, Slot, bracket_sizes, check_fits, check_n_brackets


class Rung:
    """Results of one race at one budget. The best floor(n / eta) of n finished trials may be promoted, failures never.

    A success that ranks further than `n_spare` behind these is given up for good, so that its checkpoint can go.

    Args:
        eta: one in eta trials is promoted.
        n_spare: how many trials behind the promotable ones are kept as candidates for later.
    """

    def __init__(self, eta: float, n_spare: int):
        self.running: set[int] = set()
        self.n_promoted = 0
        self._eta = eta
        self._n_spare = n_spare
        self._n_finished = 0
        self._ranked: list[tuple[float, int]] = []  # every success, best first
        self._waiting: list[tuple[float, int]] = []  # those neither promoted nor given up, best first

    def contenders(self) -> list[int]:
        """Who may be promoted, now or later, best first."""
        return [config_id for _, config_id in self._waiting]

    def best(self) -> int | None:
        """The best one that was not promoted, whether it may be promoted yet or not."""
        return self._waiting[0][1] if self._waiting else None

    def promotable(self) -> int | None:
        """The best one that may be promoted; None if there is none."""
        is_good = bool(self._waiting) and self._rank(self._waiting[0]) < self._n_good
        return self._waiting[0][1] if is_good else None

    def finish(self, config_id: int, loss: float) -> None:
        """Take in a loss, infinite for a failure."""
        self.running.discard(config_id)
        self._n_finished += 1
        if math.isfinite(loss):
            insort(self._ranked, (loss, config_id))
            insort(self._waiting, (loss, config_id))
        while self._waiting and self._rank(self._waiting[-1]) >= self._n_good + self._n_spare:
            self._waiting.pop()

    def promote(self, config_id: int) -> None:
        """Take a contender out."""
        self._waiting = [entry for entry in self._waiting if entry[1] != config_id]
        self.n_promoted += 1

    def _rank(self, entry: tuple[float, int]) -> int:
        return bisect_left(self._ranked, entry)

    @property
    def _n_good(self) -> int:
        return int(self._n_finished / self._eta + ROUNDING)


class Race:
    """Successive halving without barriers over some rungs; configurations may enter the first one for ever.

    Args:
        number: number of the bracket, from 0.
        budgets: epochs of each rung, ascending.
        sizes: how many configurations each rung of the synchronous bracket holds; so many stay candidates here.
        eta: one in eta configurations is promoted.
    """

    def __init__(self, number: int, budgets: Sequence[int], sizes: Sequence[int], eta: float):
        self.number = number
        self.budgets = tuple(budgets)
        self.rungs = [Rung(eta, size) for size in sizes]

    def promotion_from(self, rung: int) -> Slot | None:
        """Who goes on from a rung, by the rule of the algorithm."""
        return self._slot(rung, self.rungs[rung].promotable())

    def last_promotion(self) -> Slot | None:
        """Who goes on once nothing new will enter: the best of a finished rung that was too small to promote anyone."""
        for number, rung in enumerate(self.rungs[:-1]):
            if rung.running:
                return None
            if rung.n_promoted == 0 and rung.best() is not None:
                return self._slot(number, rung.best())
        return None

    def accepts(self, proposal: Proposal) -> bool:
        """Whether the proposal promotes a contender into the next rung."""
        if proposal.rung is None or not 0 < proposal.rung < len(self.rungs):
            return False
        budgets = self.budgets[proposal.rung], self.budgets[proposal.rung - 1]
        is_contender = proposal.config_id in self.rungs[proposal.rung - 1].contenders()
        return (proposal.budget, proposal.resume_from) == budgets and is_contender

    def fill(self, config_id: int, rung: int) -> None:
        """Start a new or promoted configuration at a rung."""
        if rung > 0:
            self.rungs[rung - 1].promote(config_id)
        self.rungs[rung].running.add(config_id)

    def continuable(self) -> set[TrialKey]:
        """Trials that may still be continued here, or that a running trial continues."""
        keys: set[TrialKey] = set()
        for number, rung in enumerate(self.rungs):
            if number > 0:
                keys |= {TrialKey(config_id, self.budgets[number - 1]) for config_id in rung.running}
            if number + 1 < len(self.rungs):
                keys |= {TrialKey(config_id, self.budgets[number]) for config_id in (*rung.contenders(), *rung.running)}
        return keys

    def _slot(self, rung: int, config_id: int | None) -> Slot | None:
        if config_id is None:
            return None
        return Slot(self.budgets[rung + 1], self.number, rung + 1, config_id, self.budgets[rung])


class AsynchronousSchedule:
    """One race for each of Hyperband's brackets, all open for ever; whoever may be promoted is promoted at once.

    A free worker promotes, at the largest budget where someone may be; else it starts a new configuration. New ones
    enter the races in turn, as many at a time as the bracket's first rung holds, so that epochs are shared as in
    Hyperband. A rung with fewer than eta finished trials promotes nobody, except once nothing new can enter: then the
    best one of every such rung goes on, so that a search of few configurations reaches the largest budget too.

    Proposals without a bracket (a user's own trials) take part in no race and are ignored.

    Args:
        budgets: all rungs, epochs, ascending.
        eta: one in eta configurations is promoted.
        n_first: the first turn has at least so many configurations.
        max_brackets: new configurations enter in so many turns; None for no limit.

    Raises:
        ValueError: max_brackets is below 1.
    """

    def __init__(self, budgets: Sequence[int], eta: float, *, n_first: int = 0, max_brackets: int | None = None):
        check_n_brackets(max_brackets)
        n_rungs = len(budgets)
        self.budgets = tuple(budgets)
        self._max_brackets = max_brackets
        self._sizes = [bracket_sizes(n_rungs, number, eta) for number in range(n_rungs)]
        self._races = [Race(number, self.budgets[number:], sizes, eta) for number, sizes in enumerate(self._sizes)]
        self._turn = 0
        self._n_left = max(self._sizes[0][0], n_first)  # new configurations of this turn
        self._place_of: dict[TrialKey, tuple[Race, int]] = {}  # of trials that have not finished
        self._racing: set[int] = set()  # configurations of all races

    def next_slot(self, *, can_grow: bool) -> Slot | Wait | Done:
        """The slot to be filled next: a promotion, else a new configuration. Changes nothing."""
        slot = self._promotion()
        if slot is None and can_grow and self._wants_new:
            return Slot(self._entered.budgets[0], self._entered.number, 0)
        if slot is None:
            slot = next(filter(None, (race.last_promotion() for race in self._races)), None)
        if slot is None:
            return Wait() if self._place_of else Done()
        return slot

    def check(self, proposal: Proposal) -> None:
        """See `check_fits`."""
        check_fits(proposal, self._racing, self._accepts, "promote a contender or enter the race whose turn it is")

    def propose(self, proposal: Proposal, *, can_grow: bool) -> None:
        """Fill the slot of a checked proposal."""
        if proposal.bracket is None or proposal.rung is None:
            return
        race = self._races[proposal.bracket]
        race.fill(proposal.config_id, proposal.rung)
        self._place_of[proposal.key] = race, proposal.rung
        self._racing.add(proposal.config_id)
        if proposal.rung == 0:
            self._count_new()

    def finish(self, key: TrialKey, loss: float, *, can_grow: bool) -> None:
        """Take in the loss of a trial, infinite if it failed."""
        if key in self._place_of:
            race, rung = self._place_of.pop(key)
            race.rungs[rung].finish(key.config_id, loss)

    def continuable(self) -> set[TrialKey]:
        """Trials that may still be continued: running ones and, in each rung, a bounded number of contenders."""
        return set().union(*(race.continuable() for race in self._races))

    def _promotion(self) -> Slot | None:
        """The promotion to the largest budget; of several races the first."""
        for budget in range(len(self.budgets) - 2, -1, -1):
            for race in self._races[: budget + 1]:
                slot = race.promotion_from(budget - race.number)
                if slot is not None:
                    return slot
        return None

    def _accepts(self, proposal: Proposal) -> bool:
        if proposal.bracket is None or not 0 <= proposal.bracket < len(self._races):
            return False
        race = self._races[proposal.bracket]
        if proposal.rung != 0:
            return race.accepts(proposal)
        is_new = proposal.resume_from is None and proposal.budget == race.budgets[0]
        return is_new and self._wants_new and race is self._entered

    def _count_new(self) -> None:
        self._n_left -= 1
        if self._n_left == 0:
            self._turn += 1
            self._n_left = self._sizes[self._entered.number][0]

    @property
    def _entered(self) -> Race:
        """The race that new configurations enter now."""
        return self._races[self._turn % len(self._races)]

    @property
    def _wants_new(self) -> bool:
        return self._max_brackets is None or self._turn < self._max_brackets
