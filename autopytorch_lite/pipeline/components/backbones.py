"""The body of the network: from the input vector of a row to the features that the output layer reads.

A backbone component of your own needs one method. `build(values, info)` returns a factory

    f(d_in: int) -> torch.nn.Module, which has an integer attribute `d_out`

that is called once the width of the input is known. The module maps float32 (n, d_in) to float32 (n, d_out); `d_in`
counts the preprocessed columns and the embedded ones, `info.n_outputs` tells how many outputs will be read from the
features. The factory is called while torch's generator is seeded, so it may draw weights. It must make the same module
each time for the same `d_in`: a saved network is made again by it and then given the saved weights.

A backbone that treats features apart is told where they are: `build` returns `Featurewise(f)` and f is called with
the number of units of each feature. One that needs another output layer than a linear one has a method
`new_head(n_outputs)`. Features of shape (n, k, d_out) are those of an ensemble of k networks: with outputs (n, k,
n_outputs) each member has a loss of its own, and the mean of their predictions counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from torch import nn

from autopytorch_lite.networks.backbones import ShapedMLP, ShapedResNet
from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.layers import ACTIVATIONS
from autopytorch_lite.networks.shapes import SHAPES
from autopytorch_lite.pipeline.graph import Categorical, Component, Float, Hyperparameter, Int
from autopytorch_lite.types import ConfigValue, DatasetInfo


@dataclass(frozen=True)
class Featurewise:
    """A factory that is called with the features' widths instead of their sum.

    Attributes:
        make: units that each feature has in the input, in order -> backbone.
    """

    make: Callable[[Sequence[int]], nn.Module]


BackboneFactory: TypeAlias = Callable[[int], nn.Module] | Featurewise


def new_backbone(factory: BackboneFactory, widths: Sequence[int]) -> nn.Module:
    """The backbone for an input in which each feature has so many units."""
    return factory.make(widths) if isinstance(factory, Featurewise) else factory(sum(widths))


def new_head(backbone: nn.Module, n_outputs: int) -> nn.Module:
    """The output layer: the backbone's own kind, or a linear one."""
    own: Callable[[int], nn.Module] | None = getattr(backbone, "new_head", None)
    return LinearHead(d_out(backbone), n_outputs) if own is None else own(n_outputs)


def d_out(backbone: nn.Module) -> int:
    """Width of a backbone's features: its attribute `d_out`, which this package's own modules call `n_features`.

    Raises:
        AttributeError: it has neither.
    """
    width = getattr(backbone, "d_out", getattr(backbone, "n_features", None))
    if width is None:
        raise AttributeError(f"A backbone must have an integer attribute d_out, {type(backbone).__name__} has none.")
    return int(width)


def _common() -> tuple[Hyperparameter, ...]:
    """What both shaped networks let be chosen besides their depth."""
    return (
        Int("max_units", 10, 1024, log=True, default=256),
        Categorical("shape", SHAPES, default="funnel"),
        Categorical("activation", ACTIVATIONS, default="relu"),
        Categorical("use_dropout", (False, True), default=False),
        Float("max_dropout", 0.0, 1.0, default=0.2, when={"use_dropout": (True,)}),
    )


def _arguments(values: Mapping[str, ConfigValue], info: DatasetInfo) -> dict[str, Any]:
    """Keyword arguments of the module: the active values, without the switch that made `max_dropout` active."""
    return {name: value for name, value in values.items() if name != "use_dropout"} | {"n_outputs": info.n_outputs}


class ShapedMLPBackbone(Component):
    """A multilayer perceptron whose widths follow a shape; num_layers counts the output layer."""

    name = "shaped_mlp"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Depth, width, shape, activation, dropout."""
        return (Int("num_layers", 1, 15, default=4), *_common())

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> BackboneFactory:
        """A function of the input width."""
        return partial(ShapedMLP, **_arguments(values, info))


class ShapedResNetBackbone(Component):
    """A residual network whose group widths follow a shape, with shake regularisers."""

    name = "shaped_resnet"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Groups and blocks, width, shape, activation, dropout, Shake-Shake, ShakeDrop."""
        return (
            Int("num_groups", 1, 9, default=2),
            Int("blocks_per_group", 1, 4, default=2),
            *_common(),
            Categorical("use_shake_shake", (False, True), default=False),
            Categorical("use_shake_drop", (False, True), default=False),
            Float("max_shake_drop_probability", 0.0, 1.0, default=0.3, when={"use_shake_drop": (True,)}),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> BackboneFactory:
        """A function of the input width."""
        return partial(ShapedResNet, **_arguments(values, info))


SHAPED_BACKBONES = (ShapedMLPBackbone(), ShapedResNetBackbone())
