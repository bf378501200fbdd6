"""Linear models; they cost the same at every budget.

`build` of a component of the node "learner" returns a `Learner`, not yet fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.linear_model import LogisticRegression, Ridge

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.pipeline.models import EstimatorModel, Growth
from autopytorch_lite.pipeline.traditional import class_weights, dense_learner
from autopytorch_lite.pipeline.traditional_inputs import dense_hyperparameters
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray

MAX_ITERATIONS = 500
"""Steps of the solver; what is not optimal then is regularised a little more."""


class Linear(Component):
    """Logistic regression for classes, ridge regression for values; the same at every budget."""

    name = "linear"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Inverse strength of the L2 penalty, and what becomes of columns."""
        return (Float("C", 1e-4, 1e3, log=True, default=1.0), *dense_hyperparameters(info), *class_weights(info))

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        """A learner, not yet fitted."""
        return dense_learner(values, info, model=LinearModel)


class LinearModel(EstimatorModel):
    """Coefficients."""

    def __init__(self, values: Mapping[str, Any], info: DatasetInfo):
        super().__init__()
        self._C = float(values["C"])

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        classifier = LogisticRegression(C=self._C, max_iter=MAX_ITERATIONS)
        estimator = classifier if growth.is_classification else Ridge(alpha=1 / (2 * self._C))
        self.parts = {"linear": estimator.fit(X, y, sample_weight=weight)}

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        estimator = self.parts["linear"]
        return estimator.predict_proba(X) if isinstance(estimator, LogisticRegression) else estimator.predict(X)


LINEAR = Linear()
