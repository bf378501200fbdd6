"""Gradient-boosted trees of LightGBM.

`build` of a component of the node "learner" returns a `Learner`, not yet fitted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Int
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.pipeline.models import Booster, Growth, class_columns
from autopytorch_lite.pipeline.traditional import class_weights, column_learner
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray

FILE = "booster.txt"


class LightGBM(Component):
    """Gradient boosting with leaf-wise trees, native categories and missing values (extra "boosting")."""

    name = "lightgbm"
    package = "lightgbm"
    extra = "boosting"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Step size and number of trees, size of a tree, sampling, regularisation, categories where there are any."""
        of_categories = (
            Float("cat_smooth", 1e-3, 100.0, log=True, default=10.0),
            Float("cat_l2", 5e-3, 20.0, log=True, default=10.0),
            Int("min_data_per_group", 2, 200, log=True, default=100),
        )
        return (
            Float("learning_rate", 5e-3, 0.3, log=True, default=0.05),
            Int("n_estimators", 50, 2000, log=True, default=200),
            Int("num_leaves", 2, 256, log=True, default=31),
            Int("min_child_samples", 1, 100, log=True, default=20),
            Float("subsample", 0.5, 1.0, default=1.0),
            Float("colsample_bytree", 0.4, 1.0, default=1.0),
            Float("reg_alpha", 1e-8, 10.0, log=True, default=1e-8),
            Float("reg_lambda", 1e-8, 10.0, log=True, default=1e-8),
            *(of_categories if info.n_categorical else ()),
            *class_weights(info),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        """A learner, not yet fitted."""
        return column_learner(values, info, model=LightGBMModel, rounds="n_estimators")


class LightGBMModel(Booster):
    """A booster."""

    def __init__(self, parameters: Mapping[str, Any], info: DatasetInfo):
        self._parameters = dict(parameters)
        self._categorical = list(range(info.n_numeric, info.n_numeric + info.n_categorical))
        self._is_classification = info.task.is_classification
        self._booster: Any = None
        self._n_rounds: int | None = None  # that predict; None: all

    def first(self, n_rounds: int) -> Self:
        """See `Booster.first`."""
        part = copy.copy(self)
        part._n_rounds = n_rounds
        return part

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        lightgbm = LightGBM.load_package()
        self._booster = lightgbm.train(
            self._training_parameters(growth),
            lightgbm.Dataset(X, y, weight=weight, categorical_feature=self._categorical, free_raw_data=False),
            num_boost_round=growth.stop,
        )

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        return class_columns(self._booster.predict(X, num_iteration=self._n_rounds), self._is_classification)

    def stages(self, X: Array, rounds: Sequence[int]) -> Iterator[FloatArray]:
        """See `Model.stages`."""
        staged = (self._booster.predict(X, num_iteration=n_rounds) for n_rounds in rounds)
        return (class_columns(outputs, self._is_classification) for outputs in staged)

    def save(self, folder: Path) -> None:
        """See `Model.save`; LightGBM's own text format, numbers exactly."""
        self._booster.save_model(folder / FILE, num_iteration=self._n_rounds)

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        self._booster = LightGBM.load_package().Booster(model_file=folder / FILE)

    def _training_parameters(self, growth: Growth) -> dict[str, Any]:
        several = {"objective": "multiclass", "num_class": growth.n_classes}
        objective = {0: {"objective": "regression"}, 2: {"objective": "binary"}}.get(growth.n_classes, several)
        fixed = {
            "bagging_freq": 1,
            "learning_rate": growth.step(self._parameters["learning_rate"]),
            "seed": growth.seed,
            "num_threads": growth.n_threads,
            "deterministic": True,
            "force_col_wise": True,
            "feature_pre_filter": False,  # it refuses small tables, of which it leaves no column
            "min_data_in_bin": 1,
            "verbosity": -1,
        }
        return self._parameters | objective | fixed


LIGHTGBM = LightGBM()
