"""The joint space as a flat list: every hyperparameter that can be active, with the choices that make it so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from autopytorch_lite.pipeline.graph import (
    Categorical,
    Choice,
    Component,
    Constant,
    Float,
    Hyperparameter,
    Int,
    Node,
    Sequential,
    Step,
    choice_name,
    full_name,
)
from autopytorch_lite.space.names import declared_by
from autopytorch_lite.space.ranges import Ranges
from autopytorch_lite.types import ConfigValue, DatasetInfo

Guard: TypeAlias = dict[str, frozenset[ConfigValue]]
"""Full names of parents, parents of parents included -> values for which a hyperparameter is active; all must hold."""


@dataclass(frozen=True)
class Item:
    """One hyperparameter of the joint space.

    Attributes:
        name: full name.
        hyperparameter: what can be chosen, after edits; a `Constant` where only one value is left.
        guard: when it is active.
    """

    name: str
    hyperparameter: Hyperparameter
    guard: Guard


def flatten(graph: Node, ranges: Ranges, info: DatasetInfo) -> dict[str, Item]:
    """Full name -> item for everything that can be active, in the order of the graph, parents before children."""
    walk = _Walk(ranges, info)
    walk.node(graph, {})
    return walk.items


def minimal_conditions(item: Item, items: Mapping[str, Item]) -> Guard:
    """The part of an item's guard that the rest of it does not imply."""
    return {
        parent: values
        for parent, values in item.guard.items()
        if not any(
            parent in items[other].guard and items[other].guard[parent] <= values
            for other in item.guard
            if other != parent
        )
    }


class _Walk:
    """Walks the graph once and collects items; what can never be active is left out."""

    def __init__(self, ranges: Ranges, info: DatasetInfo):
        self._ranges = ranges
        self._info = info
        self.items: dict[str, Item] = {}

    def node(self, node: Node, guard: Guard) -> None:
        if isinstance(node, Step) and node.component.applies(self._info):
            self._component(node.name, node.component, guard)
        elif isinstance(node, Sequential):
            for child in node.children:
                self.node(child, guard)
        elif isinstance(node, Choice) and node.applicable(self._info):
            self._choice(node, guard)

    def _choice(self, choice: Choice, guard: Guard) -> None:
        requires = {choice_name(name): options for name, options in (choice.requires or {}).items()}
        narrowed = self._restrict_all(guard, requires)
        if narrowed is None:
            return
        options = self._ranges.options(choice, self._info)
        name = choice_name(choice.name)
        self._add(name, options, narrowed)
        for option_name in options.choices:
            inner = self._restrict(narrowed, name, (option_name,))
            assert inner is not None
            option = choice.option(str(option_name))
            if isinstance(option, Component):
                self._component(choice.name, option, inner)
            else:
                self.node(option, inner)

    def _component(self, node: str, component: Component, guard: Guard) -> None:
        for hyperparameter in declared_by(component, self._info):
            name = full_name(node, component.name, hyperparameter.name)
            when = {full_name(node, component.name, local): v for local, v in (hyperparameter.when or {}).items()}
            narrowed = self._restrict_all(guard, when)
            if narrowed is not None:
                self._add(name, self._ranges.apply(name, hyperparameter), narrowed)

    def _add(self, name: str, hyperparameter: Hyperparameter, guard: Guard) -> None:
        self.items[name] = Item(name, _settled(hyperparameter), guard)

    def _restrict_all(self, guard: Guard, conditions: Mapping[str, Iterable[ConfigValue]]) -> Guard | None:
        narrowed: Guard | None = guard
        for parent, values in conditions.items():
            narrowed = None if narrowed is None else self._restrict(narrowed, parent, values)
        return narrowed

    def _restrict(self, guard: Guard, parent: str, values: Iterable[ConfigValue]) -> Guard | None:
        """The guard with one condition more; None if it cannot hold."""
        if parent not in self.items:
            return None
        item = self.items[parent]
        possible = _possible(item.hyperparameter, values)
        if not possible:
            return None
        own = {} if possible == _all_values(item.hyperparameter) else {parent: possible}
        return _both(guard, item.guard, own)


def _both(*guards: Guard) -> Guard | None:
    """All guards at once; None if they contradict each other."""
    merged: Guard = {}
    for guard in guards:
        for parent, values in guard.items():
            merged[parent] = merged.get(parent, values) & values
    return merged if all(merged.values()) else None


def _settled(hyperparameter: Hyperparameter) -> Hyperparameter:
    """A constant where only one value is left."""
    if isinstance(hyperparameter, Categorical):
        return (
            hyperparameter
            if len(hyperparameter.choices) > 1
            else Constant(hyperparameter.name, hyperparameter.choices[0])
        )
    if isinstance(hyperparameter, Float | Int) and hyperparameter.low == hyperparameter.high:
        return Constant(hyperparameter.name, hyperparameter.low)
    return hyperparameter


def _possible(hyperparameter: Hyperparameter, values: Iterable[ConfigValue]) -> frozenset[ConfigValue]:
    """Those of the values that the hyperparameter can take."""
    if isinstance(hyperparameter, Float | Int):
        low, high = hyperparameter.low, hyperparameter.high
        return frozenset(value for value in values if not isinstance(value, str) and low <= value <= high)
    return frozenset(values) & _all_values(hyperparameter)


def _all_values(hyperparameter: Hyperparameter) -> frozenset[ConfigValue]:
    """Every value the hyperparameter can take; nothing for numbers, which nobody can list."""
    if isinstance(hyperparameter, Categorical):
        return frozenset(hyperparameter.choices)
    return frozenset([hyperparameter.value]) if isinstance(hyperparameter, Constant) else frozenset()
