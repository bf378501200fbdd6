import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopytorch_lite.ensemble.selection import (
    N_ROWS_OF_EQUALS,
    hedged,
    select,
    select_within,
    shrunk,
    weighted_average,
)
from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Task

LOG_LOSS = Metric("neg_log_loss", Task.MULTICLASS, 3)
ACCURACY = Metric("accuracy", Task.MULTICLASS, 3)
RMSE = Metric("neg_root_mean_squared_error", Task.REGRESSION, 1)


def make_library(seed, n_candidates=6, n_rows=40):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, n_rows)
    sharpness = rng.uniform(0.2, 3, n_candidates)
    logits = rng.normal(size=(n_candidates, n_rows, 3)) + sharpness[:, None, None] * np.eye(3)[targets]
    return np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True), targets


@given(seed=st.integers(0, 10_000), size=st.integers(1, 12), metric=st.sampled_from([LOG_LOSS, ACCURACY]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_ensemble_is_never_worse_than_the_best_single_model_on_its_selection_rows(seed, size, metric):
    predictions, targets = make_library(seed)
    selection = select(predictions, targets, metric=metric, size=size, seed=seed)
    assert selection.loss <= min(metric.loss(targets, p) for p in predictions) + 1e-12  # rounding
    assert selection.weights.sum() == pytest.approx(1)
    assert selection.loss == pytest.approx(metric.loss(targets, weighted_average(predictions, selection.weights)))


@given(seed=st.integers(0, 10_000), metric=st.sampled_from([LOG_LOSS, ACCURACY]))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_every_step_takes_a_best_candidate_as_a_loop_by_hand_would(seed, metric):
    predictions, targets = make_library(seed)
    selection = select(predictions, targets, metric=metric, size=5, seed=seed)
    for step, loss in enumerate(selection.path_losses):
        before = list(selection.path[:step])
        by_hand = [metric.loss(targets, predictions[[*before, i]].mean(axis=0)) for i in range(len(predictions))]
        assert loss == pytest.approx(min(by_hand))
        assert by_hand[selection.path[step]] == pytest.approx(min(by_hand))


def test_the_best_prefix_of_the_path_is_kept():
    predictions, targets = make_library(3)
    selection = select(predictions, targets, metric=LOG_LOSS, size=30)
    n_kept = int(np.argmin(selection.path_losses)) + 1
    expected = np.bincount(selection.path[:n_kept], minlength=len(predictions)) / n_kept
    np.testing.assert_array_equal(selection.weights, expected)


def test_two_complementary_models_beat_each_alone():
    targets = np.array([0.0, 0.0])
    selection = select(np.array([[[1.0], [1.0]], [[-1.0], [-1.0]]]), targets, metric=RMSE, size=2)
    assert selection.loss == 0
    np.testing.assert_array_equal(selection.weights, [0.5, 0.5])


def test_ties_depend_on_the_seed_only():
    predictions, targets = make_library(0, n_candidates=1)
    same = np.repeat(predictions, 5, axis=0)
    firsts = [select(same, targets, metric=LOG_LOSS, size=1, seed=seed).path for seed in range(20)]
    assert len(set(firsts)) > 1
    assert firsts == [select(same, targets, metric=LOG_LOSS, size=1, seed=seed).path for seed in range(20)]


def test_rows_without_weight_do_not_count():
    predictions, targets = make_library(1)
    weight = np.r_[np.ones(20), np.zeros(20)]
    weighted = select(predictions, targets, metric=LOG_LOSS, size=8, sample_weight=weight)
    alone = select(predictions[:, :20], targets[:20], metric=LOG_LOSS, size=8)
    assert weighted.path == alone.path


def test_out_of_time_ends_the_path_after_the_first_step():
    predictions, targets = make_library(2)
    calls = itertools.count()
    selection = select(predictions, targets, metric=LOG_LOSS, size=50, out_of_time=lambda: next(calls) >= 0)
    assert len(selection.path) == 1


@pytest.mark.parametrize(("n", "size"), [(0, 3), (2, 0)])
def test_an_empty_library_or_no_step_is_refused(n, size):
    predictions, targets = make_library(0, n_candidates=2)
    with pytest.raises(ValueError, match="needs a candidate"):
        select(predictions[:n], targets, metric=LOG_LOSS, size=size)


@given(seed=st.integers(0, 10_000), max_cost=st.floats(1.0, 12.0))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_members_cost_no_more_than_the_limit_together_however_often_they_are_added(seed, max_cost):
    predictions, targets = make_library(seed)
    costs = np.random.default_rng(seed).uniform(0.5, 8, len(predictions))
    costs[0] = 1.0
    options = {"metric": LOG_LOSS, "size": 12, "seed": seed, "costs": costs, "max_cost": max_cost}
    greedy, best = select(predictions, targets, **options), select_within(predictions, targets, **options)
    for selection in (greedy, best):
        assert costs[selection.weights > 0].sum() <= max_cost + 1e-12
        assert selection.weights.sum() == pytest.approx(1)
        averaged = LOG_LOSS.loss(targets, weighted_average(predictions, selection.weights))
        assert selection.loss == pytest.approx(averaged)
    affordable = [LOG_LOSS.loss(targets, p) for p, cost in zip(predictions, costs, strict=True) if cost <= max_cost]
    assert best.loss - 1e-12 <= greedy.loss <= min(affordable) + 1e-12  # rounding


def test_several_cheap_models_are_preferred_to_one_slow_one_where_they_are_better_together():
    targets = np.array([0.0, 0.0])
    predictions = np.array([[[0.5], [0.5]], [[1.0], [1.0]], [[-1.0], [-1.0]]])
    options = {"metric": RMSE, "size": 4, "costs": np.array([4.0, 1.0, 1.0]), "max_cost": 4.0}
    assert select(predictions, targets, **options).loss == 0.5
    best = select_within(predictions, targets, **options)
    assert best.loss == 0
    np.testing.assert_array_equal(best.weights, [0, 0.5, 0.5])


def test_a_limit_below_every_cost_is_refused():
    predictions, targets = make_library(0)
    with pytest.raises(ValueError, match="within the limit"):
        select_within(predictions, targets, metric=LOG_LOSS, size=3, costs=np.full(6, 2.0), max_cost=1.0)


def test_a_lonely_model_is_hedged_with_the_best_of_other_configurations():
    weights = hedged(np.array([1.0, 0, 0, 0, 0]), [7, 7, 2, 7, 5])
    np.testing.assert_allclose(weights, [0.95 + 0.05 / 3, 0, 0.05 / 3, 0, 0.05 / 3])
    np.testing.assert_allclose(hedged(np.array([0.4, 0.6]), [1, 2]), [0.405, 0.595])
    np.testing.assert_array_equal(hedged(np.array([1.0]), [4]), [1.0])
    of_three = np.array([0.5, 0.3, 0.2, 0])
    np.testing.assert_array_equal(hedged(of_three, [1, 2, 3, 4]), of_three)


def shrunk_among(losses, learners, n_rows=N_ROWS_OF_EQUALS):
    """Weights of four candidates or so, of which greedy selection took the first alone."""
    greedy = np.eye(len(losses))[0]
    return shrunk(greedy, np.array(losses), learners, n_rows).tolist()


def test_with_few_validation_rows_the_best_of_each_learner_that_comes_close_has_some_votes():
    weights = shrunk_among([1.0, 1.05, 1.1, 1.14, 1.16], ["a", "a", "b", "c", "d"])
    assert weights == pytest.approx([1 / 2 + 1 / 6, 0, 1 / 6, 1 / 6, 0])


def test_the_more_rows_have_chosen_the_less_is_shared_and_in_the_end_nothing():
    losses, learners = [1.0, 1.0, 1.0], ["a", "b", "c"]
    first = [shrunk_among(losses, learners, n_rows)[0] for n_rows in (100, 300, 4_000, 40_000)]
    assert first == pytest.approx([1 - 0.75 * 2 / 3, 1 - 0.5 * 2 / 3, 1 - 300 / 4_300 * 2 / 3, 1.0])


def test_two_learners_are_no_company_for_an_equal_vote():
    assert shrunk_among([1.0, 1.0, 2.0], ["a", "b", "c"]) == [1, 0, 0]


def test_losses_below_zero_come_close_as_others_do():
    assert shrunk_among([-1.0, -0.9, -0.86, -0.5], ["a", "b", "c", "d"]) == pytest.approx([2 / 3, 1 / 6, 1 / 6, 0])
