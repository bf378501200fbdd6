"""Random configurations of a space, numbered, and their names in the original files."""

from __future__ import annotations

from typing import Any

import search_spaces
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.search.sampling import ConfigurationSampler, search_rng
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.types import Config, DatasetInfo

ORIGINAL_NAMES = {
    "batching:minibatch:batch_size": "batch_size",
    "imputation:__choice__": "imputation_strategy",
    "lr_schedule:__choice__": "learning_rate_scheduler",
    "loss:__choice__": "loss",
    "backbone:__choice__": "network",
    "backbone:shaped_mlp:max_dropout": "max_dropout",
    "scaling:__choice__": "normalization_strategy",
    "optimizer:__choice__": "optimizer",
    "lr_schedule:cosine_annealing:T_max": "cosine_annealing_T_max",
    "lr_schedule:cosine_annealing:eta_min": "cosine_annealing_eta_min",
    "backbone:shaped_mlp:activation": "activation",
    "backbone:shaped_mlp:max_units": "max_units",
    "backbone:shaped_mlp:shape": "mlp_shape",
    "backbone:shaped_mlp:num_layers": "num_layers",
    "optimizer:sgd:learning_rate": "learning_rate",
    "optimizer:sgd:momentum": "momentum",
    "optimizer:sgd:weight_decay": "weight_decay",
}
"""What LCBench calls the hyperparameters of its space; what it does not name is constant there."""
_ORIGINAL_NETWORKS = {"shaped_mlp": "shapedmlpnet"}


def random_configurations(space: str, info: DatasetInfo, n_configs: int, seed: int) -> list[Config]:
    """Configurations 0 .. `n_configs` - 1, no two alike unless the space is exhausted; a longer list begins the same.

    Args:
        space: name or path of the ranges, see `search_spaces`.
        info: facts about the table.
        n_configs: how many.
        seed: of the run.
    """
    sampler = ConfigurationSampler(compile_space(default_graph(), search_spaces.load_ranges(space), info, seed=seed))
    configs: list[Config] = []
    known: set[frozenset[Any]] = set()
    for number in range(n_configs):
        config = sampler.sample(search_rng(seed, number), lambda config: frozenset(config.items()) in known)
        known.add(frozenset(config.items()))
        configs.append(config)
    return configs


def recorded_config(config: Config, space: str) -> dict[str, Any]:
    """A configuration as it is written: by the original's names in the space "lcbench", by full names in others."""
    if space != "lcbench":
        return dict(config)
    named = {ORIGINAL_NAMES[name]: value for name, value in config.items() if name in ORIGINAL_NAMES}
    return named | {"network": _ORIGINAL_NETWORKS[str(named["network"])]}
