"""Running a network without training it."""

from __future__ import annotations

import torch
from torch import Tensor

from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training.device import computing_in

ROWS_PER_CHUNK = 2048
"""Rows evaluated at once: large enough to be fast, small enough to stay in the cache."""


@torch.inference_mode()
def evaluation_outputs(network: TabularNetwork, dense: Tensor, codes: Tensor, precision: str = "float32") -> Tensor:
    """Outputs in evaluation mode, float32 (n, n_outputs), on the device of the network; its mode is restored."""
    was_training = network.training
    device = next(network.parameters()).device
    network.eval()
    chunks = zip(dense.split(ROWS_PER_CHUNK), codes.split(ROWS_PER_CHUNK), strict=True)
    with computing_in(precision, device):
        outputs = [network(rows.to(device), row_codes.to(device)).float() for rows, row_codes in chunks]
    network.train(was_training)
    return torch.cat(outputs)


def class_probabilities(outputs: Tensor) -> Tensor:
    """Logits (n, n_classes) -> float64 probabilities of the same shape; rows sum to 1 within rounding."""
    return outputs.double().softmax(dim=1)


def target_values(outputs: Tensor) -> Tensor:
    """Regression outputs (n, n_targets) as float64, in the units the network was trained on."""
    return outputs.double()
