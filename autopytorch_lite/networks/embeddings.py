"""Learned vectors for the levels of categorical columns and for the values of numeric ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autopytorch_lite.networks.paces import REALMLP_RATE, Pace


def embedding_dim(cardinality: int, reduction: float) -> int:
    """Length of the vector for a column: trunc(reduction * cardinality), kept within 1 .. cardinality - 1 (at least 1).

    Source: Auto-PyTorch 0.0.2, networks/feature/embedding.py.
    """
    return max(1, min(int(reduction * cardinality), cardinality - 1))


class EntityEmbedding(nn.Module):
    """One table of vectors per categorical column; row 0 is for cells that are missing or hold a level unseen in
    training.

    Row 0 starts at zero, the mean of the others, and learns only from missing cells: a column complete in training
    treats an unseen level as an average one.

    Args:
        cardinalities: number of known levels of each column.
        dims: length of each column's vectors.

    Attributes:
        n_features: width of the output, the sum of `dims`.

    Source: Guo, Berkhahn, 2016, Entity embeddings of categorical variables.
    """

    def __init__(self, cardinalities: Sequence[int], dims: Sequence[int]):
        super().__init__()
        self.tables = nn.ModuleList(
            nn.Embedding(cardinality + 1, dim) for cardinality, dim in zip(cardinalities, dims, strict=True)
        )
        for table in self.tables:
            nn.init.zeros_(table.get_parameter("weight").data[0])
        self.n_features = sum(dims)

    def forward(self, codes: Tensor) -> Tensor:
        """int64 (n, q), codes -1 (missing or unseen) .. cardinality - 1 -> float32 (n, n_features)."""
        rows = codes + 1
        return torch.cat([table(rows[:, column]) for column, table in enumerate(self.tables)], dim=1)


class NumericEmbedding(nn.Module):
    """What embeddings of numbers share: (n, p) -> (n, n_features), as many units for each of the p columns, in order.

    Attributes:
        n_columns: numeric columns, p.
        n_features: width of the output.
    """

    n_columns: int
    n_features: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each column."""
        return (self.n_features // self.n_columns,) * self.n_columns


class PeriodicEmbedding(NumericEmbedding):
    """A vector per numeric cell: sines and cosines of learned frequencies, a linear layer per column, ReLU.

    A network on plain numbers learns smooth functions of each column; this lets it learn steps and bumps as well.

    Args:
        n_columns: numeric columns, p.
        n_frequencies: frequencies per column.
        dim: length of a cell's vector.
        frequency_scale: standard deviation of the frequencies at the start, for columns of about unit variance.

    Attributes:
        n_features: width of the output, p * (dim + 1): column by column the number itself, then its vector.

    Source: Gorishniy, Rubachev, Babenko, 2022, On embeddings for numerical features in tabular deep learning, section
    3.3 ("PLR").
    """

    def __init__(self, n_columns: int, n_frequencies: int, dim: int, frequency_scale: float):
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(n_columns, n_frequencies) * frequency_scale)
        bound = 1 / math.sqrt(2 * n_frequencies)
        self.weight = nn.Parameter(torch.empty(n_columns, 2 * n_frequencies, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_columns, dim).uniform_(-bound, bound))
        self.n_columns = n_columns
        self.n_features = n_columns * (dim + 1)

    def forward(self, numbers: Tensor) -> Tensor:
        """Float32 (n, p) -> float32 (n, n_features)."""
        angles = 2 * math.pi * numbers[:, :, None] * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=2)
        vectors = torch.relu(by_column(waves, self.weight) + self.bias)
        return torch.cat([numbers[:, :, None], vectors], dim=2).flatten(1)


