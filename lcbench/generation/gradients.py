"""Statistics of gradients, of the whole network and of each layer, for many networks at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autopytorch_lite.types import Array, FloatArray

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
    found = {f"Train/layer_wise_gradient_{name}_layer_{number}": values for number, layer in enumerate(layers)
             for name, values in _statistics(*layer).items()}  # fmt: skip
    values = np.concatenate([values for values, _ in layers], axis=1)
    real = np.concatenate([real for _, real in layers], axis=1)
    found |= {f"Train/gradient_{name}": numbers for name, numbers in _statistics(values, real).items()}
    found["Train/gradient_norm"] = np.sqrt(np.square(values).sum(axis=1, dtype=np.float64))
    return found


def _statistics(values: Array, real: Array) -> dict[str, FloatArray]:
    """Of the real entries; the others are zero."""
    n = real.sum(axis=1)
    mean = values.sum(axis=1, dtype=np.float64) / n
    square = np.square(values).sum(axis=1, dtype=np.float64)
    spread = np.sqrt(np.maximum(square - n * mean**2, 0.0) / np.maximum(n - 1, 1))
    largest = values.max(axis=1, where=real, initial=-np.inf)
    every = max(1, values.shape[1] // MAX_ORDERED)
    sample, is_sampled = values[:, ::every], real[:, ::every]
    ordered = np.sort(np.where(is_sampled, sample, np.float32(np.inf)), axis=1)
    found = {"max": largest, "mean": mean, "std": spread}
    return found | {name: _quantile(ordered, is_sampled.sum(axis=1), share) for name, share in QUANTILES.items()}


def _quantile(ordered: Array, n: Array, share: float) -> FloatArray:
    """Of the first n of ordered values, interpolated linearly."""
    position = share * (n - 1)
    low = position.astype(np.int64)
    at_low, at_high = (
        np.take_along_axis(ordered, index[:, None], axis=1)[:, 0] for index in (low, np.minimum(low + 1, n - 1))
    )
    found: FloatArray = at_low + (position - low) * (at_high - at_low)
    return found
