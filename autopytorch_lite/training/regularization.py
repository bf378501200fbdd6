"""Batch techniques: how the losses of a batch come about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training.losses import RowLoss, row_losses
from autopytorch_lite.training.rows import TensorRows


class BatchTechnique(Protocol):
    """Weighted losses of the rows of a batch, shape (n,), ready to be averaged."""

    def __call__(
        self, network: TabularNetwork, batch: TensorRows, row_loss: RowLoss, rng: np.random.Generator
    ) -> Tensor:
        """Run `network` on `batch`; random numbers come from `rng`."""
        ...


@dataclass(frozen=True)
class Standard:
    """The loss of each row at its own target."""

    def __call__(
        self, network: TabularNetwork, batch: TensorRows, row_loss: RowLoss, rng: np.random.Generator
    ) -> Tensor:
        """Losses (n,)."""
        return weighted_losses(network(batch.dense, batch.codes), batch.targets, batch.weights, row_loss)


@dataclass(frozen=True)
class Mixup:
    """Rows are blended with randomly chosen partners, and the loss with the partners' losses in the same proportion.

    One share, from Beta(alpha, alpha), and one permutation per batch. Numbers and embedded categories are blended, that
    is, the input of the backbone.

    Attributes:
        alpha: at least 0; 0 blends nothing, 1 makes all shares equally likely.

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, 2018, mixup: beyond empirical risk minimization, section 2.
    """

    alpha: float

    def __call__(
        self, network: TabularNetwork, batch: TensorRows, row_loss: RowLoss, rng: np.random.Generator
    ) -> Tensor:
        """Losses (n,)."""
        if self.alpha == 0:
            return Standard()(network, batch, row_loss, rng)
        share = float(rng.beta(self.alpha, self.alpha))
        partner = torch.from_numpy(rng.permutation(len(batch))).to(batch.dense.device)
        own = network.embed(batch.dense, batch.codes)
        outputs = network.outputs(torch.lerp(own[partner], own, share))
        partner_weights = None if batch.weights is None else batch.weights[partner]
        own_losses = weighted_losses(outputs, batch.targets, batch.weights, row_loss)
        partner_losses = weighted_losses(outputs, batch.targets[partner], partner_weights, row_loss)
        return share * own_losses + (1 - share) * partner_losses


def weighted_losses(outputs: Tensor, targets: Tensor, weights: Tensor | None, row_loss: RowLoss) -> Tensor:
    """The loss of each row times its weight, in float32 whatever the precision of `outputs`."""
    losses = row_losses(outputs.float(), targets, row_loss)
    return losses if weights is None else losses * weights
