"""A portfolio as a product: configurations in order, their space, where they come from, and what they promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, overload

from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import HistoryError, PortfolioError, SpaceError, UnknownNameError
from autopytorch_lite.history.store import read_json, write_json_atomic
from autopytorch_lite.portfolio.matrix import PerformanceMatrix
from autopytorch_lite.portfolio.selection import (
    leave_one_task_out,
    normalised_regrets,
    regret_after,
    select_numbers,
)
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.types import Config

FORMAT = 1


@dataclass(frozen=True)
class Expected:
    """How good a portfolio is, by normalised regret: 0 the best known configuration of a task, 1 the worst.

    Attributes:
        budget: epochs at which losses were compared.
        tasks: on which the portfolio was selected.
        regret: mean over those tasks after 1, 2, ... members.
        held_out_regret: the same for tasks that the selection did not see (leave one task out): what a new task may
            expect. Empty if there was one task only.
    """

    budget: int
    tasks: tuple[str, ...]
    regret: tuple[float, ...]
    held_out_regret: tuple[float, ...] = ()


@dataclass(frozen=True)
class Portfolio(Sequence[Config]):
    """Configurations, most useful first. A sequence of them, so a searcher takes it as it is: `portfolio=portfolio`.

    Attributes:
        space: every configuration is a point of it.
        configs: the configurations, in order.
        name: of the portfolio.
        description, source, license: sentences for people.
        space_name: name of the ranges file in search_spaces it is meant for, if there is one.
        provenance: plain data: command, date, sources, whatever the caller knows.
        expected: what it promises; None if nobody measured.
        translation: for configurations in other names than the component graph's: {"names": {name here: full name},
            "fixed": {full name: value}}. `search_spaces.load_portfolio` applies it; nothing else does.

    Raises:
        SpaceError: an entry is not a point of the space; the message names entry and hyperparameter.
    """

    space: ConfigurationSpace
    configs: tuple[Config, ...]
    name: str = "portfolio"
    description: str = ""
    source: str = ""
    license: str = ""
    space_name: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    expected: Expected | None = None
    translation: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "configs", tuple(dict(config) for config in self.configs))
        self.check(self.space)

    def __len__(self) -> int:
        return len(self.configs)

    @overload
    def __getitem__(self, index: int) -> Config: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Config]: ...
    def __getitem__(self, index: int | slice) -> Config | Sequence[Config]:
        return self.configs[index]

    def __iter__(self) -> Iterator[Config]:
        return iter(self.configs)

    def check(self, space: ConfigurationSpace) -> None:
        """Refuse a space that the portfolio does not fit.

        Raises:
            SpaceError: an entry is not a point of the space; the message names entry and hyperparameter.
        """
        walk = SpaceWalk(space)
        for number, config in enumerate(self.configs):
            try:
                walk.check(config)
            except (SpaceError, UnknownNameError) as error:
                raise SpaceError(
                    f"Every entry of portfolio {self.name!r} must be a point of the space; "
                    f"entry {number} (counted from 0) is not: {error}"
                ) from error

    def save(self, path: str | PathLike[str]) -> None:
        """Write the portfolio as JSON: a file that `portfolio=PATH` of the estimators takes too.

        Raises:
            PortfolioError: the provenance is not plain data.
        """
        data: dict[str, Any] = {
            "format": FORMAT,
            "name": self.name,
            "description": self.description,
            "source": self.source,
            "license": self.license,
            "space": self.space_name,
        }
        data |= {"translation": self.translation} if self.translation else {}
        data |= {"provenance": self.provenance, "expected": _expected_to_json(self.expected)}
        data |= {"configurations": list(self.configs), "definition": self.space.to_serialized_dict()}
        try:
            write_json_atomic(path, data)
        except TypeError as error:
            raise PortfolioError(f"The provenance of a portfolio must be plain data: {error}") from error

    @classmethod
    def load(cls, path: str | PathLike[str], space: ConfigurationSpace | None = None) -> Portfolio:
        """Read what `save` wrote, or any portfolio of search_spaces if its space is given.

        Args:
            path: the JSON file.
            space: the space it must fit; by default the one in the file.

        Raises:
            PortfolioError: the file is missing, damaged, something else, or of a newer format; the message names it.
            SpaceError: the portfolio does not fit the space; the message names entry and hyperparameter.
        """
        data = _read(path)
        if space is None and "definition" not in data:
            raise PortfolioError(f"The portfolio {path} does not say what its space is; give the space it must fit.")
        try:
            return cls(
                space or ConfigurationSpace.from_serialized_dict(data["definition"]),
                tuple(data["configurations"]),
                name=data.get("name") or Path(fspath(path)).stem,
                space_name=data.get("space", ""),
                expected=_expected_from_json(data.get("expected")),
                **{key: data.get(key, "") for key in ("description", "source", "license")},
                **{key: data.get(key, {}) for key in ("provenance", "translation")},
            )
        except SpaceError as error:
            if space is not None:
                raise
            raise PortfolioError(f"The portfolio {path} is damaged, it does not fit its own space: {error}") from error
        except Exception as error:  # whatever a wrong content leads to: the file is at fault
            raise PortfolioError(f"The portfolio {path} is damaged: {error!r}.") from error


def select(
    matrix: PerformanceMatrix,
    size: int,
    *,
    budget: int | None = None,
    name: str = "portfolio",
    provenance: Mapping[str, Any] | None = None,
    **describe: Any,
) -> Portfolio:
    """The portfolio of a performance matrix: greedily, the set of which the best member is good on most tasks.

    The members are the greedy choice; their order is by expected gain per expected time, where times are known, because
    the greedy order puts slow networks first.

    Args:
        matrix: what was measured.
        size: how many members.
        budget: epochs at which losses are compared; by default the largest.
        name: of the portfolio.
        provenance: plain data, for example the command and the date; the matrix's own provenance is added to it.
        describe: description, source, license, space_name, translation; see `Portfolio`.

    Raises:
        PortfolioError: no tasks, too few configurations, or no such budget.

    Source: Feurer et al., Auto-sklearn 2.0, JMLR 23, 2022; Zimmer et al., IEEE TPAMI 43(9), 2021.
    """
    numbers = select_numbers(matrix, size, budget=budget)
    after = regret_after(normalised_regrets(matrix, budget=budget), numbers)
    held_out: tuple[float, ...] = ()
    if len(matrix.tasks) > 1 and all(size <= len(matrix.without(task).configs) for task in matrix.tasks):
        held_out = tuple(leave_one_task_out(matrix, size, budget=budget).mean())
    expected = Expected(budget or matrix.budgets[-1], matrix.tasks, _rounded(after.mean(axis=0)), _rounded(held_out))
    return replace(
        Portfolio(matrix.space, tuple(matrix.configs[number] for number in numbers), name),
        provenance={**dict(provenance or {}), **({"matrix": dict(matrix.provenance)} if matrix.provenance else {})},
        expected=expected,
        **describe,
    )


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def _read(path: str | PathLike[str]) -> Mapping[str, Any]:
    try:
        data = read_json(path)
    except (HistoryError, OSError) as error:
        raise PortfolioError(f"The portfolio {path} cannot be read: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("configurations"), list) or "format" not in data:
        raise PortfolioError(f"A portfolio has a format and a list of configurations; {path} has not.")
    if data["format"] != FORMAT:
        raise PortfolioError(f"This version reads portfolios of format {FORMAT}; {path} has {data['format']!r}.")
    return data


def _expected_to_json(expected: Expected | None) -> dict[str, Any] | None:
    return None if expected is None else {name: getattr(expected, name) for name in _EXPECTED}


def _expected_from_json(data: Mapping[str, Any] | None) -> Expected | None:
    if data is None:
        return None
    values = {name: tuple(data[name]) for name in _EXPECTED if name != "budget"}
    return Expected(budget=int(data["budget"]), **values)


_EXPECTED = ("budget", "tasks", "regret", "held_out_regret")
