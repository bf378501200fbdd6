"""Shaped MLP and shaped ResNet: from an input vector to the features that a head reads."""

from __future__ import annotations

from torch import Tensor, nn

from autopytorch_lite.networks.layers import BatchNorm, ShakeDrop, ShakeShake, activation_layer, dropout_layers
from autopytorch_lite.networks.shapes import group_dropouts, hidden_widths, layer_dropouts, residual_widths


class ShapedMLP(nn.Module):
    """L - 1 blocks of linear layer, activation, dropout; the head is the L-th layer.

    Args:
        n_inputs: width of the input.
        n_outputs: width of the head's output, towards which some shapes narrow.
        num_layers: L, the head included; 1 is the identity, hence a linear model.
        max_units: units of the widest layer, unless the input is wider.
        shape: one of `shapes.SHAPES`, for widths and dropout rates.
        activation: one of `layers.ACTIVATIONS`.
        max_dropout: largest dropout rate, in [0, 1]; 0 for none.

    Attributes:
        n_features: width of the output.

    Source: Auto-PyTorch 0.0.2, networks/feature/shapedmlpnet.py, for widths and rates. There a `max_dropout` up to
    0.05 meant no dropout; here every rate above 0 counts.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        *,
        num_layers: int = 3,
        max_units: int = 256,
        shape: str = "funnel",
        activation: str = "relu",
        max_dropout: float = 0.0,
    ):
        super().__init__()
        widths = hidden_widths(shape, num_layers, n_inputs, n_outputs, max_units)
        rates = layer_dropouts(shape, num_layers, max_dropout)
        layers: list[nn.Module] = []
        for n_in, n_out, rate in zip([n_inputs, *widths], widths, rates, strict=False):
            layers += [nn.Linear(n_in, n_out), activation_layer(activation), *dropout_layers(rate)]
        self.layers = nn.Sequential(*layers)
        self.n_features = widths[-1] if widths else n_inputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, n_features)."""
        features: Tensor = self.layers(x)
        return features


class ResidualBlock(nn.Module):
    """Pre-activation residual block.

    For equal widths y = x + f(x), with f = norm, activation, linear, norm, activation, dropout, linear. For different
    widths h = activation(norm(x)) and y = shortcut(h) + f'(h), where f' is f without its first norm and activation.

    Args:
        n_in: width of the input.
        n_out: width of the output.
        activation: one of `layers.ACTIVATIONS`.
        dropout: rate before the last linear layer, in [0, 1].
        use_shake_shake: two parallel copies of f, blended at random.
        survival: probability that ShakeDrop leaves f alone, or None for no ShakeDrop.

    Source: He et al., 2016, Identity mappings in deep residual networks, figure 4(e); Auto-PyTorch 0.0.2,
    networks/feature/resnet.py.
    """

    def __init__(
        self, n_in: int, n_out: int, *, activation: str, dropout: float, use_shake_shake: bool, survival: float | None
    ):
        super().__init__()
        same_width = n_in == n_out

        def norm_and_activation(width: int) -> list[nn.Module]:
            return [BatchNorm(width), activation_layer(activation)]

        def branch() -> nn.Module:
            first = norm_and_activation(n_in) if same_width else []
            inner = [nn.Linear(n_in, n_out), *norm_and_activation(n_out), *dropout_layers(dropout)]
            return nn.Sequential(*first, *inner, nn.Linear(n_out, n_out))

        self.entry = nn.Identity() if same_width else nn.Sequential(*norm_and_activation(n_in))
        self.shortcut = nn.Identity() if same_width else nn.Linear(n_in, n_out)
        self.residual = ShakeShake(branch(), branch()) if use_shake_shake else branch()
        self.shake_drop = nn.Identity() if survival is None else ShakeDrop(survival)

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) -> (n, n_out)."""
        h = self.entry(x)
        y: Tensor = self.shortcut(h) + self.shake_drop(self.residual(h))
        return y


class ShapedResNet(nn.Module):
    """A linear layer, G groups of B residual blocks, then batch normalisation and activation.

    The first block of group g maps width u_{g-1} to u_g, see `shapes.residual_widths`. With ShakeDrop, block l of
    T = G * B blocks survives with probability 1 - l / T * `max_shake_drop_probability`.

    Args:
        n_inputs: width of the input.
        n_outputs: width of the head's output, towards which some shapes narrow.
        num_groups: G, at least 1.
        blocks_per_group: B, at least 1.
        max_units: units of the widest layer, unless the input is wider.
        shape: one of `shapes.SHAPES`, for widths and dropout rates.
        activation: one of `layers.ACTIVATIONS`.
        max_dropout: largest dropout rate, in [0, 1]; 0 for none.
        use_shake_shake: every residual branch is a random blend of two.
        use_shake_drop: residual branches are dropped at random.
        max_shake_drop_probability: probability to drop the last block's branch, in [0, 1].

    Attributes:
        n_features: width of the output.

    Source: Auto-PyTorch 0.0.2, networks/feature/shapedresnet.py, as intended there: its dropout zeroed every residual
    branch and its shake regularisers were random in evaluation instead of training.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        *,
        num_groups: int = 2,
        blocks_per_group: int = 2,
        max_units: int = 256,
        shape: str = "funnel",
        activation: str = "relu",
        max_dropout: float = 0.0,
        use_shake_shake: bool = False,
        use_shake_drop: bool = False,
        max_shake_drop_probability: float = 0.0,
    ):
        super().__init__()
        widths = residual_widths(shape, num_groups, n_inputs, n_outputs, max_units)
        rates = group_dropouts(shape, num_groups, max_dropout)
        survivals = survival_probabilities(num_groups * blocks_per_group, max_shake_drop_probability)
        blocks = [
            ResidualBlock(
                widths[group if index == 0 else group + 1],
                widths[group + 1],
                activation=activation,
                dropout=rates[group],
                use_shake_shake=use_shake_shake,
                survival=survivals[group * blocks_per_group + index] if use_shake_drop else None,
            )
            for group in range(num_groups)
            for index in range(blocks_per_group)
        ]
        self.stem = nn.Linear(n_inputs, widths[0])
        self.blocks = nn.Sequential(*blocks)
        self.exit = nn.Sequential(BatchNorm(widths[-1]), activation_layer(activation))
        self.n_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, n_features)."""
        features: Tensor = self.exit(self.blocks(self.stem(x)))
        return features


def survival_probabilities(n_blocks: int, max_drop_probability: float) -> list[float]:
    """Probability that each residual branch survives: falls linearly to 1 - `max_drop_probability` at the last block.

    Source: Huang et al., 2016, Deep networks with stochastic depth, section 3 (linear decay); Yamada et al., 2019,
    ShakeDrop.
    """
    return [1 - (block + 1) / n_blocks * max_drop_probability for block in range(n_blocks)]
