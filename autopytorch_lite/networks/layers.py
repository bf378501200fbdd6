"""Small layers the backbones are made of: activations, batch normalisation for any batch, shake regularisers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from autopytorch_lite.errors import UnknownNameError

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "selu": nn.SELU,
    "mish": nn.Mish,
}
ACTIVATIONS = tuple(_ACTIVATIONS)
"""Names of all activations."""


def activation_layer(name: str) -> nn.Module:
    """A new activation layer; UnknownNameError if `name` is none of `ACTIVATIONS`."""
    if name not in _ACTIVATIONS:
        raise UnknownNameError("activation", name, ACTIVATIONS)
    return _ACTIVATIONS[name]()


def dropout_layers(rate: float) -> list[nn.Module]:
    """One dropout layer, or none if `rate` is 0: no layer costs no time."""
    return [Dropout(rate)] if rate > 0 else []


class Dropout(nn.Dropout):
    """Dropout that draws 16 random bits per unit on the CPU, which takes a third of the time of torch's own layer.

    The rate is rounded to a multiple of 2 ** -16; expectation and evaluation mode are those of `nn.Dropout`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        if not 0 < self.p < 1 or not self.training or x.is_cuda:
            return super().forward(x)
        n_dropped = round(self.p * 2**16)
        bits = torch.empty(math.ceil(x.numel() / 4), dtype=torch.int64).random_(-(2**63), None)
        is_kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= n_dropped - 2**15
        return x * (is_kept.to(x.dtype) * (2**16 / (2**16 - n_dropped)))


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that uses the running statistics for a training batch of one row, which has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, width)."""
        if self.training and len(x) < 2:
            statistics = self.running_mean, self.running_var
            return nn.functional.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class _ScaledApart(torch.autograd.Function):
    """Multiplies by one number forward and multiplies the gradient by another one backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward_scale: float, backward_scale: float) -> Tensor:
        ctx.backward_scale = backward_scale
        return x * forward_scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.backward_scale, None, None


def scale_apart(x: Tensor, forward_scale: float, backward_scale: float) -> Tensor:
    """`forward_scale * x`, through which gradients pass multiplied by `backward_scale` instead."""
    result: Tensor = _ScaledApart.apply(x, forward_scale, backward_scale)
    return result


def _uniform(n: int) -> list[float]:
    """Numbers in [0, 1) from the CPU generator whatever the device, so that drawing never waits for a GPU."""
    return torch.rand(n, dtype=torch.float64).tolist()


class ShakeShake(nn.Module):
    """Blends two branches: a * f1 + (1 - a) * f2.

    While training, a is uniform in [0, 1) and drawn anew for each batch, and the gradient is split with an
    independent b. In evaluation a = 1/2.

    Source: Gastaldi, 2017, Shake-Shake regularization; one draw per batch.
    """

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, width of the branches)."""
        first, second = self.first(x), self.second(x)
        if not self.training:
            return (first + second) * 0.5
        a, b = _uniform(2)
        return scale_apart(first, a, b) + scale_apart(second, 1 - a, 1 - b)


class ShakeDrop(nn.Module):
    """Multiplies a residual branch by s + a - s * a, where s is 1 with probability `survival` and else 0.

    So a branch survives unchanged or is scaled by a. While training, a is uniform in [-1, 1), the gradient is scaled
    with an independent b, uniform in [0, 1), in place of a; all are drawn anew for each batch. In evaluation the
    factor is its expectation, `survival`.

    Source: Yamada, Iwamura, Akiba, Kise, 2019, ShakeDrop regularization for deep residual learning; one draw per batch.
    """

    def __init__(self, survival: float):
        super().__init__()
        self.survival = survival

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, width)."""
        if not self.training:
            return x * self.survival
        draw, a, b = _uniform(3)
        if draw < self.survival:
            return x
        return scale_apart(x, 2 * a - 1, b)

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return f"survival={self.survival:.3g}"
