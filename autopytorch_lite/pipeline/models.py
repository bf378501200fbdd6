"""The models of libraries behind learners: grown round by round, or fitted in a single step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from autopytorch_lite.pipeline.rounds import step_at
from autopytorch_lite.pipeline.serialize import dump_objects, load_objects, read_json, write_json
from autopytorch_lite.types import Array, FloatArray


@dataclass(frozen=True)
class Growth:
    """How far a model is to be grown.

    Attributes:
        start: rounds that the model has.
        stop: rounds that it is to have, in total.
        n_planned: rounds of the trial's budget, of which only the first are grown where that has been found best.
        n_all: rounds of a full training.
        n_classes: number of classes; 0 where the targets are values.
        seed: of everything random; the same seed gives the same model.
        n_threads: threads that may be used.
    """

    start: int
    stop: int
    n_planned: int
    n_all: int
    n_classes: int
    seed: int
    n_threads: int

    @property
    def is_classification(self) -> bool:
        """Whether the targets are class codes."""
        return self.n_classes > 0

    def step(self, learning_rate: float) -> float:
        """The learning rate of a booster that is planned to have `n_planned` rounds; see `step_at`."""
        return step_at(self.n_planned, self.n_all, learning_rate)


class Model(ABC):
    """The model of a library behind a learner: for classes, or for one column of values.

    A model that is fitted in a single step has one round.
    """

    @abstractmethod
    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """Learn up to `growth.stop` rounds; growing to 5 and then to 15 equals growing to 15, see also `Booster`.

        Args:
            X: what the learner's `Inputs` make of the rows, shape (n, d).
            y: codes 0 .. n_classes - 1, each of which occurs, int64; or standardised values, float64; shape (n,).
            weight: positive, mean 1, shape (n,); None where all rows count the same.
            growth: from where to where.
        """

    @abstractmethod
    def predict(self, X: Array) -> FloatArray:
        """Probabilities of the classes, shape (n, n_classes), or standardised values, shape (n,)."""

    def stages(self, X: Array, rounds: Sequence[int]) -> Iterator[FloatArray]:
        """Predictions after each of the numbers of rounds, which ascend to the last one grown."""
        return (self.predict(X) for _ in rounds)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what predicting needs into `folder`, which exists."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Inverse of `save`."""

    def save_state(self, folder: Path) -> None:
        """Write what growing on needs into `folder`, which exists."""
        self.save(folder)

    def load_state(self, folder: Path) -> None:
        """Inverse of `save_state`."""
        self.load(folder)


class Booster(Model):
    """A model whose later rounds correct the earlier ones, until they begin to learn noise; the first ones can predict.

    It is not grown on but trained anew: fewer rounds take larger steps, see `step_at`. So `grow` is called once, with a
    start of 0, and its state is nothing.

    Many validation rows may choose how many, though they select the ensemble too: they choose among the ten numbers at
    which the learning curve is read, and a search compares far more models by the same rows.
    """

    @abstractmethod
    def first(self, n_rounds: int) -> Self:
        """The same model with its first rounds only."""

    def save_state(self, folder: Path) -> None:
        """Nothing is needed to begin anew."""

    def load_state(self, folder: Path) -> None:
        """See `save_state`."""


class EstimatorModel(Model):
    """A model that consists of scikit-learn's estimators.

    Attributes:
        parts: fitted estimators by name.
    """

    file: ClassVar[str] = "estimators.skops"

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {}

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        dump_objects(folder / self.file, self.parts)

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        self.parts = load_objects(folder / self.file)


class ConstantModel(Model):
    """The training rows' average, where there is nothing to learn: a single class or value, or inputs that never vary.

    Some libraries refuse such rows.
    """

    def __init__(self) -> None:
        self._average = np.zeros(0)

    def grow(self, X: Array, y: Array, weight: FloatArray | None, growth: Growth) -> None:
        """See `Model.grow`."""
        columns = np.eye(growth.n_classes)[y] if growth.is_classification else y
        self._average = np.average(columns, axis=0, weights=weight)

    def predict(self, X: Array) -> FloatArray:
        """See `Model.predict`."""
        return np.broadcast_to(self._average, (len(X), *self._average.shape)).copy()

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        write_json(folder / "constant.json", {"average": self._average.tolist()})

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        self._average = np.asarray(read_json(folder / "constant.json")["average"])


def class_columns(predictions: FloatArray, is_classification: bool) -> FloatArray:
    """Predictions, float64, with both columns of two classes where a library gives the second one only."""
    predictions = predictions.astype(np.float64)
    is_binary = is_classification and predictions.ndim == 1
    return np.column_stack([1 - predictions, predictions]) if is_binary else predictions
