"""The predictor that a search leaves behind: a table in, the weighted vote of the ensemble's members out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from autopytorch_lite.data.schema import EncodedTable, TableSchema
from autopytorch_lite.data.target import TargetSchema
from autopytorch_lite.ensemble.selection import weighted_average
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.types import Array, FloatArray

_MAX_ROWS_ON_ONE_THREAD = 50_000
"""Below, several threads save little, and where cores are shared, waiting for each other costs them far more."""


@cache
def _threads_of(kinds: frozenset[type[Learner]]) -> ThreadpoolController:
    """The threads of all libraries loaded, for learners of these kinds; finding them takes longer than a prediction."""
    return ThreadpoolController()


@dataclass(frozen=True)
class FittedMember:
    """One trial of the ensemble, ready to predict.

    Attributes:
        key: identity of the trial.
        weight: share of the vote.
        learners: one fitted learner per fold; their predictions are averaged.
    """

    key: TrialKey
    weight: float
    learners: tuple[Learner, ...]

    def predict(self, table: EncodedTable) -> FloatArray:
        """Average over folds, shape (n_rows, n_outputs)."""
        predictions = [learner.predict(table) for learner in self.learners]
        return weighted_average(predictions, np.full(len(predictions), 1 / len(predictions)))


@dataclass(frozen=True)
class EnsemblePredictor:
    """Predicts from raw tables; holds no training data.

    Attributes:
        schema: how columns are read.
        target: how answers are written.
        members: the ensemble, weights sum to one.
    """

    schema: TableSchema
    target: TargetSchema
    members: tuple[FittedMember, ...]

    def predict(self, X: Any, *, owner: str = "EnsemblePredictor") -> FloatArray:
        """Class probabilities or target values in original units, float64, shape (n_rows, n_outputs).

        Args:
            X: a table like the one learnt from.
            owner: who is asked, for errors about its columns.
        """
        table = self.schema.encode(X, owner=owner)
        kinds = frozenset(type(learner) for member in self.members for learner in member.learners)
        with _threads_of(kinds).limit(limits=1 if len(table) <= _MAX_ROWS_ON_ONE_THREAD else None):
            predictions = [member.predict(table) for member in self.members]
        return weighted_average(predictions, [member.weight for member in self.members])

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
