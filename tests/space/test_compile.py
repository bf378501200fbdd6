from pathlib import Path

import pytest
from ConfigSpace import ConfigurationSpace
from ConfigSpace.hyperparameters import Constant as ConstantHyperparameter

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.pipeline.graph import Choice, Constant, Float, Int, Sequential, Step
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.configuration import check_config, from_config, to_config


def condition_of(space, name):
    """The condition of a hyperparameter, as ConfigSpace prints it; empty if it is always active."""
    return " & ".join(str(condition).split(" | ", 1)[-1] for condition in space.parent_conditions_of[name])


def parents_of(space, name):
    return {parent.name for parent in space.parents_of[name]}


def is_constant(space, name, value):
    return isinstance(space[name], ConstantHyperparameter) and space[name].value == value


# The tree


def test_every_name_of_the_graph_that_applies_is_in_the_space(graph, info):
    assert set(compile(graph, None, info)) == {
        "learner:__choice__",
        "batching:minibatch:batch_size",
        "preprocessing:__choice__",
        "preprocessing:svd:target_dim",
        "backbone:__choice__",
        "backbone:mlp:num_layers",
        "backbone:mlp:use_dropout",
        "backbone:mlp:max_dropout",
        "backbone:mlp:shape",
        "backbone:mlp:steps",
        "schedule:__choice__",
        "schedule:cosine:T_max",
        "loss:__choice__",
        "learner:trees:learning_rate",
    }


def test_ranges_scales_and_defaults_are_those_declared(graph, info):
    space = compile(graph, None, info)
    batch_size = space["batching:minibatch:batch_size"]
    assert (batch_size.lower, batch_size.upper, batch_size.log, batch_size.default_value) == (16, 512, True, 91)
    assert space["backbone:mlp:max_dropout"].default_value == 0.2
    assert space["schedule:__choice__"].default_value == "flat"
    assert space["backbone:mlp:use_dropout"].choices == (False, True)
    assert is_constant(space, "schedule:cosine:T_max", "max_budget")


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("learner:__choice__", ""),
        ("batching:minibatch:batch_size", "learner:__choice__ == 'neural'"),
        ("backbone:__choice__", "learner:__choice__ == 'neural'"),
        ("backbone:mlp:num_layers", "backbone:__choice__ == 'mlp'"),
        ("backbone:mlp:max_dropout", "backbone:mlp:use_dropout == True"),
        ("learner:trees:learning_rate", "learner:__choice__ == 'trees'"),
        ("schedule:cosine:T_max", "schedule:__choice__ == 'cosine'"),
        ("embedding:__choice__", "preprocessing:__choice__ == 'none'"),
        ("embedding:learned:width_1", "embedding:__choice__ == 'learned'"),
    ],
)
def test_conditions_follow_from_the_tree_and_are_as_few_as_can_be(graph, categorical_info, name, condition):
    assert condition_of(compile(graph, None, categorical_info), name) == condition


def test_two_local_conditions_are_joined_by_and(graph, info):
    space = compile(graph, None, info)
    assert parents_of(space, "backbone:mlp:steps") == {"backbone:mlp:shape", "backbone:mlp:use_dropout"}
    walk = SpaceWalk(space)
    rule = walk.rules["backbone:mlp:steps"]
    assert rule({"backbone:mlp:shape": "stairs", "backbone:mlp:use_dropout": True})
    assert not rule({"backbone:mlp:shape": "funnel", "backbone:mlp:use_dropout": True})
    assert not rule({"backbone:mlp:shape": "stairs", "backbone:mlp:use_dropout": False})


def test_choice_that_needs_nothing_of_the_data_is_absent_without_it(graph, info, categorical_info):
    assert "embedding:__choice__" not in compile(graph, None, info)
    assert "embedding:learned:width_1" in compile(graph, None, categorical_info)


def test_options_of_another_task_are_dropped(graph, info, regression_info):
    assert compile(graph, None, info)["loss:__choice__"].choices == ("cross_entropy", "weighted")
    assert is_constant(compile(graph, None, regression_info), "loss:__choice__", "squared_error")


def test_same_seed_samples_the_same(graph, info):
    first, second = (compile(graph, None, info, seed=3).sample_configuration(5) for _ in range(2))
    assert first == second
    assert compile(graph, None, info, seed=4).sample_configuration(5) != first


