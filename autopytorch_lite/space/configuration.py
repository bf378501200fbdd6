"""Configurations as plain dictionaries: to and from ConfigSpace's own class."""

from __future__ import annotations

from collections.abc import Mapping

from ConfigSpace import Configuration, ConfigurationSpace

from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.space.domains import to_builtin
from autopytorch_lite.types import Config, ConfigValue


def to_config(configuration: Configuration) -> Config:
    """Full name -> value of everything active, as plain Python values."""
    return {name: to_builtin(value) for name, value in configuration.items()}


def from_config(config: Mapping[str, ConfigValue], space: ConfigurationSpace) -> Configuration:
    """ConfigSpace's view of a configuration.

    Raises:
        UnknownNameError: the configuration has a name that the space lacks.
        SpaceError: a value is not legal, an active hyperparameter is missing, or an inactive one is given.
    """
    check_config(config, space)
    return Configuration(space, values=dict(config))


def check_config(config: Mapping[str, ConfigValue], space: ConfigurationSpace) -> None:
    """Refuse a configuration that is no point of the space.

    Raises:
        UnknownNameError: the configuration has a name that the space lacks.
        SpaceError: a value is not legal, an active hyperparameter is missing, or an inactive one is given.
    """
    SpaceWalk(space).check(config)
