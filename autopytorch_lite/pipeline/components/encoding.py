"""Categorical columns as numbers, for every column that no embedding takes.

The encoders see level codes 0 .. n - 1 of a column, and n for a missing or unseen level: missing is a level of its own.

`build` returns an `Encoding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import OneHotEncoder

from autopytorch_lite.pipeline.graph import Component
from autopytorch_lite.types import ConfigValue, DatasetInfo

MAX_LEVELS = 100
"""Most columns that the one-hot code of a single categorical column takes."""

MAX_WIDTH = 2000
"""Most columns that all one-hot codes of a table take together, as long as each column gets `MIN_LEVELS`."""

MIN_LEVELS = 8


@dataclass(frozen=True)
class Encoding:
    """How codes become numbers.

    Attributes:
        transformer: encoder with scikit-learn's interface, codes (n, q) -> numbers (n, w); None: the codes themselves.
        scaled: whether the result passes the scaling step together with the numeric columns.
    """

    transformer: Any | None
    scaled: bool


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


ENCODING = (OneHotEncoding(), OrdinalEncoding())
