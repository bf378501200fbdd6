"""The default graph, and from a graph and a configuration to a learner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autopytorch_lite.errors import HistoryError, SpaceError
from autopytorch_lite.pipeline.components.backbones import SHAPED_BACKBONES
from autopytorch_lite.pipeline.components.batch_technique import BATCH_TECHNIQUES
from autopytorch_lite.pipeline.components.batching import BATCHING
from autopytorch_lite.pipeline.components.catboost import CATBOOST
from autopytorch_lite.pipeline.components.early_stopping import EARLY_STOPPING
from autopytorch_lite.pipeline.components.embedding import EMBEDDING
from autopytorch_lite.pipeline.components.encoding import ENCODING
from autopytorch_lite.pipeline.components.feature_preprocessing import PREPROCESSING
from autopytorch_lite.pipeline.components.forests import FORESTS
from autopytorch_lite.pipeline.components.ft_transformer import FT_TRANSFORMER
from autopytorch_lite.pipeline.components.gradient_boosting import GRADIENT_BOOSTING
from autopytorch_lite.pipeline.components.gradient_clipping import GRADIENT_CLIPPING
from autopytorch_lite.pipeline.components.imputation import IMPUTATION
from autopytorch_lite.pipeline.components.initialization import INITIALIZATION
from autopytorch_lite.pipeline.components.lightgbm import LIGHTGBM
from autopytorch_lite.pipeline.components.linear import LINEAR
from autopytorch_lite.pipeline.components.losses import LOSSES
from autopytorch_lite.pipeline.components.nearest_neighbors import NEAREST_NEIGHBORS
from autopytorch_lite.pipeline.components.numeric_embedding import NUMERIC_EMBEDDING
from autopytorch_lite.pipeline.components.optimizers import OPTIMIZERS
from autopytorch_lite.pipeline.components.realmlp import REALMLP
from autopytorch_lite.pipeline.components.scaling import SCALING
from autopytorch_lite.pipeline.components.schedules import SCHEDULES
from autopytorch_lite.pipeline.components.support_vectors import SUPPORT_VECTORS
from autopytorch_lite.pipeline.components.tabm import TABM
from autopytorch_lite.pipeline.components.weight_averaging import WEIGHT_AVERAGING
from autopytorch_lite.pipeline.components.xgboost import XGBOOST
from autopytorch_lite.pipeline.graph import (
    Choice,
    Component,
    Hyperparameter,
    Node,
    Sequential,
    Step,
    choice_name,
    full_name,
    local_values,
)
from autopytorch_lite.pipeline.learner import DESCRIPTION_FILE, FORMAT, Learner
from autopytorch_lite.pipeline.neural import assemble_neural
from autopytorch_lite.pipeline.registry import registered
from autopytorch_lite.pipeline.serialize import read_json
from autopytorch_lite.types import Config, ConfigValue, DatasetInfo

TRADITIONAL = (
    GRADIENT_BOOSTING,
    LIGHTGBM,
    XGBOOST,
    CATBOOST,
    *FORESTS,
    NEAREST_NEIGHBORS,
    LINEAR,
    SUPPORT_VECTORS,
)
"""The learners beside the networks."""


def default_graph() -> Choice:
    """Everything the search may combine, components added by `register` included."""
    neural = Sequential(
        "neural",
        (
            Step("batching", BATCHING),
            Choice("imputation", IMPUTATION),
            Choice("encoding", ENCODING),
            Choice("scaling", SCALING),
            Choice("preprocessing", PREPROCESSING),
            Choice("embedding", EMBEDDING, requires={"preprocessing": ("none",)}),
            Choice("numeric_embedding", NUMERIC_EMBEDDING, requires={"preprocessing": ("none", "power_transformer")}),
            Choice("backbone", (*SHAPED_BACKBONES, REALMLP, TABM, FT_TRANSFORMER)),
            Choice("initialization", INITIALIZATION),
            Choice("optimizer", OPTIMIZERS, default="adam"),
            Choice("lr_schedule", SCHEDULES),
            # With the optimiser that the published spaces lack, so that they stay as published:
            Choice("gradient_clipping", GRADIENT_CLIPPING, requires={"optimizer": ("adamw",)}),
            Choice("weight_averaging", WEIGHT_AVERAGING, requires={"optimizer": ("adamw",)}),
            Choice("loss", LOSSES),
            Choice("batch_technique", BATCH_TECHNIQUES),
            Choice("early_stopping", EARLY_STOPPING),
        ),
        assemble_neural,
    )
    graph = Choice("learner", (neural, *TRADITIONAL), default="neural")
    for node, component in registered():
        graph = graph.with_option(node, component)
    return graph


def build_learner(graph: Node, config: Config, info: DatasetInfo) -> Learner:
    """The learner that a configuration describes, not yet fitted.

    Args:
        graph: what the configuration was drawn from.
        config: full hyperparameter name -> value; names of absent nodes are absent, as `space.adapt` leaves them.
        info: facts about the data.

    Raises:
        UnknownNameError: a choice takes an option that the graph lacks.
        SpaceError: the configuration leaves out an active hyperparameter, or describes no learner.
    """
    learner = _build(graph, config, info)
    if not isinstance(learner, Learner):
        raise SpaceError(f"A configuration must build a Learner, got {type(learner).__name__} from {dict(config)}.")
    learner.bind(config, info)
    return learner


def load_learner(folder: Path, graph: Node) -> Learner:
    """The learner that `Learner.save` wrote; runs no code that the folder could bring.

    Args:
        folder: what was written.
        graph: a graph with the components it was built from; components of your own must be registered again.

    Raises:
        HistoryError: the folder holds no learner, or one of another format.
    """
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        raise HistoryError(f"A saved learner has a file {DESCRIPTION_FILE}; there is none in {folder}.")
    description = read_json(path)
    if description.get("format") != FORMAT:
        raise HistoryError(f"A saved learner must have format {FORMAT}, got {description.get('format')!r} in {path}.")
    learner = build_learner(graph, description["config"], DatasetInfo.from_json(description["dataset_info"]))
    learner.load(folder)
    return learner


def _build(node: Node, config: Config, info: DatasetInfo) -> Any:
    """What a present node builds."""
    if isinstance(node, Step):
        return _build_component(node.name, node.component, config, info)
    if isinstance(node, Sequential):
        return node.assemble({c.name: _build(c, config, info) for c in node.children if _is_present(c, config, info)})
    assert isinstance(node, Choice)
    if choice_name(node.name) not in config:
        raise SpaceError(f"The configuration must say {choice_name(node.name)!r}; it says {sorted(config)}.")
    option = node.option(str(config[choice_name(node.name)]))
    if isinstance(option, Component):
        return _build_component(node.name, option, config, info)
    return _build(option, config, info)


def _is_present(node: Node, config: Config, info: DatasetInfo) -> bool:
    """Whether a child takes part: absent are steps that do not apply and choices that do not apply or are inactive."""
    if isinstance(node, Step):
        return node.component.applies(info)
    if not isinstance(node, Choice):
        return True
    needs = (node.requires or {}).items()
    return bool(node.applicable(info)) and all(config.get(choice_name(name)) in options for name, options in needs)


def _build_component(node: str, component: Component, config: Config, info: DatasetInfo) -> Any:
    values = local_values(config, node, component.name)
    active: dict[str, ConfigValue] = {}
    for hyperparameter in component.hyperparameters(info):
        name = hyperparameter.name
        if not _is_active(hyperparameter, active):
            continue
        if name not in values:
            raise SpaceError(f"The configuration must say {full_name(node, component.name, name)!r}, which is active.")
        active[name] = values[name]
    return component.build(active, info)


def _is_active(hyperparameter: Hyperparameter, values: Mapping[str, ConfigValue]) -> bool:
    return all(values.get(name) in allowed for name, allowed in (hyperparameter.when or {}).items())
