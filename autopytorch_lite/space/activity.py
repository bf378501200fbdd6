"""Which hyperparameters are active: the conditions of a ConfigSpace as plain functions, and walks over the space.

ConfigSpace decides activity too, but takes milliseconds for a configuration; searchers decide thousands of times a
second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any, TypeAlias

from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import (
    AndConjunction,
    EqualsCondition,
    GreaterThanCondition,
    InCondition,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
)

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.space.domains import Domain, domain_of, to_builtin
from autopytorch_lite.types import Config, ConfigValue

Rule: TypeAlias = Callable[[Mapping[str, ConfigValue]], bool]
"""Whether a hyperparameter is active, given the values of those before it."""


class SpaceWalk:
    """A ConfigurationSpace as (name, domain, rule) in an order in which earlier names decide every rule."""

    def __init__(self, space: ConfigurationSpace):
        self.space = space
        self.names: tuple[str, ...] = tuple(space)
        self.domains: dict[str, Domain] = {name: domain_of(space[name]) for name in self.names}
        self.rules: dict[str, Rule | None] = {name: _rule_of(space, name) for name in self.names}

    @cached_property
    def steps(self) -> tuple[tuple[str, Domain, Rule | None], ...]:
        """Name, domain and rule of every hyperparameter; no rule means always active."""
        return tuple((name, self.domains[name], self.rules[name]) for name in self.names)

    @cached_property
    def blocks(self) -> tuple[tuple[Rule | None, tuple[str, ...]], ...]:
        """The names in the same order, in blocks that share a rule: it has to be asked once for each."""
        return tuple((rule, tuple(names)) for rule, names in groupby(self.names, key=self.rules.__getitem__))

    def fill(self, choose: Callable[[str, Domain], ConfigValue]) -> Config:
        """The configuration that takes `choose(name, domain)` for every active hyperparameter."""
        config: Config = {}
        for name, domain, rule in self.steps:
            if rule is None or rule(config):
                config[name] = choose(name, domain)
        return config

    def default(self) -> Config:
        """The configuration of all defaults."""
        return self.fill(lambda name, domain: domain.default)

    def check(self, config: Mapping[str, ConfigValue]) -> None:
        """Refuse a configuration that is no point of the space.

        Raises:
            UnknownNameError: it has a name that the space lacks.
            SpaceError: a value is not legal, an active hyperparameter is missing, or an inactive one is given.
        """
        for name in config:
            if name not in self.domains:
                raise UnknownNameError("hyperparameter", name, self.names)
        for name, domain, rule in self.steps:
            active = rule is None or rule(config)
            if active and name not in config:
                raise SpaceError(f"A configuration must name every active hyperparameter; {name!r} is missing.")
            if not active and name in config:
                raise SpaceError(f"A configuration must leave out inactive hyperparameters; {name!r} is inactive.")
            if active and not domain.contains(config[name]):
                raise SpaceError(f"{name} must be in {domain}, got {config[name]!r}.")


def _rule_of(space: ConfigurationSpace, name: str) -> Rule | None:
    rules = [_compile(condition) for condition in space.parent_conditions_of[name]]
    return _all_of(rules) if rules else None


def _compile(condition: Any) -> Rule:
    """A ConfigSpace condition as a function; a parent that is inactive makes every simple condition false."""
    if isinstance(condition, AndConjunction):
        return _all_of([_compile(part) for part in condition.components])
    if isinstance(condition, OrConjunction):
        return _any_of([_compile(part) for part in condition.components])
    parent = condition.parent.name
    if isinstance(condition, InCondition):
        return _is_in(parent, frozenset(map(to_builtin, condition.values)))
    value: Any = to_builtin(condition.value)
    if isinstance(condition, EqualsCondition):
        return _is_in(parent, frozenset([value]))
    if isinstance(condition, NotEqualsCondition):
        return lambda config: parent in config and config[parent] != value
    if isinstance(condition, LessThanCondition):
        return lambda config: parent in config and config[parent] < value
    if isinstance(condition, GreaterThanCondition):
        return lambda config: parent in config and config[parent] > value
    raise SpaceError(f"Conditions of type {type(condition).__name__} are not supported (on {condition.child.name!r}).")


@lru_cache(maxsize=4096)
def _is_in(parent: str, values: frozenset[ConfigValue]) -> Rule:
    return lambda config: config.get(parent) in values


def _all_of(rules: list[Rule]) -> Rule:
    if len(rules) == 1:
        return rules[0]
    return lambda config: all(rule(config) for rule in rules)


def _any_of(rules: list[Rule]) -> Rule:
    return lambda config: any(rule(config) for rule in rules)
