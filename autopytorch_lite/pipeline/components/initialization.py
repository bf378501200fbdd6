"""Weights and biases before the first step.

`build` returns an `Initialization`: a function that changes a network just made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar, TypeAlias

from torch import nn

from autopytorch_lite.networks.initialization import BIASES, initialize
from autopytorch_lite.pipeline.graph import Categorical, Component, Hyperparameter
from autopytorch_lite.types import ConfigValue, DatasetInfo

Initialization: TypeAlias = Callable[[nn.Module], None]
"""Changes a network just made in place; draws from torch's global generator, which the learner seeds."""


class _Method(Component):
    """A start named as `networks.initialization` names it."""

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """What becomes of the biases."""
        return (Categorical("bias", BIASES, default="yes"),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Initialization:
        """A function of the network."""
        return partial(initialize, method=self.name, bias=str(values["bias"]))


class DefaultInitialization(_Method):
    """Weights as torch draws them; biases too, from zero, or none at all."""

    name: ClassVar[str] = "default"


class SparseInitialization(_Method):
    """Every unit starts connected to a few of its inputs."""

    name: ClassVar[str] = "sparse"


INITIALIZATION = (DefaultInitialization(), SparseInitialization())