def test_configurations_are_plain_python_values_and_hold_active_names_only(graph, categorical_info):
    space = compile(graph, None, categorical_info, seed=0)
    for configuration in space.sample_configuration(30):
        config = to_config(configuration)
        assert {type(value) for value in config.values()} <= {str, int, float, bool}
        assert ("learner:trees:learning_rate" in config) == (config["learner:__choice__"] == "trees")
        assert from_config(config, space) == configuration


def test_configspace_agrees_with_our_reading_of_conditions(graph, categorical_info):
    space = compile(graph, None, categorical_info, seed=1)
    for configuration in space.sample_configuration(100):
        check_config(to_config(configuration), space)
    default = SpaceWalk(space).default()
    assert to_config(space.get_default_configuration()) == default


def test_space_round_trips_through_configspaces_own_json(graph, categorical_info, tmp_path: Path):
    """Boolean choices and constants must come back as booleans, and conditions on them must still hold."""
    space = compile(graph, {"backbone:mlp:use_dropout": {"default": True}}, categorical_info)
    space.to_json(tmp_path / "space.json")
    loaded = ConfigurationSpace.from_json(tmp_path / "space.json")
    assert loaded == space
    assert loaded["backbone:mlp:use_dropout"].choices == (False, True)
    assert to_config(loaded.get_default_configuration()) == to_config(space.get_default_configuration())
    assert loaded["backbone:mlp:num_layers"].meta == space["backbone:mlp:num_layers"].meta


def test_boolean_constants_round_trip(graph, info, tmp_path: Path):
    space = compile(graph, {"backbone:mlp:use_dropout": True, "backbone:__choice__": "mlp"}, info)
    space.to_json(tmp_path / "space.json")
    assert ConfigurationSpace.from_json(tmp_path / "space.json")["backbone:mlp:use_dropout"].value is True


# Edits


def test_fixing_a_choice_moves_its_condition_up_the_tree(graph, info):
    space = compile(graph, {"backbone:__choice__": "mlp"}, info)
    assert is_constant(space, "backbone:__choice__", "mlp")
    assert condition_of(space, "backbone:mlp:num_layers") == "learner:__choice__ == 'neural'"


def test_fixing_the_root_leaves_no_condition_on_it(graph, info):
    space = compile(graph, {"learner:__choice__": ["neural"]}, info)
    assert condition_of(space, "backbone:__choice__") == ""
    assert "learner:trees:learning_rate" not in space


def test_what_can_never_be_active_is_left_out(graph, categorical_info):
    space = compile(graph, {"backbone:mlp:use_dropout": False, "preprocessing:__choice__": "svd"}, categorical_info)
    assert "backbone:mlp:max_dropout" not in space
    assert "embedding:__choice__" not in space


def test_requirement_that_always_holds_is_no_condition(graph, categorical_info):
    space = compile(graph, {"preprocessing:__choice__": "none", "learner:__choice__": "neural"}, categorical_info)
    assert condition_of(space, "embedding:__choice__") == ""


def test_fixing_true_moves_the_local_condition_up(graph, info):
    space = compile(graph, {"backbone:mlp:use_dropout": True}, info)
    assert condition_of(space, "backbone:mlp:max_dropout") == "backbone:__choice__ == 'mlp'"
    assert condition_of(space, "backbone:mlp:steps") == "backbone:mlp:shape in {'brick', 'stairs'}"


def test_narrowing_to_all_values_of_a_condition_drops_it(graph, info):
    space = compile(graph, {"backbone:mlp:shape": ["stairs", "brick"], "backbone:mlp:use_dropout": True}, info)
    assert condition_of(space, "backbone:mlp:steps") == "backbone:__choice__ == 'mlp'"
    assert space["backbone:mlp:shape"].choices == ("stairs", "brick")


def test_numbers_can_be_fixed_narrowed_widened_and_put_on_a_log_scale(graph, info):
    edits = {
        "backbone:mlp:num_layers": 9,
        "backbone:mlp:max_dropout": {"low": 0.01, "high": 3.0, "log": True, "default": 0.5},
        "learner:trees:learning_rate": {"high": 0.05},
    }
    space = compile(graph, edits, info)
    assert is_constant(space, "backbone:mlp:num_layers", 9)
    dropout = space["backbone:mlp:max_dropout"]
    assert (dropout.lower, dropout.upper, dropout.log, dropout.default_value) == (0.01, 3.0, True, 0.5)
    rate = space["learner:trees:learning_rate"]
    assert (rate.lower, rate.upper, rate.log, rate.default_value) == (0.001, 0.05, True, 0.05)


