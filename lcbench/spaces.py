"""The space that recorded configurations came from, and configurations as rows of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ConfigSpace import Categorical, ConfigurationSpace, Float, InCondition, Integer
from scipy.stats import kstest

from autopytorch_lite.errors import DataError, SpaceError
from autopytorch_lite.space.domains import ChoiceDomain, Domain, OrdinalDomain, domain_of
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.types import Config, ConfigValue, FloatArray


def space_of(configs: Sequence[Config]) -> ConfigurationSpace:
    """The space that recorded configurations were drawn from, as far as they show it.

    A hyperparameter that took different values is a choice if one of them is text or a truth value, else a number from
    the smallest to the largest; on the axis, logarithmic or not, along which the values lie more evenly. One that only
    some configurations have is active for those values of a choice for which it was there; where no choice explains
    it, it is left out.

    Raises:
        DataError: all are equal.
    """
    present = _values_by_name(configs)
    space = ConfigurationSpace()
    for name in sorted(present, key=lambda name: -len(present[name])):  # whoever is always there, then the nested ones
        values = present[name]
        if len(set(values.values())) < 2:
            continue
        if len(values) == len(configs):
            space.add(_hyperparameter(name, list(values.values())))
            continue
        parent = _parent(name, present, space)
        if parent is not None:
            child = _hyperparameter(name, list(values.values()))
            space.add(child)
            active = sorted({present[parent][row] for row in values}, key=str)
            space.add(InCondition(child, space[parent], active))
    if len(space) == 0:
        raise DataError("The recorded configurations must differ, but all are equal: there is nothing to search.")
    return space


def _values_by_name(configs: Sequence[Config]) -> dict[str, dict[int, ConfigValue]]:
    """Name -> number of the configuration -> value, for those that have one."""
    found: dict[str, dict[int, ConfigValue]] = {}
    for row, config in enumerate(configs):
        for name, value in config.items():
            if value is not None:
                found.setdefault(name, {})[row] = value
    return found


def _parent(name: str, present: Mapping[str, Mapping[int, ConfigValue]], space: ConfigurationSpace) -> str | None:
    """The choice whose value says whether `name` is there; of several its own node's, then the most nested one."""
    rows = set(present[name])

    def explains(parent: str) -> bool:
        values = present[parent]
        active = {values[row] for row in rows if row in values}
        return rows <= set(values) and all(value not in active for row, value in values.items() if row not in rows)

    candidates = [parent for parent in space if domain_of(space[parent]).n_choices and explains(parent)]
    node = name.split(":")[0]
    return min(candidates, key=lambda parent: (parent.split(":")[0] != node, len(present[parent])), default=None)


def _hyperparameter(name: str, values: Sequence[Any]) -> Any:
    if any(isinstance(value, str | bool) for value in values):
        return Categorical(name, sorted(set(values), key=str))
    low, high = min(values), max(values)
    is_log = low > 0 and _unevenness(np.log(values)) < _unevenness(np.array(values, dtype=float))
    if all(isinstance(value, int) for value in values):
        return Integer(name, (low, high), log=is_log)
    return Float(name, (float(low), float(high)), log=is_log)


def _unevenness(values: FloatArray) -> float:
    """Distance between the distribution of values and the even one over their range."""
    return float(kstest(values, "uniform", args=(values.min(), np.ptp(values))).statistic)


@dataclass(frozen=True)
class Axis:
    """The axis of a number: its position is (along - first) * per_unit, where along is the number or its logarithm.

    Attributes:
        low: smallest number.
        high: largest number.
        log: whether the axis is logarithmic.
        first: where along it position 0 is.
        per_unit: positions per unit along it.
    """

    low: float
    high: float
    log: bool
    first: float
    per_unit: float

    @classmethod
    def of(cls, domain: Domain) -> Axis:
        """The axis of a domain; an ordinal is the number of its value."""
        if isinstance(domain, OrdinalDomain | ChoiceDomain):
            low, high, log = 0.0, len(domain.choices) - 1.0, False
            start, end = domain.encode(domain.choices[0]), domain.encode(domain.choices[-1])
        else:
            low, high, log = float(domain.low), float(domain.high), domain.log
            start, end = domain.encode(domain.low), domain.encode(domain.high)
        along_low, along_high = (math.log(low), math.log(high)) if log else (low, high)
        per_unit = (end - start) / (along_high - along_low)
        return cls(low, high, log, along_low - start / per_unit, per_unit)

    def numbers(self, positions: FloatArray) -> FloatArray:
        """The numbers at positions, the shape of `positions`."""
        along = self.first + positions / self.per_unit
        return np.exp(along) if self.log else along


