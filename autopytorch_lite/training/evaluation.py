"""Running a network without training it."""

from __future__ import annotations

import torch
from torch import Tensor

from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training.device import computing_in

VECTORS_PER_CHUNK = 2048
"""Vectors evaluated at once, usually one a row: large enough to be fast, small enough to stay in the cache."""

CELLS_PER_CHUNK = 250_000
"""Inputs of the backbone evaluated at once, for the same reason: embedded numbers are many."""


@torch.inference_mode()
def evaluation_outputs(network: TabularNetwork, dense: Tensor, codes: Tensor, precision: str = "float32") -> Tensor:
    """Outputs in evaluation mode, on the device of the network; its mode is restored.

    Float32 (n, n_outputs), or (n, k, n_outputs) of an ensemble.
    """
    was_training = network.training
    device = next(network.parameters()).device
    if was_training:  # to go through all layers takes as long as a row
        network.eval()
    n_rows = _rows_per_chunk(network, dense.shape[1])
    chunks = zip(dense.split(n_rows), codes.split(n_rows), strict=True)
    with computing_in(precision, device):
        outputs = [network(rows.to(device), row_codes.to(device)).float() for rows, row_codes in chunks]
    if was_training:
        network.train()
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


def _rows_per_chunk(network: TabularNetwork, n_dense: int) -> int:
    width = n_dense if network.numeric_embedding is None else network.numeric_embedding.n_features
    return max(1, min(VECTORS_PER_CHUNK // network.vectors_per_row, CELLS_PER_CHUNK // max(width, 1)))


def class_probabilities(outputs: Tensor) -> Tensor:
    """Logits (n, n_classes) -> float64 probabilities of the same shape; rows sum to 1 within rounding.

    Of an ensemble's logits, (n, k, n_classes), the mean of its members' probabilities.
    """
    return _mean_of_members(outputs.double().softmax(dim=-1))


def target_values(outputs: Tensor) -> Tensor:
    """Regression outputs (n, n_targets) as float64, in the units the network was trained on.

    Of an ensemble's outputs, (n, k, n_targets), the mean of its members'.
    """
    return _mean_of_members(outputs.double())


def _mean_of_members(predictions: Tensor) -> Tensor:
    return predictions.mean(dim=1) if predictions.ndim == 3 else predictions
