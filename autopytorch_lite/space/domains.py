"""What values one hyperparameter can take, and where they lie on an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from autopytorch_lite.errors import SpaceError
from autopytorch_lite.types import ConfigValue

_DIGITS = 12  # decoded floats are rounded to this many, so that a number in [0, 1] and back changes no value
_TOLERANCE = 1e-9  # how far outside of [0, 1] rounding errors may put a legal value


def to_builtin(value: Any) -> ConfigValue:
    """The Python value of a NumPy scalar; anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class RealDomain:
    """Real numbers in [low, high], on a linear or log axis."""

    low: float
    high: float
    log: bool
    default: float

    n_choices = 0

    @cached_property
    def _ends(self) -> tuple[float, float]:
        return (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)

    @cached_property
    def _decimals(self) -> int:
        """Decimal places that matter on a linear axis."""
        largest = max(abs(self.low), abs(self.high))
        return _DIGITS - (math.floor(math.log10(largest)) if largest else 0)

    def contains(self, value: object) -> bool:
        """Whether the value is legal."""
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def nearest(self, value: object) -> float:
        """The legal value closest to a number; the default for anything else."""
        return min(max(float(value), self.low), self.high) if _is_number(value) else self.default  # type: ignore[arg-type]

    def encode(self, value: Any) -> float:
        """Position on the axis, in [0, 1]."""
        first, last = self._ends
        return _in_unit(((math.log(value) if self.log else value) - first) / (last - first), value, self)

    def decode(self, position: float) -> float:
        """The value at a position; outside of [0, 1], the nearest end."""
        if not 0.0 < position < 1.0:
            return self.low if position <= 0.0 else self.high
        first, last = self._ends
        value = first + position * (last - first)
        rounded = float(f"{math.exp(value):.{_DIGITS}g}") if self.log else round(value, self._decimals)
        return min(max(rounded, self.low), self.high)

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class IntegerDomain:
    """Whole numbers from low to high, both included; each owns the part of the axis around it."""

    low: int
    high: int
    log: bool
    default: int

    n_choices = 0

    @cached_property
    def _ends(self) -> tuple[float, float]:
        first, last = self.low - 0.5, self.high + 0.5
        return (math.log(first), math.log(last)) if self.log else (first, last)

    def contains(self, value: object) -> bool:
        """Whether the value is legal."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def nearest(self, value: object) -> int:
        """The legal value closest to a number; the default for anything else."""
        return min(max(round(value), self.low), self.high) if _is_number(value) else self.default  # type: ignore[call-overload]

    def encode(self, value: Any) -> float:
        """Position on the axis, in [0, 1]."""
        first, last = self._ends
        return _in_unit(((math.log(value) if self.log else value) - first) / (last - first), value, self)

    def decode(self, position: float) -> int:
        """The value at a position; outside of [0, 1], the nearest end."""
        first, last = self._ends
        value = first + position * (last - first)
        return min(max(round(math.exp(value) if self.log else value), self.low), self.high)

    def __str__(self) -> str:
        return f"{{{self.low} .. {self.high}}}"


@dataclass(frozen=True)
class ChoiceDomain:
    """One of several values without order; the position is the index, so the axis runs from 0 to n_choices - 1."""

    choices: tuple[ConfigValue, ...]
    default: ConfigValue
    _index: dict[ConfigValue, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {choice: i for i, choice in enumerate(self.choices)})

    @property
    def n_choices(self) -> int:
        """Number of values; 1 for a constant."""
        return len(self.choices)

    def contains(self, value: object) -> bool:
        """Whether the value is legal."""
        return value in self.choices

    def nearest(self, value: Any) -> ConfigValue:
        """The value itself if it is legal, else the default."""
        return self.choices[self.choices.index(value)] if value in self.choices else self.default

    def encode(self, value: Any) -> float:
        """Index of the value."""
        if value not in self._index:
            raise SpaceError(f"value must be one of {self.choices}, got {value!r}.")
        return float(self._index[value])

    def decode(self, position: float) -> ConfigValue:
        """The value whose index is closest to the position."""
        return self.choices[min(max(round(position), 0), len(self.choices) - 1)]

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.choices)) + "}"


@dataclass(frozen=True)
class OrdinalDomain:
    """One of several values in order, evenly spaced on the axis like the integers 0, 1, 2, ..."""

    choices: tuple[ConfigValue, ...]
    default: ConfigValue

    n_choices = 0

    @cached_property
    def _ranks(self) -> IntegerDomain:
        return IntegerDomain(0, len(self.choices) - 1, log=False, default=0)

    def contains(self, value: object) -> bool:
        """Whether the value is legal."""
        return value in self.choices

    def nearest(self, value: Any) -> ConfigValue:
        """The value itself if it is legal, else the default."""
        return value if value in self.choices else self.default

    def encode(self, value: Any) -> float:
        """Position on the axis, in [0, 1]."""
        if value not in self.choices:
            raise SpaceError(f"value must be one of {self.choices}, got {value!r}.")
        return self._ranks.encode(self.choices.index(value))

    def decode(self, position: float) -> ConfigValue:
        """The value at a position; outside of [0, 1], the nearest end."""
        return self.choices[self._ranks.decode(position)]

    def __str__(self) -> str:
        return "(" + " < ".join(map(str, self.choices)) + ")"


Domain: TypeAlias = RealDomain | IntegerDomain | ChoiceDomain | OrdinalDomain


def domain_of(hyperparameter: Any) -> Domain:
    """The domain of a ConfigSpace hyperparameter.

    Raises:
        SpaceError: the kind of hyperparameter has no uniform axis (normal, beta).
    """
    h = hyperparameter
    if isinstance(h, Constant):
        return ChoiceDomain((to_builtin(h.value),), to_builtin(h.value))
    if isinstance(h, CategoricalHyperparameter):
        return ChoiceDomain(tuple(map(to_builtin, h.choices)), to_builtin(h.default_value))
    if isinstance(h, OrdinalHyperparameter):
        return OrdinalDomain(tuple(map(to_builtin, h.sequence)), to_builtin(h.default_value))
    if isinstance(h, UniformIntegerHyperparameter):
        return IntegerDomain(int(h.lower), int(h.upper), bool(h.log), int(h.default_value))
    if isinstance(h, UniformFloatHyperparameter):
        return RealDomain(float(h.lower), float(h.upper), bool(h.log), float(h.default_value))
    raise SpaceError(
        f"A space is made of uniform numbers, categories, ordinals and constants; {h.name!r} is a {type(h).__name__}."
    )


def _in_unit(position: float, value: object, domain: Domain) -> float:
    if not -_TOLERANCE <= position <= 1 + _TOLERANCE:
        raise SpaceError(f"value must lie in {domain}, got {value!r}.")
    return min(max(position, 0.0), 1.0)
