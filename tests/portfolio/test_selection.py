from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopytorch_lite.errors import PortfolioError
from autopytorch_lite.portfolio import PerformanceMatrix, leave_one_task_out, select
from autopytorch_lite.portfolio.selection import (
    expected_times,
    greedy_order,
    normalised_regrets,
    order_by_time,
    regret_after,
)
from autopytorch_lite.space.encode import VectorCodec
from tests.search.spaces import flat_space

NAN = np.nan


def matrix_of(losses, seconds=None, **fields) -> PerformanceMatrix:
    """A matrix of losses (t, n), at one budget."""
    losses = np.asarray(losses, float)[:, :, None]
    codec, rng = VectorCodec(flat_space()), np.random.default_rng(0)
    configs = [codec.sample(rng) for _ in range(losses.shape[1])]
    tasks = [f"task{i}" for i in range(len(losses))]
    times = np.full(losses.shape, NAN) if seconds is None else np.asarray(seconds, float)[:, :, None]
    return PerformanceMatrix(flat_space(), configs, tasks, [50], losses, times, **fields)


def test_regrets_are_relative_to_best_and_worst_of_each_task() -> None:
    regrets = normalised_regrets(matrix_of([[1, 2, 5], [0.1, NAN, 0.2], [7, NAN, 7], [NAN, NAN, NAN]]))
    np.testing.assert_allclose(regrets, [[0, 0.25, 1], [0, 1, 1], [0, 1, 0], [1, 1, 1]], atol=1e-6)


def test_selection_takes_the_generalist_and_then_who_helps_where_it_fails() -> None:
    generalist, first, second, bad = [0.3, 0.3, 0.3], [0, 1, 0.9], [1, 0, 0.9], [1, 1, 1]
    ideal = [0, 0, 0]
    matrix = matrix_of(np.array([bad, first, generalist, second]).T)
    assert greedy_order(normalised_regrets(matrix), 4)[0] == 2
    matrix = matrix_of(np.array([bad, first, ideal, second]).T)
    assert select(matrix, 1)[0] == matrix.configs[2]


def test_ties_go_to_the_lower_mean_and_then_to_the_lower_number() -> None:
    assert greedy_order(np.array([[0.5, 0.0, 0.0], [0.5, 1.0, 1.0]]), 3) == [0, 1, 2]
    assert greedy_order(np.array([[0.0, 0.9, 0.2, 0.2]]), 4) == [0, 2, 3, 1]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_greedy_reaches_its_guarantee_and_never_repeats(seed: int) -> None:
    regrets = np.random.default_rng(seed).random((4, 8)) ** 2
    order = greedy_order(regrets, 8)
    assert sorted(order) == list(range(8))
    gain = 1 - regret_after(regrets, order[:3])[:, -1].mean()
    best = max(1 - regrets[:, list(members)].min(axis=1).mean() for members in combinations(range(8), 3))
    assert gain >= (1 - 1 / np.e) * best
    means = regret_after(regrets, order).mean(axis=0)
    assert np.all(np.diff(means) <= 0)


def test_members_are_ordered_by_gain_per_time() -> None:
    losses = np.array([[0.0, 0.2, 1.0], [0.0, 0.2, 1.0]])
    assert greedy_order(normalised_regrets(matrix_of(losses)), 2) == [0, 1]
    quick_second = np.array([[100, 1, 1], [200, 2, 2]])
    matrix = matrix_of(losses, quick_second)
    np.testing.assert_allclose(expected_times(matrix), np.array([100, 1, 1]) / 34)
    assert select(matrix, 2).configs == (matrix.configs[1], matrix.configs[0])
    assert sorted(order_by_time(np.random.default_rng(0).random((3, 6)), np.ones(6))) == list(range(6))


def test_without_all_times_the_greedy_order_stays() -> None:
    losses = [[0.0, 0.2, 1.0], [0.0, 0.2, 1.0]]
    matrix = matrix_of(losses, [[100, 1, 1], [NAN, 2, 2]])
    assert select(matrix, 2).configs == (matrix.configs[1], matrix.configs[0])
    matrix = matrix_of(losses, [[NAN, 1, 1], [NAN, 2, 2]])
    assert select(matrix, 2).configs == matrix.configs[:2]


def test_a_held_out_task_is_not_seen() -> None:
    """Configuration 2 is best on task0 and was found there: task0's own portfolio may not have it."""
    losses = np.array([[0.5, 1.0, 0.0, 0.9], [0.5, 1.0, 0.0, 0.2], [0.5, 1.0, 0.0, 0.2]])
    matrix = matrix_of(losses, found_on=["", "", "task0", ""])
    frame = leave_one_task_out(matrix, 2)
    expected = pd.DataFrame(
        [[0.9, 0.5], [0.0, 0.0], [0.0, 0.0]], index=pd.Index(matrix.tasks, name="task"), columns=[1, 2]
    )
    pd.testing.assert_frame_equal(frame, expected, check_column_type=False, rtol=1e-6)
    changed = losses.copy()
    changed[0] = [0.1, 0.2, 0.0, 0.3]
    other = matrix_of(changed, found_on=["", "", "task0", ""])
    assert select(matrix.without("task0"), 3).configs == select(other.without("task0"), 3).configs


def test_the_budget_can_be_chosen_and_impossible_requests_are_named() -> None:
    matrix = matrix_of([[0.1, 0.2]])
    with pytest.raises(PortfolioError, match=r"one of the matrix's \[50\]"):
        select(matrix, 1, budget=7)
    with pytest.raises(PortfolioError, match="between 1 and the 2"):
        select(matrix, 3)
    with pytest.raises(PortfolioError, match="at least two"):
        leave_one_task_out(matrix, 1)
    with pytest.raises(PortfolioError, match="none"):
        select(matrix.without("task0"), 1)
