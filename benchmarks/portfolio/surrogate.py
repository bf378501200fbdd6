"""The LCBench surrogate of a data folder, as configurations x tasks x epochs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace, Float, Integer

from autopytorch_lite.errors import DataError, MissingExtraError
from autopytorch_lite.types import Array, Config, FloatArray

BUDGETS = (2, 6, 17, 52)
"""Epochs. The surrogate's first epoch is the untrained network, so 52 of them are 51 trained ones."""


class SurrogateFolder:
    """The tasks of a folder that holds `surrogate.py` and its data.

    Args:
        folder: where `surrogate.py` is.
        variant: "anchored" (to LCBench's real results) or "yahpo" (the network as published).

    Attributes:
        space: the space of the surrogate, plain names.
        tasks: the tasks' OpenML task ids, as text.
        recorded: the 2,000 configurations whose real results are in the folder, as tuples in the order of `names`.

    Raises:
        DataError: the folder has no surrogate.py.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, folder: Path, variant: str = "anchored"):
        self._module = _loaded(folder, variant)
        self.names: tuple[str, ...] = tuple(self._module.NAMES)
        self.space = _space_of(self._module.SPACE)
        self.tasks: tuple[str, ...] = tuple(map(str, self._module.INSTANCES))
        rows = np.load(folder / "lcbench_real_final.npz")["configs"]
        self.recorded = {tuple(map(float, row)) for row in rows}

    def task(self, name: str) -> Any:
        """The surrogate of one task."""
        return self._module.Surrogate(name)

    def is_recorded(self, config: Config) -> bool:
        """Whether the configuration is one of those with real results."""
        return tuple(float(config[name]) for name in self.names) in self.recorded

    def final_score(self, task: Any, configs: Sequence[Config]) -> FloatArray:
        """What orders configurations after the last epoch, higher is better, float64, shape (n,).

        The anchored variant cuts accuracies off at the best real one; its Gaussian process still orders those above.
        """
        if hasattr(task, "predict"):
            return np.asarray(task.predict(np.array([[config[name] for name in self.names] for config in configs])))
        return np.asarray(task.final(configs)["val_accuracy"])

    def curves(self, task: Any, configs: Sequence[Config], budgets: Sequence[int]) -> tuple[Array, Array]:
        """Losses, 1 - accuracy, and cumulative seconds at budgets, float64, shape (n, n_budgets) each."""
        at = np.array(budgets) - 1
        losses, seconds = np.empty((len(configs), len(at))), np.empty((len(configs), len(at)))
        for row, config in enumerate(configs):
            curve = task.curve(config)
            losses[row] = 1 - curve["val_accuracy"][at] / 100
            seconds[row] = curve["time"][at]
        return losses, seconds


def _loaded(folder: Path, variant: str) -> ModuleType:
    path = folder / "surrogate.py"
    if not path.is_file():
        raise DataError(f"The data folder must hold surrogate.py; {path} does not exist.")
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingExtraError("onnxruntime", "onnx", "The LCBench surrogate")
    os.environ["LCBENCH_VARIANT"] = variant
    spec = importlib.util.spec_from_file_location("lcbench_surrogate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _space_of(ranges: dict[str, tuple[float, float, bool, bool]]) -> ConfigurationSpace:
    space = ConfigurationSpace(name="lcbench")
    for name, (low, high, log, integer) in ranges.items():
        if integer:
            space.add(Integer(name, (int(low), int(high)), log=log))
        else:
            space.add(Float(name, (low, high), log=log))
    return space
