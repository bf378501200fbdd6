"""Whose weights are scored and predict: those of the last step, or an average over steps.

`build` returns the half-life of the average in epochs, or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Nothing
from autopytorch_lite.types import ConfigValue, DatasetInfo


class MovingAverage(Component):
    """An exponential moving average of the weights over all steps."""

    name = "moving"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """After how many epochs a step counts half as much."""
        return (Float("half_life", 0.1, 10.0, log=True, default=1.0),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> float:
        """The half-life in epochs."""
        return float(values["half_life"])


WEIGHT_AVERAGING = (Nothing(), MovingAverage())
