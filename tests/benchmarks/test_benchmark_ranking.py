from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tabular.ranking import (
    critical_difference,
    friedman_p,
    indistinct_groups,
    normalised_scores,
    ranks,
    win_matrix,
)

NAN = float("nan")
LOSSES = np.array([[0.1, 0.2, 0.3], [0.5, 0.5, NAN], [2.0, 1.0, 0.0]])


def test_ranks_share_ties_and_put_failures_last() -> None:
    assert ranks(LOSSES).tolist() == [[1, 2, 3], [1.5, 1.5, 3], [3, 2, 1]]


def test_scores_run_from_the_best_to_the_worst_that_did_not_fail() -> None:
    scores = normalised_scores(LOSSES)
    assert scores[0] == pytest.approx([1, 0.5, 0])
    assert scores[1:].tolist() == [[1, 1, 0], [0, 0.5, 1]]
    assert normalised_scores(np.array([[NAN, NAN]])).tolist() == [[0, 0]]


def test_wins_are_shares_of_tables_with_intervals() -> None:
    wins = win_matrix(LOSSES)
    assert wins[0][1].mean == pytest.approx(1.5 / 3)
    assert wins[0][2].mean == pytest.approx(2 / 3)
    assert wins[2][0].mean == pytest.approx(1 / 3)
    assert (wins[0][2].low, wins[0][2].high) == (0, 1)
    assert {wins[i][i].mean for i in range(3)} == {0.5}


def test_the_tests_give_the_numbers_of_their_source() -> None:
    """Demsar (2006), section 3.2.2: four classifiers, 14 data sets, chi-square 9.28, critical difference 1.25."""
    rank_table = np.tile([3.143, 2.000, 2.893, 1.964], (14, 1))
    assert friedman_p(rank_table) == pytest.approx(0.0258, abs=3e-4)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)


def test_groups_are_the_largest_sets_within_the_difference() -> None:
    mean_ranks = np.array([4.0, 1.0, 2.0, 2.9, 9.0])
    assert indistinct_groups(mean_ranks, 1.5) == [[1, 2], [2, 3], [3, 0]]
    assert indistinct_groups(mean_ranks, 2.0) == [[1, 2, 3], [2, 3, 0]]
    assert indistinct_groups(mean_ranks, 0.5) == []
