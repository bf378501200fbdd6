"""Categorical columns as numbers, for every column that no embedding takes.

The encoders see level codes 0 .. n - 1 of a column, and n for a missing or unseen level: missing is a level of its own.

`build` returns an `Encoding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

from autopytorch_lite.pipeline.graph import Component
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray, IntArray

MAX_LEVELS = 100
"""Most columns that the one-hot code of a single categorical column takes."""

MAX_WIDTH = 2000
"""Most columns that all one-hot codes of a table take together, as long as each column gets `MIN_LEVELS`."""

MIN_LEVELS = 8

MAX_ONE_HOT_LEVELS = 10
"""Levels up to which the encoding "target" keeps the one-hot code, which loses nothing."""

MAX_STATISTICS_CLASSES = 10
"""Classes, the most frequent ones, that each get a statistic."""

N_STATISTICS_FOLDS = 5
"""Folds of the training rows from which a row's own target statistics are made; scikit-learn's number."""


@dataclass(frozen=True)
class Encoding:
    """How codes become numbers.

    Attributes:
        transformer: encoder with scikit-learn's interface, codes (n, q) -> numbers (n, w); None: the codes themselves.
        scaled: whether the result passes the scaling step together with the numeric columns.
        learns_targets: whether `fit` of the transformer learns from targets; `fit_transform` then encodes each row
            without its own target, and the same rows must be encoded by it for training.
    """

    transformer: Any | None
    scaled: bool
    learns_targets: bool = False


def encoded_widths(encoder: Any) -> tuple[int, ...]:
    """Columns that a fitted one-hot encoder makes of each column: its levels, the infrequent ones as one.

    Empty for other encoders, whose columns belong to nobody in particular.
    """
    if not isinstance(encoder, OneHotEncoder):
        return ()
    n_merged = [0 if levels is None else len(levels) - 1 for levels in encoder.infrequent_categories_]
    return tuple(len(levels) - n for levels, n in zip(encoder.categories_, n_merged, strict=True))


class _ForCategories(Component):
    """What the encodings share: they are absent where there is nothing to encode."""

    def applies(self, info: DatasetInfo) -> bool:
        """Only where there is a categorical column."""
        return info.n_categorical > 0


class OneHotEncoding(_ForCategories):
    """One column per level; rare levels of wide columns share one, levels absent from training are all zeros."""

    name = "one_hot"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Encoding:
        """An unscaled one-hot code whose width is bounded by `MAX_LEVELS` a column and about `MAX_WIDTH` in all."""
        fair_share = MAX_WIDTH // max(info.n_categorical, 1)
        encoder = OneHotEncoder(
            max_categories=int(np.clip(fair_share, MIN_LEVELS, MAX_LEVELS)),
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
            dtype=np.float32,
        )
        return Encoding(encoder, scaled=False)


class OrdinalEncoding(_ForCategories):
    """The level code itself, scaled like a numeric column."""

    name = "ordinal"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Encoding:
        """The codes, to be scaled."""
        return Encoding(None, scaled=True)


class TargetEncoding(_ForCategories):
    """Average targets of a level's training rows for columns with many levels, a one-hot code for the others."""

    name = "target"

    def applies(self, info: DatasetInfo) -> bool:
        """Only where a column has so many levels."""
        return any(n_levels > MAX_ONE_HOT_LEVELS for n_levels in info.cardinalities)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Encoding:
        """Statistics that are standardised already."""
        n_classes = info.n_outputs if info.task.is_classification else 0
        return Encoding(TargetStatistics(n_classes), scaled=False, learns_targets=True)


