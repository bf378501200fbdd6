"""Statistics of gradients, of the whole network and of each layer, for many networks at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from autopytorch_lite.types import Array, FloatArray, IntArray

MAX_ORDERED = 2**15
"""Quantiles of more gradients than this are those of every second, third, ... of them, of at least so many."""
QUANTILES = {"q10": 0.10, "q25": 0.25, "median": 0.50, "q75": 0.75, "q90": 0.90}

Layer = tuple[Array, Array]
"""Gradients of one layer of K networks, float32 (K, size), and which of them are real, bool (K, size)."""


def gradient_statistics(layers: Sequence[Layer]) -> dict[str, FloatArray]:
    """By tag of the original files, one number per network, shape (K,).

    A layer's gradient is that of its weights and biases together; entries keep their sign. "norm" is the Euclidean norm
    of the whole gradient. Quantiles of large layers are those of a sample, see `MAX_ORDERED`.
    """
    moments = [_Moments.of(*layer) for layer in layers]
    found: dict[str, FloatArray] = {}
    for number, (layer, own) in enumerate(zip(layers, moments, strict=True)):
        statistics = own.statistics() | _quantiles([layer])
        found |= {f"Train/layer_wise_gradient_{name}_layer_{number}": values for name, values in statistics.items()}
    whole = reduce(_Moments.plus, moments)
    statistics = whole.statistics() | _quantiles(layers)
    found |= {f"Train/gradient_{name}": values for name, values in statistics.items()}
    return found | {"Train/gradient_norm": np.sqrt(whole.squares)}


class _Moments(NamedTuple):
    """Sums over the entries of each network, all of shape (K,)."""

    n: IntArray
    sums: FloatArray
    squares: FloatArray
    largest: FloatArray

    @classmethod
    def of(cls, values: Array, real: Array) -> _Moments:
        """Of the real entries of a layer; the others are zero."""
        sums, squares = values.sum(axis=1).astype(np.float64), np.square(values).sum(axis=1).astype(np.float64)
        largest = (values if real.all() else np.where(real, values, -np.inf)).max(axis=1)
        return cls(real.sum(axis=1), sums, squares, largest)

    def plus(self, other: _Moments) -> _Moments:
        """Of the entries of both."""
        n, sums, squares = self.n + other.n, self.sums + other.sums, self.squares + other.squares
        return _Moments(n, sums, squares, np.maximum(self.largest, other.largest))

    def statistics(self) -> dict[str, FloatArray]:
        mean = self.sums / self.n
        variance = (self.squares - self.n * mean**2) / np.maximum(self.n - 1, 1)
        return {"max": self.largest, "mean": mean, "std": np.sqrt(np.maximum(variance, 0.0))}


def _quantiles(layers: Sequence[Layer]) -> dict[str, FloatArray]:
    """Of the entries of some layers together."""
    every = max(1, sum(values.shape[1] for values, _ in layers) // MAX_ORDERED)
    sample = np.concatenate([values[:, ::every] for values, _ in layers], axis=1)
    is_sampled = np.concatenate([real[:, ::every] for _, real in layers], axis=1)
    ordered = np.sort(np.where(is_sampled, sample, np.float32(np.inf)), axis=1)
    n = is_sampled.sum(axis=1)
    return {name: _quantile(ordered, n, share) for name, share in QUANTILES.items()}


def _quantile(ordered: Array, n: Array, share: float) -> FloatArray:
    """Of the first n of ordered values, interpolated linearly."""
    position = share * (n - 1)
    low = position.astype(np.int64)
    at_low, at_high = (
        np.take_along_axis(ordered, index[:, None], axis=1)[:, 0] for index in (low, np.minimum(low + 1, n - 1))
    )
    found: FloatArray = at_low + (position - low) * (at_high - at_low)
    return found
