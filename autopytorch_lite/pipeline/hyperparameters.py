"""What a component lets be chosen: numbers, categories and constants, as plain records without ConfigSpace."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from autopytorch_lite.errors import SpaceError
from autopytorch_lite.types import ConfigValue

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")

When: TypeAlias = Mapping[str, tuple[ConfigValue, ...]]
"""Local condition: name of an earlier hyperparameter of the same component -> values for which this one is active."""


def check_name(name: object, what: str) -> None:
    """Refuse a name that could not be part of a full hyperparameter name.

    Raises:
        SpaceError: saying `what` has the name.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise SpaceError(
            f"{what} must be named with letters, digits and underscores, starting with a letter; got {name!r}."
        )


@dataclass(frozen=True)
class _Number:
    """What `Float` and `Int` share: bounds, scale and default."""

    name: str
    low: float
    high: float
    log: bool = False
    default: float | None = None
    when: When | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "A hyperparameter")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise SpaceError(
                f"{self.name}: low must be at most high and both finite, got low={self.low}, high={self.high}."
            )
        if self.log and self.low <= 0:
            raise SpaceError(f"{self.name}: a log scale needs low > 0, got low={self.low}.")
        if self.default is not None and not self.low <= self.default <= self.high:
            raise SpaceError(f"{self.name}: the default must lie in [{self.low}, {self.high}], got {self.default}.")

    def _middle(self) -> float:
        """The middle of the range on its own scale."""
        if self.log:
            return math.exp((math.log(self.low) + math.log(self.high)) / 2)
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Float(_Number):
    """A real number in [low, high]; its default is the middle on its own scale unless given."""

    @property
    def default_value(self) -> float:
        """The value used where nothing else is said."""
        middle = self._middle() if self.default is None else self.default
        return float(min(max(middle, self.low), self.high))


@dataclass(frozen=True)
class Int(_Number):
    """A whole number in [low, high], both included; its default is the middle on its own scale unless given."""

    low: int
    high: int
    default: int | None = None

    def __post_init__(self) -> None:
        for bound in (self.low, self.high, self.default):
            if bound is not None and (isinstance(bound, bool) or int(bound) != bound):
                raise SpaceError(f"{self.name}: an integer hyperparameter needs whole numbers, got {bound!r}.")
        super().__post_init__()

    @property
    def default_value(self) -> int:
        """The value used where nothing else is said."""
        return round(self._middle()) if self.default is None else int(self.default)


@dataclass(frozen=True)
class Categorical:
    """One of several values without order; its default is the first unless given."""

    name: str
    choices: tuple[ConfigValue, ...]
    default: ConfigValue | None = None
    when: When | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "A hyperparameter")
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.choices:
            raise SpaceError(f"{self.name}: a categorical hyperparameter needs at least one choice.")
        if len(set(self.choices)) < len(self.choices):
            raise SpaceError(f"{self.name}: choices must differ, got {self.choices}.")
        if self.default is not None and self.default not in self.choices:
            raise SpaceError(f"{self.name}: the default must be one of {self.choices}, got {self.default!r}.")

    @property
    def default_value(self) -> ConfigValue:
        """The value used where nothing else is said."""
        return self.choices[0] if self.default is None else self.default


@dataclass(frozen=True)
class Constant:
    """A value that is not searched but said in every configuration, and that a ranges file may change."""

    name: str
    value: ConfigValue
    when: When | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "A hyperparameter")

    @property
    def default_value(self) -> ConfigValue:
        """The value."""
        return self.value


Hyperparameter: TypeAlias = Float | Int | Categorical | Constant
