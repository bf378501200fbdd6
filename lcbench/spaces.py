"""The space that recorded configurations came from, and configurations as rows of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


class Features:
    """Configurations as rows without gaps, for regression.

    A number is its position on its axis, in [0, 1], 0.5 where it is inactive; a choice is one column per value, all 0
    where it is inactive; a number that can be inactive has one more column, 1 where it is active. Numbers outside of
    the space count as its nearest ones.

    Attributes:
        codec: between configurations and vectors.
        is_conditional: bool array, shape (n_dims,): which dimensions can be inactive.
        n_columns: length of a row.
    """

    def __init__(self, space: ConfigurationSpace):
        self.codec = VectorCodec(space)
        conditional = set(space.conditional_hyperparameters)
        self.domains: dict[str, Domain] = {name: domain_of(space[name]) for name in space}
        self._conditional = conditional
        self.is_conditional = np.array([name in conditional for name in self.codec.names])
        self.n_columns = int(np.where(self.codec.n_choices > 0, self.codec.n_choices, 1 + self.is_conditional).sum())

    def encode(self, configs: Iterable[Config]) -> FloatArray:
        """Rows of configurations, float64, shape (n_configs, n_columns).

        Names that the space lacks do not matter.

        Raises:
            SpaceError: a value is not legal, or a hyperparameter that is always active is missing.
        """
        return self.expand(self.vectors(configs))

    def vectors(self, configs: Iterable[Config]) -> FloatArray:
        """Vectors of the codec, float64, shape (n_configs, n_dims), NaN is inactive; errors as `encode`."""
        return self.codec.encode_many(self._legal(config) for config in configs)

    def expand(self, vectors: FloatArray) -> FloatArray:
        """Rows of vectors of the codec."""
        columns: list[FloatArray] = []
        for values, n_choices, is_conditional in zip(vectors.T, self.codec.n_choices, self.is_conditional, strict=True):
            if n_choices:
                columns.extend((values == choice).astype(float) for choice in range(n_choices))
                continue
            columns.append(np.where(np.isnan(values), 0.5, values))
            if is_conditional:
                columns.append((~np.isnan(values)).astype(float))
        return np.column_stack(columns)

    def _legal(self, config: Config) -> Config:
        missing = [name for name in self.domains if name not in config and name not in self._conditional]
        if missing:
            raise SpaceError(f"A configuration must have {missing[0]!r}, got {config!r:.200}.")
        return {name: _within(domain, config[name]) for name, domain in self.domains.items() if name in config}


def _within(domain: Domain, value: ConfigValue) -> ConfigValue:
    """Numbers moved into their range; anything else as it is, so that the codec can name what is wrong."""
    if isinstance(domain, ChoiceDomain | OrdinalDomain) or isinstance(value, str | bool):
        return value
    return domain.nearest(value)
