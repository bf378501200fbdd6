"""Bringing numeric columns to a common size.

`build` returns an unfitted transformer with scikit-learn's interface, (n, p) -> (n, p), or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, QuantileTransformer, StandardScaler

from autopytorch_lite.pipeline.graph import Categorical, Component, Hyperparameter, Nothing
from autopytorch_lite.types import ConfigValue, DatasetInfo, FloatArray

MAX_QUANTILES = 1_000

NOISE = 1e-3
"""Spread of the noise that splits ties, in standard deviations of the column or its units, whichever is less."""

CLIP = 3.0
"""Bound of smoothly clipped values, in interquartile ranges."""


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


class NoisyQuantileTransformer(QuantileTransformer):
    """Quantiles of columns to which a little noise was added, which splits ties.

    Without it the most frequent value of a column lands on the very edge of the normal distribution if it is the lowest
    one, as zero often is; with it, in the middle of its share.

    Source: Gorishniy et al., 2021, Revisiting deep learning models for tabular data, appendix; the spread of the noise
    is that of the authors' program, `NOISE` and at most so many standard deviations of the column.
    """

    def fit(self, X: FloatArray, y: None = None) -> NoisyQuantileTransformer:
        """Learn the quantiles of X, (n, p), plus noise drawn with `random_state`."""
        spread = NOISE * np.minimum(1.0, X.std(axis=0) / NOISE)
        noise = np.random.default_rng(self.random_state).normal(size=X.shape)
        fitted: NoisyQuantileTransformer = super().fit(X + spread * noise)
        return fitted


class Quantile(Component):
    """Ranks among the training rows, spread like a normal distribution; outliers and skew lose their weight."""

    name = "quantile"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Whether ties are split."""
        return (Categorical("split_ties", (False, True), default=False),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> QuantileTransformer:
        """A scaler with scikit-learn's interface, not yet fitted."""
        n_quantiles = max(2, min(MAX_QUANTILES, info.n_rows // 4))
        make = NoisyQuantileTransformer if values["split_ties"] else QuantileTransformer
        return make(n_quantiles=n_quantiles, output_distribution="normal", random_state=0)


class SmoothClippingScaler(TransformerMixin, BaseEstimator):
    """Median and interquartile range become 0 and 1, and values beyond are bent to stay within +-`CLIP`.

    z = (x - median) / range, then z / sqrt(1 + (z / CLIP) ** 2). Where the interquartile range is zero, half of the
    whole range takes its place; constant columns become zero.

    Source: Holzmueller, Grinsztajn, Steinwart, 2024, Better by default, section 3 ("robust scale and smooth clip").
    """

    def fit(self, X: FloatArray, y: None = None) -> SmoothClippingScaler:
        """Learn medians and ranges of the columns of X, (n, p)."""
        lowest, lower, self.center_, upper, highest = np.quantile(X, [0, 0.25, 0.5, 0.75, 1], axis=0)
        ranges = np.where(upper > lower, upper - lower, (highest - lowest) / 2)
        self.factor_ = np.divide(1.0, ranges, out=np.zeros_like(ranges), where=ranges > 0)
        return self

    def transform(self, X: FloatArray) -> FloatArray:
        """(n, p) -> (n, p), within +-`CLIP`."""
        scaled = (X - self.center_) * self.factor_
        return scaled / np.sqrt(1 + np.square(scaled / CLIP))


class SmoothClipping(Component):
    """Median and interquartile range become 0 and 1, and outliers are bent inwards smoothly."""

    name = "smooth_clip"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> SmoothClippingScaler:
        """A scaler with scikit-learn's interface, not yet fitted."""
        return SmoothClippingScaler()


SCALING = (Standardize(), MinMax(), MaxAbs(), Quantile(), SmoothClipping(), Nothing())