class TargetStatistics(TransformerMixin, BaseEstimator):
    """Encodes columns with many levels by the average target of each level, and others by a one-hot code.

    The average of a level is drawn towards that of all rows, the more the fewer rows it has. There is one for each
    class (for two classes one), or for each regression target; they are standardised. Sample weights do not count.

    `fit_transform` encodes each row by the rows of other folds: an average that knows the row's own target would tell
    it to whatever learns from the result.

    Args:
        n_classes: of the data set; 0 where the targets are values.
        max_one_hot_levels: levels in the training rows up to which a column gets a one-hot code.
        random_state: of the folds.

    Source: Micci-Barreca 2001, "A preprocessing scheme for high-cardinality categorical attributes", with the amount of
    shrinkage that scikit-learn's `TargetEncoder` estimates; folds as there.
    """

    def __init__(self, n_classes: int = 0, max_one_hot_levels: int = MAX_ONE_HOT_LEVELS, random_state: int = 0):
        self.n_classes = n_classes
        self.max_one_hot_levels = max_one_hot_levels
        self.random_state = random_state

    def fit(self, X: IntArray, y: Array) -> TargetStatistics:
        """Learn from codes, shape (n, q), and class codes (n,) or values, (n,) or (n, n_targets)."""
        self.is_wide_ = np.array([len(np.unique(column)) > self.max_one_hot_levels for column in X.T], dtype=bool)
        narrow, wide = X[:, ~self.is_wide_], X[:, self.is_wide_]
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        self.one_hot_ = one_hot.fit(narrow) if narrow.shape[1] else None
        self.encoders_ = _target_encoders(wide, self._columns(y))
        statistics = _statistics(self.encoders_, wide)
        spread = statistics.std(axis=0)
        self.center_, self.spread_ = statistics.mean(axis=0), np.where(spread > 0, spread, 1.0)
        return self

    def fit_transform(self, X: IntArray, y: Array) -> FloatArray:
        """Learn from rows, and encode them as training inputs, shape (n, w)."""
        self.fit(X, y)
        wide, columns = X[:, self.is_wide_], self._columns(y)
        statistics = np.empty((len(X), len(self.center_)))
        folds = KFold(min(N_STATISTICS_FOLDS, len(X)), shuffle=True, random_state=self.random_state)
        for others, rows in folds.split(X):
            statistics[rows] = _statistics(_target_encoders(wide[others], columns[others]), wide[rows])
        return self._joined(X, statistics)

    def transform(self, X: IntArray) -> FloatArray:
        """Encode other rows, shape (n, w); levels that training lacks get the average of all rows."""
        return self._joined(X, _statistics(self.encoders_, X[:, self.is_wide_]))

    def _columns(self, y: Array) -> FloatArray:
        """What is averaged: whether a row has the class, or its targets, float64, shape (n, k)."""
        if not self.n_classes:
            return np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        by_frequency = np.argsort(-np.bincount(y, minlength=self.n_classes), kind="stable")
        kept = by_frequency[: 1 if self.n_classes == 2 else MAX_STATISTICS_CLASSES]
        return (y[:, None] == kept).astype(np.float64)

    def _joined(self, X: IntArray, statistics: FloatArray) -> FloatArray:
        standardized = (statistics - self.center_) / self.spread_
        if self.one_hot_ is None:
            return standardized
        return np.hstack([self.one_hot_.transform(X[:, ~self.is_wide_]), standardized])


def _target_encoders(wide: IntArray, columns: FloatArray) -> list[TargetEncoder]:
    """One for each column of targets; none where there is nothing to encode."""
    return [TargetEncoder(target_type="continuous").fit(wide, column) for column in columns.T if wide.shape[1]]


def _statistics(encoders: list[TargetEncoder], wide: IntArray) -> FloatArray:
    return np.hstack([np.empty((len(wide), 0)), *(encoder.transform(wide) for encoder in encoders)])


def missing_as_level(codes: IntArray, cardinalities: Sequence[int] | IntArray) -> IntArray:
    """Level codes, int64 (n, q), in which missing (below 0) is one above the largest level of its column."""
    return np.where(codes < 0, np.asarray(cardinalities, dtype=np.int64), codes.astype(np.int64))


ENCODING = (OneHotEncoding(), OrdinalEncoding(), TargetEncoding())
