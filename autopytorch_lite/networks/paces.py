"""How fast single parameters learn and decay, relative to the rest of their network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn import Parameter


@dataclass(frozen=True)
class Pace:
    """Factors on what the optimiser is given.

    Attributes:
        learning_rate: factor on the learning rate.
        weight_decay: factor on the weight decay; AdamW multiplies decay and learning rate, hence both factors.
    """

    learning_rate: float = 1.0
    weight_decay: float = 1.0


NORMAL = Pace()

REALMLP_RATE = 16.0
"""Learning rates of RealMLP are for weights divided by the root of the layer's width. Those of our optimisers are for
plain layers, and equal at 256 units: 0.04 there is 0.04 / 16 = 0.0025 here."""


def weights_by_pace(network: nn.Module) -> dict[Pace, list[Parameter]]:
    """Trainable parameters by pace: those of the normal one first, each list in the order of `network.parameters()`.

    A module sets the pace of its own parameters with an attribute `paces`, parameter name -> pace; what it leaves out
    has the normal one.
    """
    weights: dict[Pace, list[Parameter]] = {NORMAL: []}
    for module in network.modules():
        paces = getattr(module, "paces", {})
        for name, weight in module.named_parameters(recurse=False):
            if weight.requires_grad:
                weights.setdefault(paces.get(name, NORMAL), []).append(weight)
    return {pace: group for pace, group in weights.items() if group}
