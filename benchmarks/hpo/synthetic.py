"""Synthetic tasks with categorical and conditional hyperparameters, whose optimum is known."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from ConfigSpace.hyperparameters import Hyperparameter

from autopytorch_lite.execution.simulated import SimulatedCurve
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.types import Config, FloatArray


class SyntheticTask:
    """What all synthetic tasks share: nothing is forbidden, and nothing is known from other tasks."""

    family: str
    task: str
    space: ConfigurationSpace
    budgets: tuple[int, ...]
    eta = 3.0
    unit_s: float

    def is_forbidden(self, config: Config) -> bool:
        """Never."""
        return False

    def knowledge(self) -> PerformanceMatrix | None:
        """None: every task stands alone."""
        return None

    def _rng(self, config: Config) -> np.random.Generator:
        """The noise of a configuration: the same whenever it is evaluated, whatever the order of its values."""
        text = json.dumps({name: config[name] for name in sorted(config)}, default=float)
        return np.random.default_rng([zlib.crc32(text.encode()), zlib.crc32(self.task.encode())])


def counting_ones_tasks(folder: Path) -> list[str]:
    """Names of the tasks: binary hyperparameters + continuous ones."""
    return ["4+4", "8+8", "16+16", "32+32"]


class CountingOnes(SyntheticTask):
    """As many ones as possible: of binary choices, and of coins thrown once per epoch with chosen probabilities.

    Args:
        folder: not needed.
        task: "8+8" has 8 binary choices and 8 probabilities.

    Source: Falkner, Klein, Hutter (2018), "BOHB", ICML, section 5.1. Theirs is the sum; here it is one minus the mean.
    """

    family = "counting_ones"
    budgets: tuple[int, ...] = (9, 27, 81, 243)

    def __init__(self, folder: Path, task: str):
        self.task = task
        self._n_choices, self._n_floats = (int(part) for part in task.split("+"))
        self.space = ConfigurationSpace(seed=0)
        self.space.add([Categorical(f"choice_{i}", [0, 1]) for i in range(self._n_choices)])
        self.space.add([Float(f"float_{i}", (0.0, 1.0)) for i in range(self._n_floats)])
        self.unit_s = float(self.budgets[-1])

    def curve(self, config: Config, budget: int) -> SimulatedCurve:
        """One minus the mean so far; an epoch takes one second."""
        n = self.budgets[-1]
        p = np.array([config[f"float_{i}"] for i in range(self._n_floats)])
        throws = (self._rng(config).random((n, len(p))) < p).cumsum(axis=0) / np.arange(1, n + 1)[:, None]
        losses = 1 - (self._n_ones(config) + throws.sum(axis=1)) / self._n_dims
        return SimulatedCurve(losses[:budget], np.arange(1.0, budget + 1))

    def regret(self, config: Config) -> float:
        """One minus the expected mean; 0 at the optimum."""
        expected = self._n_ones(config) + sum(float(config[f"float_{i}"]) for i in range(self._n_floats))
        return 1 - expected / self._n_dims

    @property
    def _n_dims(self) -> int:
        return self._n_choices + self._n_floats

    def _n_ones(self, config: Config) -> int:
        return sum(int(config[f"choice_{i}"]) for i in range(self._n_choices))


def mixture_tasks(folder: Path) -> list[str]:
    """Names of the tasks: sub-models x hyperparameters of each / number of the draw."""
    return [f"{size}/{draw}" for size in ("3x3", "5x5", "8x8") for draw in range(4)]


@dataclass(frozen=True)
class _Dimension:
    """One hyperparameter of a sub-model: where its optimum is, and how much being away from it costs.

    Attributes:
        name: full name.
        kind: "float", "log", "integer" or "choice".
        optimum: position in [0, 1] of the best value.
        weight: loss per squared distance.
        penalties: loss of each value of a choice; the best one costs nothing.
    """

    name: str
    kind: str
    optimum: float = 0.0
    weight: float = 0.0
    penalties: tuple[float, ...] = ()

    def hyperparameter(self) -> Hyperparameter:
        """The hyperparameter in ConfigSpace's terms."""
        if self.kind == "choice":
            return Categorical(self.name, [f"value_{i}" for i in range(len(self.penalties))])
        if self.kind == "integer":
            return Integer(self.name, (_INTEGER_LOW, _INTEGER_HIGH))
        return Float(self.name, (1e-4, 1.0), log=True) if self.kind == "log" else Float(self.name, (-5.0, 5.0))

    def penalty(self, value: Any) -> float:
        """What a value costs."""
        if self.kind == "choice":
            return self.penalties[int(str(value).removeprefix("value_"))]
        return self.weight * (self._position(float(value)) - self.optimum) ** 2

    def _position(self, value: float) -> float:
        if self.kind == "log":
            return 1 + math.log10(value) / 4
        if self.kind == "integer":
            return (value - _INTEGER_LOW) / (_INTEGER_HIGH - _INTEGER_LOW)
        return (value + 5) / 10


