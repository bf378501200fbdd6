"""Which trainings can be stacked: what a stack reads off a trainer, and why one has to train alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from autopytorch_lite.networks.backbones import ShapedMLP
from autopytorch_lite.networks.layers import Dropout
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training.loop import Trainer
from autopytorch_lite.training.losses import ClassWeightedCrossEntropy, cross_entropy, squared_error
from autopytorch_lite.training.regularization import Standard
from autopytorch_lite.training.schedules import EpochSchedule

DROPOUT_LEVELS = 2**16
"""`networks.layers.Dropout` rounds rates to multiples of one over this."""
_OPTIMIZERS = (SGD, Adam, AdamW)
_UNSUPPORTED_OPTIONS = ("nesterov", "dampening", "amsgrad", "maximize")


@dataclass(frozen=True)
class Perceptron:
    """A network of linear layers with ReLU and dropout between them.

    Attributes:
        linears: from the input to the output, the head last; all with biases.
        n_dropped: per hidden layer, how many of `DROPOUT_LEVELS` levels of a random number drop a unit; None where
            there is no dropout layer, so that nothing is drawn.
    """

    linears: tuple[nn.Linear, ...]
    n_dropped: tuple[int | None, ...]

    @classmethod
    def of(cls, network: TabularNetwork) -> Perceptron | None:
        """The network as a perceptron; None if it is something else."""
        if type(network.backbone) is not ShapedMLP or network.embedding is not None:
            return None
        if network.numeric_embedding is not None or not isinstance(network.head, nn.Linear):
            return None
        found = _linears_and_rates(list(network.backbone.layers))
        if found is None:
            return None
        linears, rates = [*found[0], network.head], found[1]
        n_dropped = tuple(None if rate is None else round(rate * DROPOUT_LEVELS) for rate in rates)
        is_regular = all(linear.bias is not None for linear in linears) and DROPOUT_LEVELS not in n_dropped
        return cls(tuple(linears), n_dropped) if is_regular else None

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of every layer, the input first and the output last."""
        return (self.linears[0].in_features, *(linear.out_features for linear in self.linears))


def _linears_and_rates(layers: list[nn.Module]) -> tuple[list[nn.Linear], list[float | None]] | None:
    """Hidden layers as (linear, ReLU, dropout if any), and the rate after each; None if they are anything else."""
    linears: list[nn.Linear] = []
    rates: list[float | None] = []
    while layers:
        if len(layers) < 2 or type(layers[0]) is not nn.Linear or type(layers[1]) is not nn.ReLU:
            return None
        linears.append(layers[0])
        dropout = layers[2] if len(layers) > 2 and type(layers[2]) is Dropout else None
        rates.append(None if dropout is None else dropout.p)
        layers = layers[2 if dropout is None else 3 :]
    return linears, rates


def obstacle(trainer: Trainer) -> str | None:
    """Why a trainer cannot be part of a stack; None if it can.

    What is asked is what was built, not how it was named, so a component that a stack does not know trains alone.
    """
    plan, optimizer = trainer.plan, trainer.optimizer
    if Perceptron.of(trainer.network) is None:
        return "its network is not made of linear layers with biases, ReLU and dropout alone"
    if type(plan.batch_technique) is not Standard:
        return f"its batch technique is {type(plan.batch_technique).__name__}"
    if loss_kind(plan.loss) is None:
        return "its loss is neither a cross entropy nor the squared error"
    if type(trainer.schedule) is not EpochSchedule:
        return "its learning rate depends on scores"
    if (plan.early_stopping, plan.gradient_clip, plan.average_half_life) != (None, None, None):
        return "it stops early, clips gradients or averages weights"
    return None if _is_known(optimizer) else f"its optimiser is {type(optimizer).__name__} with options of its own"


def _is_known(optimizer: Optimizer) -> bool:
    groups = optimizer.param_groups
    return type(optimizer) in _OPTIMIZERS and len(groups) == 1 and not any(map(groups[0].get, _UNSUPPORTED_OPTIONS))


def loss_kind(loss: Any) -> str | None:
    """ "softmax" for cross entropies, "squared" for the squared error, None for what a stack does not know."""
    if loss is cross_entropy or type(loss) is ClassWeightedCrossEntropy:
        return "softmax"
    return "squared" if loss is squared_error else None


def class_weights_of(loss: Any) -> Tensor | None:
    """Weights of classes in a cross entropy, float32 (n_classes,); None where all count the same."""
    return loss.weights if isinstance(loss, ClassWeightedCrossEntropy) else None


@dataclass(frozen=True)
class StackKey:
    """What the networks of one stack have in common; everything else is each network's own.

    Attributes:
        n_inputs: width of the input.
        n_layers: linear layers, the head included.
        n_outputs: width of the output.
        loss: see `loss_kind`.
        optimizer: name of the class.
    """

    n_inputs: int
    n_layers: int
    n_outputs: int
    loss: str
    optimizer: str


def stack_key(trainer: Trainer) -> StackKey:
    """What trainers must share to be stacked together; only for one without an `obstacle`."""
    perceptron, loss = Perceptron.of(trainer.network), loss_kind(trainer.plan.loss)
    assert perceptron is not None and loss is not None, "trainers with an obstacle are not stacked"
    widths = perceptron.widths
    return StackKey(widths[0], len(widths) - 1, widths[-1], loss, type(trainer.optimizer).__name__)
