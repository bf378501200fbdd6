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


def anytime_order(
    tasks: Sequence[AnytimeTask], size: int, *, horizon_s: float, team_size: int | None = None
) -> list[int]:
    """Numbers of configurations that are good together, in the order in which they lower the loss fastest.

    Members are chosen by what they gain, whatever they take: always the one next that lowers the sum of losses over
    tasks and clocks most. Then they are ordered: always the one next that lowers it most per logarithm of time. (Time
    in the choice as well fills a portfolio with what is cheap.)

    Args:
        tasks: each with the same configurations.
        size: how many; fewer if nothing lowers the loss any more.
        horizon_s: seconds of the longest search that counts. By a clock by which an entry ends later, or takes more
            than a quarter of it, it gains nothing: searches end such an evaluation.
        team_size: members are chosen in teams of so many, each as if those before were not there; None: in one. Few
            are enough to have something good for each of these tasks. On another task what should have been good may
            not be, and then a second of its kind is worth having.

    Raises:
        PortfolioError: there is no task, or a size is below one.

    Source: of the order, Streeter, Golovin: An online algorithm for maximizing submodular functions. NeurIPS 2008.
    """
    if not tasks or size < 1 or (team_size is not None and team_size < 1):
        raise PortfolioError(
            f"A portfolio is ordered for tasks and has a size, got {len(tasks)} tasks, {size=} and {team_size=}."
        )
    if team_size is None:
        members = _greedily(tasks, range(tasks[0].seconds.shape[1]), size, horizon_s, per_time=False)
    else:
        members = _in_teams(tasks, size, team_size, horizon_s)
    order = _greedily(tasks, members, size, horizon_s, per_time=True)
    return order + [number for number in members if number not in order]


def _in_teams(tasks: Sequence[AnytimeTask], size: int, team_size: int, horizon_s: float) -> list[int]:
    """Members team by team, until there are `size` or nobody left is worth anything."""
    left = list(range(tasks[0].seconds.shape[1]))
    members: list[int] = []
    while len(members) < size:
        team = _greedily(tasks, left, min(team_size, size - len(members)), horizon_s, per_time=False)
        if not team:
            break
        members += team
        left = [number for number in left if number not in team]
    return members


def _greedily(
    tasks: Sequence[AnytimeTask], numbers: Sequence[int], size: int, horizon_s: float, *, per_time: bool
) -> list[int]:
    """Always the number of most worth next, until `size` are taken or none is worth anything."""
    progress = [_Progress(task, task.start, np.zeros(len(task.seconds))) for task in tasks]
    left = list(numbers)
    taken: list[int] = []
    while left and len(taken) < size:
        worths = [_worth(progress, number, horizon_s, per_time) for number in left]
        if max(worths) <= 0:
            break
        taken.append(left.pop(int(np.argmax(worths))))
        progress = [state.after(taken[-1]) for state in progress]
    return taken


@dataclass(frozen=True, eq=False)
class _Progress:
    """What has been reached on one task, and the seconds that took by each clock, shape (n_clocks,)."""

    task: AnytimeTask
    reached: Reached
    elapsed: FloatArray

    def after(self, number: int) -> _Progress:
        """With one entry more."""
        elapsed = self.elapsed + np.nan_to_num(self.task.seconds[:, number])
        return _Progress(self.task, self.reached.after(number), elapsed)


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


def _worth(progress: Sequence[_Progress], number: int, horizon_s: float, per_time: bool) -> float:
    """Loss gained by one more entry, over all tasks and clocks; by the logarithm of its time if it is `per_time`."""
    gain = spent = 0.0
    for state in progress:
        seconds = state.task.seconds[:, number]
        ends = state.elapsed + seconds
        n_in_time = int(((seconds <= horizon_s / 4) & (ends <= horizon_s)).sum())
        if n_in_time:
            gain += n_in_time * (state.reached.loss - state.reached.after(number).loss)
        latest = np.minimum(ends, horizon_s)
        spent += float(np.nansum(_log_time(latest) - _log_time(np.minimum(state.elapsed, horizon_s))))
    if not per_time:
        return gain
    return gain / spent if spent > 0 else 0.0


def _log_time(seconds: FloatArray) -> FloatArray:
    return np.log1p(seconds / FIRST_S)
