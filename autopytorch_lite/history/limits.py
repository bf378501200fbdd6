"""Ending a training by its learning curve: limits per epoch, and when a curve is above them."""

from __future__ import annotations

from collections.abc import Sequence


def epoch_above(curve: Sequence[float], stop_above: Sequence[float | None]) -> int | None:
    """The first epoch, counted from 1, after which the best loss so far is above that epoch's limit; None: never.

    Args:
        curve: loss after each epoch from epoch 1 on; NaN counts as no loss at all.
        stop_above: limit for each epoch from epoch 1 on, None where there is none; may be shorter than the curve.
    """
    best: float | None = None
    for epoch, (loss, limit) in enumerate(zip(curve, stop_above, strict=False), start=1):
        if loss == loss and (best is None or loss < best):
            best = loss
        if limit is not None and (best is None or best > limit):
            return epoch
    return None
