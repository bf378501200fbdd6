"""What training minimises.

`build` returns a `LossFactory`: a function from the training rows' targets to a loss per row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter
from autopytorch_lite.training import losses
from autopytorch_lite.training.losses import ClassWeightedCrossEntropy, RowLoss
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo

LossFactory: TypeAlias = Callable[[Array], RowLoss]
"""Targets of the training rows -> losses per row: weights must come from training rows alone."""


class _ForClasses(Component):
    """A loss for classes."""

    def applies(self, info: DatasetInfo) -> bool:
        """Only for classification."""
        return info.task.is_classification


class _ForValues(Component):
    """A loss for numbers; targets are standardised."""

    def applies(self, info: DatasetInfo) -> bool:
        """Only for regression."""
        return not info.task.is_classification


class CrossEntropy(_ForClasses):
    """Negative log-likelihood of the class."""

    name = "cross_entropy"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> LossFactory:
        """The same loss whatever the targets."""
        return lambda targets: losses.cross_entropy


class WeightedCrossEntropy(_ForClasses):
    """Negative log-likelihood of the class, weighted so that all classes count the same in training."""

    name = "cross_entropy_weighted"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> LossFactory:
        """A loss weighted by the class counts of the training targets."""
        return lambda targets: ClassWeightedCrossEntropy(np.bincount(targets, minlength=info.n_outputs).tolist())


class SmoothedCrossEntropy(_ForClasses):
    """Negative log-likelihood of labels of which a small share goes to all classes alike."""

    name = "cross_entropy_smoothed"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """The share."""
        return (Float("smoothing", 0.0, 0.3, default=0.1),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> LossFactory:
        """The same loss whatever the targets."""
        return lambda targets: losses.smoothed_cross_entropy(float(values["smoothing"]))


class SquaredError(_ForValues):
    """Squared error, averaged over targets."""

    name = "squared_error"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> LossFactory:
        """The same loss whatever the targets."""
        return lambda targets: losses.squared_error


class Huber(_ForValues):
    """Squared error up to delta standard deviations, linear beyond."""

    name = "huber"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Where the loss becomes linear, in standard deviations of the target."""
        return (Float("delta", 0.1, 10.0, log=True, default=1.0),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> LossFactory:
        """The same loss whatever the targets."""
        return lambda targets: losses.huber(float(values["delta"]))


LOSSES = (CrossEntropy(), WeightedCrossEntropy(), SmoothedCrossEntropy(), SquaredError(), Huber())
