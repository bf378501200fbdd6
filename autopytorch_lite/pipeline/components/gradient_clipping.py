"""Whether long gradients are shortened before a step.

`build` returns the largest norm, or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Nothing
from autopytorch_lite.types import ConfigValue, DatasetInfo


class NormClipping(Component):
    """A gradient longer than a bound is scaled down to it."""

    name = "norm"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """The bound: the largest Euclidean norm of the whole gradient."""
        return (Float("max_norm", 0.1, 10.0, log=True, default=1.0),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> float:
        """The bound."""
        return float(values["max_norm"])


GRADIENT_CLIPPING = (Nothing(), NormClipping())
