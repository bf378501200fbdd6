"""FT-Transformer as a backbone; see `networks.transformer` for the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from autopytorch_lite.networks.transformer import FTTransformer
from autopytorch_lite.pipeline.components.backbones import Featurewise
from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Int
from autopytorch_lite.types import ConfigValue, DatasetInfo


class FTTransformerBackbone(Component):
    """Attention between the features of a row, each of which is a token; slow where there are many."""

    name = "ft_transformer"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Blocks, heads, length of a token per head, dropout of attention and hidden units."""
        return (
            Int("n_blocks", 1, 4, default=2),
            Int("n_heads", 1, 8, log=True, default=4),
            Int("head_dim", 4, 24, log=True, default=8),
            Float("attention_dropout", 0.0, 0.5, default=0.1),
            Float("hidden_dropout", 0.0, 0.5, default=0.1),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Featurewise:
        """A function of the features' widths."""
        arguments: dict[str, Any] = dict(values)
        return Featurewise(partial(FTTransformer, **arguments))


FT_TRANSFORMER = FTTransformerBackbone()
