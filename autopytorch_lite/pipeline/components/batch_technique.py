"""What is done with a batch before its loss is taken.

`build` returns a `training.regularization.BatchTechnique`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter
from autopytorch_lite.training import regularization
from autopytorch_lite.types import ConfigValue, DatasetInfo


class Standard(Component):
    """Rows as they are."""

    name = "standard"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> regularization.BatchTechnique:
        """The plain technique."""
        return regularization.Standard()


class Mixup(Component):
    """Rows blended with others, and their losses likewise."""

    name = "mixup"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Strength: shares are drawn from Beta(alpha, alpha)."""
        return (Float("alpha", 0.0, 1.0, default=0.2),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> regularization.BatchTechnique:
        """Mixup of that strength."""
        return regularization.Mixup(float(values["alpha"]))


BATCH_TECHNIQUES = (Standard(), Mixup())
