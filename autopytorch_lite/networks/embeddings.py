"""Learned vectors for the levels of categorical columns and for the values of numeric ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def embedding_dim(cardinality: int, reduction: float) -> int:
    """Length of the vector for a column: trunc(reduction * cardinality), kept within 1 .. cardinality - 1 (at least 1).

    Source: Auto-PyTorch 0.0.2, networks/feature/embedding.py.
    """
    return max(1, min(int(reduction * cardinality), cardinality - 1))


class EntityEmbedding(nn.Module):
    """One table of vectors per categorical column; row 0 is for cells that are missing or hold a level unseen in
    training.

    Row 0 starts at zero, the mean of the others, and learns only from missing cells: a column complete in training
    treats an unseen level as an average one.

    Args:
        cardinalities: number of known levels of each column.
        dims: length of each column's vectors.

    Attributes:
        n_features: width of the output, the sum of `dims`.

    Source: Guo, Berkhahn, 2016, Entity embeddings of categorical variables.
    """

    def __init__(self, cardinalities: Sequence[int], dims: Sequence[int]):
        super().__init__()
        self.tables = nn.ModuleList(
            nn.Embedding(cardinality + 1, dim) for cardinality, dim in zip(cardinalities, dims, strict=True)
        )
        for table in self.tables:
            nn.init.zeros_(table.get_parameter("weight").data[0])
        self.n_features = sum(dims)

    def forward(self, codes: Tensor) -> Tensor:
        """int64 (n, q), codes -1 (missing or unseen) .. cardinality - 1 -> float32 (n, n_features)."""
        rows = codes + 1
        return torch.cat([table(rows[:, column]) for column, table in enumerate(self.tables)], dim=1)


class PeriodicEmbedding(nn.Module):
    """A vector per numeric cell: sines and cosines of learned frequencies, a linear layer per column, ReLU.

    A network on plain numbers learns smooth functions of each column; this lets it learn steps and bumps as well.

    Args:
        n_columns: numeric columns, p.
        n_frequencies: frequencies per column.
        dim: length of a cell's vector.
        frequency_scale: standard deviation of the frequencies at the start, for columns of about unit variance.

    Attributes:
        n_features: width of the output, p * (dim + 1): the numbers themselves, then their vectors.

    Source: Gorishniy, Rubachev, Babenko, 2022, On embeddings for numerical features in tabular deep learning, section
    3.3 ("PLR").
    """

    def __init__(self, n_columns: int, n_frequencies: int, dim: int, frequency_scale: float):
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(n_columns, n_frequencies) * frequency_scale)
        bound = 1 / math.sqrt(2 * n_frequencies)
        self.weight = nn.Parameter(torch.empty(n_columns, 2 * n_frequencies, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_columns, dim).uniform_(-bound, bound))
        self.n_features = n_columns * (dim + 1)

    def forward(self, numbers: Tensor) -> Tensor:
        """Float32 (n, p) -> float32 (n, n_features)."""
        angles = 2 * math.pi * numbers[:, :, None] * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=2)
        vectors = torch.relu(torch.einsum("npk,pkd->npd", waves, self.weight) + self.bias)
        return torch.cat([numbers, vectors.flatten(1)], dim=1)
