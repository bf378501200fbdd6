"""Trainings that are watched epoch by epoch: a stack of networks, or one that has to be trained alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from autopytorch_lite.errors import DivergedError
from autopytorch_lite.pipeline.neural import Prepared
from autopytorch_lite.training.evaluation import evaluation_outputs
from autopytorch_lite.training.loop import CURVES
from autopytorch_lite.training.stacked import StackedTrainer
from autopytorch_lite.types import Array, FloatArray
from lcbench.generation.tables import NetworkRows


class Training(Protocol):
    """K networks in training.

    Attributes:
        order: the position, among what was given, of each of the K networks.
    """

    order: Sequence[int]

    def train_epoch(self) -> None:
        """One more epoch."""
        ...

    def predictions(self) -> Tensor:
        """For all rows: log-probabilities (K, n_classes, n), or values in original units (K, n_targets, n)."""
        ...

    def train_losses(self) -> FloatArray:
        """Mean training loss of each network on the training rows, in evaluation mode as of `predictions`, (K,)."""
        ...

    def gradients(self) -> list[Array]:
        """Per layer the gradients of the last batch of the last epoch, float32 (K, size)."""
        ...

    def real_weights(self) -> list[Array]:
        """Which entries of `gradients` are real and no padding, bool (K, size); always the same."""
        ...

    def learning_rates(self) -> FloatArray:
        """Of the next epoch, (K,)."""
        ...

    def is_finite(self) -> Array:
        """Which networks have not diverged, bool (K,)."""
        ...


class StackTraining:
    """A stack: see `StackedTrainer`.

    Args:
        prepared: trainings that can be one stack.
        rows: which all of them read.
        precisions: of the matrix products of every layer in training.
        evaluation_precisions: of those in evaluation.
    """

    def __init__(
        self,
        prepared: Sequence[Prepared],
        rows: NetworkRows,
        precisions: Sequence[str],
        evaluation_precisions: Sequence[str],
    ):
        self._stack = StackedTrainer([one.trainer for one in prepared], rows.train, precisions=precisions)
        position = {id(one.trainer): number for number, one in enumerate(prepared)}
        self.order: Sequence[int] = [position[id(trainer)] for trainer in self._stack.trainers]
        self._scale = prepared[0].targets
        self._inputs = rows.everything.dense.to(prepared[0].trainer.device)
        self._n_train = len(rows.train)
        self._evaluation_precisions = evaluation_precisions
        self._losses: FloatArray = np.zeros(len(prepared))

    def train_epoch(self) -> None:
        """See `Training`."""
        self._stack.train_epoch()
        values = dict.fromkeys(CURVES, float("nan"))
        for trainer in self._stack.trainers:
            trainer.end_epoch(**values)

    @torch.inference_mode()
    def predictions(self) -> Tensor:
        """See `Training`."""
        outputs = self._stack.outputs(self._inputs, precisions=self._evaluation_precisions)
        self._losses = self._stack.losses(outputs[:, :, : self._n_train]).double().cpu().numpy()
        if self._scale is None:
            return outputs.log_softmax(dim=1).cpu()
        values = self._scale.predictions(outputs.cpu().transpose(1, 2).numpy())
        return torch.from_numpy(values).transpose(1, 2)

    def train_losses(self) -> FloatArray:
        """See `Training`."""
        return self._losses

    def gradients(self) -> list[Array]:
        """See `Training`."""
        return self._stack.last_gradients()

    def real_weights(self) -> list[Array]:
        """See `Training`."""
        return self._stack.real_weights()

    def learning_rates(self) -> FloatArray:
        """See `Training`."""
        return np.array([trainer.optimizer.param_groups[0]["lr"] for trainer in self._stack.trainers])

    def is_finite(self) -> Array:
        """See `Training`."""
        return self._stack.is_finite()


class LoneTraining:
    """One network that cannot be stacked, or is faster without: its trainer does everything.

    Args:
        prepared: the training.
        rows: what it reads.
    """

    def __init__(self, prepared: Prepared, rows: NetworkRows):
        self._prepared, self._rows = prepared, rows
        self._has_diverged = False
        self._loss = float("nan")
        self.order: Sequence[int] = [0]

    def train_epoch(self) -> None:
        """See `Training`; nothing, if the network has diverged."""
        trainer = self._prepared.trainer
        if self._has_diverged or trainer.stopped_early:
            return
        try:
            trainer.fit(self._rows.train, self._rows.val, trainer.n_epochs + 1)
        except DivergedError:
            self._has_diverged = True

    @torch.inference_mode()
    def predictions(self) -> Tensor:
        """See `Training`."""
        trainer, rows = self._prepared.trainer, self._rows.everything
        outputs = evaluation_outputs(trainer.network, rows.dense, rows.codes, trainer.precision)
        n_train = len(self._rows.train)
        self._loss = float(trainer.plan.loss(outputs[:n_train].cpu(), rows.targets[:n_train]).double().mean())
        predictions = self._prepared.predictions(outputs).T[None]
        return predictions.log() if self._prepared.targets is None else predictions

    def train_losses(self) -> FloatArray:
        """See `Training`."""
        return np.array([self._loss])

    def gradients(self) -> list[Array]:
        """See `Training`; a layer is a module with weights of its own. Zero before there is a gradient."""
        return [torch.cat([_gradient(weight) for weight in layer])[None].cpu().numpy() for layer in self._layers()]

    def real_weights(self) -> list[Array]:
        """See `Training`."""
        return [np.ones((1, sum(weight.numel() for weight in layer)), dtype=bool) for layer in self._layers()]

    def _layers(self) -> list[list[nn.Parameter]]:
        modules = self._prepared.trainer.network.modules()
        layers = [[weight for weight in module.parameters(recurse=False) if weight.requires_grad] for module in modules]
        return [layer for layer in layers if layer]

    def learning_rates(self) -> FloatArray:
        """See `Training`."""
        return np.array([self._prepared.trainer.optimizer.param_groups[0]["lr"]])

    def is_finite(self) -> Array:
        """See `Training`."""
        return np.array([not self._has_diverged])


def _gradient(weight: Tensor) -> Tensor:
    gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
    return gradient.detach().reshape(-1)
