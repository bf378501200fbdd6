"""The shipped spaces and portfolios against the real component graph, the reference tables, and the golden files."""

from pathlib import Path

import pytest
from ConfigSpace.hyperparameters import CategoricalHyperparameter, Constant, UniformIntegerHyperparameter

from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.space.adapt import adapt, adapt_portfolio
from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.configuration import check_config
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.space.table import describe, to_text
from autopytorch_lite.types import DatasetInfo, Task
from search_spaces import available, describe_portfolio, load_portfolio, load_ranges

GOLDEN = Path(__file__).parents[1] / "golden"


def info_of(task, cardinalities=()):
    n_classes = {Task.BINARY: 2, Task.MULTICLASS: 5, Task.REGRESSION: 0}[task]
    return DatasetInfo(
        task,
        n_rows=1000,
        n_numeric=8,
        cardinalities=cardinalities,
        n_outputs=n_classes or 1,
        class_counts=(200,) * n_classes,
        has_missing=True,
    )


ALL_INFOS = [info_of(task, cardinalities) for task in Task for cardinalities in ((), (4, 30))]
NUMERIC = info_of(Task.MULTICLASS)
MIXED = info_of(Task.MULTICLASS, (4, 30))


def space_of(name, info=NUMERIC):
    return compile(default_graph(), load_ranges(name), info)


def searched(space):
    return {row.name for row in describe(space) if row.kind != "constant"}


# Golden files: a change of a printed space shows up as a diff


@pytest.mark.parametrize(
    ("file", "name", "info"),
    [
        ("space_lcbench.txt", "lcbench", NUMERIC),
        ("space_paper.txt", "paper", NUMERIC),
        ("space_paper_categorical.txt", "paper", MIXED),
        ("space_default.txt", "default", NUMERIC),
        ("space_default_categorical.txt", "default", MIXED),
    ],
)
def test_printed_space_is_the_golden_one(file, name, info):
    """To accept a change: ``python tests/golden/write_spaces.py`` and review the diff."""
    assert to_text(space_of(name, info), width=140) == (GOLDEN / file).read_text(encoding="utf-8")


# The reference tables, row by row


LCBENCH = {
    "batching:minibatch:batch_size": (int, 16, 512, True),
    "optimizer:sgd:learning_rate": (float, 1e-4, 1e-1, True),
    "optimizer:sgd:momentum": (float, 0.1, 0.99, False),
    "optimizer:sgd:weight_decay": (float, 1e-5, 1e-1, False),
    "backbone:shaped_mlp:num_layers": (int, 1, 5, False),
    "backbone:shaped_mlp:max_units": (int, 64, 1024, True),
    "backbone:shaped_mlp:max_dropout": (float, 0.0, 1.0, False),
}

LCBENCH_CONSTANTS = {
    "backbone:__choice__": "shaped_mlp",
    "backbone:shaped_mlp:shape": "funnel",
    "backbone:shaped_mlp:activation": "relu",
    "optimizer:__choice__": "sgd",
    "lr_schedule:__choice__": "cosine_annealing",
    "lr_schedule:cosine_annealing:T_max": 50,
    "lr_schedule:cosine_annealing:eta_min": 1e-8,
    "imputation:__choice__": "mean",
    "scaling:__choice__": "standardize",
    "loss:__choice__": "cross_entropy_weighted",
}

MLP, RESNET, SVD = "backbone:shaped_mlp", "backbone:shaped_resnet", "preprocessing:truncated_svd"
PAPER = {
    "batching:minibatch:batch_size": (int, 16, 512, True),
    "optimizer:adam:learning_rate": (float, 1e-4, 1e-1, True),
    "optimizer:adam:weight_decay": (float, 1e-5, 1e-1, False),
    "optimizer:sgd:learning_rate": (float, 1e-4, 1e-1, True),
    "optimizer:sgd:weight_decay": (float, 1e-5, 1e-1, False),
    "optimizer:sgd:momentum": (float, 0.1, 0.999, False),
    f"{MLP}:num_layers": (int, 1, 6, False),
    f"{MLP}:max_units": (int, 64, 1024, True),
    f"{MLP}:use_dropout": {True, False},
    f"{MLP}:max_dropout": (float, 0.0, 1.0, False),
    f"{RESNET}:num_groups": (int, 1, 5, False),
    f"{RESNET}:blocks_per_group": (int, 1, 3, False),
    f"{RESNET}:max_units": (int, 32, 512, True),
    f"{RESNET}:use_dropout": {True, False},
    f"{RESNET}:max_dropout": (float, 0.0, 1.0, False),
    f"{RESNET}:use_shake_shake": {True, False},
    f"{RESNET}:use_shake_drop": {True, False},
    f"{RESNET}:max_shake_drop_probability": (float, 0.0, 1.0, False),
    f"{SVD}:target_dim": (int, 10, 256, False),
    "batch_technique:mixup:alpha": (float, 0.0, 1.0, False),
    "embedding:learned:min_unique_values_for_embedding": (int, 3, 300, True),
    "embedding:learned:dimension_reduction_0": (float, 0.0, 1.0, False),
    "embedding:learned:dimension_reduction_1": (float, 0.0, 1.0, False),
    "backbone:__choice__": {"shaped_mlp", "shaped_resnet"},
    "optimizer:__choice__": {"sgd", "adam"},
    "preprocessing:__choice__": {"none", "truncated_svd"},
    "batch_technique:__choice__": {"standard", "mixup"},
    "embedding:__choice__": {"none", "learned"},
}

