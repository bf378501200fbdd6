"""Configurations drawn at random from a space: valid, uniform on every axis, and new as long as there are new ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from ConfigSpace import Configuration, ConfigurationSpace
from ConfigSpace.exceptions import ForbiddenValueError

from autopytorch_lite.errors import SpaceError
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.types import Config

_MAX_LISTED = 1024
"""A space with at most so many combinations of values is listed, so that a search of it can end."""
_MAX_DUPLICATES = 64
_MAX_FORBIDDEN = 10_000


def search_rng(seed: int, n_proposed: int) -> np.random.Generator:
    """The generator of the next proposal: a function of the seed and of how many proposals were told."""
    return np.random.default_rng([seed, 0, n_proposed])


class ConfigurationSampler:
    """Draws configurations of a space from a given generator; keeps no state of its own.

    Args:
        space: the space; its forbidden clauses are respected by drawing again.

    Attributes:
        codec: configuration <-> vector of this space.
        n_configurations: number of configurations in the space; None if it is infinite or too large to be listed.
        is_unconditional: whether every hyperparameter is always active.
    """

    def __init__(self, space: ConfigurationSpace):
        self.codec = VectorCodec(space)
        self._space = space
        self._has_forbidden = bool(space.forbidden_clauses)
        self.is_unconditional = not space.conditions
        self._listed = self._list()
        self.n_configurations = None if self._listed is None else len(self._listed)

    def allows(self, config: Config) -> bool:
        """Whether no forbidden clause of the space is violated."""
        if not self._has_forbidden:
            return True
        try:
            Configuration(self._space, values=config)
        except ForbiddenValueError:
            return False
        return True

    def check(self, config: Config) -> None:
        """Check that a configuration is a point of the space.

        Raises:
            UnknownNameError: it has a name that the space lacks.
            SpaceError: a value is not legal, missing, inactive, or forbidden together with others.
        """
        self.codec.check(config)
        if not self.allows(config):
            raise SpaceError(f"A configuration must not violate a forbidden clause of the space, got {config}.")

    def sample(self, rng: np.random.Generator, is_known: Callable[[Config], bool]) -> Config:
        """A random configuration that is not known.

        Where drawing finds only known ones, the choice is uniform among the unknown ones of a space small enough to be
        listed; a larger space, or one with nothing new, repeats a known configuration.

        Raises:
            SpaceError: the forbidden clauses leave too little to be found by drawing.
        """
        for _ in range(_MAX_DUPLICATES):
            config = self._sample_allowed(rng)
            if not is_known(config):
                return config
        unknown = [listed for listed in self._listed or () if not is_known(listed)]
        return dict(unknown[rng.integers(len(unknown))]) if unknown else config

    def _sample_allowed(self, rng: np.random.Generator) -> Config:
        for _ in range(_MAX_FORBIDDEN):
            config = self.codec.sample(rng)
            if self.allows(config):
                return config
        raise SpaceError(
            f"Forbidden clauses must leave configurations to find; {_MAX_FORBIDDEN} draws hit one of them."
        )

    def _list(self) -> list[Config] | None:
        """All configurations, without doubles; None if there are too many combinations of values."""
        if np.prod([float(self._space[name].size) for name in self.codec.names]) > _MAX_LISTED:
            return None
        positions = [self._positions(name, i) for i, name in enumerate(self.codec.names)]
        configs = (self.codec.decode(np.array(point)) for point in product(*positions))
        distinct = {frozenset(config.items()): config for config in configs}
        return [config for config in distinct.values() if self.allows(config)]

    def _positions(self, name: str, dim: int) -> list[float]:
        return [float(self.codec.encode({name: value})[dim]) for value in _values(self._space[name])]


def _values(hyperparameter: Any) -> list[Any]:
    """All values of a finite hyperparameter, as Python types."""
    if hasattr(hyperparameter, "choices"):
        return list(hyperparameter.choices)
    if hasattr(hyperparameter, "sequence"):
        return list(hyperparameter.sequence)
    return list(range(int(hyperparameter.lower), int(hyperparameter.upper) + 1))
