"""Learned vectors for the levels of categorical columns."""

from __future__ import annotations

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