PAPER_CONDITIONS = {
    "batching:minibatch:batch_size": "always",
    "optimizer:adam:learning_rate": "optimizer = adam",
    "optimizer:adam:weight_decay": "optimizer = adam",
    "optimizer:sgd:learning_rate": "optimizer = sgd",
    "optimizer:sgd:weight_decay": "optimizer = sgd",
    "optimizer:sgd:momentum": "optimizer = sgd",
    f"{MLP}:num_layers": "backbone = shaped_mlp",
    f"{MLP}:max_units": "backbone = shaped_mlp",
    f"{MLP}:use_dropout": "backbone = shaped_mlp",
    f"{MLP}:max_dropout": "use_dropout = true",
    f"{RESNET}:num_groups": "backbone = shaped_resnet",
    f"{RESNET}:blocks_per_group": "backbone = shaped_resnet",
    f"{RESNET}:max_units": "backbone = shaped_resnet",
    f"{RESNET}:use_dropout": "backbone = shaped_resnet",
    f"{RESNET}:max_dropout": "use_dropout = true",
    f"{RESNET}:use_shake_shake": "backbone = shaped_resnet",
    f"{RESNET}:use_shake_drop": "backbone = shaped_resnet",
    f"{RESNET}:max_shake_drop_probability": "use_shake_drop = true",
    f"{SVD}:target_dim": "preprocessing = truncated_svd",
    "batch_technique:mixup:alpha": "batch_technique = mixup",
    "embedding:__choice__": "preprocessing = none",
    "embedding:learned:min_unique_values_for_embedding": "embedding = learned",
    "embedding:learned:dimension_reduction_0": "embedding = learned",
    "embedding:learned:dimension_reduction_1": "embedding = learned",
}

PAPER_CONSTANTS = {
    "imputation:__choice__": "mean",
    "scaling:__choice__": "standardize",
    "loss:__choice__": "cross_entropy_weighted",
    "initialization:__choice__": "default",
    "initialization:default:bias": "yes",
    "lr_schedule:__choice__": "cosine_annealing",
    "lr_schedule:cosine_annealing:T_max": 50,
    "lr_schedule:cosine_annealing:eta_min": 1e-8,
    f"{MLP}:shape": "funnel",
    f"{MLP}:activation": "relu",
    f"{RESNET}:shape": "funnel",
    f"{RESNET}:activation": "relu",
}


def as_tabulated(hyperparameter):
    """A hyperparameter in the form of the tables above."""
    if isinstance(hyperparameter, CategoricalHyperparameter):
        return set(hyperparameter.choices)
    kind = int if isinstance(hyperparameter, UniformIntegerHyperparameter) else float
    return kind, hyperparameter.lower, hyperparameter.upper, hyperparameter.log


@pytest.mark.parametrize("name", LCBENCH)
def test_lcbench_row(name):
    """Reference section 1."""
    assert as_tabulated(space_of("lcbench")[name]) == LCBENCH[name]


def test_lcbench_has_exactly_the_seven_hyperparameters():
    assert searched(space_of("lcbench")) == set(LCBENCH)
    assert searched(space_of("lcbench", MIXED)) == set(LCBENCH)


@pytest.mark.parametrize("name", LCBENCH_CONSTANTS)
def test_lcbench_constant(name):
    constant = space_of("lcbench")[name]
    assert isinstance(constant, Constant)
    assert constant.value == LCBENCH_CONSTANTS[name]


@pytest.mark.parametrize("name", PAPER)
def test_paper_row(name):
    """Reference section 2."""
    assert as_tabulated(space_of("paper", MIXED)[name]) == PAPER[name]


@pytest.mark.parametrize("name", PAPER_CONDITIONS)
def test_paper_condition(name):
    rows = {row.name: row for row in describe(space_of("paper", MIXED))}
    assert rows[name].active_when == PAPER_CONDITIONS[name]


