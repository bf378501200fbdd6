"""Training losses: functions of outputs and targets that return one number per row.

The loop averages them over the rows of a batch, after multiplying by the rows' weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RowLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(outputs (n, n_outputs), targets (n,) or (n, n_outputs)) -> losses (n,)."""


def row_losses(outputs: Tensor, targets: Tensor, row_loss: RowLoss) -> Tensor:
    """Losses (n,) of outputs (n, n_outputs); of an ensemble's outputs, (n, k, n_outputs), the mean over its members.

    The mean of the losses and not the loss of the mean: each member learns as if it were alone, which keeps them
    different (Gorishniy, Kotelnikov, Babenko, 2024, TabM, section 3.2).
    """
    if outputs.ndim == 2:
        return row_loss(outputs, targets)
    n, k, _ = outputs.shape
    return row_loss(outputs.flatten(0, 1), targets.repeat_interleave(k, dim=0)).view(n, k).mean(dim=1)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each row's class in nats; two logits for two classes."""
    return F.cross_entropy(outputs, targets, reduction="none")


def smoothed_cross_entropy(smoothing: float) -> RowLoss:
    """Cross entropy with targets that give a share `smoothing`, in [0, 1), to all classes alike.

    Source: Szegedy et al., 2016, Rethinking the Inception architecture, section 7 (label smoothing).
    """
    return partial(F.cross_entropy, reduction="none", label_smoothing=smoothing)


def class_weights(class_counts: Sequence[int]) -> list[float]:
    """N / (C * max(n_c, 1)): over the N training rows of C classes, all present, these weights average to 1.

    Args:
        class_counts: n_c, training rows of each class.

    Source: Auto-PyTorch 0.0.2, preprocessing/loss_weight_strategies.py.
    """
    n_rows, n_classes = sum(class_counts), len(class_counts)
    return [n_rows / (n_classes * max(count, 1)) for count in class_counts]


class ClassWeightedCrossEntropy(nn.Module):
    """Cross entropy times the weight of the row's class.

    Rows are then averaged plainly. Torch's own weighted mean divides by the sum of the weights of the batch, which
    would make a row's influence depend on its companions; over all training rows the two agree, since the weights
    average to 1.

    Args:
        class_counts: training rows of each class.
    """

    weights: Tensor

    def __init__(self, class_counts: Sequence[int]):
        super().__init__()
        self.register_buffer("weights", torch.tensor(class_weights(class_counts), dtype=torch.float32))

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Logits (n, n_classes) and codes (n,) -> losses (n,)."""
        return self.weights[targets] * cross_entropy(outputs, targets)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error, averaged over targets."""
    return (outputs - targets.reshape(outputs.shape)).square().mean(dim=1)


def huber(delta: float = 1.0) -> RowLoss:
    """Huber loss averaged over targets: quadratic up to an error of `delta` (in standard deviations), linear beyond."""
    return partial(_huber, delta=delta)


def _huber(outputs: Tensor, targets: Tensor, *, delta: float) -> Tensor:
    return F.huber_loss(outputs, targets.reshape(outputs.shape), reduction="none", delta=delta).mean(dim=1)