def test_range_of_one_value_is_a_constant(graph, info):
    assert is_constant(
        compile(graph, {"backbone:mlp:num_layers": {"low": 3, "high": 3}}, info), "backbone:mlp:num_layers", 3
    )


def test_constants_take_another_value_or_become_searched(graph, info):
    name = "schedule:cosine:T_max"
    assert is_constant(compile(graph, {name: 50}, info), name, 50)
    assert compile(graph, {name: {"low": 10, "high": 50}}, info)[name].upper == 50
    assert compile(graph, {name: [25, 50]}, info)[name].choices == (25, 50)
    with pytest.raises(SpaceError, match="both low and high"):
        compile(graph, {name: {"low": 10}}, info)


def test_wildcard_edits_the_family_and_the_exact_name_has_the_last_word(graph, categorical_info):
    edits = {"embedding:learned:width_1": {"high": 0.9}, "embedding:learned:width_*": {"low": 0.1, "high": 0.5}}
    space = compile(graph, edits, categorical_info)
    assert (space["embedding:learned:width_0"].lower, space["embedding:learned:width_0"].upper) == (0.1, 0.5)
    assert (space["embedding:learned:width_1"].lower, space["embedding:learned:width_1"].upper) == (0.1, 0.9)


def test_excluding_leaves_room_for_components_added_later(graph, info, fake):
    edits = {"backbone:__choice__": {"exclude": ["linear"]}}
    assert is_constant(compile(graph, edits, info), "backbone:__choice__", "mlp")
    longer = graph.with_option("backbone", fake("mine", Float("x", 0.0, 1.0)))
    space = compile(longer, edits, info)
    assert space["backbone:__choice__"].choices == ("mlp", "mine")
    assert condition_of(space, "backbone:mine:x") == "backbone:__choice__ == 'mine'"


def test_default_of_a_choice_can_be_set(graph, info):
    space = compile(graph, {"learner:__choice__": {"default": "trees"}}, info)
    assert to_config(space.get_default_configuration())["learner:__choice__"] == "trees"


def test_losses_of_every_task_can_be_listed(graph, info, regression_info):
    edits = {"loss:__choice__": ["weighted", "squared_error"]}
    assert is_constant(compile(graph, edits, info), "loss:__choice__", "weighted")
    assert is_constant(compile(graph, edits, regression_info), "loss:__choice__", "squared_error")


def test_edits_of_what_does_not_apply_to_the_data_are_ignored(graph, info):
    edits = {"embedding:__choice__": "learned", "embedding:learned:width_*": 0.5, "embedding:learned:width_1": 0.3}
    assert set(compile(graph, edits, info)) == set(compile(graph, None, info))


def test_whole_ranges_file_names_the_space(graph, info):
    ranges = {"format": 1, "name": "small", "description": "", "edits": {"backbone:mlp:num_layers": 2}}
    assert compile(graph, ranges, info).name == "small"


