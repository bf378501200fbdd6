"""LCBench anchored to its real results: the tasks of a data folder as problems for searchers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import search_spaces
from autopytorch_lite.execution.simulated import SimulatedCurve
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.types import Config
from benchmarks.lcbench_surrogate import BUDGETS, SurrogateFolder

_N_FOR_UNIT = 2000


@cache
def _surrogate_of(folder: Path) -> SurrogateFolder:
    return SurrogateFolder(folder)


def tasks(folder: Path) -> list[str]:
    """Names of the tasks of the data folder.

    Raises:
        DataError: the folder lacks something.
        MissingExtraError: the surrogate needs a package that is missing.
    """
    return list(_surrogate_of(folder).tasks)


class LCBenchTask:
    """One task. Loss is 1 - validation accuracy, regret is measured against the recorded results of the task.

    Args:
        folder: the data folder.
        task: its name.

    Raises:
        DataError: the folder lacks something.
        MissingExtraError: the surrogate needs a package that is missing.
    """

    family = "lcbench"
    budgets: tuple[int, ...] = BUDGETS
    eta = 3.0

    def __init__(self, folder: Path, task: str):
        self.task = task
        self._folder = folder
        self._surrogate = _surrogate_of(folder)
        self._of_task = self._surrogate.task(task)
        self.space = self._surrogate.space
        accuracy = self._surrogate.recorded_accuracies(task)
        self._best, self._worst = float(accuracy.max()), float(accuracy.min())
        random = self._surrogate.sample(_N_FOR_UNIT, seed=0)
        self.unit_s = float(np.mean(self._of_task.final(random)["time"]))

    def curve(self, config: Config, budget: int) -> SimulatedCurve:
        """Losses and cumulative seconds of epochs 1 to `budget`; see `Problem`."""
        curve = self._of_task.curve(config, budget)
        return SimulatedCurve(1 - np.asarray(curve["val_accuracy"]) / 100, np.asarray(curve["time"], dtype=float))

    def is_forbidden(self, config: Config) -> bool:
        """Whether it is one of the recorded configurations: the best of them is the optimum of the surrogate."""
        return self._surrogate.is_recorded(config)

    def regret(self, config: Config) -> float:
        """(best - value) / (best - worst) of the recorded results, value being the accuracy after 52 epochs."""
        value = float(self._of_task.curve(config, BUDGETS[-1])["val_accuracy"][-1])
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
