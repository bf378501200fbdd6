"""TabM: k networks that share most of their weights and are trained at once, on the layers of the authors' package."""

from __future__ import annotations

from collections.abc import Sequence

import tabm
from torch import Tensor, nn

from autopytorch_lite.networks.layers import dropout_layers

STARTS = ("normal", "random-signs")
"""How the members' factors for the inputs start, which is what makes them differ."""


class TabM(nn.Module):
    """k multilayer perceptrons over the same input, which differ in a few factors per unit and in the output layer.

    Args:
        widths: units that each feature has in the input; a member's factors start equal within a feature.
        n_members: k.
        n_layers: hidden layers, at least 1.
        width: units of each.
        dropout: rate after each hidden layer, in [0, 1).
        is_mini: members differ in the factors of the inputs only, which is faster.
        start: one of `STARTS`; the source takes normal where numbers are embedded and signs where they are not.

    Attributes:
        vectors_per_row: k.
        n_features: width of a member's output.

    Source: Gorishniy, Kotelnikov, Babenko, 2024, TabM, section 3; package tabm 0.0.3.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        n_members: int,
        n_layers: int,
        width: int,
        dropout: float,
        is_mini: bool,
        start: str,
    ):
        super().__init__()
        self.view = tabm.EnsembleView(k=n_members)
        self.members = tabm.make_tabm_backbone(
            d_in=sum(widths),
            n_blocks=n_layers,
            d_block=width,
            dropout=0.0,
            k=n_members,
            arch_type="tabm-mini" if is_mini else "tabm",
            start_scaling_init=start,
            start_scaling_init_chunks=list(widths),
        )
        for block in self.members.blocks:
            block[-1] = nn.Sequential(*dropout_layers(dropout))  # ours is faster
        self.vectors_per_row = n_members
        self.n_features = width

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, k, n_features)."""
        features: Tensor = self.members(self.view(x))
        return features

    def new_head(self, n_outputs: int) -> nn.Module:
        """An output layer for each member: (n, k, n_features) -> (n, k, n_outputs)."""
        return tabm.LinearEnsemble(self.n_features, n_outputs, k=self.vectors_per_row)
