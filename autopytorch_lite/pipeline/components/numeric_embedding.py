"""How the network reads numeric columns: as they are, or as learned vectors.

`build` returns a `NumericEmbeddingFactory`, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeAlias

from autopytorch_lite.networks.embeddings import (
    NumericEmbedding,
    PBLDEmbedding,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
)
from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Int, Nothing
from autopytorch_lite.types import ConfigValue, DatasetInfo

MAX_WIDTH = 1_000
"""Units that the vectors of all columns may have together; with many columns each gets a shorter one."""


NumericEmbeddingFactory: TypeAlias = Callable[[], NumericEmbedding]
"""Makes the module, drawing from torch's global generator."""


class NoNumericEmbedding(Nothing):
    """Numbers enter the network as they are."""

    def applies(self, info: DatasetInfo) -> bool:
        """Only where there is a numeric column."""
        return info.n_numeric > 0


class _Vectors(Component):
    """A vector of length `dim` for each cell.

    Attributes:
        make: (n_columns, hyperparameters) -> module, one of `networks.embeddings`.
        own: the hyperparameters, `dim` among them.
    """

    make: ClassVar[Callable[..., NumericEmbedding]]
    own: ClassVar[tuple[Hyperparameter, ...]]

    def applies(self, info: DatasetInfo) -> bool:
        """Only where there is a numeric column, and no more than get a vector within `MAX_WIDTH`."""
        return 0 < info.n_numeric <= MAX_WIDTH

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Sizes, and how the embedding starts."""
        return self.own

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> NumericEmbeddingFactory:
        """A function that makes the module; `dim` is cut so that all vectors together stay within `MAX_WIDTH`."""
        dim = min(int(values["dim"]), MAX_WIDTH // info.n_numeric)
        arguments: dict[str, Any] = {**values, "dim": dim}
        return partial(self.make, info.n_numeric, **arguments)


class PeriodicNumericEmbedding(_Vectors):
    """Sines and cosines of learned frequencies, then a linear layer and ReLU for each column."""

    name = "periodic"
    make = PeriodicEmbedding
    own = (
        Int("n_frequencies", 4, 96, log=True, default=16),
        Int("dim", 1, 64, log=True, default=8),
        Float("frequency_scale", 0.01, 10.0, log=True, default=0.5),
    )


class PBLDNumericEmbedding(_Vectors):
    """Cosines of learned frequencies and phases, then a linear layer for each column, learned slowly."""

    name = "pbld"
    make = PBLDEmbedding
    own = (
        Int("n_frequencies", 4, 96, log=True, default=16),
        Int("dim", 1, 64, log=True, default=3),
        Float("frequency_scale", 0.01, 10.0, log=True, default=0.1),
    )


class PiecewiseLinearNumericEmbedding(_Vectors):
    """A vector that is a linear function of the number within each of a column's bins between quantiles."""

    name = "piecewise_linear"
    make = PiecewiseLinearEmbedding
    own = (Int("n_bins", 4, 128, log=True, default=48), Int("dim", 1, 64, log=True, default=8))


NUMERIC_EMBEDDING = (
    NoNumericEmbedding(),
    PeriodicNumericEmbedding(),
    PBLDNumericEmbedding(),
    PiecewiseLinearNumericEmbedding(),
)
