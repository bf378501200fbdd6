"""Forests of scikit-learn; the budget in epochs becomes a number of trees.

`build` of a component of the node "learner" returns a `Learner`, not yet fitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from autopytorch_lite.pipeline.forest_files import pack_trees, unpack_trees
from autopytorch_lite.pipeline.graph import Categorical, Component, Constant, Float, Hyperparameter, Int
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.pipeline.models import Growth, Model
from autopytorch_lite.pipeline.serialize import dump_objects, load_objects
from autopytorch_lite.pipeline.traditional import class_weights, column_learner
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray

MAX_ROWS = 100_000
"""Rows up to which forests are offered: their trees grow with the rows, to gigabytes beyond."""

MIN_FEATURE_SHARE = 0.02
"""Smallest share of the columns from which a split is chosen."""

FILE = "forest.skops"


class _Forest(Component):
    """Averaged deep trees.

    Attributes:
        classifier: of scikit-learn.
        regressor: of scikit-learn.
    """

    classifier: ClassVar[type]
    regressor: ClassVar[type]

    def applies(self, info: DatasetInfo) -> bool:
        """Only up to `MAX_ROWS` rows."""
        return info.n_rows <= MAX_ROWS

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Number of trees, what a split may choose from and by what, when to stop, and how categories are read."""
        return (
            Constant("n_estimators", 100),
            Float("max_features", MIN_FEATURE_SHARE, 1.0, default=_usual_share(info)),
            Int("min_samples_leaf", 1, 50, log=True, default=1),
            *((Categorical("criterion", ("gini", "entropy")),) if info.task.is_classification else ()),
            *((Categorical("encoding", ("ordinal", "target")),) if info.n_categorical else ()),
            *class_weights(info),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        """A learner, not yet fitted."""
        others = dict(values)
        with_statistics = others.pop("encoding", "ordinal") == "target"
        kind = self.classifier if info.task.is_classification else self.regressor
        model = partial(ForestModel, kind)
        return column_learner(others, info, model=model, rounds="n_estimators", with_statistics=with_statistics)


class RandomForest(_Forest):
    """Averaged trees, each grown on rows drawn with replacement."""

    name = "random_forest"
    classifier = RandomForestClassifier
    regressor = RandomForestRegressor


class ExtraTrees(_Forest):
    """Averaged trees with thresholds drawn at random."""

    name = "extra_trees"
    classifier = ExtraTreesClassifier
    regressor = ExtraTreesRegressor


class ForestModel(Model):
    """A growing list of trees.

    Among the trees of a classifier counts one more that knows only how frequent the classes are: where all trees agree,
    they may still be wrong.
    """

    def __init__(self, kind: type, values: Mapping[str, Any], info: DatasetInfo):
        self._kind = kind
        self._values = dict(values)
        self._trees: list[Any] = []
        self._prior: FloatArray | None = None

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        forest = self._kind(
            **self._values,
            n_estimators=growth.stop,
            warm_start=True,
            n_jobs=growth.n_threads,
            random_state=growth.seed,
        )
        forest.estimators_ = [None] * growth.start  # scikit-learn draws the seeds of further trees after so many others
        forest.fit(X, y, sample_weight=weight)
        self._trees += [estimator.tree_ for estimator in forest.estimators_[growth.start :]]
        if growth.is_classification:
            self._prior = np.bincount(y, weights=weight) / len(y)

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        return next(self.stages(X, [len(self._trees)]))

    def stages(self, X: Array, rounds: Sequence[int]) -> Iterator[FloatArray]:
        """See `Model.stages`; together they cost as much as one prediction."""
        X = X.astype(np.float32)
        total: Array = np.zeros(len(X)) if self._prior is None else np.tile(self._prior, (len(X), 1))
        n_averaged = 0 if self._prior is None else 1
        for n_trees, tree in enumerate(self._trees, start=1):
            total = total + tree.predict(X).reshape(total.shape)
            if n_trees in rounds:
                yield total / (n_trees + n_averaged)

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        n_features = self._trees[0].n_features
        dump_objects(folder / FILE, {"trees": pack_trees(self._trees), "n_features": n_features, "prior": self._prior})

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        parts = load_objects(folder / FILE)
        self._trees, self._prior = unpack_trees(parts["trees"], parts["n_features"]), parts["prior"]


def _usual_share(info: DatasetInfo) -> float:
    """Share of the columns for a split, as in scikit-learn: the root of their number for classes, all for values."""
    if not info.task.is_classification:
        return 1.0
    return max(MIN_FEATURE_SHARE, 1 / math.sqrt(max(1, info.n_numeric + info.n_categorical)))


FORESTS = (RandomForest(), ExtraTrees())
