"""The whole network of a table: embedding, backbone, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TabularNetwork(nn.Module):
    """Outputs for rows of numbers and category codes.

    Args:
        embedding: maps codes (n, q) to vectors (n, q'); None if codes are not used.
        backbone: maps what `embed` returns to features (n, n_features).
        head: maps features to outputs (n, n_outputs).
        numeric_embedding: maps the first `n_numeric` numbers to vectors; None if they are used as they are.
        n_numeric: how many of the numbers, from the first, are embedded.
    """

    def __init__(
        self,
        embedding: nn.Module | None,
        backbone: nn.Module,
        head: nn.Module,
        numeric_embedding: nn.Module | None = None,
        n_numeric: int = 0,
    ):
        super().__init__()
        self.embedding = embedding
        self.numeric_embedding = numeric_embedding
        self.n_numeric = n_numeric
        self.backbone = backbone
        self.head = head

    def forward(self, dense: Tensor, codes: Tensor) -> Tensor:
        """Float32 (n, d) and int64 (n, q) -> (n, n_outputs): logits for classes, values for regression targets."""
        return self.outputs(self.embed(dense, codes))

    def embed(self, dense: Tensor, codes: Tensor) -> Tensor:
        """The backbone's input, (n, d + q'): numbers first, then embedded codes. Mixup interpolates here."""
        parts = [dense]
        if self.numeric_embedding is not None:
            parts = [self.numeric_embedding(dense[:, : self.n_numeric]), dense[:, self.n_numeric :]]
        if self.embedding is not None:
            parts.append(self.embedding(codes))
        return torch.cat(parts, dim=1) if len(parts) > 1 else dense

    def outputs(self, embedded: Tensor) -> Tensor:
        """What follows `embed`."""
        result: Tensor = self.head(self.backbone(embedded))
        return result
