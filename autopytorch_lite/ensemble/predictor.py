"""The predictor that a search leaves behind: a table in, the weighted vote of the ensemble's members out."""

from __future__ import annotations

import math
import statistics
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
from autopytorch_lite.pipeline.latency import times_ms
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.types import Array, FloatArray

MAX_ROWS_AT_ONCE = 10_000
"""Rows that go through all models before the next ones, at most: it bounds what is kept of them meanwhile."""

MIN_ROWS_AT_ONCE = 1_000
"""Rows that each thread gets, at least: below, starting one takes as long as a model."""


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

        Of a few medians the least counts: it is the one that other programs disturbed least.

        Args:
            rows: tables of one row each, like the one learnt from.
        """
        tables = [self.schema.encode(row) for row in rows]
        total_ms = min(
            statistics.median(times_ms(lambda i: self.predict(rows[i % len(rows)]), n_calls=20, max_seconds=0.1))
            for _ in range(3)
        )
        alone = {member.key: self.with_weights({member.key: 1.0}) for member in self.members}
        return Timing(total_ms, {key: predictor._encoded_ms(tables) for key, predictor in alone.items()})

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

    def _encoded_ms(self, tables: Sequence[EncodedTable]) -> float:
        """Milliseconds for a row that is encoded already."""
        times = times_ms(lambda i: self._predict_encoded(tables[i % len(tables)]), n_calls=9, max_seconds=0.03)
        return statistics.median(times)

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
