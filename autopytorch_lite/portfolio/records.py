"""The lines of one run, read as results: the loss and the time of each configuration at each budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.types import Config


class Outcome(NamedTuple):
    """Loss, NaN if the trial failed; and seconds from scratch, NaN if unknown."""

    loss: float
    seconds: float


@dataclass(frozen=True)
class Results:
    """What one run found out.

    Attributes:
        configs: configurations by config_id.
        budgets: every budget at which a trial was proposed, ascending.
        proposals: every proposal by its key.
        finished: what has ended by its key, cancelled evaluations aside.
    """

    configs: tuple[Config, ...]
    budgets: tuple[int, ...]
    proposals: Mapping[TrialKey, Proposal]
    finished: Mapping[TrialKey, Finished]

    def outcome(self, config_id: int, budget: int) -> Outcome | None:
        """What is known of a configuration at a budget: of its trial there, or off a longer trial's learning curve."""
        key = TrialKey(config_id, budget)
        if key in self.finished:
            return Outcome(_loss(self.finished[key]), self.seconds(key))
        longer = self._passed_by(config_id, budget)
        if longer is None:
            return None
        return Outcome(longer.curve[budget - 1], self.seconds(longer.key) * _share(longer, budget))

    def curve(self, config_id: int, budget: int) -> tuple[float, ...]:
        """The learning curve up to a budget, of the trial there or of a longer one; empty if there is none."""
        found = self.finished.get(TrialKey(config_id, budget)) or self._passed_by(config_id, budget)
        return found.curve[:budget] if found else ()

    def _passed_by(self, config_id: int, budget: int) -> Finished | None:
        """The shortest trial whose curve has the loss at the budget."""
        keys = sorted(key for key in self.finished if key.config_id == config_id and key.budget > budget)
        for key in keys:
            found = self.finished[key]
            is_whole = len(found.curve) == key.budget or found.status is Status.STOPPED
            if is_whole and len(found.curve) >= budget and math.isfinite(found.curve[budget - 1]):
                return found
        return None

    def seconds(self, key: TrialKey) -> float:
        """Seconds of a trial and of all trials it continues; NaN if one of them is not known."""
        total = 0.0
        reached: int | None = key.budget
        while reached is not None:
            part = TrialKey(key.config_id, reached)
            if part not in self.finished:
                return math.nan
            total += self.finished[part].seconds
            reached = self.proposals[part].resume_from
        return total


def results_of(lines: Iterable[Line]) -> Results:
    """The results of a run; proposals that have not finished, or were cancelled, have none."""
    proposals: dict[TrialKey, Proposal] = {}
    finished: dict[TrialKey, Finished] = {}
    for line in lines:
        if isinstance(line, Proposed):
            proposals[line.key] = line.proposal
        elif line.status is not Status.CANCELLED:
            finished[line.key] = line
    configs: dict[int, Config] = {}
    for proposal in proposals.values():
        configs.setdefault(proposal.config_id, dict(proposal.config))
    budgets = tuple(sorted({key.budget for key in proposals}))
    return Results(tuple(configs[number] for number in sorted(configs)), budgets, proposals, finished)


def _loss(finished: Finished) -> float:
    usable = finished.ok and finished.loss is not None and math.isfinite(finished.loss)
    return float(finished.loss) if usable else math.nan  # type: ignore[arg-type]


def _share(finished: Finished, budget: int) -> float:
    """Which part of the time of a trial its first epochs took."""
    of_epochs = finished.curves.get("seconds", ())
    if len(of_epochs) == finished.key.budget and sum(of_epochs) > 0:
        return sum(of_epochs[:budget]) / sum(of_epochs)
    return budget / finished.key.budget