_INTEGER_LOW, _INTEGER_HIGH = 1, 20


@dataclass(frozen=True)
class _SubModel:
    """One of the models to choose from.

    Attributes:
        floor: loss at its optimum after a full training.
        rate: how fast it learns, per epoch.
        seconds: of one epoch.
        dimensions: its own hyperparameters.
    """

    floor: float
    rate: float
    seconds: float
    dimensions: tuple[_Dimension, ...]


class ConditionalMixture(SyntheticTask):
    """A choice of sub-model, each with hyperparameters of its own, its own optimum, speed of learning and price.

    Good models are not the fast ones, so curves cross; losses carry noise, also at the largest budget.

    Args:
        folder: not needed.
        task: "5x5/2" has 5 sub-models with 5 hyperparameters each, draw number 2.
    """

    family = "mixture"
    budgets: tuple[int, ...] = (3, 9, 27, 81)
    noise = 0.01

    def __init__(self, folder: Path, task: str):
        self.task = task
        size, draw = task.split("/")
        n_models, n_dims = (int(part) for part in size.split("x"))
        rng = np.random.default_rng([zlib.crc32(b"mixture"), n_models, n_dims, int(draw)])
        floors = rng.permutation(np.linspace(0.05, 0.35, n_models))
        self._models = {f"model_{i}": _sub_model(f"model_{i}", floors[i], n_dims, rng) for i in range(n_models)}
        self._shared = _dimension("learning_rate", "log", rng, weight=0.3)
        self.space = self._space()
        self.unit_s = self._mean_seconds()

    def curve(self, config: Config, budget: int) -> SimulatedCurve:
        """An exponential approach to the final loss, with noise."""
        model = self._models[str(config["model"])]
        n = self.budgets[-1]
        epochs = np.arange(1, n + 1)
        rate = model.rate * 10 ** (self._shared.penalty(config["learning_rate"]) - 0.3)
        start = 0.9
        shape = (np.exp(-rate * epochs) - math.exp(-rate * n)) / (1 - math.exp(-rate * n))
        losses = self._final(config) * (1 - shape) + start * shape
        losses += self._rng(config).normal(0, self.noise, n)
        return SimulatedCurve(losses[:budget], model.seconds * epochs[:budget].astype(float))

    def regret(self, config: Config) -> float:
        """(final loss without noise - best) / (1 - best)."""
        best = min(model.floor for model in self._models.values())
        return (self._final(config) - best) / (1 - best)

    def _final(self, config: Config) -> float:
        """Loss after a full training, without noise."""
        model = self._models[str(config["model"])]
        dimensions = (*model.dimensions, self._shared)
        penalty = sum(dimension.penalty(config[dimension.name]) for dimension in dimensions)
        return model.floor + (1 - model.floor) * (1 - math.exp(-penalty))

    def _space(self) -> ConfigurationSpace:
        space = ConfigurationSpace(seed=0)
        choice = Categorical("model", list(self._models))
        space.add([choice, self._shared.hyperparameter()])
        for name, model in self._models.items():
            own = [dimension.hyperparameter() for dimension in model.dimensions]
            space.add(own)
            space.add([EqualsCondition(hyperparameter, choice, name) for hyperparameter in own])
        return space

    def _mean_seconds(self) -> float:
        return self.budgets[-1] * float(np.mean([model.seconds for model in self._models.values()]))


def _sub_model(name: str, floor: float, n_dims: int, rng: np.random.Generator) -> _SubModel:
    kinds = [("float", "log", "choice", "integer")[i % 4] for i in range(n_dims)]
    weights = n_dims * rng.dirichlet(np.ones(n_dims))
    dimensions = tuple(
        _dimension(f"{name}:{kind}_{i}", kind, rng, weight=float(weight))
        for i, (kind, weight) in enumerate(zip(kinds, weights, strict=True))
    )
    rate = float(np.exp(rng.uniform(math.log(0.03), math.log(0.3))))
    return _SubModel(float(floor), rate, float(np.exp(rng.normal(0, 0.5))), dimensions)


def _dimension(name: str, kind: str, rng: np.random.Generator, *, weight: float) -> _Dimension:
    if kind == "choice":
        penalties: FloatArray = rng.permutation(np.linspace(0, 0.3 * weight, 4))
        return _Dimension(name, kind, penalties=tuple(map(float, penalties)))
    optimum = float(rng.uniform(0.1, 0.9))
    if kind == "integer":
        optimum = round(optimum * (_INTEGER_HIGH - _INTEGER_LOW)) / (_INTEGER_HIGH - _INTEGER_LOW)
    return _Dimension(name, kind, optimum, weight)
