"""How the network reads numeric columns: as they are, or as learned vectors.

`build` returns `PeriodicColumns`, or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Int, Nothing
from autopytorch_lite.types import ConfigValue, DatasetInfo

MAX_WIDTH = 1_000
"""Units that the vectors of all columns may have together; with many columns each gets a shorter one."""


@dataclass(frozen=True)
class PeriodicColumns:
    """Sizes of a `networks.embeddings.PeriodicEmbedding`."""

    n_columns: int
    n_frequencies: int
    dim: int
    frequency_scale: float


class NoNumericEmbedding(Nothing):
    """Numbers enter the network as they are."""

    def applies(self, info: DatasetInfo) -> bool:
        """Only where there is a numeric column."""
        return info.n_numeric > 0


class PeriodicNumericEmbedding(Component):
    """Sines and cosines of learned frequencies, then a linear layer and ReLU for each column."""

    name = "periodic"

    def applies(self, info: DatasetInfo) -> bool:
        """Only where there is a numeric column, and no more than get a vector within `MAX_WIDTH`."""
        return 0 < info.n_numeric <= MAX_WIDTH

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Number and first spread of the frequencies, length of the vectors."""
        return (
            Int("n_frequencies", 4, 96, log=True, default=16),
            Int("dim", 1, 64, log=True, default=8),
            Float("frequency_scale", 0.01, 10.0, log=True, default=0.5),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> PeriodicColumns:
        """Sizes; `dim` is cut so that all vectors together stay within `MAX_WIDTH`."""
        dim = min(int(values["dim"]), MAX_WIDTH // info.n_numeric)
        return PeriodicColumns(info.n_numeric, int(values["n_frequencies"]), dim, float(values["frequency_scale"]))


NUMERIC_EMBEDDING = (NoNumericEmbedding(), PeriodicNumericEmbedding())
