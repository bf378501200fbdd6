"""What turns gradients into steps.

`build` returns an `OptimizerFactory`: a function from parameters to a torch optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from autopytorch_lite.pipeline.graph import Categorical, Component, Float, Hyperparameter
from autopytorch_lite.training import optimizers
from autopytorch_lite.training.optimizers import OptimizerFactory
from autopytorch_lite.types import ConfigValue, DatasetInfo


class _Optimizer(Component):
    """A learning rate, a weight decay, and what else the function of the same name takes.

    Attributes:
        make: hyperparameters -> function of the parameters, one of `training.optimizers`.
        learning_rate: default.
        weight_decay: default.
        others: further hyperparameters.
    """

    make: ClassVar[Callable[..., OptimizerFactory]]
    learning_rate: ClassVar[float] = 1e-3
    weight_decay: ClassVar[float] = 1e-4
    others: ClassVar[tuple[Hyperparameter, ...]] = ()

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Learning rate, weight decay, and the optimiser's own."""
        return (
            Float("learning_rate", 1e-4, 1e-1, log=True, default=self.learning_rate),
            Float("weight_decay", 1e-5, 1e-1, default=self.weight_decay),
            *self.others,
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> OptimizerFactory:
        """A function of the network's parameters."""
        arguments: dict[str, Any] = dict(values)
        return type(self).make(**arguments)


class SGD(_Optimizer):
    """Stochastic gradient descent with momentum and an L2 penalty."""

    name = "sgd"
    make = staticmethod(optimizers.sgd)
    learning_rate = 1e-2
    others = (Float("momentum", 0.1, 0.999, default=0.9),)


class Adam(_Optimizer):
    """Adam with an L2 penalty."""

    name = "adam"
    make = staticmethod(optimizers.adam)


class AdamW(_Optimizer):
    """Adam with weight decay apart from the gradient."""

    name = "adamw"
    make = staticmethod(optimizers.adamw)
    weight_decay = 1e-2
    others = (Categorical("beta2", (0.95, 0.99, 0.999), default=0.999),)


class RMSprop(_Optimizer):
    """Steps divided by a running size of the gradient, with momentum and an L2 penalty."""

    name = "rmsprop"
    make = staticmethod(optimizers.rmsprop)
    others = (Float("momentum", 0.1, 0.99, log=True, default=0.9), Float("alpha", 0.1, 0.99, default=0.99))


OPTIMIZERS = (SGD(), Adam(), AdamW(), RMSprop())
