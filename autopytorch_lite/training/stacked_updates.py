"""Steps of K optimisers at once, each network with its own rates: what torch's SGD, Adam and AdamW do, row by row.

All tensors are (K, size), one row per network, and hyperparameters are columns (K, 1). Slots are what an optimiser
remembers of earlier steps, by torch's names, so that they can be taken from torch's optimisers and given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.sgd import sgd


class StackedUpdate(Protocol):
    """Steps of one kind of optimiser.

    Attributes:
        slots: names of what is remembered per weight.
    """

    slots: ClassVar[tuple[str, ...]]

    def begin_epoch(self) -> None:
        """Take over the learning rates that the schedules have set."""
        ...

    def begin_step(self, n: int) -> None:
        """The first `n` networks are about to take a step."""
        ...

    def apply(self, n: int, weights: Tensor, gradients: Tensor, slots: Sequence[Tensor]) -> None:
        """One step of the first `n` networks; all tensors have `n` rows. Gradients are overwritten."""
        ...

    def n_steps(self, network: int) -> int | None:
        """Steps taken so far; None if the optimiser does not count them."""
        ...


class _Columns:
    """Hyperparameters of K optimisers as columns (K, 1)."""

    def __init__(self, optimizers: Sequence[Optimizer], device: torch.device):
        self._groups = [optimizer.param_groups[0] for optimizer in optimizers]
        self._device = device
        self._weight_decay = self._column([group["weight_decay"] for group in self._groups])
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Take over the learning rates that the schedules have set."""
        self._learning_rate = self._column([group["lr"] for group in self._groups])

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._device)[:, None]


class StackedSGD(_Columns):
    """v <- momentum * v + g + decay * w, w <- w - rate * v; torch's first step agrees, as v starts at zero."""

    slots: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    def __init__(self, optimizers: Sequence[Optimizer], device: torch.device):
        super().__init__(optimizers, device)
        self._momentum = self._column([group["momentum"] for group in self._groups])

    def begin_epoch(self) -> None:
        """Take over the learning rates that the schedules have set."""
        super().begin_epoch()
        names = ("lr", "weight_decay", "momentum", "dampening", "nesterov")
        self._alone = {name: self._groups[0][name] for name in names}

    def begin_step(self, n: int) -> None:
        """Nothing is counted."""

    def apply(self, n: int, weights: Tensor, gradients: Tensor, slots: Sequence[Tensor]) -> None:
        """See `StackedUpdate`."""
        (velocity,) = slots
        if len(weights) == 1 and weights.device.type == "cpu":  # one kernel for one set of rates: a third faster
            sgd([weights], [gradients], [velocity], fused=True, maximize=False, **self._alone)
            return
        gradients.addcmul_(weights, self._weight_decay[:n])
        torch.addcmul(gradients, velocity, self._momentum[:n], out=velocity)
        weights.addcmul_(velocity, self._learning_rate[:n], value=-1.0)

    def n_steps(self, network: int) -> int | None:
        """Nothing is counted."""
        return None


class StackedAdam(_Columns):
    """Adam, with decay as part of the gradient.

    Source: Kingma, Ba, 2015, Adam, algorithm 1; bias corrections and epsilon as torch places them.
    """

    slots: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    def __init__(self, optimizers: Sequence[Optimizer], device: torch.device):
        super().__init__(optimizers, device)
        self._beta1, self._beta2 = (self._column([group["betas"][i] for group in self._groups]) for i in (0, 1))
        self._epsilon = self._column([group["eps"] for group in self._groups])
        self._n_steps = self._column([_steps_of(optimizer) for optimizer in optimizers])

    def begin_step(self, n: int) -> None:
        """Count the step; bias corrections follow from the count."""
        count = self._n_steps[:n].add_(1)
        self._rate = self._learning_rate[:n] / (1 - self._beta1[:n] ** count)
        self._root_scale = (1 - self._beta2[:n] ** count).rsqrt_()

    def apply(self, n: int, weights: Tensor, gradients: Tensor, slots: Sequence[Tensor]) -> None:
        """See `StackedUpdate`."""
        self._decay(n, weights, gradients)
        mean, square = slots
        mean.lerp_(gradients, 1 - self._beta1[:n])
        square.lerp_(gradients.square_(), 1 - self._beta2[:n])
        root = torch.sqrt(square, out=gradients).mul_(self._root_scale).add_(self._epsilon[:n])
        weights.addcmul_(torch.div(mean, root, out=root), self._rate, value=-1.0)

    def _decay(self, n: int, weights: Tensor, gradients: Tensor) -> None:
        gradients.addcmul_(weights, self._weight_decay[:n])

    def n_steps(self, network: int) -> int | None:
        """Steps taken so far."""
        return int(self._n_steps[network].item())


class StackedAdamW(StackedAdam):
    """Adam, with decay apart from the gradient (Loshchilov, Hutter, 2019)."""

    def _decay(self, n: int, weights: Tensor, gradients: Tensor) -> None:
        weights.mul_(1 - self._learning_rate[:n] * self._weight_decay[:n])


def _steps_of(optimizer: Optimizer) -> float:
    states = list(optimizer.state.values())
    return float(states[0]["step"]) if states else 0.0


def stacked_update(optimizers: Sequence[Optimizer], device: torch.device) -> StackedUpdate:
    """The steps of optimisers of one class, see `stackable.obstacle` for which."""
    kinds: dict[type[Optimizer], type[StackedSGD | StackedAdam]] = {
        SGD: StackedSGD,
        Adam: StackedAdam,
        AdamW: StackedAdamW,
    }
    return kinds[type(optimizers[0])](optimizers, device)
