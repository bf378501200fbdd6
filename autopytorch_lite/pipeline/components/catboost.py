"""Gradient-boosted trees of CatBoost.

`build` of a component of the node "learner" returns a `Learner`, not yet fitted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pandas as pd

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Int
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.pipeline.models import Booster, Growth
from autopytorch_lite.pipeline.traditional import class_weights, column_learner
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray

FILE = "booster.cbm"


class CatBoost(Component):
    """Gradient boosting with symmetric trees, statistics of categories and missing values (extra "boosting")."""

    name = "catboost"
    package = "catboost"
    extra = "boosting"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Step size and number of trees, size of a tree, sampling, regularisation, categories where there are any."""
        of_categories = (
            Int("one_hot_max_size", 2, 100, log=True, default=2),
            Int("max_ctr_complexity", 1, 5, default=4),
        )
        return (
            Float("learning_rate", 5e-3, 0.3, log=True, default=0.1),
            Int("iterations", 50, 2000, log=True, default=250),
            Int("depth", 2, 10, default=6),
            Float("l2_leaf_reg", 0.1, 30.0, log=True, default=3.0),
            Float("random_strength", 1e-2, 20.0, log=True, default=1.0),
            Float("subsample", 0.5, 1.0, default=0.8),
            Float("rsm", 0.4, 1.0, default=1.0),
            *(of_categories if info.n_categorical else ()),
            *class_weights(info),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        """A learner, not yet fitted."""
        return column_learner(values, info, model=CatBoostModel, rounds="iterations")


class CatBoostModel(Booster):
    """A booster."""

    def __init__(self, parameters: Mapping[str, Any], info: DatasetInfo):
        self._parameters = dict(parameters)
        self._categorical = list(range(info.n_numeric, info.n_numeric + info.n_categorical))
        self._is_classification = info.task.is_classification
        self._booster: Any = None

    def first(self, n_rounds: int) -> Self:
        """See `Booster.first`."""
        part = copy.copy(self)
        part._booster = self._booster.copy()
        part._booster.shrink(ntree_end=n_rounds)
        return part

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        self._booster = CatBoost.load_package().CatBoost(self._training_parameters(growth))
        self._booster.fit(self._pool(X, y, weight))

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        return next(self.stages(X, [0]))

    def stages(self, X: Array, rounds: Sequence[int]) -> Iterator[FloatArray]:
        """See `Model.stages`; zero rounds are all."""
        kind = "Probability" if self._is_classification else "RawFormulaVal"
        pool = self._pool(X)
        return (self._booster.predict(pool, prediction_type=kind, ntree_end=n_rounds) for n_rounds in rounds)

    def save(self, folder: Path) -> None:
        """See `Model.save`; CatBoost's own binary format."""
        self._booster.save_model(folder / FILE, format="cbm")

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        self._booster = CatBoost.load_package().CatBoost().load_model(folder / FILE, format="cbm")

    def _pool(self, X: Array, y: Array | None = None, weight: FloatArray | None = None) -> Any:
        """CatBoost's table: categories are integers there, -1 the missing one."""
        frame = pd.DataFrame(X)
        codes = frame[self._categorical].fillna(-1).astype("int32")
        frame = pd.concat([frame.drop(columns=self._categorical), codes], axis=1)
        return CatBoost.load_package().Pool(frame, label=y, weight=weight, cat_features=self._categorical)

    def _training_parameters(self, growth: Growth) -> dict[str, Any]:
        """What CatBoost would else derive from the number of iterations is said: rungs shall be alike."""
        loss = {0: "RMSE", 2: "Logloss"}.get(growth.n_classes, "MultiClass")
        fixed = {
            "loss_function": loss,
            "iterations": growth.stop,
            "learning_rate": growth.step(self._parameters["learning_rate"]),
            "leaf_estimation_iterations": 10 if loss == "Logloss" else 1,
            "bootstrap_type": "MVS",
            "random_seed": growth.seed,
            "thread_count": growth.n_threads,
            "logging_level": "Silent",
            "allow_writing_files": False,
        }
        return {"max_ctr_complexity": 1} | self._parameters | fixed


CATBOOST = CatBoost()
