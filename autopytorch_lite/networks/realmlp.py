"""RealMLP: a multilayer perceptron with the details that make its defaults good on tables.

Source of the whole file: Holzmueller, Grinsztajn, Steinwart, 2024, Better by default: strong pre-tuned MLPs and boosted
trees on tabular data, section 3 and appendix A; numbers as in the package pytabkit 1.7.3, RealMLP_TD.

There, layers divide their inputs by the root of their number ("NTK parametrisation"), and weights of unit size are
learned with large rates. Adam's steps do not depend on the scale of the gradient, so plain layers with rates and decays
divided and multiplied by that root do the same: `RealMLPLinear.paces`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from autopytorch_lite.networks.annealing import AnnealedDropout
from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.layers import activation_layer
from autopytorch_lite.networks.paces import REALMLP_RATE, Pace

N_BIAS_ROWS = 5
"""Training rows of which the start of a unit's bias is a random mean ("he+5")."""

MIN_SPREAD = 1e-6
"""Outputs that vary less over the training rows are not scaled: their inputs are constant."""


class RealMLPLinear(nn.Linear):
    """A linear layer that learns at the same speed whatever its width, and starts from training rows.

    Without rows weights start from N(0, 1 / n_in) and biases at zero. Weights have `REALMLP_RATE` times the learning
    rate divided by the root of n_in, biases a tenth of it without that division and no decay.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__(in_features, out_features)
        root = math.sqrt(in_features)
        self.paces = {"weight": Pace(REALMLP_RATE / root, root), "bias": Pace(0.1 * REALMLP_RATE, 0.0)}

    def reset_parameters(self) -> None:
        """The start without rows."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.in_features))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def start_from(self, x: Tensor) -> None:
        """Scale each unit to unit spread over the rows x, (n, n_in), and put its bend among them.

        The bias is minus the unit's output at a random mean of `N_BIAS_ROWS` rows. Draws from torch's global generator.
        """
        spread = (x @ self.weight.T).std(dim=0, correction=0)
        self.weight /= torch.where(spread > MIN_SPREAD, spread, 1.0)[:, None]
        if self.bias is not None:
            outputs = x @ self.weight.T
            rows = torch.randint(len(x), (N_BIAS_ROWS, self.out_features))
            shares = -torch.rand(rows.shape).log()
            self.bias.copy_(-(outputs.gather(0, rows) * shares / shares.sum(dim=0)).sum(dim=0))


class RealMLPHead(RealMLPLinear, LinearHead):
    """The output layer of a RealMLP: (n, n_features) -> (n, n_outputs)."""


class DiagonalScale(nn.Module):
    """A learned factor for each input, which soon switches useless ones off: six times the rate of the weights.

    The source's program multiplies the decay with the rate's factor a second time, hence six times the decay, too.
    """

    paces = {"weight": Pace(6 * REALMLP_RATE, 6.0)}

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, width)."""
        return x * self.weight


class ParametricActivation(nn.Module):
    """x + a * (f(x) - x) with a learned share a for each unit, 1 at the start.

    Args:
        activation: f, one of `layers.ACTIVATIONS`.
        width: units.
    """

    paces = {"shares": Pace(0.1 * REALMLP_RATE, 0.1)}

    def __init__(self, activation: str, width: int):
        super().__init__()
        self.activation = activation_layer(activation)
        self.shares = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, width)."""
        return x + self.shares * (self.activation(x) - x)


class RealMLP(nn.Module):
    """Learned factors for the inputs, then layers of linear, parametric activation and dropout that fades.

    Args:
        n_inputs: width of the input.
        n_layers: hidden layers, at least 1.
        width: units of each.
        activation: one of `layers.ACTIVATIONS`; the source takes selu for classes and mish for numbers.
        dropout: rate for the first half of the training, in [0, 1).

    Attributes:
        n_features: width of the output.
    """

    def __init__(self, n_inputs: int, *, n_layers: int, width: int, activation: str, dropout: float):
        super().__init__()
        layers: list[nn.Module] = [DiagonalScale(n_inputs)]
        for n_in in [n_inputs, *[width] * (n_layers - 1)]:
            layers += [RealMLPLinear(n_in, width), ParametricActivation(activation, width)]
            layers += [AnnealedDropout(dropout)] if dropout > 0 else []
        self.layers = nn.Sequential(*layers)
        self.n_features = width

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, n_features)."""
        features: Tensor = self.layers(x)
        return features

    def new_head(self, n_outputs: int) -> nn.Module:
        """The output layer that belongs to it."""
        return RealMLPHead(self.n_features, n_outputs)
