"""The LCBench surrogate of a data folder: learning curves of 7 hyperparameters on LCBench's tasks.

The data folder holds ``surrogate.py`` (the curves) and ``lcbench_real_final.npz`` (2,000 recorded results per task).
Source: Zimmer, Lindauer, Hutter (2021), "Auto-PyTorch Tabular", IEEE TPAMI 43(9); Pfisterer et al. (2022), "YAHPO Gym".
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace, Float, Integer

from autopytorch_lite.errors import DataError, MissingExtraError
from autopytorch_lite.types import Array, Config, FloatArray

BUDGETS = (2, 6, 17, 52)
"""Epochs. The surrogate's first epoch is the untrained network, so no rung is there, and 52 of them are 51 trained."""
_VARIANT = "LCBENCH_VARIANT"


class SurrogateFolder:
    """What a data folder holds.

    Args:
        folder: where `surrogate.py` is.
        variant: "anchored" (to LCBench's real results) or "yahpo" (the network as published); None: what the
            environment's LCBENCH_VARIANT says, else "anchored".

    Attributes:
        names: the hyperparameters, in the order of the recorded configurations.
        space: the space of the surrogate, plain names.
        tasks: the tasks' OpenML task ids, as text.

    Raises:
        DataError: the folder has no surrogate.py.
        MissingExtraError: a package that it needs is not installed.
    """

    def __init__(self, folder: Path, variant: str | None = None):
        self._module = _loaded(folder.resolve(), variant or os.environ.get(_VARIANT, "anchored"))
        self._names_path = folder / "instance_names.json"
        self._recorded_path = folder / "lcbench_real_final.npz"
        self.names: tuple[str, ...] = tuple(self._module.SPACE)
        self.space = _space_of(self._module.SPACE)
        self.tasks: tuple[str, ...] = tuple(map(str, self._module.INSTANCES))
        self._recorded = {_rounded(row) for row in np.load(self._recorded_path)["configs"]}

    def task(self, name: str) -> Any:
        """The surrogate of one task."""
        return self._module.Surrogate(name)

    def task_of(self) -> dict[str, str]:
        """Name of a table -> its task, of the tasks that `instance_names.json` knows."""
        names = json.loads(self._names_path.read_text(encoding="utf-8"))
        return {names[task]["name"]: task for task in self.tasks if task in names}

    def sample(self, n: int, seed: int) -> list[Config]:
        """Random configurations."""
        points = np.random.default_rng(seed).random((n, len(self.names)))
        return [self._module.from_unit(point) for point in points]

    def is_recorded(self, config: Config) -> bool:
        """Whether the configuration is one of the 2,000 with real results."""
        return _rounded([config[name] for name in self.names]) in self._recorded

    def recorded_accuracies(self, name: str) -> FloatArray:
        """The real results of one task after a full training, percent, float64, shape (n_recorded,)."""
        return np.asarray(np.load(self._recorded_path)[f"r{name}"], dtype=float)[:, 0]

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


@cache
def _loaded(folder: Path, variant: str) -> ModuleType:
    path = folder / "surrogate.py"
    if not path.is_file():
        raise DataError(f"The data folder of LCBench must hold surrogate.py; {folder} has none.")
    spec = importlib.util.spec_from_file_location("lcbench_surrogate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        with _variant_in_environment(variant):  # the module reads it while it is loaded
            spec.loader.exec_module(module)
    except ImportError as error:
        raise MissingExtraError(error.name or "onnxruntime", "hpo", "The LCBench surrogate") from error
    return module


@contextlib.contextmanager
def _variant_in_environment(variant: str) -> Iterator[None]:
    before = os.environ.get(_VARIANT)
    os.environ[_VARIANT] = variant
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIANT]
        else:
            os.environ[_VARIANT] = before


def _space_of(ranges: Mapping[str, tuple[float, float, bool, bool]]) -> ConfigurationSpace:
    """The space of a mapping name -> (lower, upper, is log, is integer)."""
    space = ConfigurationSpace(name="lcbench")
    for name, (low, high, log, integer) in ranges.items():
        if integer:
            space.add(Integer(name, (int(low), int(high)), log=log))
        else:
            space.add(Float(name, (low, high), log=log))
    return space


def _rounded(values: Sequence[Any]) -> tuple[float, ...]:
    """Values to six digits, so that storing them in single precision hides nothing."""
    return tuple(float(f"{float(value):.6g}") for value in values)
