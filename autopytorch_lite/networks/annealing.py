"""What changes in a network while it is trained: dropout that fades."""

from __future__ import annotations

import math

from torch import Tensor, nn

from autopytorch_lite.networks.layers import Dropout


def flat_cosine(progress: float) -> float:
    """1 up to the middle, then down to 0 along half a cosine; `progress` in [0, 1].

    Source: Holzmueller, Grinsztajn, Steinwart, 2024, Better by default, appendix A ("flat_cos").
    """
    return (1 + math.cos(math.pi * max(0.0, 2 * progress - 1))) / 2


class AnnealedDropout(nn.Module):
    """Dropout whose rate stays for half of the training and then falls to 0; see `flat_cosine`.

    Args:
        rate: at the beginning, in [0, 1).
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate
        self.dropout = Dropout(rate)

    def set_progress(self, progress: float) -> None:
        """`progress` is the share of the whole training that is done, in [0, 1]."""
        self.dropout.p = self.rate * flat_cosine(progress)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        dropped: Tensor = self.dropout(x)
        return dropped


def set_progress(network: nn.Module, progress: float) -> None:
    """Tell every layer that changes during training how much of it is done, a share in [0, 1]."""
    for module in network.modules():
        if isinstance(module, AnnealedDropout):
            module.set_progress(progress)
