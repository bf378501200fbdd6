"""Gradient-boosted trees of scikit-learn; the budget in epochs becomes a number of boosting rounds.

`build` of a component of the node "learner" returns a `Learner`, not yet fitted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Int
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.pipeline.models import Booster, Growth
from autopytorch_lite.pipeline.serialize import dump_objects, load_objects
from autopytorch_lite.pipeline.traditional import column_learner
from autopytorch_lite.pipeline.tree_walk import FEW_ROWS, BoosterWalk
from autopytorch_lite.pipeline.trees import pack, unpack
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray

MAX_NATIVE_LEVELS = 255
"""Levels up to which scikit-learn's trees treat a column as categories; above, its codes are taken as numbers."""

FILE = "booster.skops"


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
        return column_learner(values, info, model=HistGradientBoostingModel, rounds="max_iter")


class HistGradientBoostingModel(Booster):
    """A booster."""

    def __init__(self, values: Mapping[str, ConfigValue], info: DatasetInfo):
        self._values = dict(values)
        native = [n_levels <= MAX_NATIVE_LEVELS for n_levels in info.cardinalities]
        self._is_categorical = np.array([False] * info.n_numeric + native)
        self._booster: Any = None
        self._walk: BoosterWalk | None = None

    def first(self, n_rounds: int) -> Self:
        """See `Booster.first`."""
        part = copy.copy(self)
        part._booster, part._walk = copy.copy(self._booster), None
        part._booster._predictors = self._booster._predictors[:n_rounds]
        return part

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        self._booster, self._walk = self._new_booster(growth).fit(X, y, sample_weight=weight), None

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        is_classifier = isinstance(self._booster, HistGradientBoostingClassifier)
        if len(X) > FEW_ROWS:
            return self._booster.predict_proba(X) if is_classifier else self._booster.predict(X)
        if self._walk is None:
            self._walk = BoosterWalk.of(self._booster)
        raw, loss = self._walk.raw_predictions(X), self._booster._loss
        return loss.predict_proba(raw) if is_classifier else loss.link.inverse(raw[:, 0])

    def stages(self, X: Array, rounds: Sequence[int]) -> Iterator[FloatArray]:
        """See `Model.stages`; together they cost as much as one prediction."""
        is_classifier = isinstance(self._booster, HistGradientBoostingClassifier)
        staged = self._booster.staged_predict_proba(X) if is_classifier else self._booster.staged_predict(X)
        return (outputs for n_rounds, outputs in enumerate(staged, start=1) if n_rounds in rounds)

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        dump_objects(folder / FILE, pack(self._booster))

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        self._booster, self._walk = unpack(load_objects(folder / FILE)), None

    def _new_booster(self, growth: Growth) -> Any:
        kind = HistGradientBoostingClassifier if growth.is_classification else HistGradientBoostingRegressor
        return kind(
            **{**self._values, "learning_rate": growth.step(float(self._values["learning_rate"]))},
            max_iter=growth.stop,
            categorical_features=self._is_categorical,
            early_stopping=False,
            random_state=growth.seed,
        )


GRADIENT_BOOSTING = HistGradientBoosting()
