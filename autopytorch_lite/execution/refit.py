"""After the search: members of the ensemble are trained once more, on all rows, those held out for validation included.

A configuration is trained as it was in the search, for as many epochs; where validation rows chose the epoch, for that
many, as there are no unseen rows left to choose by. Some are trained for longer, if that takes no more of the time than
their share of the votes: trees of a small budget, which are few or take large steps, to the largest one; networks that
were still improving when their budget ended to twice as many epochs. As far as time goes, those that decide most are
trained several times, from different beginnings, as the mean of such models errs less. The files of these models lie
apart from those of the trials, which keep their meaning: a trial's predictions are of rows it has not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from autopytorch_lite.execution.base import Checkpoint, Executor, Result
from autopytorch_lite.execution.tabular import TabularObjective, fold_folder, load_dataset, rows_of
from autopytorch_lite.history.events import Event, EventKind
from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, TrialKey
from autopytorch_lite.pipeline.build import build_learner
from autopytorch_lite.pipeline.learner import BEGAN_ANEW, FULL_COST, FitSettings, Rows
from autopytorch_lite.types import Config

ORIGIN = "refit"
SAFETY = 1.15
"""More than a training is expected to take."""
LATENCY_S = 0.5
"""Seconds until workers have the rows."""
STALLED = 0.01
"""A search has stalled if its loss falls by a smaller share than this in as much time as training on all rows takes:
about what that brings."""
MIN_SHARE = 0.5
"""Of the votes that members trained again must have; with fewer, the search makes more of the time."""
MIN_WEIGHT = 0.02
"""Members with less are left as they are. Those that hedge an ensemble have a third of a twentieth; see
`ensemble.selection.hedged`."""
MIN_WEIGHT_AGAIN = 0.1
"""Members with less are trained once."""
STILL_IMPROVING = 0.85
"""A network whose best epoch comes after this share of its budget was ended by that, and by nothing else."""
LONGER = 2
"""It is trained for so many times its epochs."""


@dataclass(frozen=True)
class Refit:
    """A member to train on all rows.

    Attributes:
        key: of its trial.
        config: the trial's configuration.
        budget: of the training: the trial's, or a larger one.
        n_epochs: of the training: the budget, or the epoch that the validation rows chose.
        seconds: what it will take, by what the trial took, and those that it continued, until the epoch that is kept.
        weight: share of the vote.
        number: of the member's trainings, from 0.
    """

    key: TrialKey
    config: Config
    budget: int
    n_epochs: int
    seconds: float
    weight: float
    number: int = 0

    @property
    def proposal(self) -> Proposal:
        """What an executor is given; its files get the name of the trial."""
        return Proposal(self.key.config_id, self.config, self.key.budget, origin=ORIGIN)


@dataclass(frozen=True)
class RefitObjective:
    """Trains a configuration on all rows of a data set.

    Attributes:
        searched: how trials of the search were trained.
        refits: what is trained, by its trial.
    """

    searched: TabularObjective
    refits: Mapping[TrialKey, Refit]

    def __call__(self, config: Config, budget: int, checkpoint: Checkpoint) -> Result:
        """Train and keep the model in the checkpoint's folder.

        The loss is of rows that were learned from; it says that the training went well, and no more.
        """
        asked, refit = self.searched, self.refits[TrialKey(checkpoint.config_id, budget)]
        dataset = load_dataset(asked.data_folder, asked.fingerprint)
        learner = build_learner(asked.graph, config, dataset.info)
        seed = int(np.random.default_rng([asked.seed, 1, *refit.key, refit.number]).integers(2**31))
        how = (asked.metric, asked.device, asked.precision, asked.n_threads)
        settings = FitSettings(asked.max_budget, seed, *how, keep_epoch=refit.n_epochs)
        rows = _all_rows(asked.data_folder, asked.fingerprint)
        seen = rows_of(dataset, dataset.folds[0].val_idx)
        outcome = learner.fit(rows, seen, budget=refit.budget, settings=settings)
        folder = fold_folder(checkpoint.folder, 0)
        folder.mkdir()
        learner.save(folder)
        return Result(loss=outcome.curve[-1])


@lru_cache(maxsize=1)
def _all_rows(data_folder: str, fingerprint: str) -> Rows:
    dataset = load_dataset(data_folder, fingerprint)
    return rows_of(dataset, np.arange(len(dataset)))


@dataclass
class RefitPlanner:
    """Knows from the history what the members of an ensemble take to be trained on all rows; a fold over it.

    Attributes:
        growth: all rows, for each that a trial was trained on; one of several folds counts in each of them.
        max_budget: epochs of a full training.
    """

    growth: float
    max_budget: int
    _configs: dict[int, Config] = field(default_factory=dict)
    _finished: dict[int, dict[int, Finished]] = field(default_factory=dict)

    def tell(self, line: Line) -> None:
        """Take in one line of the history."""
        if isinstance(line, Proposed):
            self._configs[line.key.config_id] = line.proposal.config
        elif line.ok:
            self._finished.setdefault(line.key.config_id, {})[line.key.budget] = line

    def extend(self, lines: Iterable[Line]) -> None:
        """Take in many."""
        for line in lines:
            self.tell(line)

    def watch(self, event: Event) -> None:
        """Callback of a search that goes on from the lines it was told: take in what ended."""
        if event.kind is EventKind.EVALUATION_END and event.finished is not None:
            if event.proposal is not None:
                self.tell(Proposed(event.proposal))
            self.tell(event.finished)

    def plan(
        self, weights: Mapping[TrialKey, float], *, n_trainings: int = 1, seconds: float = math.inf
    ) -> list[Refit]:
        """What training members takes, in the order in which they are worth it: most weight for each second first.

        Those of hardly any weight are not among them. After all others come those that are trained again.

        Args:
            weights: of the members.
            n_trainings: of a member of some weight, at most.
            seconds: of all workers together, of which a training to a larger budget may take its share of the votes.
        """
        refits = [
            self._refit(key, weight, seconds)
            for key, weight in weights.items()
            if self._knows(key) and weight >= MIN_WEIGHT
        ]
        once = sorted(refits, key=lambda refit: (-refit.weight / max(refit.seconds, 0.05), refit.key))
        heavy = [refit for refit in once if refit.weight >= MIN_WEIGHT_AGAIN]
        return once + [replace(refit, number=number) for number in range(1, n_trainings) for refit in heavy]

    def _knows(self, key: TrialKey) -> bool:
        return key.config_id in self._configs and key.budget in self._finished.get(key.config_id, {})

    def _refit(self, key: TrialKey, weight: float, seconds: float) -> Refit:
        """To a larger budget, if that pays and takes no more than its share, else to the trial's."""
        as_searched = self._as_searched(key, weight)
        longer = self._longer(as_searched) or self._in_full(as_searched)
        return longer if SAFETY * longer.seconds <= weight * seconds else as_searched

    def _as_searched(self, key: TrialKey, weight: float) -> Refit:
        finished = self._finished[key.config_id]
        trial = finished[key.budget]
        needed = [line for budget, line in finished.items() if budget <= key.budget]
        if trial.info.get(BEGAN_ANEW, False):
            needed = [trial]
        n_epochs = int(trial.info.get("kept_epoch", key.budget))
        share = min(n_epochs / max(len(trial.curve), 1), 1.0)  # a training ends at the epoch that is kept
        seconds = self.growth * share * sum(line.seconds for line in needed)
        return Refit(key, self._configs[key.config_id], key.budget, n_epochs, seconds, weight)

    def _longer(self, refit: Refit) -> Refit | None:
        """With more epochs, where the end of the budget ended a network's training and no larger one was tried."""
        finished, budget = self._finished[refit.key.config_id], refit.key.budget
        trial = finished[budget]
        if trial.info.get("stopped_early", True) or not trial.curve or max(finished) > budget:
            return None
        best_epoch = min(refit.n_epochs, int(np.argmin(trial.curve)) + 1)
        if best_epoch < STILL_IMPROVING * budget:
            return None
        longer = min(LONGER * budget, self.max_budget)
        growth = longer / budget
        return replace(
            refit, budget=longer, n_epochs=math.ceil(growth * refit.n_epochs), seconds=growth * refit.seconds
        )

    def _in_full(self, refit: Refit) -> Refit:
        """The same to the largest budget, where that is known to be another model and not to be a worse one."""
        trial = self._finished[refit.key.config_id][refit.key.budget]
        full = self._finished[refit.key.config_id].get(self.max_budget)
        cost = float(trial.info.get(FULL_COST, 1.0))
        if cost <= 1 or (full is not None and full.info.get(BEGAN_ANEW, False) and _loss(full) > _loss(trial)):
            return refit
        if full is not None:
            return replace(self._as_searched(full.key, refit.weight), key=refit.key)
        n_epochs = math.ceil(refit.n_epochs * self.max_budget / refit.budget)
        return replace(refit, budget=self.max_budget, n_epochs=n_epochs, seconds=cost * refit.seconds)


