"""Which categorical columns are embedded, and how wide.

`build` returns `EmbeddedColumns`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autopytorch_lite.networks.embeddings import embedding_dim
from autopytorch_lite.pipeline.graph import Component, Float, Hyperparameter, Int
from autopytorch_lite.types import ConfigValue, DatasetInfo


@dataclass(frozen=True)
class EmbeddedColumns:
    """The categorical columns that the network embeds itself; the encoding step takes the others.

    Attributes:
        columns: their positions among the categorical columns, ascending.
        dims: units of each, in the same order.
    """

    columns: tuple[int, ...] = ()
    dims: tuple[int, ...] = ()


class NoEmbedding(Component):
    """All categorical columns follow the encoding step."""

    name = "none"

    def applies(self, info: DatasetInfo) -> bool:
        """Only where there is a categorical column."""
        return info.n_categorical > 0

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> EmbeddedColumns:
        """No column."""
        return EmbeddedColumns()


class LearnedEmbedding(Component):
    """Columns with many levels get a vector per level, learned with the network."""

    name = "learned"

    def applies(self, info: DatasetInfo) -> bool:
        """Only where there is a categorical column."""
        return info.n_categorical > 0

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """The levels from which a column is embedded, and one width for each column as a fraction of its levels."""
        widths = [Float(f"dimension_reduction_{j}", 0.0, 1.0, default=0.5) for j in range(info.n_categorical)]
        return (Int("min_unique_values_for_embedding", 3, 300, log=True, default=5), *widths)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> EmbeddedColumns:
        """The columns with enough levels, each with `embedding_dim` units."""
        n_levels_min = int(values["min_unique_values_for_embedding"])
        columns = tuple(j for j, n_levels in enumerate(info.cardinalities) if n_levels >= n_levels_min)
        dims = (embedding_dim(info.cardinalities[j], float(values[f"dimension_reduction_{j}"])) for j in columns)
        return EmbeddedColumns(columns, tuple(dims))


EMBEDDING = (NoEmbedding(), LearnedEmbedding())
