"""LCBench anchored to its real results: learning curves of 7 hyperparameters on the tasks of a data folder.

The data folder holds ``surrogate.py`` (the curves) and ``lcbench_real_final.npz`` (2,000 recorded results per task).
Source: Zimmer, Lindauer, Hutter (2021), "Auto-PyTorch Tabular", IEEE TPAMI 43(9); Pfisterer et al. (2022), "YAHPO Gym".
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace, Float, Integer

import search_spaces
from autopytorch_lite.errors import DataError
from autopytorch_lite.execution.simulated import SimulatedCurve
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.types import Config

BUDGETS = (2, 6, 17, 52)
"""Epochs; epoch 1 of the recorded curves is the untrained network, so no rung is there."""
_N_FOR_UNIT = 2000


@cache
def load_surrogate(folder: Path) -> ModuleType:
    """The module ``surrogate.py`` of a data folder.

    Raises:
        DataError: the folder has none, or it needs a package that is missing.
    """
    path = folder / "surrogate.py"
    if not path.exists():
        raise DataError(f"The problem lcbench needs surrogate.py in the data folder; {folder} has none.")
    name = f"lcbench_surrogate_{abs(hash(folder))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        hint = "pip install 'autopytorch-lite[hpo]' brings what it needs."
        raise DataError(f"{path} cannot be loaded: {error}. {hint}") from error
    return module


def tasks(folder: Path) -> list[str]:
    """Names of the tasks of the data folder."""
    return [str(name) for name in load_surrogate(folder).INSTANCES]


def space_of(ranges: Any) -> ConfigurationSpace:
    """The space of a mapping name -> (lower, upper, is log, is integer)."""
    space = ConfigurationSpace()
    for name, (low, high, log, integer) in ranges.items():
        space.add(Integer(name, (low, high), log=log) if integer else Float(name, (low, high), log=log))
    return space


class LCBenchTask:
    """One task. Loss is 1 - validation accuracy, regret is measured against the recorded results of the task.

    Args:
        folder: the data folder.
        task: its name.

    Raises:
        DataError: the folder lacks something.
    """

    family = "lcbench"
    budgets: tuple[int, ...] = BUDGETS
    eta = 3.0

    def __init__(self, folder: Path, task: str):
        self.task = task
        self._folder = folder
        module = load_surrogate(folder)
        self._names = list(module.SPACE)
        self._surrogate = module.Surrogate(task)
        self.space = space_of(module.SPACE)
        recorded = np.load(folder / "lcbench_real_final.npz")
        accuracy = np.asarray(recorded[f"r{task}"], dtype=float)[:, 0]
        self._best, self._worst = float(accuracy.max()), float(accuracy.min())
        self._recorded = {_rounded(row) for row in recorded["configs"]}
        rng = np.random.default_rng(0)
        random = [module.from_unit(point) for point in rng.random((_N_FOR_UNIT, len(self._names)))]
        self.unit_s = float(np.mean(self._surrogate.final(random)["time"]))

    def curve(self, config: Config, budget: int) -> SimulatedCurve:
        """Losses and cumulative seconds of epochs 1 to `budget`; see `Problem`."""
        curve = self._surrogate.curve(config, budget)
        return SimulatedCurve(1 - np.asarray(curve["val_accuracy"]) / 100, np.asarray(curve["time"], dtype=float))

    def is_forbidden(self, config: Config) -> bool:
        """Whether it is one of the recorded configurations: the best of them is the optimum of the surrogate."""
        return _rounded([config[name] for name in self._names]) in self._recorded

    def regret(self, config: Config) -> float:
        """(best - value) / (best - worst) of the recorded results, value being the accuracy after 52 epochs."""
        value = float(self._surrogate.curve(config, BUDGETS[-1])["val_accuracy"][-1])
        return (self._best - value) / (self._best - self._worst)

    def knowledge(self) -> PerformanceMatrix | None:
        """The data folder's matrix.npz, or else the shipped matrix, without this task; None if there is neither."""
        matrix = _matrix(self._folder)
        return None if matrix is None else matrix.without(self.task)


@cache
def _matrix(folder: Path) -> PerformanceMatrix | None:
    paths = (folder / "matrix.npz", Path(search_spaces.__file__).parent / "priors" / "lcbench.npz")
    path = next((path for path in paths if path.exists()), None)
    return None if path is None else PerformanceMatrix.load(path)


def _rounded(values: Sequence[Any]) -> tuple[float, ...]:
    """Values to six digits, so that storing them in single precision hides nothing."""
    return tuple(float(f"{float(value):.6g}") for value in values)
