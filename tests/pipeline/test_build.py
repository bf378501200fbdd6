from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autopytorch_lite.errors import HistoryError, NothingTrainedError, SpaceError, UnknownNameError
from autopytorch_lite.pipeline.build import build_learner, default_graph, load_learner
from autopytorch_lite.pipeline.components.backbones import BackboneFactory, d_out
from autopytorch_lite.pipeline.graph import Choice, Component, Int
from autopytorch_lite.pipeline.registry import register, unregister
from autopytorch_lite.types import ConfigValue, DatasetInfo
from tests.contracts.check_component import TABLES, check_fit, config_of, settings

TABLE = TABLES["multiclass"]


class Gate(nn.Module):
    """A user's backbone."""

    def __init__(self, d_in: int, units: int):
        super().__init__()
        self.value, self.gate = nn.Linear(d_in, units), nn.Linear(d_in, units)
        self.d_out = units

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value(x) * self.gate(x).sigmoid()


class GatedBackbone(Component):
    """One gated layer."""

    name = "gated"

    def hyperparameters(self, info: DatasetInfo) -> tuple[Int, ...]:
        return (Int("units", 4, 64, log=True),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> BackboneFactory:
        return lambda d_in: Gate(d_in, int(values["units"]))


def test_the_default_graph_is_as_documented() -> None:
    graph = default_graph()
    graph.validate()
    neural = graph.find("neural")
    names = "batching imputation encoding scaling preprocessing embedding numeric_embedding backbone initialization"
    training = "optimizer lr_schedule gradient_clipping weight_averaging loss batch_technique early_stopping"
    assert [child.name for child in neural.children] == [*names.split(), *training.split()]
    embedding = graph.find("embedding")
    assert isinstance(embedding, Choice)
    assert embedding.requires == {"preprocessing": ("none",)}
    assert not embedding.applicable(TABLES["binary"].info)


def test_a_users_backbone_takes_part(tmp_path: Path) -> None:
    graph = default_graph().with_option("backbone", GatedBackbone())
    config = config_of(graph, TABLE.info, {"backbone:__choice__": "gated"})
    assert config["backbone:gated:units"] == 16
    check_fit(graph, config, TABLE, tmp_path)


def test_registered_components_are_in_the_default_graph() -> None:
    register("backbone", GatedBackbone())
    try:
        assert default_graph().find("backbone").option("gated").name == "gated"
    finally:
        unregister("backbone", "gated")
    with pytest.raises(UnknownNameError):
        default_graph().find("backbone").option("gated")


def test_a_backbone_without_a_width_is_refused() -> None:
    with pytest.raises(AttributeError, match="d_out"):
        d_out(nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        ({"backbone:__choice__": "perceptron"}, UnknownNameError),
        ({"backbone:__choice__": None}, SpaceError),
        ({"optimizer:adam:learning_rate": None}, SpaceError),
    ],
)
def test_incomplete_configurations_are_refused(edit: dict[str, Any], error: type[Exception]) -> None:
    graph = default_graph()
    config = config_of(graph, TABLE.info) | edit
    config = {name: value for name, value in config.items() if value is not None}
    with pytest.raises(error, match=next(iter(edit)).split(":")[0]):
        build_learner(graph, config, TABLE.info)


def test_inactive_hyperparameters_reach_no_component() -> None:
    graph = default_graph()
    config = config_of(graph, TABLE.info) | {"backbone:shaped_mlp:max_dropout": 0.9}
    learner = build_learner(graph, config, TABLE.info)
    learner.fit(TABLE.train, TABLE.val, budget=1, settings=settings(TABLE.info))
    network = learner._trainer.network  # type: ignore[attr-defined]
    assert not [module for module in network.modules() if isinstance(module, nn.Dropout)]


def test_folders_without_a_learner_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"learner\.json"):
        load_learner(tmp_path, default_graph())
    (tmp_path / "learner.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(HistoryError, match="99"):
        load_learner(tmp_path, default_graph())


@pytest.mark.parametrize("kind", ["neural", "hist_gradient_boosting"])
def test_unfitted_learners_say_so(kind: str, tmp_path: Path) -> None:
    graph = default_graph()
    learner = build_learner(graph, config_of(graph, TABLE.info, {"learner:__choice__": kind}), TABLE.info)
    with pytest.raises(NothingTrainedError):
        learner.predict(TABLE.val.table)
    with pytest.raises(NothingTrainedError):
        learner.save(tmp_path)
    with pytest.raises(NothingTrainedError):
        learner.save_checkpoint(tmp_path)
