"""RealMLP as a backbone; see `networks.realmlp` for the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from autopytorch_lite.networks.realmlp import RealMLP
from autopytorch_lite.pipeline.components.backbones import BackboneFactory
from autopytorch_lite.pipeline.graph import Categorical, Component, Float, Hyperparameter, Int
from autopytorch_lite.types import ConfigValue, DatasetInfo


class RealMLPBackbone(Component):
    """A multilayer perceptron with learned input scales, activations and speeds, started from training rows."""

    name = "realmlp"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Hidden layers, their width, activation, dropout of the first half."""
        activation = "selu" if info.task.is_classification else "mish"
        return (
            Int("n_layers", 1, 5, default=3),
            Int("width", 32, 512, log=True, default=256),
            Categorical("activation", ("selu", "mish", "relu"), default=activation),
            Float("dropout", 0.0, 0.6, default=0.15),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> BackboneFactory:
        """A function of the input width."""
        arguments: dict[str, Any] = dict(values)
        return partial(RealMLP, **arguments)


REALMLP = RealMLPBackbone()
