"""Order of a portfolio by its worth at every moment: the loss reached by its entries so far, under logarithmic time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from autopytorch_lite.errors import PortfolioError
from autopytorch_lite.types import Array, FloatArray

FIRST_S = 1.0
"""Seconds from which on time counts by its logarithm: what comes within the first second is equally good."""

NOTHING = 1.0
"""Normalised loss before there is any result."""


class Reached(Protocol):
    """What the entries trained so far give on one task: the best of them, an ensemble of them, or whatever counts."""

    @property
    def loss(self) -> float:
        """Normalised: 0 where nothing more is to be had, `NOTHING` without a result."""
        ...

    def after(self, number: int) -> Self:
        """The same after one more configuration, which may have failed there."""
        ...


@dataclass(frozen=True, eq=False)
class AnytimeTask:
    """One task that a portfolio is ordered for.

    Attributes:
        start: before anything is trained.
        seconds: of every configuration by one or more clocks, shape (n_clocks, n), for example as measured and as
            expected on a larger table; NaN where the configuration does not exist, so that it takes no time and gives
            nothing.
    """

    start: Reached
    seconds: FloatArray


def anytime_order(tasks: Sequence[AnytimeTask], size: int, *, horizon_s: float) -> list[int]:
    """Numbers of configurations, always the one next that lowers the loss most per logarithm of time.

    Gains and times are summed over tasks and clocks; what would end after the horizon gains nothing. If gains shrink
    the more entries there are (submodular ones), one task by its plain clock loses at most four times as much, summed
    over time, as in the best order.

    Args:
        tasks: each with the same configurations.
        size: how many; fewer if nothing lowers the loss any more.
        horizon_s: seconds of the longest search that counts.

    Raises:
        PortfolioError: there is no task, or size is below one.

    Source: Streeter, Golovin: An online algorithm for maximizing submodular functions. NeurIPS 2008.
    """
    if not tasks or size < 1:
        raise PortfolioError(f"A portfolio is ordered for tasks and has a size, got {len(tasks)} tasks and {size=}.")
    reached = [task.start for task in tasks]
    elapsed = [np.zeros(len(task.seconds)) for task in tasks]
    left = list(range(tasks[0].seconds.shape[1]))
    order: list[int] = []
    while left and len(order) < size:
        rates = [_rate(tasks, reached, elapsed, number, horizon_s) for number in left]
        if max(rates) <= 0:
            break
        chosen = left.pop(int(np.argmax(rates)))
        order.append(chosen)
        reached = [state.after(chosen) for state in reached]
        elapsed = [past + np.nan_to_num(task.seconds[:, chosen]) for past, task in zip(elapsed, tasks, strict=True)]
    return order


def curve_of(task: AnytimeTask, order: Sequence[int], *, clock: int = 0) -> tuple[FloatArray, FloatArray]:
    """Seconds at which the entries of an order end on a task, one after another, and the losses reached then."""
    reached, losses = task.start, []
    for number in order:
        reached = reached.after(number)
        losses.append(reached.loss)
    return np.cumsum(np.nan_to_num(task.seconds[clock, list(order)])), np.array(losses)


def anytime_loss(times: Array, losses: Array, *, horizon_s: float) -> float:
    """Mean normalised loss over the logarithm of time up to the horizon, `NOTHING` before the first result.

    Args:
        times: seconds at which losses were reached, ascending, shape (n,).
        losses: normalised, shape (n,).
        horizon_s: end of the mean.
    """
    ends = _log_time(np.minimum(np.append(times, horizon_s), horizon_s))
    spans = np.diff(ends, prepend=0.0)
    return float(spans @ np.append(NOTHING, losses) / ends[-1])


def loss_at(times: Array, losses: Array, moment_s: float) -> float:
    """Normalised loss reached at a moment; `NOTHING` before the first result."""
    n_done = int(np.searchsorted(times, moment_s, side="right"))
    return float(losses[n_done - 1]) if n_done else NOTHING


def _rate(
    tasks: Sequence[AnytimeTask],
    reached: Sequence[Reached],
    elapsed: Sequence[FloatArray],
    number: int,
    horizon_s: float,
) -> float:
    """Loss gained per logarithm of time by one more entry."""
    gain = spent = 0.0
    for task, state, past in zip(tasks, reached, elapsed, strict=True):
        ends = past + task.seconds[:, number]
        n_in_time = int((ends <= horizon_s).sum())
        if n_in_time:
            gain += n_in_time * (state.loss - state.after(number).loss)
        spent += float(np.nansum(_log_time(np.minimum(ends, horizon_s)) - _log_time(np.minimum(past, horizon_s))))
    return gain / spent if spent > 0 else 0.0


def _log_time(seconds: FloatArray) -> FloatArray:
    return np.log1p(seconds / FIRST_S)