@dataclass(frozen=True)
class Speed:
    """How fast gradient descent moves: learning rate / (batch size x (1 - momentum)), on a logarithmic axis.

    Attributes:
        learning_rate: number of the dimension.
        batch_size: number of the dimension; None: it does not vary.
        momentum: of the same optimizer; None: it has none, or it does not vary.
        low: smallest logarithm in the space.
        high: largest logarithm in the space.

    Source: Smith and Le, A Bayesian Perspective on Generalization and Stochastic Gradient Descent, ICLR 2018: the
        scale of the noise of gradient descent, but for the number of rows.
    """

    learning_rate: int
    batch_size: int | None
    momentum: int | None
    low: float
    high: float

    def logarithms(self, numbers: FloatArray) -> FloatArray:
        """Logarithms of the speeds, float64, shape (n,), of numbers, shape (n, n_dims); an inactive momentum is 0."""
        found = np.log(numbers[:, self.learning_rate])
        if self.batch_size is not None:
            found = found - np.log(numbers[:, self.batch_size])
        if self.momentum is not None:
            found = found - np.log1p(-np.nan_to_num(numbers[:, self.momentum], nan=0.0))
        return found


class Features:
    """Configurations as rows without gaps, for regression.

    A number is its position on its axis, in [0, 1], 0.5 where it is inactive; a choice is one column per value, all 0
    where it is inactive; a number that can be inactive has one more column, 1 where it is active. Each learning rate
    has one more column for the `Speed` it leads to, in [0, 1], 0.5 where it is inactive. Numbers outside of the space
    count as its nearest ones.

    Attributes:
        codec: between configurations and vectors.
        domains: of each hyperparameter.
        axes: of each dimension, those of choices unused.
        is_conditional: bool array, shape (n_dims,): which dimensions can be inactive.
        speeds: one for each learning rate.
        n_columns: length of a row.
    """

    def __init__(self, space: ConfigurationSpace):
        self.codec = VectorCodec(space)
        conditional = set(space.conditional_hyperparameters)
        self._conditional = conditional
        self.domains: dict[str, Domain] = {name: domain_of(space[name]) for name in space}
        self.axes = [Axis.of(self.domains[name]) for name in self.codec.names]
        self.is_conditional = np.array([name in conditional for name in self.codec.names])
        self.speeds = _speeds(self.codec.names, self.axes)
        n_of_dims = np.where(self.codec.n_choices > 0, self.codec.n_choices, 1 + self.is_conditional).sum()
        self.n_columns = int(n_of_dims) + len(self.speeds)

    def encode(self, configs: Iterable[Config]) -> FloatArray:
        """Rows of configurations, float64, shape (n_configs, n_columns).

        Names that the space lacks do not matter.

        Raises:
            SpaceError: a value is not legal, or a hyperparameter that is always active is missing.
        """
        vectors = self.vectors(configs)
        columns: list[FloatArray] = []
        for values, n_choices, is_conditional in zip(vectors.T, self.codec.n_choices, self.is_conditional, strict=True):
            if n_choices:
                columns.extend((values == choice).astype(float) for choice in range(n_choices))
                continue
            columns.append(np.where(np.isnan(values), 0.5, values))
            if is_conditional:
                columns.append((~np.isnan(values)).astype(float))
        numbers = np.column_stack([axis.numbers(column) for axis, column in zip(self.axes, vectors.T, strict=True)])
        for speed in self.speeds:
            columns.append(np.nan_to_num((speed.logarithms(numbers) - speed.low) / (speed.high - speed.low), nan=0.5))
        return np.column_stack(columns)

    def vectors(self, configs: Iterable[Config]) -> FloatArray:
        """Vectors of the codec, float64, shape (n_configs, n_dims), NaN is inactive; errors as `encode`."""
        return self.codec.encode_many(self._legal(config) for config in configs)

    def _legal(self, config: Config) -> Config:
        missing = [name for name in self.domains if name not in config and name not in self._conditional]
        if missing:
            raise SpaceError(f"A configuration must have {missing[0]!r}, got {config!r:.200}.")
        return {name: _within(domain, config[name]) for name, domain in self.domains.items() if name in config}


def _speeds(names: Sequence[str], axes: Sequence[Axis]) -> list[Speed]:
    """The speed of each learning rate, where the space has a batch size or a momentum to go with it."""
    places = {name: dim for dim, name in enumerate(names)}
    sizes = [dim for name, dim in places.items() if name.split(":")[-1] == "batch_size" and axes[dim].low > 0]
    found = []
    for name, rate in places.items():
        *node, last = name.split(":")
        momentum = places.get(":".join([*node, "momentum"]))
        if momentum is not None and not 0 <= axes[momentum].low < axes[momentum].high < 1:
            momentum = None
        if last == "learning_rate" and axes[rate].low > 0 and (sizes or momentum is not None):
            found.append(_with_range(Speed(rate, sizes[0] if sizes else None, momentum, 0.0, 1.0), axes))
    return found


def _with_range(speed: Speed, axes: Sequence[Axis]) -> Speed:
    ends = np.array([[axis.low for axis in axes], [axis.high for axis in axes]])
    if speed.batch_size is not None:
        ends[:, speed.batch_size] = ends[::-1, speed.batch_size]  # large batches are slow
    low, high = speed.logarithms(ends)
    return replace(speed, low=float(low), high=float(high))


def _within(domain: Domain, value: ConfigValue) -> ConfigValue:
    """Numbers moved into their range; anything else as it is, so that the codec can name what is wrong."""
    if isinstance(domain, ChoiceDomain | OrdinalDomain) or isinstance(value, str | bool):
        return value
    return domain.nearest(value)
