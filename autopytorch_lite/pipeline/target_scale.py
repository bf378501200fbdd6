"""Regression targets as a network sees them, and its outputs as the user sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autopytorch_lite.types import Array, FloatArray

MARGIN = 0.5
"""How far predictions may leave the range of the training targets, as a share of that range, on either side."""


@dataclass(frozen=True)
class TargetScale:
    """Standardisation of each target by its training rows.

    Attributes:
        center: mean, shape (n_targets,).
        spread: standard deviation, shape (n_targets,); 1 for a constant target.
        low: smallest prediction, shape (n_targets,).
        high: largest prediction, shape (n_targets,).
    """

    center: FloatArray
    spread: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, y: Array) -> TargetScale:
        """The scale of training targets, shape (n,) or (n, n_targets)."""
        y = y.reshape(len(y), -1).astype(np.float64)
        low, high, spread = y.min(axis=0), y.max(axis=0), y.std(axis=0)
        margin = MARGIN * (high - low)
        return cls(y.mean(axis=0), np.where((high > low) & (spread > 0), spread, 1.0), low - margin, high + margin)

    def standardize(self, y: Array) -> FloatArray:
        """Original units, (n,) or (n, n_targets) -> standard deviations from the mean, (n, n_targets)."""
        return (y.reshape(len(y), -1) - self.center) / self.spread

    def restore(self, values: Array) -> FloatArray:
        """Inverse of `standardize`, float64 (n, n_targets)."""
        return np.asarray(values, dtype=np.float64) * self.spread + self.center

    def predictions(self, outputs: Array) -> FloatArray:
        """A network's outputs in original units, kept within the training range and `MARGIN` of it."""
        return np.clip(self.restore(outputs), self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers exactly."""
        return {name: getattr(self, name).tolist() for name in ("center", "spread", "low", "high")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TargetScale:
        """Inverse of `to_json`."""
        return cls(**{name: np.asarray(values, dtype=np.float64) for name, values in data.items()})
