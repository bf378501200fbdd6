import pytest

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.space.adapt import adapt, adapt_portfolio
from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.configuration import check_config
from autopytorch_lite.space.encode import VectorCodec

CONFIG = {
    "learner:__choice__": "neural",
    "batching:minibatch:batch_size": 64,
    "preprocessing:__choice__": "none",
    "embedding:__choice__": "learned",
    "embedding:learned:width_0": 0.25,
    "embedding:learned:width_7": 0.75,
    "backbone:__choice__": "mlp",
    "backbone:mlp:num_layers": 5,
    "backbone:mlp:use_dropout": False,
    "backbone:mlp:shape": "brick",
    "loss:__choice__": "weighted",
}


def adapted(config, graph, info, edits=None):
    space = compile(graph, edits, info)
    result = adapt(config, space, graph, info)
    check_config(result, space)
    return result


def test_missing_names_take_their_defaults(graph, info):
    space = compile(graph, None, info)
    assert adapted({}, graph, info) == VectorCodec(space).default()
    result = adapted({"learner:__choice__": "trees"}, graph, info)
    assert result == {"learner:__choice__": "trees", "learner:trees:learning_rate": 0.1}


def test_what_is_given_is_kept(graph, categorical_info):
    result = adapted(CONFIG, graph, categorical_info)
    assert {name: result[name] for name in CONFIG if name != "embedding:learned:width_7"} == {
        name: value for name, value in CONFIG.items() if name != "embedding:learned:width_7"
    }
    assert result["embedding:learned:width_1"] == 0.5


def test_names_that_do_not_apply_to_the_data_are_dropped(graph, info):
    assert not any(name.startswith("embedding") for name in adapted(CONFIG, graph, info))


def test_loss_of_another_task_becomes_this_tasks_default(graph, regression_info):
    assert adapted(CONFIG, graph, regression_info)["loss:__choice__"] == "squared_error"


def test_inactive_names_are_dropped(graph, info):
    config = CONFIG | {"backbone:mlp:max_dropout": 0.9, "learner:trees:learning_rate": 0.5}
    result = adapted(config, graph, info)
    assert "backbone:mlp:max_dropout" not in result
    assert "learner:trees:learning_rate" not in result


def test_numbers_outside_of_the_range_move_to_its_nearest_end(graph, info):
    edits = {"backbone:mlp:num_layers": {"high": 3}, "batching:minibatch:batch_size": {"low": 128}}
    result = adapted(CONFIG, graph, info, edits)
    assert result["backbone:mlp:num_layers"] == 3
    assert result["batching:minibatch:batch_size"] == 128


def test_fixed_and_excluded_values_give_way(graph, info):
    edits = {"backbone:mlp:shape": {"exclude": ["brick"]}, "backbone:mlp:num_layers": 2}
    result = adapted(CONFIG, graph, info, edits)
    assert result["backbone:mlp:shape"] == "funnel"
    assert result["backbone:mlp:num_layers"] == 2


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"backbone:mlp:nm_layers": 3}, UnknownNameError, "did you mean 'backbone:mlp:num_layers'"),
        ({"backbone:__choice__": "mpl"}, UnknownNameError, "choice of backbone:__choice__ 'mpl'; did you mean 'mlp'"),
        ({"backbone:mlp:shape": "brik"}, UnknownNameError, "did you mean 'brick'"),
        ({"backbone:mlp:num_layers": "three"}, SpaceError, "backbone:mlp:num_layers must be a number, got 'three'"),
        ({"backbone:mlp:num_layers": True}, SpaceError, "backbone:mlp:num_layers must be a number, got True"),
        ({"schedule:cosine:T_max": [1]}, SpaceError, "schedule:cosine:T_max"),
    ],
)
def test_what_the_graph_does_not_know_is_an_error(graph, info, config, error, message):
    space = compile(graph, None, info)
    with pytest.raises(error, match=message):
        adapt(config, space, graph, info)


def test_portfolio_keeps_order_and_gives_each_configuration_once(graph, info):
    space = compile(graph, None, info)
    entries = [{"learner:__choice__": "trees"}, CONFIG, CONFIG | {"embedding:__choice__": "none"}, {}]
    portfolio = adapt_portfolio(entries, space, graph, info)
    assert portfolio == [adapted(entries[0], graph, info), adapted(CONFIG, graph, info), adapted({}, graph, info)]


def test_portfolio_leaves_out_learners_that_the_space_excludes(graph, info):
    space = compile(graph, {"learner:__choice__": "neural"}, info)
    entries = [{"learner:__choice__": "trees"}, CONFIG]
    assert [config["learner:__choice__"] for config in adapt_portfolio(entries, space, graph, info)] == ["neural"]


def test_portfolio_errors_say_which_entry(graph, info):
    space = compile(graph, None, info)
    with pytest.raises(UnknownNameError, match="portfolio entry 1"):
        adapt_portfolio([CONFIG, {"loss:__choice__": "wieghted"}], space, graph, info)
    with pytest.raises(SpaceError, match="Portfolio entry 0"):
        adapt_portfolio([{"backbone:mlp:num_layers": "x"}], space, graph, info)
