from __future__ import annotations

from pathlib import Path

import pytest

from autopytorch_lite.errors import DivergedError
from autopytorch_lite.pipeline.build import TRADITIONAL, default_graph
from autopytorch_lite.pipeline.graph import Choice, Component, choice_name
from tests.contracts.check_component import FEW_ROUNDS, TABLES, check_fit, check_values, config_of, options

GRAPH = default_graph()
COMPONENTS = [(node.name, component) for node, component in GRAPH.walk_components()]
NOT_INSTALLED = {component.name for _, component in COMPONENTS if not component.is_installed()}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize(("node", "component"), COMPONENTS, ids=[f"{node}-{c.name}" for node, c in COMPONENTS])
def test_builds_from_its_own_values(node: str, component: Component, kind: str) -> None:
    info = TABLES[kind].info
    if component.applies(info):
        check_values(component, info)
    else:
        assert node in {"loss", "encoding", "embedding"}


def _applicable(node: str, option: str) -> str:
    """The kind of table on which an option is tried: the first to which it applies."""
    choice = GRAPH.find(node)
    if not isinstance(choice, Choice):
        return "multiclass"
    return next(
        kind for kind, table in TABLES.items() if option in {found.name for found in choice.applicable(table.info)}
    )


def _required(node: str) -> dict[str, str]:
    """The choices that make a node active."""
    choice = GRAPH.find(node)
    assert isinstance(choice, Choice)
    return {choice_name(name): accepted[0] for name, accepted in (choice.requires or {}).items()}


@pytest.mark.parametrize(("node", "option"), options(GRAPH))
def test_every_option_trains(node: str, option: str, tmp_path: Path) -> None:
    _skip_if_missing(option)
    table = TABLES[_applicable(node, option)]
    is_choice = isinstance(GRAPH.find(node), Choice)
    asked = {choice_name(node): option, **_required(node)} if is_choice else {}
    config = config_of(GRAPH, table.info, FEW_ROUNDS | asked)
    assert not is_choice or config[choice_name(node)] == option
    check_fit(GRAPH, config, table, tmp_path)


@pytest.mark.parametrize("learner", [option.name for option in GRAPH.options])
@pytest.mark.parametrize("kind", TABLES)
def test_every_task_trains(kind: str, learner: str, tmp_path: Path) -> None:
    _skip_if_missing(learner)
    table = TABLES[kind]
    check_fit(GRAPH, config_of(GRAPH, table.info, FEW_ROUNDS | {"learner:__choice__": learner}), table, tmp_path)


@pytest.mark.parametrize("learner", [component.name for component in TRADITIONAL])
@pytest.mark.parametrize("kind", TABLES)
def test_random_configurations_of_traditional_learners_train(kind: str, learner: str, tmp_path: Path) -> None:
    _skip_if_missing(learner)
    table = TABLES[kind]
    config = config_of(GRAPH, table.info, FEW_ROUNDS | {"learner:__choice__": learner}, seed=1)
    check_fit(GRAPH, config, table, tmp_path)


def _skip_if_missing(option: str) -> None:
    if option in NOT_INSTALLED:
        pytest.skip(f"{option} needs a package that is not installed")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", TABLES)
def test_random_configurations_train(kind: str, seed: int, tmp_path: Path) -> None:
    table = TABLES[kind]
    small = {"backbone:shaped_resnet:max_units": {"high": 64}, "learner:__choice__": "neural"}
    try:
        check_fit(GRAPH, config_of(GRAPH, table.info, small, seed=seed), table, tmp_path)
    except DivergedError:
        pytest.skip("a configuration that diverges says so")
