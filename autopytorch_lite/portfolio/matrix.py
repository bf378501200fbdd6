"""What was measured: the losses and times of configurations on tasks at budgets, as one value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from itertools import pairwise
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import PortfolioError, SpaceError, UnknownNameError
from autopytorch_lite.history.trial import Line
from autopytorch_lite.portfolio import storage
from autopytorch_lite.portfolio.records import Results, results_of
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.types import Array, Config, FloatArray


@dataclass(frozen=True, eq=False)
class PerformanceMatrix:
    """Losses and times of configurations x tasks x budgets. Checked when it is made, and not changed afterwards.

    Attributes:
        space: the space that every configuration is a point of.
        configs: the configurations, n of them, each once.
        tasks: names of the tasks, t of them, each once.
        budgets: epochs, r of them, ascending.
        losses: float32, shape (t, n, r), lower is better; NaN: not evaluated, or failed.
        seconds: float32, shape (t, n, r), cumulative from scratch; NaN: unknown.
        provenance: plain data: sources, licence, command, date, whatever the caller knows.
        found_on: for each configuration the task whose results led to it, "" if none did. Where a task is left out,
            so are the configurations found on it: they would give away what is good there.

    Raises:
        PortfolioError: shapes differ, names or budgets are not what they must be, a value is infinite or a time
            negative; the message says which.
        SpaceError: a configuration is not a point of the space, or is there twice; the message says which.
    """

    space: ConfigurationSpace
    configs: tuple[Config, ...]
    tasks: tuple[str, ...]
    budgets: tuple[int, ...]
    losses: FloatArray
    seconds: FloatArray
    provenance: Mapping[str, Any] = field(default_factory=dict)
    found_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "configs", tuple(dict(config) for config in self.configs))
        set_field(self, "tasks", tuple(self.tasks))
        set_field(self, "budgets", tuple(int(b) if isinstance(b, Integral) else b for b in self.budgets))
        set_field(self, "losses", _frozen(self.losses))
        set_field(self, "seconds", _frozen(self.seconds))
        set_field(self, "provenance", dict(self.provenance))
        set_field(self, "found_on", tuple(self.found_on) or ("",) * len(self.configs))
        _check_names(self.tasks, self.budgets)
        _check_configs(self.configs, self.space)
        if len(self.found_on) != len(self.configs):
            raise PortfolioError(f"found_on must name {len(self.configs)} tasks, got {len(self.found_on)}.")
        shape = (len(self.tasks), len(self.configs), len(self.budgets))
        _check_values("losses", self.losses, shape)
        _check_values("seconds", self.seconds, shape)
        if np.any(self.seconds < 0):
            raise PortfolioError(f"seconds must not be negative, got {float(np.nanmin(self.seconds)):g}.")

    def __repr__(self) -> str:
        return (
            f"PerformanceMatrix({len(self.configs)} configurations x {len(self.tasks)} tasks x "
            f"budgets {list(self.budgets)}, {np.isfinite(self.losses).mean():.0%} of the losses known)"
        )

    @property
    def final_losses(self) -> FloatArray:
        """Losses at the largest budget, float32, shape (t, n)."""
        return self.losses[:, :, -1]

    def without(self, task: str) -> PerformanceMatrix:
        """The matrix of all other tasks, less what was found on `task`: what may be known when `task` is new.

        Raises:
            UnknownNameError: no such task.
        """
        self._check_task(task)
        others = self.with_tasks(name for name in self.tasks if name != task)
        return others.with_configs([number for number, found_on in enumerate(self.found_on) if found_on != task])

    def with_tasks(self, tasks: Iterable[str]) -> PerformanceMatrix:
        """The matrix of these tasks, in this order.

        Raises:
            UnknownNameError: no such task.
            PortfolioError: a task is named twice.
        """
        names = tuple(tasks)
        for name in names:
            self._check_task(name)
        _check_names(names, self.budgets)
        rows = [self.tasks.index(name) for name in names]
        return self._with(tasks=names, losses=self.losses[rows], seconds=self.seconds[rows])

    def with_configs(self, numbers: Sequence[int] | Array) -> PerformanceMatrix:
        """The matrix of the configurations with these numbers (positions in `configs`), in this order.

        Raises:
            PortfolioError: a number is there twice.
        """
        kept = [int(number) for number in numbers]
        if len(set(kept)) < len(kept):
            raise PortfolioError(f"Numbers of configurations must differ, got {kept!r:.200}.")
        configs = tuple(self.configs[number] for number in kept)
        found_on = tuple(self.found_on[number] for number in kept)
        return self._with(
            configs=configs, losses=self.losses[:, kept], seconds=self.seconds[:, kept], found_on=found_on
        )

    def save(self, path: str | PathLike[str], *, quantised: bool = False) -> None:
        """Write the matrix as one compressed .npz file; see docs/portfolios.md for what is in it.

        Args:
            path: the file, replaced as a whole if it exists.
            quantised: store losses in 65,535 steps of each task's range and times in steps of 0.1 %: a third of the
                size. Otherwise loading gives exactly the same numbers.

        Raises:
            PortfolioError: the provenance is not plain data.
        """
        storage.write(path, self._fields(), quantised=quantised)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> PerformanceMatrix:
        """Read what `save` wrote. Never runs code that the file brings.

        Raises:
            PortfolioError: the file is missing, damaged, something else, or of a newer format; the message names it.
        """
        content = storage.read(path)
        try:
            return cls(**content)
        except (PortfolioError, SpaceError, UnknownNameError) as error:
            raise PortfolioError(f"The performance matrix {path} contradicts itself: {error}") from error

    @classmethod
    def from_histories(
        cls,
        space: ConfigurationSpace,
        histories: Mapping[str, Iterable[Line]],
        *,
        budgets: Sequence[int] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> PerformanceMatrix:
        """The matrix of what earlier runs evaluated, all rungs of them.

        A rung below a finished trial's budget that was not evaluated itself is read off the trial's learning curve.
        Times are summed over the trials that were continued; for a rung read off a curve they are the share of the
        trial's time that the curve's own seconds, or else its epochs, give.

        Args:
            space: the space of all the runs.
            histories: the lines of one run for each task.
            budgets: epochs of the matrix; by default every budget at which a trial was proposed.
            provenance: plain data, kept as it is.

        Raises:
            SpaceError: a configuration is not a point of the space; the message names task and trial.
            PortfolioError: the runs proposed nothing.
        """
        results = {task: results_of(lines) for task, lines in histories.items()}
        _check_trials(results, space)
        configs = list({_identity(config): config for found in results.values() for config in found.configs}.values())
        chosen = sorted({*(budgets or (b for found in results.values() for b in found.budgets))})
        if not configs or not chosen:
            raise PortfolioError("A performance matrix needs runs that evaluated something; these have no proposal.")
        numbers = {_identity(config): number for number, config in enumerate(configs)}
        losses = np.full((len(results), len(configs), len(chosen)), np.nan)
        seconds = losses.copy()
        for row, found in enumerate(results.values()):
            for config_id, config in enumerate(found.configs):
                number = numbers[_identity(config)]
                for rung, budget in enumerate(chosen):
                    outcome = found.outcome(config_id, budget)
                    if outcome is not None:
                        losses[row, number, rung], seconds[row, number, rung] = outcome
        return cls(space, tuple(configs), tuple(results), tuple(chosen), losses, seconds, provenance or {})

    def _fields(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def _with(self, **changes: Any) -> PerformanceMatrix:
        """A part of this matrix; parts of checked values need no checks."""
        part = copy(self)
        for name, value in changes.items():
            object.__setattr__(part, name, value)
        part.losses.setflags(write=False)
        part.seconds.setflags(write=False)
        return part

    def _check_task(self, task: str) -> None:
        if task not in self.tasks:
            raise UnknownNameError("task of the performance matrix", task, self.tasks)


def _frozen(values: Any) -> FloatArray:
    array = np.array(values, dtype=np.float32)
    array.setflags(write=False)
    return array


def _identity(config: Config) -> frozenset[tuple[str, object]]:
    return frozenset(config.items())


def _check_names(tasks: tuple[str, ...], budgets: tuple[int, ...]) -> None:
    if len(set(tasks)) < len(tasks) or not all(isinstance(task, str) for task in tasks):
        raise PortfolioError(f"tasks must be different names, got {list(tasks)!r:.200}.")
    whole = all(isinstance(budget, int) and not isinstance(budget, bool) and budget >= 1 for budget in budgets)
    if not budgets or not whole or any(low >= high for low, high in pairwise(budgets)):
        raise PortfolioError(f"budgets must be whole numbers of at least 1, ascending, got {list(budgets)!r:.200}.")


def _check_configs(configs: tuple[Config, ...], space: ConfigurationSpace) -> None:
    walk = SpaceWalk(space)
    seen: dict[frozenset[tuple[str, object]], int] = {}
    for number, config in enumerate(configs):
        what = f"Configuration {number} (counted from 0)"
        _check_config(what, config, walk.check)
        first = seen.setdefault(_identity(config), number)
        if first != number:
            raise SpaceError(f"{what} must be there once; it equals configuration {first}.")


def _check_trials(results: Mapping[str, Results], space: ConfigurationSpace) -> None:
    walk = SpaceWalk(space)
    for task, found in results.items():
        for config_id, config in enumerate(found.configs):
            _check_config(f"Configuration {config_id} of task {task!r}", config, walk.check)


def _check_config(what: str, config: Config, check: Callable[[Config], None]) -> None:
    try:
        check(config)
    except (SpaceError, UnknownNameError) as error:
        raise SpaceError(f"{what} must be a point of the space: {error}") from error


def _check_values(name: str, values: Array, shape: tuple[int, int, int]) -> None:
    if values.shape != shape:
        raise PortfolioError(f"{name} must have the shape (tasks, configs, budgets) = {shape}, got {values.shape}.")
    if np.any(np.isinf(values)):
        at = tuple(int(i) for i in np.argwhere(np.isinf(values))[0])
        raise PortfolioError(
            f"{name} must be finite, or NaN where nothing is known; {name}{list(at)} (task, configuration, budget) "
            "is infinite."
        )
