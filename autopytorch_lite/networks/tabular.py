"""The whole network of a table: embedding, backbone, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TabularNetwork(nn.Module):
    """Outputs for rows of numbers and category codes.

    Args:
        embedding: maps codes (n, q) to vectors (n, q'); None if codes are not used.
        backbone: maps (n, d + q') to features (n, n_features).
        head: maps features to outputs (n, n_outputs).
    """

    def __init__(self, embedding: nn.Module | None, backbone: nn.Module, head: nn.Module):
        super().__init__()
        self.embedding = embedding
        self.backbone = backbone
        self.head = head

    def forward(self, dense: Tensor, codes: Tensor) -> Tensor:
        """Float32 (n, d) and int64 (n, q) -> (n, n_outputs): logits for classes, values for regression targets."""
        return self.outputs(self.embed(dense, codes))

    def embed(self, dense: Tensor, codes: Tensor) -> Tensor:
        """The backbone's input, (n, d + q'): numbers first, then embedded codes. Mixup interpolates here."""
        if self.embedding is None:
            return dense
        return torch.cat([dense, self.embedding(codes)], dim=1)

    def outputs(self, embedded: Tensor) -> Tensor:
        """What follows `embed`."""
        result: Tensor = self.head(self.backbone(embedded))
        return result
