"""Configurations as vectors, for models of the space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.types import Array, Config, ConfigValue, FloatArray


class VectorCodec:
    """Translates between configurations and vectors of one number per searched hyperparameter.

    A continuous dimension (float, integer, ordinal) holds a number in [0, 1], on the log axis if the hyperparameter has
    one; a categorical dimension holds the index of the value, 0.0 to n_choices - 1. NaN means inactive. Constants have
    no dimension. Floats are rounded to 12 digits when decoded, so that 0.002 comes back as 0.002.

    Attributes:
        names: full hyperparameter name of each dimension, parents before children.
        kinds: "continuous" or "categorical" for each dimension.
        n_choices: int array, shape (n_dims,); number of values of each categorical dimension, 0 for a continuous one.
        n_dims: number of dimensions.
    """

    def __init__(self, space: ConfigurationSpace):
        self._walk = SpaceWalk(space)
        searched = [(name, domain) for name, domain, _ in self._walk.steps if domain.n_choices != 1]
        self.names: tuple[str, ...] = tuple(name for name, _ in searched)
        self.n_choices: Array = np.array([domain.n_choices for _, domain in searched], dtype=np.int64)
        self.kinds: tuple[str, ...] = tuple("categorical" if n else "continuous" for n in self.n_choices)
        self.n_dims = len(self.names)
        self._dims = {name: (i, domain) for i, (name, domain) in enumerate(searched)}
        self._blocks = [
            (rule, [(name, self._walk.domains[name], self._dims.get(name, (None,))[0]) for name in names])
            for rule, names in self._walk.blocks
        ]

    def encode(self, config: Mapping[str, ConfigValue]) -> FloatArray:
        """The vector of a configuration, float64, shape (n_dims,).

        Raises:
            UnknownNameError: the configuration has a name that the space lacks.
            SpaceError: a value is not legal.
        """
        vector = np.full(self.n_dims, np.nan)
        for name, value in config.items():
            if name in self._dims:
                i, domain = self._dims[name]
                vector[i] = self._position(name, domain.encode, value)
            elif name not in self._walk.domains:
                raise UnknownNameError("hyperparameter", name, self._walk.names)
        return vector

    def encode_many(self, configs: Iterable[Mapping[str, ConfigValue]]) -> FloatArray:
        """The vectors of several configurations, float64, shape (n_configs, n_dims)."""
        vectors = [self.encode(config) for config in configs]
        return np.stack(vectors) if vectors else np.empty((0, self.n_dims))

    def decode(self, vector: Array) -> Config:
        """The legal configuration at a vector, shape (n_dims,).

        Values snap to the nearest legal one, inactive ones are left out, an active one given as NaN takes its default.

        Raises:
            SpaceError: the vector has another length.
        """
        positions = np.asarray(vector, dtype=np.float64).tolist()
        if len(positions) != self.n_dims:
            raise SpaceError(f"A vector of this space has {self.n_dims} numbers, got {len(positions)}.")
        config: Config = {}
        for rule, members in self._blocks:
            if rule is None or rule(config):
                for name, domain, i in members:
                    position = math.nan if i is None else positions[i]
                    config[name] = domain.default if math.isnan(position) else domain.decode(position)
        return config

    def sample(self, rng: np.random.Generator) -> Config:
        """A random configuration: uniform on every axis, from the top of the tree down. Draws n_dims numbers."""
        return self.decode(self.sample_vector(rng))

    def sample_vector(self, rng: np.random.Generator) -> FloatArray:
        """A uniform vector without NaN, shape (n_dims,): what `decode` leaves out is drawn as well."""
        uniform = rng.random(self.n_dims)
        return np.where(self.n_choices > 0, np.floor(uniform * self.n_choices), uniform)

    def default(self) -> Config:
        """The configuration of all defaults."""
        return self._walk.default()

    def check(self, config: Mapping[str, ConfigValue]) -> None:
        """Refuse a configuration that is no point of the space.

        Raises:
            UnknownNameError: it has a name that the space lacks.
            SpaceError: a value is not legal, an active hyperparameter is missing, or an inactive one is given.
        """
        self._walk.check(config)

    @staticmethod
    def _position(name: str, encode: object, value: ConfigValue) -> float:
        try:
            return encode(value)  # type: ignore[operator]
        except (SpaceError, TypeError, ValueError) as error:
            raise SpaceError(f"{name}: {error}") from error


def squared_distances(vectors: FloatArray, vector: FloatArray, is_choice: Array) -> FloatArray:
    """From a configuration to others, float64, shape (m,): different choices, and active and inactive, are at 1.

    Args:
        vectors: of the others, shape (m, n_dims), NaN where inactive.
        vector: of the configuration, shape (n_dims,).
        is_choice: which dimensions are categorical, bool, shape (n_dims,).
    """
    differences = vectors - vector
    differences[:, is_choice] = differences[:, is_choice] != 0
    differences = np.where(np.isnan(vectors) | np.isnan(vector), 1.0, differences)
    differences[np.isnan(vectors) & np.isnan(vector)] = 0.0
    return np.asarray((differences**2).sum(axis=1))
