"""Search spaces and objectives for the tests of the search room."""

from __future__ import annotations

import math
from typing import Any

import ConfigSpace as cs
from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import (
    AndConjunction,
    EqualsCondition,
    GreaterThanCondition,
    InCondition,
    LessThanCondition,
    OrConjunction,
)
from hypothesis import strategies as st

from autopytorch_lite.history.trial import Proposal


def flat_space() -> ConfigurationSpace:
    """Like search space 1 of the paper: seven numbers, some on log axes, nothing conditional."""
    space = ConfigurationSpace()
    space.add(
        cs.Integer("batch_size", (16, 512), log=True),
        cs.Float("learning_rate", (1e-4, 1e-1), log=True),
        cs.Float("momentum", (0.1, 0.99)),
        cs.Float("weight_decay", (1e-5, 1e-1)),
        cs.Integer("num_layers", (1, 5)),
        cs.Integer("max_units", (64, 1024), log=True),
        cs.Float("max_dropout", (0.0, 1.0)),
        cs.Constant("network", "shaped_mlp"),
    )
    return space


def tree_space() -> ConfigurationSpace:
    """Choices, numbers below them, one more level below those, and a forbidden pair."""
    space = ConfigurationSpace()
    net = cs.CategoricalHyperparameter("net", ["mlp", "resnet", "linear"])
    depth = cs.Integer("depth", (1, 6))
    groups = cs.Integer("groups", (1, 4))
    dropout = cs.CategoricalHyperparameter("use_dropout", [False, True])
    rate = cs.Float("rate", (0.0, 1.0))
    optimizer = cs.CategoricalHyperparameter("optimizer", ["adam", "sgd"])
    momentum = cs.Float("momentum", (0.1, 0.999))
    space.add(net, depth, groups, dropout, rate, optimizer, momentum, cs.Constant("epochs", 50))
    space.add(
        EqualsCondition(depth, net, "mlp"),
        EqualsCondition(groups, net, "resnet"),
        InCondition(dropout, net, ["mlp", "resnet"]),
        EqualsCondition(rate, dropout, True),
        EqualsCondition(momentum, optimizer, "sgd"),
    )
    space.add(
        cs.ForbiddenAndConjunction(cs.ForbiddenEqualsClause(net, "linear"), cs.ForbiddenEqualsClause(optimizer, "sgd"))
    )
    return space


def small_space() -> ConfigurationSpace:
    """Seven configurations: a = 0 leaves b inactive, a = 1 and a = 2 have three values of b each."""
    space = ConfigurationSpace()
    a, b = cs.Integer("a", (0, 2)), cs.CategoricalHyperparameter("b", ["x", "y", "z"])
    space.add(a, b, cs.Constant("c", "only"))
    space.add(GreaterThanCondition(b, a, 0))
    return space


def two_valleys(proposal: Proposal) -> float:
    """A loss over `flat_space` that a short training shows with an error; its minimum is 0 at an infinite budget."""
    config = proposal.config
    distance = (
        (math.log10(config["learning_rate"]) + 2.5) ** 2
        + 2 * (config["momentum"] - 0.8) ** 2
        + 4 * (config["max_dropout"] - 0.3) ** 2
        + 0.2 * (math.log2(config["max_units"]) - 8) ** 2
        + 50 * config["weight_decay"] ** 2
    )
    wobble = 0.3 * math.sin(20 * config["max_dropout"]) / proposal.budget
    return distance + wobble + 1.0 / proposal.budget


@st.composite
def spaces(draw: st.DrawFn) -> ConfigurationSpace:
    """Random spaces of one to seven hyperparameters of all kinds: conditions nest, up to three clauses forbid."""
    space = ConfigurationSpace()
    members: list[Any] = []
    for i in range(draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7]))):
        member = draw(_hyperparameters(f"h{i}"))
        space.add(member)
        parents = [m for m in members if _values(m)]
        if parents and draw(st.booleans()):
            space.add(draw(_conditions(member, parents)))
        members.append(member)
    for clause in draw(_forbidden(members)):
        space.add(clause)
    return space


@st.composite
def _forbidden(draw: st.DrawFn, members: list[Any]) -> list[Any]:
    """Clauses over one or two hyperparameters; each spares a default value, so that something stays allowed."""
    clauses, free = [], [m for m in members if len(_values(m)) > 1]
    for _ in range(min(draw(st.integers(0, 3)), len(free))):
        member = free.pop(draw(st.integers(0, len(free) - 1)))
        clause = draw(_clauses(member, [value for value in _values(member) if value != member.default_value]))
        if free and draw(st.booleans()):
            other = draw(st.sampled_from(free))
            clause = cs.ForbiddenAndConjunction(clause, draw(_clauses(other, _values(other))))
        clauses.append(clause)
    return clauses


@st.composite
def _clauses(draw: st.DrawFn, member: Any, values: list[Any]) -> Any:
    if draw(st.booleans()):
        return cs.ForbiddenEqualsClause(member, draw(st.sampled_from(values)))
    return cs.ForbiddenInClause(member, draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)))


@st.composite
def _hyperparameters(draw: st.DrawFn, name: str) -> Any:
    kind = draw(st.sampled_from(["float", "integer", "categorical", "boolean", "ordinal", "constant"]))
    if kind == "float":
        low = draw(st.sampled_from([1e-4, 0.5]))
        return cs.Float(name, (low, low * draw(st.sampled_from([2.0, 1000.0]))), log=draw(st.booleans()))
    if kind == "integer":
        low = draw(st.integers(1, 5))
        return cs.Integer(name, (low, low + draw(st.integers(1, 100))), log=draw(st.booleans()))
    if kind == "categorical":
        return cs.CategoricalHyperparameter(name, [f"v{i}" for i in range(draw(st.integers(1, 4)))])
    if kind == "boolean":
        return cs.CategoricalHyperparameter(name, [True, False])
    if kind == "ordinal":
        return cs.OrdinalHyperparameter(name, ["low", "middle", "high"][: draw(st.integers(2, 3))])
    return cs.Constant(name, draw(st.sampled_from(["only", 3])))


@st.composite
def _conditions(draw: st.DrawFn, child: Any, parents: list[Any]) -> Any:
    chosen = draw(st.lists(st.sampled_from(parents), min_size=1, max_size=2, unique_by=lambda parent: parent.name))
    simple = [draw(_simple_conditions(child, parent)) for parent in chosen]
    if len(simple) == 1:
        return simple[0]
    return draw(st.sampled_from([AndConjunction, OrConjunction]))(*simple)


@st.composite
def _simple_conditions(draw: st.DrawFn, child: Any, parent: Any) -> Any:
    values = _values(parent)
    value = draw(st.sampled_from(values))
    if isinstance(parent, cs.UniformIntegerHyperparameter) and draw(st.booleans()):
        return draw(st.sampled_from([LessThanCondition, GreaterThanCondition]))(child, parent, value)
    if draw(st.booleans()):
        return EqualsCondition(child, parent, value)
    return InCondition(child, parent, draw(st.lists(st.sampled_from(values), min_size=1, unique=True)))


def _values(member: Any) -> list[Any]:
    if isinstance(member, cs.CategoricalHyperparameter):
        return list(member.choices)
    if isinstance(member, cs.OrdinalHyperparameter):
        return list(member.sequence)
    if isinstance(member, cs.UniformIntegerHyperparameter):
        return list(range(int(member.lower), min(int(member.upper), int(member.lower) + 5) + 1))
    return []
