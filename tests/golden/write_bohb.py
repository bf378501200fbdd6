"""Asks the sampler of HpBandSter (0.7.4) for proposals after fixed observations, and writes them into golden files.

``python -m tests.golden.write_bohb`` in an environment with ``hpbandster`` and ``statsmodels``; takes two minutes.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ConfigSpace as cs
import numpy as np
from ConfigSpace import Configuration, ConfigurationSpace
from ConfigSpace.conditions import EqualsCondition
from ConfigSpace.util import deactivate_inactive_hyperparameters

from autopytorch_lite.search.kde import normal_reference_bandwidths

HERE = Path(__file__).parent
N_OBSERVED, N_BLOCKS, N_PER_BLOCK = 80, 20, 30


def mixed_space() -> ConfigurationSpace:
    """Numbers on linear and log axes, choices of two; nothing conditional."""
    space = ConfigurationSpace()
    space.add(
        cs.Float("rate", (1e-4, 1e-1), log=True),
        cs.Float("momentum", (0.1, 0.99)),
        cs.Integer("units", (64, 1024), log=True),
        cs.Integer("patience", (1, 100)),
        cs.CategoricalHyperparameter("optimizer", ["adam", "sgd"]),
        cs.CategoricalHyperparameter("norm", ["batch", "layer"]),
    )
    return space


def tree_space() -> ConfigurationSpace:
    """Numbers and a choice that exist in one branch only, one of them two levels down."""
    space = ConfigurationSpace()
    net = cs.CategoricalHyperparameter("net", ["mlp", "resnet"])
    use_dropout = cs.CategoricalHyperparameter("use_dropout", [False, True])
    dropout, blocks = cs.Float("dropout", (0.0, 1.0)), cs.Integer("blocks", (1, 60))
    width, rate = cs.Integer("width", (16, 1024), log=True), cs.Float("rate", (1e-4, 1e-1), log=True)
    space.add(net, use_dropout, dropout, blocks, width, rate)
    space.add(
        EqualsCondition(use_dropout, net, "mlp"),
        EqualsCondition(dropout, use_dropout, True),
        EqualsCondition(blocks, net, "resnet"),
        EqualsCondition(width, net, "mlp"),
    )
    return space


def choices_space() -> ConfigurationSpace:
    """Choices of three, whose bandwidths are deliberately not HpBandSter's: its densities are given ours."""
    space = ConfigurationSpace()
    space.add(
        cs.CategoricalHyperparameter("activation", ["relu", "tanh", "gelu"]),
        cs.CategoricalHyperparameter("schedule", ["cosine", "step", "none"]),
        cs.Float("rate", (1e-4, 1e-1), log=True),
        cs.Float("momentum", (0.1, 0.99)),
    )
    return space


SPACES = {"mixed": mixed_space, "tree": tree_space, "choices": choices_space}


def observations(name: str) -> list[tuple[dict[str, Any], float | None]]:
    """Configurations and their losses; every tenth failed (None). Good ones are spread over all choices."""
    space = SPACES[name]()
    space.seed(11)
    configs = [_plain(config) for config in space.sample_configuration(N_OBSERVED)]
    noise = np.random.default_rng(11).normal(0.0, 0.15, N_OBSERVED)
    losses = [_loss(config) + float(error) for config, error in zip(configs, noise, strict=True)]
    return [
        (config, None if i % 10 == 7 else loss) for i, (config, loss) in enumerate(zip(configs, losses, strict=True))
    ]


def _loss(config: dict[str, Any]) -> float:
    wanted = {"momentum": 0.8, "units": 300, "patience": 40, "dropout": 0.3, "blocks": 20, "width": 200}
    distance = (np.log10(config["rate"]) + 2.5) ** 2
    distance += sum(abs(config[name] - value) / value for name, value in wanted.items() if name in config)
    distance += 0.1 * (config.get("optimizer") == "sgd") - 0.5 * config.get("use_dropout", False)
    return float(distance)


def proposals(name: str, n_blocks: int, n_per_block: int, seed: int = 0) -> list[list[dict[str, Any]]]:
    """Proposals of HpBandSter's model: n_blocks models, each with missing values imputed anew."""
    return [_block(name, n_per_block, seed + block) for block in range(n_blocks)]


def _block(name: str, n: int, seed: int) -> list[dict[str, Any]]:
    from hpbandster.optimizers.config_generators import bohb

    bohb.ConfigSpace = _OLD_CONFIG_SPACE
    np.random.seed(seed)  # noqa: NPY002
    generator = bohb.BOHB(_OldSpace(SPACES[name]()), random_fraction=0.0)
    for i, (config, loss) in enumerate(observations(name)):
        job = SimpleNamespace(
            id=(0, 0, i),
            kwargs={"budget": 50.0, "config": config},
            result=None if loss is None else {"loss": loss},
            exception=None,
            timestamps={},
        )
        generator.new_result(job, update_model=i + 1 == N_OBSERVED)
    if name == "choices":
        for density in generator.kde_models[50.0].values():
            assert all(len(np.unique(codes)) == 3 for codes in density.data[:, generator.vartypes == 3].T)
            density.bw = normal_reference_bandwidths(density.data, generator.vartypes)
    drawn = [generator.get_config(50.0) for _ in range(n)]
    assert all(info["model_based_pick"] for _, info in drawn)
    return [_plain(config) for config, _ in drawn]


class _OldSpace:
    """A space with the method names of ConfigSpace 0.4, as far as the sampler calls them."""

    def __init__(self, space: ConfigurationSpace):
        self.space = space

    def get_hyperparameters(self) -> list[Any]:
        return list(self.space.values())

    def get_hyperparameter(self, name: str) -> Any:
        return self.space[name]

    def get_hyperparameter_by_idx(self, number: int) -> str:
        return list(self.space)[number]


class _OldConfiguration:
    """A configuration with the method names of ConfigSpace 0.4."""

    def __init__(self, space: _OldSpace, values: Any = None, vector: Any = None):
        if values is not None:
            self._configuration = Configuration(space.space, values=dict(values))
        else:
            self._values = {
                name: space.space[name].to_value(float(x)) for name, x in zip(space.space, vector, strict=True)
            }

    def get_array(self) -> Any:
        return self._configuration.get_array()

    def get_dictionary(self) -> dict[str, Any]:
        return self._values


def _deactivate(configuration_space: _OldSpace, configuration: dict[str, Any]) -> Any:
    active = deactivate_inactive_hyperparameters(configuration, configuration_space.space)
    return SimpleNamespace(get_dictionary=lambda: dict(active))


_OLD_CONFIG_SPACE = SimpleNamespace(
    Configuration=_OldConfiguration,
    hyperparameters=cs.hyperparameters,
    util=SimpleNamespace(deactivate_inactive_hyperparameters=_deactivate),
)


def _plain(config: Any) -> dict[str, Any]:
    return {name: value.item() if hasattr(value, "item") else value for name, value in dict(config).items()}


def _rounded(config: dict[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in config.items()}


def main() -> None:
    for name in SPACES:
        lines = [json.dumps({"observations": observations(name)})]
        lines += [json.dumps([_rounded(c) for c in block]) for block in proposals(name, N_BLOCKS, N_PER_BLOCK)]
        (HERE / f"bohb_{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
