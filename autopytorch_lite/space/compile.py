"""Component graph + ranges + facts about the data -> one ConfigSpace, with conditions that follow from the tree."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import ConfigSpace
from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import AndConjunction, EqualsCondition, InCondition
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from autopytorch_lite.errors import SpaceError
from autopytorch_lite.pipeline.graph import Categorical, Constant, Int, Node
from autopytorch_lite.space.joint import Item, flatten, minimal_conditions
from autopytorch_lite.space.ranges import Ranges
from autopytorch_lite.types import DatasetInfo

POSITION = "position"
"""Key in the `meta` of every hyperparameter: its place in the graph, which ConfigSpace does not keep."""


def compile(
    graph: Node, ranges: Mapping[str, Any] | None, info: DatasetInfo, seed: int | None = None
) -> ConfigurationSpace:
    """The joint space of everything in the graph that applies to the data.

    A component's hyperparameters are active only where the choices above it lead to it; a choice left with one option
    and a hyperparameter left with one value are constants, so that every configuration says all that it does.

    Args:
        graph: the component graph.
        ranges: a ranges file or bare edits (see `Ranges`), or None.
        info: facts about the data.
        seed: seed of ConfigSpace's own sampling.

    Raises:
        UnknownNameError: an edit names something that the graph lacks.
        SpaceError: the graph is malformed, an edit is impossible, or nothing is left to choose.
    """
    graph.validate()
    edits = Ranges(ranges, graph, info)
    items = flatten(graph, edits, info)
    if not items:
        raise SpaceError(f"Graph {graph.name!r} has no component that applies to {info.task.value} data.")
    space = ConfigurationSpace(name=edits.name or None, seed=seed)
    made = {name: _hyperparameter(item, position) for position, (name, item) in enumerate(items.items())}
    conditions = [_condition(item, items, made) for item in items.values() if item.guard]
    space.add([*made.values(), *conditions])
    return space


def _hyperparameter(item: Item, position: int) -> Any:
    """The ConfigSpace hyperparameter of an item."""
    h, name = item.hyperparameter, item.name
    meta: dict[Hashable, Any] = {POSITION: position}
    if isinstance(h, Constant):
        return ConfigSpace.Constant(name, h.value, meta=meta)
    if isinstance(h, Categorical):
        return CategoricalHyperparameter(name, h.choices, default_value=h.default_value, meta=meta)
    if isinstance(h, Int):
        return UniformIntegerHyperparameter(name, h.low, h.high, default_value=h.default_value, log=h.log, meta=meta)
    return UniformFloatHyperparameter(name, h.low, h.high, default_value=h.default_value, log=h.log, meta=meta)


def _condition(item: Item, items: Mapping[str, Item], made: Mapping[str, Any]) -> Any:
    """The fewest ConfigSpace conditions that say when an item is active."""
    child = made[item.name]
    conditions: list[Any] = []
    for parent, values in minimal_conditions(item, items).items():
        ordered = sorted(values, key=str)
        if len(ordered) == 1:
            conditions.append(EqualsCondition(child, made[parent], ordered[0]))
        else:
            conditions.append(InCondition(child, made[parent], ordered))
    return conditions[0] if len(conditions) == 1 else AndConjunction(*conditions)