def _loss(line: Finished) -> float:
    return math.inf if line.loss is None else line.loss


def affordable(refits: Sequence[Refit], seconds: float, n_workers: int) -> list[Refit]:
    """Those of them, in their order, that workers can end in time; all of them if that is unlimited."""
    free_s = [0.0] * n_workers
    chosen = []
    for refit in refits:
        first = min(range(n_workers), key=lambda number: free_s[number])
        if free_s[first] + refit.seconds <= seconds:
            free_s[first] += refit.seconds
            chosen.append(refit)
    return chosen


def seconds_needed(refits: Iterable[Refit], n_workers: int) -> float:
    """What training all of them takes on so many workers, one after the other on whichever is free; 0 for none."""
    free_s = [0.0] * n_workers
    for refit in refits:
        free_s[free_s.index(min(free_s))] += refit.seconds
    return SAFETY * max(free_s) + LATENCY_S if any(free_s) else 0.0


def worth_keeping_s(
    refits: Sequence[Refit], limits_s: Sequence[float], n_workers: int, fall: Callable[[float], float]
) -> float:
    """Seconds that a search should leave for training members again; 0 where it makes more of them.

    Args:
        refits: of all members, in their order.
        limits_s: what may be kept, descending: the last whatever the search does, those before if it has stalled.
        n_workers: trainings at once.
        fall: seconds -> the share by which the ensemble's loss fell in the last so many.
    """
    for number, limit_s in enumerate(limits_s, start=1):
        within = affordable(refits, limit_s, n_workers)
        if sum(refit.weight for refit in within if not refit.number) >= MIN_SHARE:
            needed_s = seconds_needed(within, n_workers)
            if number == len(limits_s) or fall(needed_s) < STALLED:
                return needed_s
    return 0.0


def run_refits(refits: Sequence[Refit], executor: Executor, time_limit_s: float | None) -> list[Finished]:
    """Train members, as many as end in time; what does not is cancelled.

    Returns:
        How those that were begun ended.
    """
    started_s = executor.now()

    def left_s() -> float | None:
        return None if time_limit_s is None else max(time_limit_s - (executor.now() - started_s), 0.0)

    waiting, n_running = list(refits), 0
    ended: list[Finished] = []
    try:
        while (waiting or n_running) and left_s() != 0.0:
            while waiting and executor.n_free():
                refit, left = waiting.pop(0), left_s()
                if left is None or refit.seconds <= left:
                    executor.submit(refit.proposal, left)
                    n_running += 1
            just_ended = executor.wait(left_s())
            n_running -= len(just_ended)
            ended += just_ended
    finally:
        ended += executor.cancel_all()
    return ended
