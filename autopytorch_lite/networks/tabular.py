"""The whole network of a table: embedding, backbone, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autopytorch_lite.networks.embeddings import NumericEmbedding


class TabularNetwork(nn.Module):
    """Outputs for rows of numbers and category codes.

    Args:
        embedding: maps codes (n, q) to vectors (n, q'); None if codes are not used.
        backbone: maps what `embed` returns to features (n, n_features), or, as an ensemble of k networks trained at
            once, (n, k, n_features).
        head: maps features to outputs (n, n_outputs), or (n, k, n_outputs).
        numeric_embedding: maps the first of the numbers, its `n_columns`, to vectors; None if all are used as they are.

    Attributes:
        vectors_per_row: how many vectors the backbone makes of a row (members of an ensemble, tokens), its attribute of
            that name; 1 unless it says so. Fewer rows are evaluated at once then.
    """

    def __init__(
        self,
        embedding: nn.Module | None,
        backbone: nn.Module,
        head: nn.Module,
        numeric_embedding: NumericEmbedding | None = None,
    ):
        super().__init__()
        self.embedding = embedding
        self.numeric_embedding = numeric_embedding
        self.backbone = backbone
        self.head = head
        self.vectors_per_row = int(getattr(backbone, "vectors_per_row", 1))

    def forward(self, dense: Tensor, codes: Tensor) -> Tensor:
        """Float32 (n, d) and int64 (n, q) -> outputs: logits for classes, values for regression targets.

        Shape (n, n_outputs), or (n, k, n_outputs) of an ensemble, whose prediction is the mean of its members'.
        """
        return self.outputs(self.embed(dense, codes))

    def embed(self, dense: Tensor, codes: Tensor) -> Tensor:
        """The backbone's input, (n, d + q'): numbers first, then embedded codes. Mixup interpolates here."""
        parts = [dense]
        if self.numeric_embedding is not None:
            n_columns = self.numeric_embedding.n_columns
            parts = [self.numeric_embedding(dense[:, :n_columns]), dense[:, n_columns:]]
        if self.embedding is not None:
            parts.append(self.embedding(codes))
        return torch.cat(parts, dim=1) if len(parts) > 1 else dense

    def outputs(self, embedded: Tensor) -> Tensor:
        """What follows `embed`."""
        result: Tensor = self.head(self.backbone(embedded))
        return result
