"""Epochs of budget as rounds: trees that are boosted or bagged one after another."""

from __future__ import annotations

import math

MIN_ROUNDS = 25
"""Rounds at every budget, if a full training has as many: fewer shrunken trees say little about a configuration."""

N_CURVE_POINTS = 10
"""Evaluations from which the learning curve is drawn, besides those of the first and the last epoch."""


def rounds_at(epoch: int, max_budget: int, n_rounds: int) -> int:
    """Rounds after so many epochs: the budget's share of `n_rounds`, at least `MIN_ROUNDS` where possible."""
    return max(math.ceil(n_rounds * epoch / max_budget), min(MIN_ROUNDS, n_rounds))


def curve_epochs(budget: int, max_budget: int) -> list[int]:
    """Epochs at which a curve up to `budget` is evaluated: a grid of the largest budget, the first and the last."""
    grid = {math.ceil(max_budget * i / N_CURVE_POINTS) for i in range(1, N_CURVE_POINTS + 1)}
    return sorted({1, budget} | {epoch for epoch in grid if epoch <= budget})
