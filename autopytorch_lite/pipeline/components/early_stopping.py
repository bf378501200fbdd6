"""Whether training ends before its budget does.

`build` returns a `training.stopping.EarlyStopping`, or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autopytorch_lite.pipeline.graph import Component, Hyperparameter, Int, Nothing
from autopytorch_lite.training.stopping import EarlyStopping
from autopytorch_lite.types import ConfigValue, DatasetInfo


class Patience(Component):
    """Training ends after some epochs without a better validation score, and the best epoch's weights predict."""

    name = "patience"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Epochs to wait."""
        return (Int("patience", 3, 50, log=True, default=10),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> EarlyStopping:
        """The rule that the trainer asks after each epoch."""
        return EarlyStopping(int(values["patience"]))


EARLY_STOPPING = (Nothing(), Patience())
