"""Support vector machines for small tables; they cost the same at every budget.

`build` of a component of the node "learner" returns a `Learner`, not yet fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC, SVR
from sklearn.utils import gen_batches
from sklearn.utils.extmath import row_norms
from sklearn.utils.multiclass import _ovr_decision_function

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.pipeline.models import EstimatorModel, Growth
from autopytorch_lite.pipeline.traditional import class_weights, dense_learner
from autopytorch_lite.pipeline.traditional_inputs import dense_hyperparameters
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray, IntArray

MAX_ROWS = 10_000
"""Rows up to which support vector machines are offered: their time grows with the square of the rows and more."""

N_CALIBRATION_FOLDS = 3
"""Folds of the training rows from which probabilities are learned."""

KERNEL_CELLS = 1_000_000
"""Similarities of rows with support vectors that are held at a time, 8 MB."""


class SupportVectors(Component):
    """A support vector machine with RBF kernel for small tables; the same at every budget."""

    name = "support_vectors"

    def applies(self, info: DatasetInfo) -> bool:
        """Only up to `MAX_ROWS` rows."""
        return info.n_rows <= MAX_ROWS

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """What errors cost, how far a row reaches, which errors are none, and what becomes of columns."""
        return (
            Float("C", 1e-2, 1e3, log=True, default=1.0),
            Float("gamma_factor", 1e-2, 1e2, log=True, default=1.0),
            *(() if info.task.is_classification else (Float("epsilon", 1e-3, 1.0, log=True, default=0.1),)),
            *dense_hyperparameters(info),
            *class_weights(info),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        """A learner, not yet fitted."""
        return dense_learner(values, info, model=SupportVectorModel)


class SupportVectorModel(EstimatorModel):
    """Support vectors; for classes with a logistic regression from distances to probabilities.

    It is learned from distances of rows that a machine of the other folds has not seen (Platt 1999, section 2.1), and
    applied to those of a machine of all rows.
    """

    def __init__(self, values: Mapping[str, Any], info: DatasetInfo):
        super().__init__()
        self._values = dict(values)

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        weight = np.ones(len(y)) if weight is None else weight
        if not growth.is_classification:
            machine = SVR(**self._arguments(X))
            machine.random_state = growth.seed  # else it draws from the generator of the process, for no use
            self.parts = {"machine": machine.fit(X, y, sample_weight=weight)}
            return
        arguments = self._arguments(X) | {"random_state": growth.seed}
        rows = _each_class_in_each_fold(y)
        distances = np.empty((len(rows), _n_distances(growth.n_classes)))
        folds = StratifiedKFold(N_CALIBRATION_FOLDS, shuffle=True, random_state=growth.seed)
        for others, fold in folds.split(rows, y[rows]):
            of_others = rows[others]
            machine = SVC(**arguments).fit(X[of_others], y[of_others], sample_weight=weight[of_others])
            distances[fold] = _distances(machine, X[rows[fold]])
        calibration = LogisticRegression().fit(distances, y[rows], sample_weight=weight[rows])
        self.parts = {"machine": SVC(**arguments).fit(X, y, sample_weight=weight), "calibration": calibration}

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        machine = self.parts["machine"]
        if "calibration" not in self.parts:
            return _decisions(machine, X)[:, 0]
        return self.parts["calibration"].predict_proba(_distances(machine, X))

    def _arguments(self, X: Array) -> dict[str, Any]:
        """Keyword arguments of the machine; `gamma_factor` 1 is scikit-learn's gamma="scale"."""
        arguments = dict(self._values)
        factor, spread = arguments.pop("gamma_factor"), float(X.var())
        return arguments | {"gamma": factor / (X.shape[1] * spread) if spread > 0 else factor}


def _each_class_in_each_fold(y: IntArray) -> IntArray:
    """Positions of all rows, those of classes with fewer rows than folds repeated."""
    rows = [np.flatnonzero(y == code) for code in np.unique(y)]
    return np.sort(np.concatenate([np.resize(of_class, max(len(of_class), N_CALIBRATION_FOLDS)) for of_class in rows]))


def _n_distances(n_classes: int) -> int:
    return 1 if n_classes == 2 else n_classes


def _distances(machine: SVC, X: Array) -> FloatArray:
    """Signed distances, shape (n, 1) for two classes, else (n, n_classes) of each against the others.

    What `machine.decision_function` says.
    """
    decisions = _decisions(machine, X)
    if len(machine.classes_) == 2:
        return decisions
    against_others: FloatArray = _ovr_decision_function(decisions < 0, -decisions, len(machine.classes_))
    return against_others


def _decisions(machine: SVC | SVR, X: Array) -> FloatArray:
    """Weighted similarities to the support vectors, shape (n, 1), or for k > 2 classes (n, k (k - 1) / 2), by pair.

    By matrix products, in about a fifth of the time of a walk from vector to vector as libsvm does it; for a
    single row scikit-learn's own `rbf_kernel` takes longer than the whole machine.
    """
    coefficients = _coefficients(machine)
    vectors, gamma = machine.support_vectors_, machine.gamma
    squares = row_norms(vectors, squared=True)
    found = np.empty((len(X), coefficients.shape[1]))
    for part in gen_batches(len(X), max(KERNEL_CELLS // max(len(vectors), 1), 1)):
        rows = X[part]
        distances = row_norms(rows, squared=True)[:, None] + squares - 2 * rows @ vectors.T
        found[part] = np.exp(-gamma * np.maximum(distances, 0)) @ coefficients
    return found + machine.intercept_


def _coefficients(machine: SVC | SVR) -> FloatArray:
    """Weights of the support vectors in each decision, shape (n_vectors, n_decisions).

    Of a pair of classes only their own vectors count: scikit-learn's `dual_coef_` has one row less than there are
    classes, and a vector's weights against the other classes in their order.
    """
    dual = machine.dual_coef_
    if len(dual) == 1:
        return dual.T
    first = np.concatenate([[0], np.cumsum(machine.n_support_)])
    pairs = list(combinations(range(len(machine.classes_)), 2))
    coefficients = np.zeros((dual.shape[1], len(pairs)))
    for at, (i, j) in enumerate(pairs):
        of_i, of_j = slice(first[i], first[i + 1]), slice(first[j], first[j + 1])
        coefficients[of_i, at] = dual[j - 1, of_i]
        coefficients[of_j, at] = dual[i, of_j]
    return coefficients


SUPPORT_VECTORS = SupportVectors()
