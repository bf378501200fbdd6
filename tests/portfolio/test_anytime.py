from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from autopytorch_lite.errors import PortfolioError
from autopytorch_lite.portfolio.anytime import (
    NOTHING,
    AnytimeTask,
    anytime_loss,
    anytime_order,
    curve_of,
    loss_at,
)


@dataclass(frozen=True)
class BestOf:
    """The best single one so far; a loss of None is a failed training."""

    losses: tuple[float | None, ...]
    loss: float = NOTHING

    def after(self, number: int) -> BestOf:
        found = self.losses[number]
        return self if found is None else BestOf(self.losses, min(self.loss, found))


def task(losses: list[float | None], *clocks: list[float]) -> AnytimeTask:
    return AnytimeTask(BestOf(tuple(losses)), np.array(clocks, dtype=float))


def test_what_is_slow_belongs_to_the_portfolio_and_comes_late() -> None:
    tasks = [task([0.0, 0.3, 0.9], [100, 1, 1]), task([0.6, 0.3, 0.9], [100, 1, 1])]
    assert anytime_order(tasks, 3, horizon_s=400) == [1, 0]


def test_cheap_ones_do_not_crowd_out_what_is_worth_more() -> None:
    """Chosen by gain per time, both places went to what takes a second."""
    tasks = [task([0.0, 0.7, 1.0], [30, 1, 1]), task([0.3, 1.0, 0.7], [30, 1, 1])]
    assert 0 in anytime_order(tasks, 2, horizon_s=200)


def test_the_next_one_is_good_where_those_before_are_not() -> None:
    tasks = [task([0.0, 0.1, 0.9], [1, 1, 1]), task([1.0, 0.9, 0.2], [1, 1, 1])]
    assert anytime_order(tasks, 2, horizon_s=10) == [0, 2]


def test_a_second_clock_moves_what_is_slow_there_back() -> None:
    losses, others = [0.0, 0.2], [0.5, 0.2]
    assert anytime_order([task(losses, [2, 2]), task(others, [2, 2])], 2, horizon_s=60) == [1, 0]
    assert anytime_order([task(losses, [2, 8]), task(others, [2, 8])], 2, horizon_s=60) == [0, 1]
    both = [task(losses, [2, 8], [70, 9]), task(others, [2, 8], [70, 9])]
    assert anytime_order(both, 2, horizon_s=60) == [1, 0]


def test_what_ends_too_late_fails_or_does_not_exist_is_left_out() -> None:
    tasks = [task([0.0, None, 0.0, 0.5], [50, 1, math.nan, 5])]
    assert anytime_order(tasks, 4, horizon_s=20) == [3]


def test_failed_ones_take_their_time() -> None:
    times, losses = curve_of(task([None, 0.5, 0.2], [3, 2, math.nan]), [0, 1])
    assert times.tolist() == [3, 5]
    assert losses.tolist() == [NOTHING, 0.5]


def test_the_anytime_loss_is_the_mean_over_the_logarithm_of_time() -> None:
    horizon = math.e**3 - 1
    times, losses = np.array([math.e - 1, math.e**2 - 1]), np.array([0.6, 0.3])
    assert anytime_loss(times, losses, horizon_s=horizon) == pytest.approx((1 + 0.6 + 0.3) / 3)
    assert anytime_loss(times, losses, horizon_s=math.e - 1) == pytest.approx(1)
    assert anytime_loss(np.array([]), np.array([]), horizon_s=5) == 1


def test_the_loss_at_a_moment_is_that_of_what_has_ended() -> None:
    times, losses = np.array([2.0, 5.0]), np.array([0.6, 0.3])
    assert [loss_at(times, losses, moment) for moment in (1, 2, 4.9, 5, 99)] == [NOTHING, 0.6, 0.6, 0.3, 0.3]


def test_a_second_team_is_chosen_as_if_the_first_were_not_there() -> None:
    """Beside the best, the second best gains nothing here; elsewhere it may be needed."""
    tasks = [task([0.1, 0.2, 0.9, 0.9], [1] * 4), task([0.9, 0.9, 0.1, 0.3], [1] * 4)]
    assert anytime_order(tasks, 4, horizon_s=10) == [0, 2]
    assert anytime_order(tasks, 3, horizon_s=10, team_size=2) == [0, 2, 1]
    assert anytime_order(tasks, 4, horizon_s=10, team_size=2) == [0, 2, 1, 3]


@pytest.mark.parametrize(("n_tasks", "size", "team_size"), [(0, 1, None), (1, 0, None), (1, 1, 0)])
def test_an_order_needs_tasks_and_sizes(n_tasks: int, size: int, team_size: int | None) -> None:
    with pytest.raises(PortfolioError, match=r"tasks, size="):
        anytime_order([task([0.5], [1])] * n_tasks, size, horizon_s=10, team_size=team_size)
