"""Filling the gaps of numeric columns; missing categories are a level of their own and need none of this.

`build` returns an unfitted transformer with scikit-learn's interface: numeric (n, p) with NaN -> (n, p) without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sklearn.impute import SimpleImputer

from autopytorch_lite.pipeline.graph import Component
from autopytorch_lite.types import ConfigValue, DatasetInfo


class _Statistic(Component):
    """Gaps become one statistic of the column's training rows; a column of nothing but gaps becomes zero."""

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> SimpleImputer:
        """An imputer with scikit-learn's interface, not yet fitted."""
        return SimpleImputer(strategy=self.name, keep_empty_features=True)


class MeanImputation(_Statistic):
    """Gaps become the mean of their column."""

    name: ClassVar[str] = "mean"


class MedianImputation(_Statistic):
    """Gaps become the median of their column."""

    name: ClassVar[str] = "median"


class MostFrequentImputation(_Statistic):
    """Gaps become the most frequent value of their column."""

    name: ClassVar[str] = "most_frequent"


IMPUTATION = (MeanImputation(), MedianImputation(), MostFrequentImputation())
