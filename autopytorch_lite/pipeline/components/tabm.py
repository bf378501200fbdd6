"""TabM as a backbone; see `networks.tabm` for the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from autopytorch_lite.networks.tabm import STARTS, TabM
from autopytorch_lite.pipeline.components.backbones import Featurewise
from autopytorch_lite.pipeline.graph import Categorical, Component, Float, Hyperparameter, Int
from autopytorch_lite.types import ConfigValue, DatasetInfo


class TabMBackbone(Component):
    """Several multilayer perceptrons in one, with most weights in common; the mean of their predictions counts."""

    name = "tabm"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Members, hidden layers, their width, dropout, and how members differ."""
        return (
            Int("n_members", 2, 32, log=True, default=16),
            Int("n_layers", 1, 5, default=2),
            Int("width", 32, 512, log=True, default=128),
            Float("dropout", 0.0, 0.6, default=0.1),
            Categorical("is_mini", (False, True), default=False),
            Categorical("start", STARTS, default="normal"),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Featurewise:
        """A function of the features' widths."""
        arguments: dict[str, Any] = dict(values)
        return Featurewise(partial(TabM, **arguments))


TABM = TabMBackbone()
