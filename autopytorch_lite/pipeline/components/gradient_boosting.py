"""Gradient-boosted trees as a learner beside the networks; the budget in epochs becomes a number of boosting rounds.

`build` of a component of the node "learner" returns a `Learner`, not yet fitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Int
from autopytorch_lite.pipeline.learner import FitOutcome, FitSettings, Learner, Rows, check_budget, not_fitted
from autopytorch_lite.pipeline.serialize import dump_objects, load_objects
from autopytorch_lite.pipeline.trees import pack, unpack
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray

MAX_NATIVE_LEVELS = 255
"""Levels up to which scikit-learn's trees treat a column as categories; above, its codes are taken as numbers."""

MIN_ROUNDS = 25
"""Rounds at every budget, if `max_iter` allows: fewer shrunken trees say little about a configuration."""

N_CURVE_POINTS = 10
"""Evaluations from which the learning curve is drawn, besides those of the first and the last epoch."""

FILE = "boosters.skops"


class HistGradientBoosting(Component):
    """Histogram gradient boosting with native categories and missing values."""

    name = "hist_gradient_boosting"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Step size and number of trees, size of a tree, regularisation."""
        return (
            Float("learning_rate", 0.01, 1.0, log=True, default=0.1),
            Int("max_iter", 50, 500, log=True, default=200),
            Int("max_leaf_nodes", 3, 1023, log=True, default=31),
            Int("min_samples_leaf", 1, 200, log=True, default=20),
            Float("l2_regularization", 1e-10, 10.0, log=True, default=1e-10),
            Float("max_features", 0.1, 1.0, default=1.0),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        """A learner, not yet fitted."""
        return HistGradientBoostingLearner(values, info)


class HistGradientBoostingLearner(Learner):
    """One booster for classes, or one per regression target.

    There is no early stopping: the validation rows choose the ensemble and must not choose the number of trees too.
    A fit of b rounds continued to c equals a fit of c rounds.
    """

    def __init__(self, values: Mapping[str, ConfigValue], info: DatasetInfo):
        self._values = dict(values)
        self._info = info
        self._boosters: list[Any] = []
        self._present: Array = np.ones(info.n_numeric, dtype=bool)

    def fit(
        self, train: Rows, val: Rows, *, budget: int, settings: FitSettings, resume_from: Path | None = None
    ) -> FitOutcome:
        """See `Learner.fit`; "val_score" is read at a few epochs and carried forward between them."""
        check_budget(budget, settings)
        if resume_from is not None:
            self.load_model(resume_from)
        else:
            self._present = np.asarray(~np.isnan(train.table.numeric).all(axis=0))
            self._boosters = [self._new_booster(settings.seed) for _ in range(self._n_boosters)]
        n_rounds = self._rounds(budget, settings.max_budget)
        with threadpool_limits(limits=settings.n_threads):
            X = self._features(train.table)
            for booster, targets in zip(self._boosters, self._targets(train.y), strict=True):
                booster.set_params(max_iter=n_rounds).fit(X, targets, sample_weight=train.sample_weight)
            curve = self._curve(val, budget, settings)
        return FitOutcome(budget, curve, {"val_score": curve}, {"n_rounds": n_rounds})

    def predict(self, table: EncodedTable) -> FloatArray:
        """See `Learner.predict`."""
        if not self._boosters:
            raise not_fitted(self)
        X = self._features(table)
        if self._info.task.is_classification:
            return self._probabilities(self._boosters[0].predict_proba(X))
        return np.column_stack([booster.predict(X) for booster in self._boosters])

    def save_model(self, folder: Path) -> None:
        """See `Learner.save_model`."""
        if not self._boosters:
            raise not_fitted(self)
        boosters = [pack(booster) for booster in self._boosters]
        dump_objects(folder / FILE, {"boosters": boosters, "present": self._present})

    def load_model(self, folder: Path) -> None:
        """See `Learner.load_model`."""
        parts = load_objects(folder / FILE)
        self._boosters, self._present = [unpack(packed) for packed in parts["boosters"]], parts["present"]

    def save_checkpoint(self, folder: Path) -> None:
        """The trees are all that continuing needs."""
        self.save_model(folder)

    @property
    def _n_boosters(self) -> int:
        return 1 if self._info.task.is_classification else self._info.n_outputs

    def _new_booster(self, seed: int) -> Any:
        kind = HistGradientBoostingClassifier if self._info.task.is_classification else HistGradientBoostingRegressor
        native = [n_levels <= MAX_NATIVE_LEVELS for n_levels in self._info.cardinalities]
        return kind(
            **self._values,
            categorical_features=np.array([False] * self._info.n_numeric + native),
            early_stopping=False,
            warm_start=True,
            random_state=seed % 2**32,
        )

    def _features(self, table: EncodedTable) -> FloatArray:
        """Numeric columns, then level codes, float64 (n, d); NaN is missing in both.

        A column without a single training value is zero, because scikit-learn's binning needs one.
        """
        numeric = np.where(self._present, table.numeric, 0.0)
        codes = np.where(table.categorical < 0, np.nan, table.categorical)
        return np.hstack([numeric, codes])

    def _targets(self, y: Array) -> list[Array]:
        """What each booster learns, shape (n,) each."""
        return [y] if self._info.task.is_classification else list(y.reshape(len(y), -1).T)

    def _probabilities(self, of_seen: FloatArray) -> FloatArray:
        """Columns for all classes; those absent from the training rows get zero."""
        classes = self._boosters[0].classes_
        probabilities = np.zeros((len(of_seen), self._info.n_outputs))
        probabilities[:, classes] = of_seen[:, : len(classes)]  # scikit-learn has two columns even for a single class
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def _rounds(self, epoch: int, max_budget: int) -> int:
        """Rounds after so many epochs: the budget's share of `max_iter`, at least `MIN_ROUNDS` where possible."""
        max_iter = int(self._values["max_iter"])
        return max(math.ceil(max_iter * epoch / max_budget), min(MIN_ROUNDS, max_iter))

    def _curve(self, val: Rows, budget: int, settings: FitSettings) -> tuple[float, ...]:
        """Loss per epoch, read at the epochs of `curve_epochs` and carried forward between them."""
        epochs = curve_epochs(budget, settings.max_budget)
        rounds = {self._rounds(epoch, settings.max_budget) for epoch in epochs}
        losses = {
            i: settings.metric.loss(val.y, predictions, val.sample_weight)
            for i, predictions in enumerate(self._stages(val.table), start=1)
            if i in rounds
        }
        of_epoch = {epoch: losses[self._rounds(epoch, settings.max_budget)] for epoch in epochs}
        return tuple(of_epoch[max(e for e in epochs if e <= epoch)] for epoch in range(1, budget + 1))

    def _stages(self, table: EncodedTable) -> Iterator[FloatArray]:
        """Predictions after 1, 2, ... rounds; together they cost as much as one prediction."""
        X = self._features(table)
        if self._info.task.is_classification:
            yield from map(self._probabilities, self._boosters[0].staged_predict_proba(X))
        else:
            yield from map(np.column_stack, zip(*(b.staged_predict(X) for b in self._boosters), strict=True))


def curve_epochs(budget: int, max_budget: int) -> list[int]:
    """Epochs at which a curve up to `budget` is evaluated: a grid of the largest budget, the first and the last."""
    grid = {math.ceil(max_budget * i / N_CURVE_POINTS) for i in range(1, N_CURVE_POINTS + 1)}
    return sorted({1, budget} | {epoch for epoch in grid if epoch <= budget})


GRADIENT_BOOSTING = HistGradientBoosting()
