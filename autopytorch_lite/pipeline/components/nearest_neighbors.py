"""Nearest neighbours; they cost the same at every budget.

`build` of a component of the node "learner" returns a `Learner`, not yet fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from autopytorch_lite.pipeline.graph import Categorical, Component, Hyperparameter, Int
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.pipeline.models import Growth, Model
from autopytorch_lite.pipeline.serialize import dump_objects, load_objects
from autopytorch_lite.pipeline.traditional import class_weights, dense_learner
from autopytorch_lite.pipeline.traditional_inputs import dense_hyperparameters
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray

MAX_ROWS = 20_000
"""Rows up to which neighbours are offered: a prediction looks at all of them."""

FILE = "neighbors.skops"


class KNearestNeighbors(Component):
    """Averages over the nearest training rows; the same at every budget."""

    name = "k_nearest_neighbors"

    def applies(self, info: DatasetInfo) -> bool:
        """Only up to `MAX_ROWS` rows."""
        return info.n_rows <= MAX_ROWS

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """How many neighbours, what they count, how far away they are."""
        return (
            Int("n_neighbors", 1, 100, log=True, default=10),
            Categorical("weights", ("uniform", "distance")),
            Int("p", 1, 2, default=2),
            *dense_hyperparameters(info),
            *class_weights(info),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        """A learner, not yet fitted."""
        return dense_learner(values, info, model=NeighborsModel)


class NeighborsModel(Model):
    """The training rows.

    For classes the average over all rows counts as one more neighbour: no class is impossible because it is absent from
    so few rows.
    """

    def __init__(self, values: Mapping[str, Any], info: DatasetInfo):
        self._values = dict(values)
        self._rows: dict[str, Any] = {}
        self._index: Any = None

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        answers = np.eye(growth.n_classes)[y] if growth.is_classification else y[:, None]
        weight = np.ones(len(X)) if weight is None else weight
        self._set_rows({"X": X, "answers": answers, "weight": weight, "is_class": growth.is_classification})

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        distances, neighbors = self._index.kneighbors(X)
        weight = self._rows["weight"][neighbors] * self._closeness(distances)
        answers = self._rows["answers"]
        total = sum(weight[:, [k]] * answers[neighbors[:, k]] for k in range(neighbors.shape[1]))
        if not self._rows["is_class"]:
            return total[:, 0] / weight.sum(axis=1)
        overall = np.average(answers, axis=0, weights=self._rows["weight"])
        return (total + overall) / (weight.sum(axis=1, keepdims=True) + 1)

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        dump_objects(folder / FILE, self._rows)

    def load(self, folder: Path) -> None:
        """See `Model.load`; the index is made anew."""
        self._set_rows(load_objects(folder / FILE))

    def _set_rows(self, rows: dict[str, Any]) -> None:
        self._rows = rows
        n_neighbors = min(int(self._values["n_neighbors"]), len(rows["X"]))
        self._index = NearestNeighbors(n_neighbors=n_neighbors, p=self._values["p"]).fit(rows["X"])

    def _closeness(self, distances: FloatArray) -> FloatArray:
        """What each neighbour counts, mean 1, shape (n, n_neighbors); one at no distance counts all."""
        if self._values["weights"] == "uniform":
            return np.ones_like(distances)
        nearest = distances.min(axis=1, keepdims=True)
        closeness = np.where(nearest > 0, nearest / np.where(distances > 0, distances, 1.0), distances == 0)
        return closeness / closeness.mean(axis=1, keepdims=True)


NEAREST_NEIGHBORS = KNearestNeighbors()
