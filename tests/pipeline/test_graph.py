from dataclasses import FrozenInstanceError

import pytest

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.pipeline.graph import (
    Categorical,
    Choice,
    Component,
    Constant,
    Float,
    Int,
    Nothing,
    Optional,
    Sequential,
    Step,
    choice_name,
    full_name,
    learner_of,
    local_values,
)
from autopytorch_lite.types import DatasetInfo, Task

INFO = DatasetInfo(Task.BINARY, n_rows=100, n_numeric=3, cardinalities=(), n_outputs=2)
WITH_CATEGORIES = DatasetInfo(Task.BINARY, n_rows=100, n_numeric=3, cardinalities=(4,), n_outputs=2)


class Mean(Component):
    """Takes the mean. And more text."""

    name = "mean"

    def build(self, values, info):
        return "mean"


class Shrink(Component):
    """Shrinks."""

    name = "shrink"

    def hyperparameters(self, info):
        return (Float("factor", 0.0, 1.0), Int("times", 1, 3))

    def build(self, values, info):
        return dict(values)


class Embed(Shrink):
    """For categories."""

    name = "embed"

    def applies(self, info):
        return info.n_categorical > 0


def example_graph():
    neural = Sequential(
        "neural",
        (
            Step("centre", Mean()),
            Choice("size", (Nothing(), Shrink()), default="shrink"),
            Choice("embedding", (Embed(),), requires={"size": ("none",)}),
            Optional("extra", Shrink()),
        ),
        assemble=dict,
    )
    return Choice("learner", (neural, Mean()))


# Hyperparameters


@pytest.mark.parametrize(
    ("hyperparameter", "default"),
    [
        (Float("x", 0.0, 1.0), 0.5),
        (Float("x", 1e-4, 1e-2, log=True), pytest.approx(1e-3)),
        (Float("x", 0.0, 1.0, default=0.1), 0.1),
        (Int("x", 1, 4), 2),
        (Int("x", 1, 100, log=True), 10),
        (Int("x", 1, 100, default=7), 7),
        (Categorical("x", ("a", "b")), "a"),
        (Categorical("x", (True, False), default=False), False),
        (Constant("x", "max_budget"), "max_budget"),
    ],
)
def test_default_is_the_given_one_or_the_middle_of_the_scale(hyperparameter, default):
    assert hyperparameter.default_value == default
    assert type(hyperparameter.default_value) in (str, int, float, bool)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Float("x", 1.0, 0.0),
        lambda: Float("x", 0.0, float("inf")),
        lambda: Float("x", 0.0, 1.0, log=True),
        lambda: Float("x", 0.0, 1.0, default=2.0),
        lambda: Int("x", 1, 2.5),
        lambda: Int("x", True, 3),
        lambda: Int("x", 1, 3, default=4),
        lambda: Categorical("x", ()),
        lambda: Categorical("x", ("a", "a")),
        lambda: Categorical("x", ("a", "b"), default="c"),
    ],
)
def test_impossible_hyperparameters_are_refused_by_name(make):
    with pytest.raises(SpaceError, match="x"):
        make()


@pytest.mark.parametrize("name", ["a:b", "", "a*", "1st", "__choice__", None, "a b"])
def test_names_that_could_not_be_part_of_a_full_name_are_refused(name):
    with pytest.raises(SpaceError, match="must be named"):
        Constant(name, 1)
    with pytest.raises(SpaceError, match="must be named"):
        Step(name, Mean())


# Nodes


def test_graph_is_frozen():
    with pytest.raises(FrozenInstanceError):
        example_graph().name = "other"


def test_walk_visits_nodes_depth_first_in_order():
    assert [node.name for node in example_graph().walk()] == [
        "learner",
        "neural",
        "centre",
        "size",
        "embedding",
        "extra",
    ]


def test_walk_components_pairs_each_component_with_its_node():
    pairs = [(node.name, component.name) for node, component in example_graph().walk_components()]
    assert ("centre", "mean") in pairs
    assert ("learner", "mean") in pairs
    assert len(pairs) == 1 + 1 + 2 + 1 + 2


def test_find_offers_the_closest_name():
    assert example_graph().find("size").name == "size"
    with pytest.raises(UnknownNameError, match="did you mean 'embedding'"):
        example_graph().find("embeding")


def test_optional_is_left_out_by_default():
    optional = Optional("extra", Shrink())
    assert optional.default == "none"
    assert optional.option("none").build({}, INFO) is None


