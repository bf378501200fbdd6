"""A moving average of a network's weights, which predicts better than the last ones while the learning rate is high."""

from __future__ import annotations

import copy

from torch.optim.swa_utils import get_ema_multi_avg_fn

from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training.checkpoint import Tensors


class WeightAverage:
    """Exponential moving average over the steps of a training; buffers are those of the last step.

    Early on, when fewer steps are done than the average spans, it spans a tenth of those.

    Args:
        network: whose weights are averaged; copied.
        half_life_epochs: after so many epochs a step counts half as much, above 0.

    Attributes:
        network: the average, in evaluation mode.

    Source: Polyak, Juditsky, 1992; Izmailov et al., 2018, Averaging weights leads to wider optima, for its use.
    """

    def __init__(self, network: TabularNetwork, half_life_epochs: float):
        self.network = copy.deepcopy(network).eval()
        self._half_life_epochs = half_life_epochs

    def update(self, network: TabularNetwork, n_steps: int, steps_per_epoch: int) -> None:
        """Take in the weights after the `n_steps`-th step, counted from 1 over the whole training."""
        decay = min(0.5 ** (1 / (self._half_life_epochs * steps_per_epoch)), n_steps / (n_steps + 9))
        average = get_ema_multi_avg_fn(decay)
        average(list(self.network.parameters()), list(network.parameters()), n_steps)
        for averaged, current in zip(self.network.buffers(), network.buffers(), strict=True):
            averaged.copy_(current)

    def state_dict(self) -> Tensors:
        """Averaged weights and buffers."""
        return self.network.state_dict()

    def load_state_dict(self, state: Tensors) -> None:
        """Inverse of `state_dict`."""
        self.network.load_state_dict(state)
