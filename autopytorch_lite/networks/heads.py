"""From features to outputs."""

from __future__ import annotations

from torch import nn


class LinearHead(nn.Linear):
    """The output layer: (n, n_features) -> (n, n_outputs), logits for classes or values of regression targets."""