def test_applicable_options_depend_on_the_data():
    embedding = example_graph().find("embedding")
    assert embedding.applicable(INFO) == ()
    assert [option.name for option in embedding.applicable(WITH_CATEGORIES)] == ["embed"]


def test_with_option_gives_a_new_graph_and_leaves_the_old_one_alone():
    graph = example_graph()
    longer = graph.with_option("size", Mean())
    assert [option.name for option in longer.find("size").options] == ["none", "shrink", "mean"]
    assert [option.name for option in graph.find("size").options] == ["none", "shrink"]
    assert longer.find("size").default == "shrink"
    assert longer.find("extra") == graph.find("extra")


def test_with_option_reaches_the_root():
    assert [option.name for option in example_graph().with_option("learner", Shrink()).options][-1] == "shrink"


def test_with_option_refuses_a_name_twice_and_nodes_that_are_no_choice():
    with pytest.raises(SpaceError, match="shrink"):
        example_graph().with_option("size", Shrink())
    with pytest.raises(SpaceError, match="'centre' is a Step"):
        example_graph().with_option("centre", Shrink())
    with pytest.raises(SpaceError, match="instances, not classes"):
        example_graph().with_option("size", Mean)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choice("c", ()), "at least one option"),
        (lambda: Choice("c", (Mean(), Mean())), "more than once: mean"),
        (lambda: Choice("c", (Mean(),), default="other"), "'other'"),
        (lambda: Sequential("s", (), dict), "at least one child"),
        (lambda: Sequential("s", (Mean(),), dict), "Step, Choice or Sequential"),
        (lambda: Sequential("s", (Step("a", Mean()), Step("a", Shrink())), dict), "more than once: a"),
        (lambda: Choice("c", (Sequential("s", (Step("c", Mean()),), dict),)), "more than once: c"),
        (lambda: Step("a", Mean), "instances, not classes"),
    ],
)
def test_malformed_nodes_are_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


def test_component_without_a_name_is_refused():
    class Nameless(Component):
        def build(self, values, info):
            return None

    with pytest.raises(SpaceError, match="Nameless"):
        Step("a", Nameless())


def test_validate_accepts_the_example():
    assert example_graph().validate() is None


@pytest.mark.parametrize("required", ["later", "nowhere", "step"])
def test_requires_must_name_an_earlier_choice(required):
    graph = Sequential(
        "s",
        (
            Step("step", Mean()),
            Choice("c", (Mean(),), requires={required: ("mean",)}),
            Choice("later", (Mean(),)),
        ),
        dict,
    )
    with pytest.raises(SpaceError, match=f"'c' requires '{required}'"):
        graph.validate()


def test_requires_must_name_an_option_that_exists():
    graph = Sequential("s", (Choice("a", (Mean(),)), Choice("b", (Mean(),), requires={"a": ("meen",)})), dict)
    with pytest.raises(UnknownNameError, match="did you mean 'mean'"):
        graph.validate()


def test_prints_as_a_tree():
    assert str(example_graph()) == "\n".join(
        [
            "learner (one of)",
            "├── neural (in sequence)",
            "│   ├── centre: mean",
            "│   ├── size: none | shrink",
            "│   ├── embedding: embed [if size = none]",
            "│   └── extra: none | shrink",
            "└── mean",
        ]
    )


def test_tree_for_data_shows_what_applies_and_its_hyperparameters():
    picture = example_graph().tree(INFO)
    assert "shrink(factor, times)" in picture
    assert "embedding" not in picture
    assert "embed(factor, times)" in example_graph().tree(WITH_CATEGORIES)


def test_description_is_the_first_sentence():
    assert Mean.description() == "Takes the mean"


# Names


def test_full_names_and_back():
    assert choice_name("size") == "size:__choice__"
    assert full_name("size", "shrink", "factor") == "size:shrink:factor"
    config = {"size:__choice__": "shrink", "size:shrink:factor": 0.5, "size:shrinker:factor": 1.0}
    assert local_values(config, "size", "shrink") == {"factor": 0.5}


def test_learners_are_named_with_their_backbone():
    assert (
        learner_of({"learner:__choice__": "neural", "backbone:__choice__": "shaped_resnet"}) == "neural: shaped_resnet"
    )
    assert learner_of({"learner:__choice__": "hist_gradient_boosting"}) == "hist_gradient_boosting"
    assert learner_of({"x": 1}) == ""