@pytest.mark.parametrize(
    ("edits", "error", "message"),
    [
        ({"lerner:__choice__": "neural"}, UnknownNameError, "did you mean 'learner:__choice__'"),
        ({"backbone:mlp:num_layer": 3}, UnknownNameError, "did you mean 'backbone:mlp:num_layers'"),
        ({"embedding:learned:with_*": 3}, UnknownNameError, r"embedding:learned:with_\*"),
        ({"learner:__choice__": "neurall"}, UnknownNameError, "learner:__choice__ 'neurall'; did you mean 'neural'"),
        ({"learner:__choice__": ["trees", "tree"]}, UnknownNameError, "did you mean 'trees'"),
        ({"learner:__choice__": {"exclude": ["tree"]}}, UnknownNameError, "did you mean 'trees'"),
        ({"backbone:mlp:shape": "brik"}, UnknownNameError, "backbone:mlp:shape 'brik'; did you mean 'brick'"),
        ({"backbone:mlp:num_layers": {"lo": 1}}, UnknownNameError, "did you mean 'low'"),
        ({"backbone:mlp:num_layers": {"low": 7}}, SpaceError, "backbone:mlp:num_layers.*low=7"),
        ({"backbone:mlp:num_layers": {"default": 9}}, SpaceError, r"backbone:mlp:num_layers.*\[1, 5\], got 9"),
        ({"backbone:mlp:num_layers": 2.5}, SpaceError, "backbone:mlp:num_layers.*whole number.*2.5"),
        ({"backbone:mlp:num_layers": [1, 2]}, SpaceError, "backbone:mlp:num_layers.*whole number"),
        ({"backbone:mlp:num_layers": True}, SpaceError, "backbone:mlp:num_layers.*True"),
        ({"backbone:mlp:max_dropout": {"log": True}}, SpaceError, "backbone:mlp:max_dropout.*low > 0"),
        ({"backbone:mlp:shape": []}, SpaceError, "backbone:mlp:shape.*at least one"),
        ({"learner:__choice__": {"exclude": ["trees", "neural"]}}, SpaceError, "learner:__choice__.*at least one"),
        ({"learner:__choice__": {"default": "forest"}}, SpaceError, "learner:__choice__.*forest"),
        ({"schedule:cosine:T_max": None}, SpaceError, "schedule:cosine:T_max.*None"),
        ({"loss:__choice__": "squared_error"}, SpaceError, "loss is left without an option for binary data"),
        ({"embedding:learned:width_0": {"low": 2.0}}, SpaceError, "embedding:learned:width_0"),
        ({"format": 2, "edits": {}}, SpaceError, "format 1"),
        ({"format": 1, "edit": {}}, UnknownNameError, "did you mean 'edits'"),
    ],
)
def test_impossible_edits_are_errors_that_name_the_culprit(graph, info, edits, error, message):
    with pytest.raises(error, match=message):
        compile(graph, edits, info)


def test_errors_name_the_ranges_file(graph, info):
    ranges = {"format": 1, "name": "mine", "edits": {"backbone:mlp:num_layers": {"low": 7}}}
    with pytest.raises(SpaceError, match="ranges 'mine'"):
        compile(graph, ranges, info)


# Malformed components


def test_hyperparameter_declared_twice_is_refused(info, fake):
    with pytest.raises(SpaceError, match="'x' twice"):
        compile(Step("a", fake("b", Float("x", 0, 1), Int("x", 0, 1))), None, info)


def test_condition_on_a_hyperparameter_that_is_not_declared_before_is_refused(info, fake):
    with pytest.raises(SpaceError, match="'x' of component 'b' has one on y"):
        compile(Step("a", fake("b", Float("x", 0, 1, when={"y": (1,)}), Int("y", 0, 1))), None, info)


def test_graph_without_anything_for_the_data_is_refused(info, fake):
    with pytest.raises(SpaceError, match="no component that applies to binary data"):
        compile(Choice("a", (fake("b", applies=lambda info: False),)), None, info)


def test_condition_on_a_number_holds_for_listed_values(info, fake):
    component = fake("b", Int("n", 1, 5), Float("x", 0, 1, when={"n": (1, 2, 9)}), Float("y", 0, 1, when={"n": (9,)}))
    space = compile(Step("a", component), None, info)
    assert "a:b:y" not in space
    rule = SpaceWalk(space).rules["a:b:x"]
    assert rule({"a:b:n": 2})
    assert not rule({"a:b:n": 3})


def test_contradicting_requirements_leave_a_node_out(info, fake):
    graph = Sequential(
        "all",
        (
            Choice("a", (fake("x"), Sequential("inner", (Choice("b", (fake("p"), fake("q"))),), dict))),
            Choice("c", (fake("k"), fake("l")), requires={"a": ("x",), "b": ("p",)}),
            Choice("d", (fake("k"), fake("l")), requires={"a": ("inner",), "b": ("p",)}),
            Step("always", fake("s", Constant("v", 1))),
        ),
        dict,
    )
    space = compile(graph, None, info)
    assert "c:__choice__" not in space
    assert condition_of(space, "d:__choice__") == "b:__choice__ == 'p'"
    assert is_constant(space, "always:s:v", 1)
