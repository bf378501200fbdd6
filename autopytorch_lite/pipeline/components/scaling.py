"""Bringing numeric columns to a common size.

`build` returns an unfitted transformer with scikit-learn's interface, (n, p) -> (n, p), or None.
"""

from __future__ import annotations

from collections.abc import Mapping

from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, QuantileTransformer, StandardScaler

from autopytorch_lite.pipeline.graph import Component, Nothing
from autopytorch_lite.types import ConfigValue, DatasetInfo

MAX_QUANTILES = 1_000


class Standardize(Component):
    """Zero mean and unit variance."""

    name = "standardize"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> StandardScaler:
        """A scaler with scikit-learn's interface, not yet fitted."""
        return StandardScaler()


class MinMax(Component):
    """The training rows' range becomes 0 to 1."""

    name = "minmax"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> MinMaxScaler:
        """A scaler with scikit-learn's interface, not yet fitted."""
        return MinMaxScaler()


class MaxAbs(Component):
    """Division by the largest magnitude; zeros stay zeros."""

    name = "maxabs"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> MaxAbsScaler:
        """A scaler with scikit-learn's interface, not yet fitted."""
        return MaxAbsScaler()


class Quantile(Component):
    """Ranks among the training rows, spread like a normal distribution; outliers and skew lose their weight."""

    name = "quantile"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> QuantileTransformer:
        """A scaler with scikit-learn's interface, not yet fitted."""
        n_quantiles = max(2, min(MAX_QUANTILES, info.n_rows // 4))
        return QuantileTransformer(n_quantiles=n_quantiles, output_distribution="normal", random_state=0)


SCALING = (Standardize(), MinMax(), MaxAbs(), Quantile(), Nothing())
