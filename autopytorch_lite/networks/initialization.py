"""Starting weights of a network: drawn, or set from training rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.networks.heads import LinearHead

METHODS = ("default", "sparse")
BIASES = ("yes", "no", "zero")
SPARSE_INPUTS = 15
"""Incoming weights of a unit that the sparse method leaves different from zero (Martens, 2010, section 5)."""


def initialize(network: nn.Module, *, method: str = "default", bias: str = "yes") -> None:
    """Set the starting weights of all linear layers in place, drawing from torch's global generator.

    Args:
        network: module whose linear layers are set; embeddings and normalisation keep their own start.
        method: "default" leaves torch's start; "sparse" connects each unit to c = 15 of its inputs (all, if fewer) with
            weights from N(0, 1 / c), which keep the variance of the inputs; the other weights start at zero.
        bias: "yes" leaves torch's random start, "zero" starts biases at zero, "no" removes them from all linear layers
            but the output layer, which needs one for base rates.

    Raises:
        UnknownNameError: `method` or `bias` has no such choice.

    Source: Martens, 2010, Deep learning via Hessian-free optimization, section 5, for the sparse start.
    """
    if method not in METHODS:
        raise UnknownNameError("initialization", method, METHODS)
    if bias not in BIASES:
        raise UnknownNameError("bias initialization", bias, BIASES)
    for layer in [module for module in network.modules() if isinstance(module, nn.Linear)]:
        if method == "sparse":
            _sparsify(layer)
        _SET_BIAS[bias](layer)


@runtime_checkable
class StartsFromRows(Protocol):
    """A module whose start depends on the rows that it will see: scales, bends, bins."""

    def start_from(self, x: Tensor, /) -> None:
        """Set the start from the input that the training rows give it; may draw from torch's global generator."""
        ...


def starts_from_rows(network: nn.Module) -> bool:
    """Whether any module of the network does."""
    return any(isinstance(module, StartsFromRows) for module in network.modules())


def start_from_rows(network: nn.Module, dense: Tensor, codes: Tensor) -> None:
    """Let every module that starts from rows do so, from the first to the last, in one pass in evaluation mode.

    Args:
        network: called with `dense` and `codes`; in training mode afterwards.
        dense: float32 (n, d), training rows.
        codes: int64 (n, q).
    """
    modules = [module for module in network.modules() if isinstance(module, StartsFromRows)]
    hooks = [module.register_forward_pre_hook(_start) for module in modules]
    with torch.no_grad():
        network.eval()(dense, codes)
    network.train()
    for hook in hooks:
        hook.remove()


def _start(module: nn.Module, inputs: tuple[Tensor]) -> None:
    assert isinstance(module, StartsFromRows)
    module.start_from(inputs[0])


def _sparsify(layer: nn.Linear) -> None:
    n_inputs = min(SPARSE_INPUTS, layer.in_features)
    inputs = torch.rand(layer.out_features, layer.in_features).topk(n_inputs, dim=1).indices
    weights = torch.randn(layer.out_features, n_inputs) / n_inputs**0.5
    with torch.no_grad():
        layer.weight.zero_().scatter_(1, inputs, weights)


def _zero_bias(layer: nn.Linear) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _remove_bias(layer: nn.Linear) -> None:
    if not isinstance(layer, LinearHead):
        layer.register_parameter("bias", None)


_SET_BIAS: dict[str, Callable[[nn.Linear], None]] = {
    "yes": lambda layer: None,
    "zero": _zero_bias,
    "no": _remove_bias,
}
