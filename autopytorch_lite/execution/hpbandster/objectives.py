"""Objectives by reference: a file with a pickled one, or the place of one in an importable module.

A worker is told where its objective is when it is started, so nothing that comes over the network is unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import cloudpickle

from autopytorch_lite.execution.base import Checkpoint, Objective, Result
from autopytorch_lite.types import Config


def save_objective(objective: Objective, path: str | os.PathLike[str]) -> Path:
    """Write an objective for ``worker --objective FILE``; functions of the main module travel with it.

    Raises:
        TypeError: the objective cannot be pickled.
    """
    try:
        content = cloudpickle.dumps(objective)
    except Exception as error:
        raise TypeError(
            f"An objective for worker processes must be picklable, {objective!r} is not: {error}"
        ) from error
    path = Path(path)
    path.write_bytes(content)
    return path


def load_objective(reference: str) -> Objective:
    """The objective that a reference names; see `ObjectiveReference`.

    Raises:
        ValueError: it is neither of the two forms.
    """
    check_reference(reference)
    if reference.endswith(".pkl"):
        return cloudpickle.loads(Path(reference).read_bytes())
    module, _, name = reference.partition(":")
    return attrgetter(name)(import_module(module))


def check_reference(reference: str) -> None:
    """Check the form of a reference, not what it names.

    Raises:
        ValueError: it is neither of the two forms.
    """
    module, _, name = reference.partition(":")
    if not reference.endswith(".pkl") and not (module and name):
        raise ValueError(f"An objective is given as module:name or FILE.pkl, got {reference!r}.")


@dataclass(frozen=True)
class ObjectiveReference:
    """Stands for an objective until it is unpickled, so that only the process that evaluates loads its libraries.

    Attributes:
        reference: a file that ends in ".pkl", made by `save_objective`, or "module:name".
    """

    reference: str

    def __reduce__(self) -> tuple[Callable[[str], Objective], tuple[str]]:
        return load_objective, (self.reference,)

    def __call__(self, config: Config, budget: int, checkpoint: Checkpoint) -> Result | float:
        """Evaluate in this process."""
        objective: Any = load_objective(self.reference)
        return objective(config, budget, checkpoint)
