"""Rows of a table as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Array


@dataclass(frozen=True)
class TensorRows:
    """Rows to train or evaluate on.

    Attributes:
        dense: float32, shape (n, d); no missing values.
        codes: int64, shape (n, q), -1 for missing or unseen; q may be 0.
        targets: int64 class codes, shape (n,), or float32 standardised values, shape (n, n_targets).
        weights: float32, shape (n,), or None for equal weights.
    """

    dense: Tensor
    codes: Tensor
    targets: Tensor
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        columns = {"dense": self.dense, "codes": self.codes, "targets": self.targets, "weights": self.weights}
        lengths = {name: len(tensor) for name, tensor in columns.items() if tensor is not None}
        if len(set(lengths.values())) > 1:
            raise DataError(f"All tensors of TensorRows must have the same number of rows, got {lengths}.")

    @classmethod
    def from_arrays(cls, dense: Array, codes: Array | None, targets: Array, weights: Array | None = None) -> TensorRows:
        """Rows on the CPU from numpy arrays of any number type; `codes` None means no categorical columns."""
        integer = np.issubdtype(np.asarray(targets).dtype, np.integer)
        return cls(
            dense=torch.as_tensor(np.asarray(dense), dtype=torch.float32),
            codes=torch.zeros((len(dense), 0), dtype=torch.int64)
            if codes is None
            else torch.as_tensor(np.asarray(codes), dtype=torch.int64),
            targets=torch.as_tensor(np.asarray(targets), dtype=torch.int64 if integer else torch.float32),
            weights=None if weights is None else torch.as_tensor(np.asarray(weights), dtype=torch.float32),
        )

    def __len__(self) -> int:
        return len(self.dense)

    def to(self, device: torch.device | str) -> TensorRows:
        """The same rows on another device; copies nothing if they are there already."""
        weights = None if self.weights is None else self.weights.to(device)
        return TensorRows(self.dense.to(device), self.codes.to(device), self.targets.to(device), weights)

    def take(self, index: Tensor) -> TensorRows:
        """The rows at the positions `index`, int64, shape (m,)."""
        weights = None if self.weights is None else self.weights.index_select(0, index)
        return TensorRows(
            self.dense.index_select(0, index),
            self.codes.index_select(0, index),
            self.targets.index_select(0, index),
            weights,
        )

    def with_unit_mean_weights(self) -> TensorRows:
        """The same rows with weights scaled to a mean of 1, so that their scale does not act as a learning rate.

        Raises:
            DataError: the weights do not sum to a positive number.
        """
        if self.weights is None:
            return self
        mean = self.weights.double().mean()
        if not mean > 0:
            raise DataError(f"Weights of training rows must have a positive sum, got a mean of {mean.item()}.")
        return TensorRows(self.dense, self.codes, self.targets, (self.weights / mean).float())
