from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import EqualsCondition, GreaterThanCondition, NotEqualsCondition, OrConjunction
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.table import describe, to_text


def row_of(space, name):
    return next(row for row in describe(space) if row.name == name)


def test_rows_follow_the_order_of_the_graph(graph, info):
    names = [row.name for row in describe(compile(graph, None, info))]
    assert names[:4] == [
        "learner:__choice__",
        "batching:minibatch:batch_size",
        "preprocessing:__choice__",
        "preprocessing:svd:target_dim",
    ]
    assert names[-1] == "learner:trees:learning_rate"


def test_row_says_range_scale_default_and_condition(graph, info):
    space = compile(graph, None, info)
    rate = row_of(space, "learner:trees:learning_rate")
    assert (rate.kind, rate.values, rate.log, rate.default) == ("float", "0.001 .. 1", True, "0.1")
    assert rate.active_when == "learner = trees"
    assert row_of(space, "learner:__choice__").active_when == "always"
    assert row_of(space, "backbone:mlp:max_dropout").active_when == "use_dropout = true"
    assert row_of(space, "backbone:mlp:steps").active_when == "shape in brick, stairs and use_dropout = true"
    assert row_of(space, "backbone:mlp:use_dropout").values == "false, true"
    assert row_of(space, "schedule:cosine:T_max").kind == "constant"


def test_other_kinds_and_conditions():
    space = ConfigurationSpace()
    size = OrdinalHyperparameter("size", ["s", "m", "l"])
    n, c = UniformIntegerHyperparameter("n", 1, 5), CategoricalHyperparameter("c", ["x", "y"])
    x, y = UniformFloatHyperparameter("x", 0, 1), UniformFloatHyperparameter("y", 0, 1)
    space.add(size, n, c, x, y)
    space.add(OrConjunction(NotEqualsCondition(x, c, "x"), GreaterThanCondition(x, n, 3)), EqualsCondition(y, n, 2))
    assert row_of(space, "size").values == "s < m < l"
    assert row_of(space, "x").active_when == "(c is not x or n > 3)"
    assert row_of(space, "y").active_when == "n = 2"


def test_constants_stand_apart_at_the_end(graph, info):
    text = to_text(compile(graph, None, info), width=120)
    searched, constants = text.split("\nConstants\n")
    assert text.startswith("Space: 13 hyperparameters searched, 1 constant\n")
    assert "T_max" not in searched
    assert "schedule:cosine:T_max  max_budget  schedule = cosine" in constants


def test_lines_keep_to_the_width_and_lose_nothing(graph, categorical_info):
    space = compile(graph, None, categorical_info)
    text = to_text(space, width=100)
    assert max(map(len, text.splitlines())) <= 100
    words = text.split()
    for row in describe(space):
        assert row.name in words
        assert all(word in words for word in row.active_when.split())


def test_columns_are_aligned(graph, info):
    lines = to_text(compile(graph, None, info), width=140).splitlines()
    start = lines[2].index("type")
    table = lines[4 : lines.index("Constants") - 1]
    assert all(line[start - 1] == " " and line[start] != " " for line in table)


def test_space_of_constants_only_has_no_empty_table():
    space = ConfigurationSpace(name="fixed")
    space.add(Constant("x", 1))
    text = to_text(space, width=80)
    assert text.startswith("Space 'fixed': 0 hyperparameters searched, 1 constant\n\nConstants\n")
