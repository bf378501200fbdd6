"""What a searcher is measured on: a space, learning curves with their times, and the regret of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.execution.simulated import SimulatedCurve
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.types import Config
from benchmarks.hpo import lcbench, synthetic


class Searchable(Protocol):
    """What a searcher is made for.

    Attributes:
        family: name of the family.
        task: name of the task, unique within the family.
        space: what is searched.
        budgets: rungs, epochs, ascending; the last is a full training.
        eta: quotient of neighbouring rungs.
    """

    family: str
    task: str
    space: ConfigurationSpace
    budgets: tuple[int, ...]
    eta: float

    def knowledge(self) -> PerformanceMatrix | None:
        """What is known from other tasks, this one left out; None if nothing is."""
        ...


class Problem(Searchable, Protocol):
    """One task of a family, on simulated time.

    Attributes:
        unit_s: simulated seconds of a full training of a random configuration, on average; costs are in this unit.
    """

    unit_s: float

    def curve(self, config: Config, budget: int) -> SimulatedCurve:
        """Losses and cumulative seconds of epochs 1 to `budget`."""
        ...

    def is_forbidden(self, config: Config) -> bool:
        """Whether nobody may propose this configuration here; a run that does counts as failed."""
        ...

    def regret(self, config: Config) -> float:
        """Distance to the best possible result at the largest budget; 0 is the best, 1 the worst."""
        ...


@dataclass(frozen=True)
class Family:
    """How the tasks of a family are found and made.

    Attributes:
        tasks: names of all tasks; is given the data folder.
        make: a task by name.
    """

    tasks: Callable[[Path], Sequence[str]]
    make: Callable[[Path, str], Problem]


FAMILIES: dict[str, Family] = {
    "lcbench": Family(lcbench.tasks, lcbench.LCBenchTask),
    "counting_ones": Family(synthetic.counting_ones_tasks, synthetic.CountingOnes),
    "mixture": Family(synthetic.mixture_tasks, synthetic.ConditionalMixture),
}


def family(name: str) -> Family:
    """A family by name.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in FAMILIES:
        raise UnknownNameError("problem", name, FAMILIES)
    return FAMILIES[name]
