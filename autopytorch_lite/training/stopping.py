"""When to stop before the last epoch, and whose weights to keep: pure functions of the validation curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def best_epoch(scores: Sequence[float], min_delta: float = 0.0) -> int:
    """The last epoch, counted from 1, that was lower by more than `min_delta` than the best before it.

    The first epoch counts as best until another improves on it; NaN never improves; no epochs give 0. With `min_delta`
    0 this is the first epoch with the lowest score.
    """
    best, epoch = math.inf, min(1, len(scores))
    for number, score in enumerate(scores, start=1):
        if score < best - min_delta:
            best, epoch = score, number
    return epoch


@dataclass(frozen=True)
class EarlyStopping:
    """Stop once `patience` epochs in a row brought no improvement, and predict with the best epoch's weights.

    Attributes:
        patience: epochs without improvement to wait for, at least 1.
        min_delta: by how much a score must fall to count, in units of the score.
    """

    patience: int
    min_delta: float = 0.0

    def best_epoch(self, scores: Sequence[float]) -> int:
        """The epoch, counted from 1, whose weights are kept."""
        return best_epoch(scores, self.min_delta)

    def should_stop(self, scores: Sequence[float]) -> bool:
        """Whether training ends after these epochs."""
        return bool(scores) and len(scores) - self.best_epoch(scores) >= self.patience
