"""The predictor that a search leaves behind: a table in, the weighted vote of the ensemble's members out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import loky
import numpy as np
from threadpoolctl import ThreadpoolController

from autopytorch_lite.data.schema import EncodedTable, TableSchema
from autopytorch_lite.data.target import TargetSchema
from autopytorch_lite.ensemble.calibration import UNCHANGED, Calibration
from autopytorch_lite.ensemble.latency import Timing
from autopytorch_lite.ensemble.selection import weighted_average
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.pipeline.latency import read_twice
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.types import Array, FloatArray

MAX_ROWS_AT_ONCE = 10_000
"""Rows that go through all models before the next ones, at most: it bounds what is kept of them meanwhile."""

MIN_ROWS_AT_ONCE = 1_000
"""Rows that each thread gets, at least: below, starting one takes as long as a model."""

SECONDS_OF_MOMENT = 0.2
"""How long calls are timed whose medians count as one moment of the machine."""

N_MOMENTS = 3


@cache
def _openmp(kinds: frozenset[type[Learner]]) -> ThreadpoolController:
    """OpenMP of all libraries loaded, for learners of these kinds; finding it takes longer than a prediction."""
    return ThreadpoolController().select(user_api="openmp")


@dataclass(frozen=True)
class FittedMember:
    """One trial of the ensemble, ready to predict.

    Attributes:
        key: identity of the trial.
        weight: share of the vote.
        learners: the fitted ones that vote, of folds or of all rows; their predictions are averaged.
    """

    key: TrialKey
    weight: float
    learners: tuple[Learner, ...]


@dataclass(frozen=True)
class EnsemblePredictor:
    """Predicts from raw tables; holds no training data.

    Attributes:
        schema: how columns are read.
        target: how answers are written.
        members: the ensemble, weights sum to one.
        calibration: of what they vote for.
    """

    schema: TableSchema
    target: TargetSchema
    members: tuple[FittedMember, ...]
    calibration: Calibration = UNCHANGED

    def predict(self, X: Any, *, owner: str = "EnsemblePredictor") -> FloatArray:
        """Class probabilities or target values in original units, float64, shape (n_rows, n_outputs).

        Args:
            X: a table like the one learnt from.
            owner: who is asked, for errors about its columns.
        """
        table = self.schema.encode(X, owner=owner)
        n_threads = max(1, min(loky.cpu_count(), len(table) // MIN_ROWS_AT_ONCE))
        n_parts = n_threads * math.ceil(len(table) / (n_threads * MAX_ROWS_AT_ONCE))
        if n_parts <= 1:
            return self._predict_encoded(table)
        ends = [len(table) * i // n_parts for i in range(n_parts + 1)]
        parts = (table.take(slice(start, end)) for start, end in pairwise(ends))
        with ThreadPoolExecutor(max_workers=n_threads) as threads:
            return np.concatenate(list(threads.map(self._predict_encoded, parts)))

    def timing(self, rows: Sequence[Any]) -> Timing:
        """How long one row takes, all in all and each member alone.

        All parts take turns, so that each meets the same moments of the machine.

        Args:
            rows: tables of one row each, like the one learnt from.
        """
        alone = [self.with_weights({member.key: 1.0}) for member in self.members]
        self._turn_ms(rows[0], alone)
        moments: list[FloatArray] = []
        for _ in range(N_MOMENTS):
            turns: list[list[float]] = []
            until = time.monotonic() + SECONDS_OF_MOMENT
            while not turns or time.monotonic() < until:
                turns.append(self._turn_ms(rows[len(turns) % len(rows)], alone))
            moments.append(np.median(turns, axis=0))
        read_ms, *parts_ms = np.array(moments).T
        total, *members = (float(np.median(ms / read_ms)) for ms in parts_ms)
        keys = (member.key for member in self.members)
        return Timing(read_ms.tolist(), total, dict(zip(keys, members, strict=True)))

    def _turn_ms(self, row: Any, alone: Sequence[EnsemblePredictor]) -> list[float]:
        """Milliseconds of reading a row again, of reading and predicting it, and of each member's predicting it."""
        first_s, again_s, table = read_twice(self.schema, row)
        times = [time.perf_counter()]
        for predictor in (self, *alone):
            predictor._predict_encoded(table)
            times.append(time.perf_counter())
        whole_s, *alone_s = (end - start for start, end in pairwise(times))
        return [1000 * s for s in (again_s, first_s + whole_s, *alone_s)]

    def model_seconds(self, table: EncodedTable) -> dict[TrialKey, float]:
        """Processor seconds that one model of each member takes for the rows."""
        seconds = {}
        with self._openmp().limit(limits=1):
            for member in self.members:
                member.learners[0].predict(table.take(slice(0, 1)))
                start = time.process_time()
                member.learners[0].predict(table)
                seconds[member.key] = time.process_time() - start
        return seconds

    def with_voters(self, voters: Mapping[TrialKey, Sequence[int]]) -> EnsemblePredictor:
        """The predictor with some models only of the members that `voters` names, by their positions."""
        members = tuple(
            replace(member, learners=tuple(member.learners[i] for i in voters[member.key]))
            if member.key in voters
            else member
            for member in self.members
        )
        return replace(self, members=members)

    def with_weights(self, weights: Mapping[TrialKey, float]) -> EnsemblePredictor:
        """The predictor with some of its members, and other weights, which sum to one."""
        left = [member for member in self.members if member.key in weights]
        return replace(self, members=tuple(replace(member, weight=weights[member.key]) for member in left))

    def _predict_encoded(self, table: EncodedTable) -> FloatArray:
        """Predictions of encoded rows, by one model after the other, on one thread.

        Whoever predicts uses no threads of its own: they save little, and where cores are shared, they wait for each
        other.
        """
        kept = table.keeping()
        learners = [learner for member in self.members for learner in member.learners]
        weights = [member.weight / len(member.learners) for member in self.members for _ in member.learners]
        with self._openmp().limit(limits=1):
            predictions = [learner.predict(kept) for learner in learners]
        return self.calibration(weighted_average(predictions, weights))

    def _openmp(self) -> ThreadpoolController:
        return _openmp(frozenset(type(learner) for member in self.members for learner in member.learners))

    def predict_labels(self, X: Any, *, owner: str = "EnsemblePredictor") -> Array:
        """Labels as they came in, shape (n_rows,); or values, shape (n_rows,) or (n_rows, n_targets)."""
        predictions = self.predict(X, owner=owner)
        return self.target.decode(predictions.argmax(axis=1) if self.target.task.is_classification else predictions)

    def save_members(self, folder_of: Callable[[TrialKey, int], Path]) -> None:
        """Write every member's models; `folder_of` says where fold number i of a trial goes."""
        for member in self.members:
            for fold, learner in enumerate(member.learners):
                folder = folder_of(member.key, fold)
                folder.mkdir(parents=True, exist_ok=True)
                learner.save(folder)
