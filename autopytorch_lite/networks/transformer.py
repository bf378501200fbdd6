"""FT-Transformer: every feature is a token, and attention relates them; on the blocks of the authors' package."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from rtdl_revisiting_models import FTTransformerBackbone
from torch import Tensor, nn

MAX_TOKENS = 100
"""Of more features, neighbours share a token: time and memory grow with the square of the number of tokens."""

HIDDEN_SHARE = 4 / 3
"""Hidden units of a block's feed-forward part per unit of the token; gated, hence as many weights as for 2."""


class FeatureTokens(nn.Module):
    """The vector of a token for each feature: a linear layer of its own for the units it has in the input.

    Args:
        widths: units that each feature has in the input, in order.
        dim: length of a token.

    Source: Gorishniy, Rubachev, Khrulkov, Babenko, 2021, Revisiting deep learning models for tabular data, section 3.3,
    where a feature has one unit; a one-hot code gives the embedding of its level.
    """

    units: Tensor

    def __init__(self, widths: Sequence[int], dim: int):
        super().__init__()
        n_inputs, widest = sum(widths), max(widths)
        units = torch.full((len(widths), widest), n_inputs)
        start = 0
        for feature, width in enumerate(widths):
            units[feature, :width] = torch.arange(start, start + width)
            start += width
        self.register_buffer("units", units, persistent=False)
        bound = 1 / math.sqrt(dim)
        self.weight = nn.Parameter(torch.empty(len(widths), widest, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(len(widths), dim).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, n_features, dim)."""
        padded = torch.cat([x, x.new_zeros(len(x), 1)], dim=1)[:, self.units]
        return torch.einsum("nfw,fwd->nfd", padded, self.weight) + self.bias


def shared_widths(widths: Sequence[int]) -> list[int]:
    """Units of each token: those of one feature, or of as many neighbours as keep the tokens within `MAX_TOKENS`."""
    n_shared = math.ceil(len(widths) / MAX_TOKENS)
    return [sum(widths[start : start + n_shared]) for start in range(0, len(widths), n_shared)]


class FTTransformer(nn.Module):
    """Tokens of the features and one more, whose vector after the last block is the output.

    Args:
        widths: units that each feature has in the input, in order.
        n_blocks: attention and feed-forward, each with a residual connection; at least 1.
        n_heads: heads of the attention.
        head_dim: length of a token per head.
        attention_dropout: rate on the attention's shares, in [0, 1).
        hidden_dropout: rate on the hidden units of the feed-forward parts, in [0, 1).

    Attributes:
        vectors_per_row: tokens.
        n_features: width of the output, n_heads * head_dim.

    Source: Gorishniy, Rubachev, Khrulkov, Babenko, 2021, section 3.3; package rtdl_revisiting_models 0.0.2.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        n_blocks: int,
        n_heads: int,
        head_dim: int,
        attention_dropout: float,
        hidden_dropout: float,
    ):
        super().__init__()
        dim = n_heads * head_dim
        bound = 1 / math.sqrt(dim)
        shared = shared_widths(widths)
        self.tokens = FeatureTokens(shared, dim)
        self.output_token = nn.Parameter(torch.empty(1, 1, dim).uniform_(-bound, bound))
        self.blocks = FTTransformerBackbone(
            d_out=None,
            n_blocks=n_blocks,
            d_block=dim,
            attention_n_heads=n_heads,
            attention_dropout=attention_dropout,
            ffn_d_hidden_multiplier=HIDDEN_SHARE,
            ffn_dropout=hidden_dropout,
            residual_dropout=0.0,
        )
        self.exit = nn.Sequential(nn.LayerNorm(dim), nn.ReLU())
        self.vectors_per_row = 1 + len(shared)
        self.n_features = dim

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, n_features)."""
        tokens = torch.cat([self.output_token.expand(len(x), -1, -1), self.tokens(x)], dim=1)
        features: Tensor = self.exit(self.blocks(tokens))
        return features