@pytest.mark.parametrize("name", PAPER_CONSTANTS)
def test_paper_constant(name):
    constant = space_of("paper", MIXED)[name]
    assert isinstance(constant, Constant)
    assert constant.value == PAPER_CONSTANTS[name]


def test_paper_has_exactly_the_tabulated_hyperparameters():
    assert searched(space_of("paper", MIXED)) == set(PAPER)
    assert searched(space_of("paper")) == {name for name in PAPER if not name.startswith("embedding")}
    assert (
        len(searched(space_of("paper"))) == 39 - 15
    )  # reference section 2: 39 without categorical columns, 15 constant


# The default space


@pytest.mark.parametrize("info", ALL_INFOS)
def test_default_space_offers_the_learners_that_contribute_and_every_task_a_loss(info):
    space = space_of("default", info)
    learners = {"neural", "hist_gradient_boosting", "lightgbm", "catboost", "extra_trees", "linear"}
    assert set(space["learner:__choice__"].choices) == learners
    loss = space["loss:__choice__"]
    losses = {loss.value} if isinstance(loss, Constant) else set(loss.choices)
    assert losses == ({"cross_entropy"} if info.task.is_classification else {"squared_error", "huber"})


def test_columns_do_not_add_dimensions_to_the_default_space():
    """The model of the space needs more runs than dimensions, and tables may have hundreds of categorical columns."""
    many = info_of(Task.BINARY, (12,) * 200)
    assert VectorCodec(space_of("default", many)).n_dims == VectorCodec(space_of("default", MIXED)).n_dims


# Portfolios


@pytest.mark.parametrize("info", ALL_INFOS)
@pytest.mark.parametrize("name", available()["portfolios"])
def test_every_entry_is_valid_in_its_space_for_every_kind_of_data(name, info):
    portfolio = load_portfolio(name)
    graph = default_graph()
    space = compile(graph, load_ranges(describe_portfolio(name)["space"]), info)
    for config in portfolio:
        check_config(adapt(config, space, graph, info), space)


@pytest.mark.parametrize("name", available()["portfolios"])
def test_values_of_the_portfolio_survive_where_they_apply(name):
    """Adapting may only fill in and leave out: no value may lie outside of the space it was made for."""
    portfolio = load_portfolio(name)
    graph = default_graph()
    space = compile(graph, load_ranges(describe_portfolio(name)["space"]), MIXED)
    for config in portfolio:
        adapted = adapt(config, space, graph, MIXED)
        assert {key: adapted.get(key) for key in config} == config


@pytest.mark.parametrize("info", ALL_INFOS)
@pytest.mark.parametrize("name", available()["portfolios"])
def test_entries_stay_different(name, info):
    portfolio = load_portfolio(name)
    graph = default_graph()
    space = compile(graph, load_ranges(describe_portfolio(name)["space"]), info)
    assert len(adapt_portfolio(portfolio, space, graph, info)) == len(portfolio)


def test_paper_portfolio_is_the_papers():
    """Reference section 6: networks in order, and numbers that are exact."""
    portfolio = load_portfolio("paper")
    kinds = "".join("M" if config["backbone:__choice__"] == "shaped_mlp" else "R" for config in portfolio)
    assert kinds == "MRRRRMMRRMRMRRMR"
    sizes = [config["batching:minibatch:batch_size"] for config in portfolio]
    assert sizes == [60, 240, 165, 299, 183, 21, 159, 442, 140, 48, 168, 21, 163, 150, 151, 42]
    widths = [config.get(f"{MLP}:max_units", config.get(f"{RESNET}:max_units")) for config in portfolio]
    assert widths == [290, 41, 438, 279, 354, 201, 966, 467, 423, 529, 349, 278, 171, 314, 313, 86]
    svd = [config.get(f"{SVD}:target_dim") for config in portfolio]
    assert svd == [None] * 6 + [151, 115, 240] + [None] * 5 + [147, 151]
    assert portfolio[0]["optimizer:adam:learning_rate"] == 0.00020060142055000713
    assert portfolio[0]["batch_technique:mixup:alpha"] == 0.8448753109694546
    assert portfolio[2]["optimizer:sgd:momentum"] == 0.44665514022476815
    assert portfolio[4][f"{RESNET}:max_shake_drop_probability"] == 0.4412292309825137


def test_default_portfolio_has_learners_of_all_kinds_with_and_without_the_extra():
    portfolio = load_portfolio("default")
    learners = {str(config["learner:__choice__"]) for config in portfolio}
    assert learners >= {"extra_trees", "linear", "hist_gradient_boosting", "lightgbm", "catboost", "neural"}
    assert {config.get("backbone:__choice__") for config in portfolio} >= {None, "shaped_mlp", "shaped_resnet", "tabm"}
    assert len([config for config in portfolio if config["learner:__choice__"] not in ("lightgbm", "catboost")]) >= 10