class PBLDEmbedding(NumericEmbedding):
    """A vector per numeric cell: cosines with learned frequencies and phases, then a linear layer per column.

    "Periodic, bias, linear, densely connected": as `PeriodicEmbedding`, with phases in place of sines and no ReLU. Its
    parameters are learned ten times as slowly as the weights of `realmlp.RealMLP`.

    Args:
        n_columns: numeric columns, p.
        n_frequencies: frequencies per column.
        dim: length of a cell's vector.
        frequency_scale: standard deviation of the frequencies at the start, for columns of about unit spread.

    Attributes:
        n_features: width of the output, p * (dim + 1): column by column the number itself, then its vector.

    Source: Holzmueller, Grinsztajn, Steinwart, 2024, Better by default, section 3 and appendix A ("PBLD").
    """

    paces = dict.fromkeys(("frequencies", "phases", "weight", "bias"), Pace(0.1 * REALMLP_RATE, 0.1))

    def __init__(self, n_columns: int, n_frequencies: int, dim: int, frequency_scale: float):
        super().__init__()
        bound = 1 / math.sqrt(n_frequencies)
        self.frequencies = nn.Parameter(torch.randn(n_columns, n_frequencies) * frequency_scale)
        self.phases = nn.Parameter(torch.empty(n_columns, n_frequencies).uniform_(-math.pi, math.pi))
        self.weight = nn.Parameter(torch.empty(n_columns, n_frequencies, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_columns, dim).uniform_(-bound, bound))
        self.n_columns = n_columns
        self.n_features = n_columns * (dim + 1)

    def forward(self, numbers: Tensor) -> Tensor:
        """Float32 (n, p) -> float32 (n, n_features)."""
        waves = torch.cos(2 * math.pi * numbers[:, :, None] * self.frequencies + self.phases)
        vectors = by_column(waves, self.weight) + self.bias
        return torch.cat([numbers[:, :, None], vectors], dim=2).flatten(1)


class PiecewiseLinearEmbedding(NumericEmbedding):
    """A vector per numeric cell, a linear function of the number within each of a column's bins.

    A cell is coded by one number per bin: 1 for the bins below it, 0 for those above it, and its relative position for
    the bin that it lies in; a linear layer per column follows. At the start the vector is linear in the number: what
    belongs to the bins is added and starts at zero. The edges are quantiles of the training rows, see
    `start_from`; a code moves at most one more bin's width beyond the outer edges.

    Args:
        n_columns: numeric columns, p.
        n_bins: bins per column; a column of few distinct values leaves some unused.
        dim: length of a cell's vector.

    Attributes:
        n_features: width of the output, p * dim.

    Source: Gorishniy, Rubachev, Babenko, 2022, On embeddings for numerical features in tabular deep learning, equation
    1 and section 3.2.1; the linear part is that of Gorishniy, Kotelnikov, Babenko, 2024, TabM (package
    rtdl_num_embeddings 0.0.12, version "B", without activation).
    """

    slopes: Tensor
    offsets: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, n_columns: int, n_bins: int, dim: int):
        super().__init__()
        for name in ("slopes", "offsets", "lowest", "highest"):
            self.register_buffer(name, torch.zeros(n_columns, n_bins))
        bound = 1 / math.sqrt(dim)
        self.linear = nn.Parameter(torch.empty(n_columns, dim).uniform_(-bound, bound))
        self.weight = nn.Parameter(torch.zeros(n_columns, n_bins, dim))
        self.bias = nn.Parameter(torch.empty(n_columns, dim).uniform_(-bound, bound))
        self.n_columns = n_columns
        self.n_features = n_columns * dim

    def start_from(self, numbers: Tensor) -> None:
        """Put the edges at equally spaced quantiles of the columns of `numbers`, float32 (n, p), each value once."""
        levels = torch.linspace(0, 1, self.slopes.shape[1] + 1, dtype=torch.float64)
        quantiles = torch.quantile(numbers.double(), levels, dim=0).T
        for buffer in (self.slopes, self.offsets, self.lowest, self.highest):
            buffer.zero_()
        for column, edges in enumerate(quantiles):
            self._set_edges(column, torch.unique(edges.float()).double())

    def _set_edges(self, column: int, edges: Tensor) -> None:
        """Bins between ascending edges; those not needed stay zero whatever the number."""
        widths = edges.diff()
        n_used = len(widths)
        if n_used == 0:
            return
        self.slopes[column, :n_used] = 1 / widths
        self.offsets[column, :n_used] = -edges[:-1] / widths
        self.highest[column, :n_used] = 1.0
        self.lowest[column, 0] = -1.0
        self.highest[column, n_used - 1] = 2.0

    def encode(self, numbers: Tensor) -> Tensor:
        """Float32 (n, p) -> the numbers of the bins, float32 (n, p, n_bins)."""
        positions = torch.addcmul(self.offsets, self.slopes, numbers[:, :, None])
        return torch.clamp(positions, self.lowest, self.highest)

    def forward(self, numbers: Tensor) -> Tensor:
        """Float32 (n, p) -> float32 (n, n_features)."""
        straight = torch.addcmul(self.bias, self.linear, numbers[:, :, None])
        return (straight + by_column(self.encode(numbers), self.weight)).flatten(1)


def by_column(inputs: Tensor, weight: Tensor) -> Tensor:
    """A linear layer of its own for each column: (n, p, m) and (p, m, dim) -> (n, p, dim)."""
    return torch.einsum("npm,pmd->npd", inputs, weight)
