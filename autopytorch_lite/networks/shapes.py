"""Layer widths and dropout rates of shaped networks, as pure functions.

Notation, in all functions: d = `n_inputs`, k = `n_outputs`, L = `num_layers`, which counts the output layer, h = L - 1
hidden layers, and M = max(d, `max_units`): a table wider than `max_units` gets a first layer as wide as itself, so
`max_units` is a floor of the widest layer and not a cap.

Source: the funnel and the dropout law are those of Auto-PyTorch Tabular (Zimmer, Lindauer, Hutter, 2021; program
version 0.0.2, networks/feature/shapedmlpnet.py and shapedresnet.py). The other shapes keep the names used there;
their definitions are the ones below.
"""

from __future__ import annotations

from collections.abc import Callable

from autopytorch_lite.errors import UnknownNameError

_DROPOUT_UNITS = 1000
"""Resolution of the dropout law: rates are widths of a network with 1000 units, divided by 1000."""


def funnel(h: int, d: int, k: int, peak: int) -> list[int]:
    """Widths peak - i * s with s = max(0, trunc((peak - k) / h)): the first is the widest, the last nears k."""
    step = max(0, peak - k) // h if h else 0
    return [peak - i * step for i in range(h)]


def brick(h: int, d: int, k: int, peak: int) -> list[int]:
    """All hidden layers have `peak` units."""
    return [peak] * h


def triangle(h: int, d: int, k: int, peak: int) -> list[int]:
    """Widths rise in equal steps from the input width; the last hidden layer has `peak` units."""
    step = max(0, peak - d) // h if h else 0
    return [peak - (h - 1 - i) * step for i in range(h)]


def long_funnel(h: int, d: int, k: int, peak: int) -> list[int]:
    """The first half of the L layers is a brick, the rest is a funnel."""
    n_brick = (h + 1) // 2
    return brick(n_brick, d, k, peak) + funnel(h - n_brick, d, k, peak)


def diamond(h: int, d: int, k: int, peak: int) -> list[int]:
    """A triangle up to the middle hidden layer, which is the only one with `peak` units, then a funnel."""
    n_up = (h + 1) // 2
    return triangle(n_up, d, k, peak) + funnel(h - n_up + 1, d, k, peak)[1:]


def hexagon(h: int, d: int, k: int, peak: int) -> list[int]:
    """A third of the hidden layers rises, a third falls, and those between have `peak` units."""
    n_side = h // 3
    middle = brick(h - 2 * n_side, d, k, peak)
    return triangle(n_side + 1, d, k, peak)[:-1] + middle + funnel(n_side + 1, d, k, peak)[1:]


def stairs(h: int, d: int, k: int, peak: int) -> list[int]:
    """The funnel, falling only at every second layer: pairs of equal widths."""
    steps = funnel(h, d, k, peak)
    return [steps[2 * (i // 2)] for i in range(h)]


_SHAPES: dict[str, Callable[[int, int, int, int], list[int]]] = {
    "funnel": funnel,
    "long_funnel": long_funnel,
    "diamond": diamond,
    "hexagon": hexagon,
    "brick": brick,
    "triangle": triangle,
    "stairs": stairs,
}
SHAPES = tuple(_SHAPES)
"""Names of all shapes."""


def hidden_widths(shape: str, num_layers: int, n_inputs: int, n_outputs: int, max_units: int) -> list[int]:
    """Units of the L - 1 hidden layers of an MLP; empty for L = 1, which is a linear model.

    Raises:
        UnknownNameError: `shape` is none of `SHAPES`.
    """
    if shape not in _SHAPES:
        raise UnknownNameError("shape", shape, SHAPES)
    return _SHAPES[shape](num_layers - 1, n_inputs, n_outputs, max(n_inputs, max_units))


def residual_widths(shape: str, num_groups: int, n_inputs: int, n_outputs: int, max_units: int) -> list[int]:
    """Widths u_0 .. u_G of a ResNet with G groups: its first linear layer, then the output of each group.

    These are the hidden widths for L = G + 2.
    """
    return hidden_widths(shape, num_groups + 2, n_inputs, n_outputs, max_units)


def layer_dropouts(shape: str, num_layers: int, max_dropout: float) -> list[float]:
    """Dropout rates of the L - 1 hidden layers of an MLP, in [0, max_dropout].

    They have the shape of a network with 1000 units, no input and no output. For the funnel: `max_dropout` at the first
    hidden layer, falling linearly.
    """
    widths = hidden_widths(shape, num_layers, 0, 0, _DROPOUT_UNITS)
    return [max_dropout * width / _DROPOUT_UNITS for width in widths]


def group_dropouts(shape: str, num_groups: int, max_dropout: float) -> list[float]:
    """Dropout rates of the G groups of a ResNet, in [0, max_dropout].

    As `layer_dropouts` for L = G, where the last group takes the place of the output layer and gets no dropout. A
    single group gets `max_dropout`; the source's law would give it none, so that the hyperparameter would have no
    effect there.
    """
    if num_groups == 1:
        return [max_dropout]
    return [*layer_dropouts(shape, num_groups, max_dropout), 0.0]
