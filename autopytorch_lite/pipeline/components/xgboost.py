"""Gradient-boosted trees of XGBoost.

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

FILE = "booster.ubj"


class XGBoost(Component):
    """Gradient boosting with level-wise trees, native categories and missing values (extra "boosting")."""

    name = "xgboost"
    package = "xgboost"
    extra = "boosting"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Step size and number of trees, size of a tree, sampling, regularisation, categories where there are any."""
        return (
            Float("learning_rate", 5e-3, 0.3, log=True, default=0.1),
            Int("n_estimators", 50, 2000, log=True, default=200),
            Int("max_depth", 2, 11, default=6),
            Float("min_child_weight", 1e-3, 100.0, log=True, default=1.0),
            Float("subsample", 0.5, 1.0, default=1.0),
            Float("colsample_bytree", 0.4, 1.0, default=1.0),
            Float("gamma", 1e-8, 7.0, log=True, default=1e-8),
            Float("reg_alpha", 1e-8, 10.0, log=True, default=1e-8),
            Float("reg_lambda", 1e-3, 10.0, log=True, default=1.0),
            *((Int("max_cat_to_onehot", 4, 100, log=True, default=4),) if info.n_categorical else ()),
            *class_weights(info),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        """A learner, not yet fitted."""
        return column_learner(values, info, model=XGBoostModel, rounds="n_estimators")


class XGBoostModel(Booster):
    """A booster."""

    def __init__(self, parameters: Mapping[str, Any], info: DatasetInfo):
        self._parameters = dict(parameters)
        self._feature_types = ["q"] * info.n_numeric + ["c"] * info.n_categorical
        self._is_classification = info.task.is_classification
        self._booster: Any = None

    def first(self, n_rounds: int) -> Self:
        """See `Booster.first`."""
        part = copy.copy(self)
        part._booster = self._booster[:n_rounds]
        return part

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        self._booster = XGBoost.load_package().train(
            self._training_parameters(growth),
            self._matrix(X, label=y, weight=weight, nthread=growth.n_threads),
            num_boost_round=growth.stop,
        )

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        return class_columns(self._booster.predict(self._matrix(X)), self._is_classification)

    def stages(self, X: Array, rounds: Sequence[int]) -> Iterator[FloatArray]:
        """See `Model.stages`."""
        data = self._matrix(X)
        staged = (self._booster.predict(data, iteration_range=(0, n_rounds)) for n_rounds in rounds)
        return (class_columns(outputs, self._is_classification) for outputs in staged)

    def save(self, folder: Path) -> None:
        """See `Model.save`; XGBoost's own format, binary JSON."""
        self._booster.save_model(folder / FILE)

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        self._booster = XGBoost.load_package().Booster(model_file=folder / FILE)

    def _matrix(self, X: Array, **more: Any) -> Any:
        xgboost = XGBoost.load_package()
        return xgboost.DMatrix(X, feature_types=self._feature_types, enable_categorical=True, **more)

    def _training_parameters(self, growth: Growth) -> dict[str, Any]:
        several = {"objective": "multi:softprob", "num_class": growth.n_classes}
        one = {0: {"objective": "reg:squarederror"}, 2: {"objective": "binary:logistic"}}
        fixed = {
            "learning_rate": growth.step(self._parameters["learning_rate"]),
            "tree_method": "hist",
            "seed": growth.seed,
            "nthread": growth.n_threads,
            "verbosity": 0,
        }
        return self._parameters | one.get(growth.n_classes, several) | fixed


XGBOOST = XGBoost()
