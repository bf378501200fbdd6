"""Epochs of budget as rounds: trees that are boosted or bagged one after another, and by what steps."""

from __future__ import annotations

import math

MIN_ROUNDS = 25
"""Rounds at every budget, if a full training has as many: fewer shrunken trees say little about a configuration."""

MAX_STEP = 0.3
"""Learning rate up to which that of a booster grows where it has few rounds."""

N_CURVE_POINTS = 10
"""Evaluations from which the learning curve is drawn, besides those of the first and the last epoch."""


def rounds_at(epoch: int, max_budget: int, n_rounds: int) -> int:
    """Rounds after so many epochs: the budget's share of `n_rounds`, at least `MIN_ROUNDS` where possible."""
    return max(math.ceil(n_rounds * epoch / max_budget), min(MIN_ROUNDS, n_rounds))


def step_at(n_rounds: int, n_all_rounds: int, learning_rate: float) -> float:
    """Learning rate of a booster of `n_rounds` in place of one of `n_all_rounds` with the given learning rate.

    With the same small steps, a ninth of the rounds is a model that has hardly begun, and says little about the whole.
    With steps as much larger as there are fewer, up to `MAX_STEP`, it is nearly as good.
    """
    return min(learning_rate * n_all_rounds / n_rounds, max(learning_rate, MAX_STEP))


def curve_epochs(budget: int, max_budget: int) -> list[int]:
    """Epochs at which a curve up to `budget` is evaluated: a grid of the largest budget, the first and the last."""
    grid = {math.ceil(max_budget * i / N_CURVE_POINTS) for i in range(1, N_CURVE_POINTS + 1)}
    return sorted({1, budget} | {epoch for epoch in grid if epoch <= budget})
