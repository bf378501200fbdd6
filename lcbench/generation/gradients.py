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


class GradientStatistics:
    """Statistics of the gradients of K networks, step after step.

    Args:
        real: per layer which entries are real and no padding, bool (K, size); padding is zero.
    """

    def __init__(self, real: Sequence[Array]):
        self._real = real
        self._n_real = [layer.sum(axis=1) for layer in real]
        self._quantiles_of_layer = [_Quantiles([layer]) for layer in real]
        self._quantiles = _Quantiles(real)

    def __call__(self, layers: Sequence[Array]) -> dict[str, FloatArray]:
        """By tag of the original files, one number per network, shape (K,).

        A layer's gradient is that of its weights and biases together; entries keep their sign. "norm" is the Euclidean
        norm of the whole gradient. Quantiles of large layers are those of a sample, see `MAX_ORDERED`.

        Args:
            layers: gradients of each layer, float32 (K, size).
        """
        moments = [_Moments.of(*parts) for parts in zip(layers, self._real, self._n_real, strict=True)]
        found: dict[str, FloatArray] = {}
        for number, (own, quantiles) in enumerate(zip(moments, self._quantiles_of_layer, strict=True)):
            statistics = own.statistics() | quantiles(layers[number : number + 1])
            found |= {f"Train/layer_wise_gradient_{name}_layer_{number}": values for name, values in statistics.items()}
        whole = reduce(_Moments.plus, moments)
        statistics = whole.statistics() | self._quantiles(layers)
        found |= {f"Train/gradient_{name}": values for name, values in statistics.items()}
        return found | {"Train/gradient_norm": np.sqrt(whole.squares)}


class _Moments(NamedTuple):
    """Sums over the entries of each network, all of shape (K,)."""

    n: IntArray
    sums: FloatArray
    squares: FloatArray
    largest: FloatArray

    @classmethod
    def of(cls, values: Array, real: Array, n_real: IntArray) -> _Moments:
        """Of the real entries of a layer; the others are zero."""
        sums = values.sum(axis=1).astype(np.float64)
        squares = np.array([row @ row for row in values], dtype=np.float64)
        largest = values.max(axis=1)
        if not largest.all() and (n_real < values.shape[1]).any():  # a zero may be padding beside negative entries
            largest = np.where(real, values, -np.inf).max(axis=1)
        return cls(n_real, sums, squares, largest)

    def plus(self, other: _Moments) -> _Moments:
        """Of the entries of both."""
        n, sums, squares = self.n + other.n, self.sums + other.sums, self.squares + other.squares
        return _Moments(n, sums, squares, np.maximum(self.largest, other.largest))

    def statistics(self) -> dict[str, FloatArray]:
        mean = self.sums / self.n
        variance = (self.squares - self.n * mean**2) / np.maximum(self.n - 1, 1)
        return {"max": self.largest, "mean": mean, "std": np.sqrt(np.maximum(variance, 0.0))}


class _Quantiles:
    """Quantiles of the entries of some layers together.

    Args:
        real: of each layer, see `GradientStatistics`.
    """

    def __init__(self, real: Sequence[Array]):
        self._every = max(1, sum(layer.shape[1] for layer in real) // MAX_ORDERED)
        self._is_padding = ~self._sample(real)
        last = (~self._is_padding).sum(axis=1) - 1
        positions = np.outer(last, list(QUANTILES.values()))
        self._low = positions.astype(np.int64)
        self._high = np.minimum(self._low + 1, last[:, None])
        self._weight = positions - self._low

    def __call__(self, layers: Sequence[Array]) -> dict[str, FloatArray]:
        """By name, shape (K,), interpolated linearly between the ordered entries."""
        sample = self._sample(layers)
        sample[self._is_padding] = np.inf
        sample.sort(axis=1)
        low, high = (np.take_along_axis(sample, places, axis=1) for places in (self._low, self._high))
        return dict(zip(QUANTILES, (low + self._weight * (high - low)).T, strict=True))

    def _sample(self, layers: Sequence[Array]) -> Array:
        return np.concatenate([layer[:, :: self._every] for layer in layers], axis=1)
