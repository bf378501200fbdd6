"""Divisions of rows: documented rules, invariants for all of them, and a user's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    TimeSeriesSplit,
)

from autopytorch_lite.data.splits import Fold, make_folds
from autopytorch_lite.errors import DataError, UnknownNameError


def classes(n: int, n_classes: int = 2) -> np.ndarray:
    return np.arange(n) % n_classes


def folds_of(y: np.ndarray, resampling: object = "auto", **options: object) -> tuple[Fold, ...]:
    return make_folds(y, is_classification=y.ndim == 1, resampling=resampling, **options)


def numbers(n: int) -> np.ndarray:
    return np.arange(n, dtype=float).reshape(-1, 1)


def check_parts(folds: tuple[Fold, ...], n_rows: int) -> None:
    for fold in folds:
        assert len(fold.train_idx) and len(fold.val_idx)
        assert fold.train_idx.dtype == fold.val_idx.dtype == np.int64
        together = np.concatenate([fold.train_idx, fold.val_idx])
        assert len(np.unique(together)) == len(together)
        assert together.min() >= 0 and together.max() < n_rows


@pytest.mark.parametrize(
    ("n_rows", "n_folds"), [(4, 2), (5, 2), (6, 3), (24, 3), (25, 5), (2_499, 5), (2_500, 1), (120_000, 1)]
)
@pytest.mark.parametrize("make_y", [classes, numbers])
def test_auto(n_rows, n_folds, make_y):
    folds = folds_of(make_y(n_rows))
    assert len(folds) == n_folds
    check_parts(folds, n_rows)
    if n_folds == 1:
        assert len(folds[0].val_idx) == min(n_rows // 5, 20_000)
        assert len(folds[0].train_idx) == n_rows - len(folds[0].val_idx)


@pytest.mark.parametrize("make_y", [classes, numbers])
def test_holdout_fraction_and_number_of_folds(make_y):
    y = make_y(90)
    (holdout,) = folds_of(y, 1 / 3)
    assert len(holdout.val_idx) == 30
    folds = folds_of(y, 9)
    assert np.sort(np.concatenate([fold.val_idx for fold in folds])).tolist() == list(range(90))


def test_classification_is_stratified_and_shuffled():
    y = np.repeat([0, 1], [800, 200])
    for fold in (*folds_of(y, 4), *folds_of(y, 0.25)):
        assert np.bincount(y[fold.val_idx]).tolist() == [200, 50]
        assert not np.array_equal(fold.val_idx, np.arange(fold.val_idx[0], fold.val_idx[0] + len(fold.val_idx)))


@pytest.mark.parametrize("resampling", ["auto", 0.3, 4])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("make_y", [classes, numbers])
def test_the_seed_decides(resampling, grouped, make_y):
    groups = np.repeat(np.arange(20), 5) if grouped else None

    def rows(seed):
        return [fold.val_idx.tolist() for fold in folds_of(make_y(100), resampling, seed=seed, groups=groups)]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 12), min_size=4, max_size=60),
    st.sampled_from(["auto", 2, 3, 5, 0.1, 0.2, 0.5, 0.9]),
    st.integers(0, 3),
)
def test_rare_classes_are_on_both_sides_where_possible(labels, resampling, seed):
    y = np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(y)
    if isinstance(resampling, int) and resampling > len(y):
        return
    folds = folds_of(y, resampling, seed=seed)
    check_parts(folds, len(y))
    if counts.max() == 1:
        return
    n_val = sum(np.bincount(y[fold.val_idx], minlength=len(counts)) for fold in folds)
    plain_folds = len(folds) > 1 and counts.max() < len(folds)
    if plain_folds:
        return
    assert (n_val[counts == 1] == 0).all()
    assert (n_val[counts > 1] > 0).all()
    for fold in folds:
        assert (np.bincount(y[fold.train_idx], minlength=len(counts)) > 0).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=6, max_size=60),
    st.sampled_from(["auto", 2, 0.2, 0.5]),
    st.booleans(),
)
def test_no_group_is_on_both_sides(rows, resampling, is_classification):
    labels, groups = np.array(rows).T
    y = np.unique(labels, return_inverse=True)[1] if is_classification else labels[:, None] + 0.5
    groups = np.unique(groups, return_inverse=True)[1]
    if len(np.unique(groups)) < 2:
        with pytest.raises(DataError, match="2 parts need as many groups, got 1"):
            folds_of(y, resampling, groups=groups)
        return
    folds = folds_of(y, resampling, groups=groups)
    check_parts(folds, len(y))
    for fold in folds:
        assert not set(groups[fold.train_idx]) & set(groups[fold.val_idx])
        assert len(fold.train_idx) + len(fold.val_idx) == len(y)


def test_groups_with_classes_too_small_to_stratify():
    """Used to end in scikit-learn's error about members of each class."""
    folds = folds_of(np.array([0, 0, 1, 1, 2, 2]), groups=np.array([0, 2, 0, 0, 0, 1]))
    assert [fold.val_idx.tolist() for fold in folds if 5 in fold.val_idx] == [[5]]


def test_grouped_holdout_is_more_balanced_than_one_draw():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(5, 80, 60))
    y = np.array([0, 0, 0, 1])[groups % 4]  # all rows of a group are of one class

    def distance(val_idx: np.ndarray) -> float:
        return abs(len(val_idx) / len(y) - 0.25) + abs(y[val_idx].mean() - y.mean())

    ours = [distance(folds_of(y, 0.25, groups=groups, seed=seed)[0].val_idx) for seed in range(10)]
    draws = GroupShuffleSplit(10, test_size=0.25, random_state=0).split(y, groups=groups)
    assert np.mean(ours) < 0.5 * np.mean([distance(val_idx) for _, val_idx in draws])


def test_fewer_groups_than_folds():
    groups = np.repeat([0, 1, 2], 20)
    assert len(folds_of(classes(60), groups=groups)) == 3
    with pytest.raises(DataError, match="5 parts need as many groups, got 3"):
        folds_of(classes(60), 5, groups=groups)


@pytest.mark.parametrize("resampling", ["auto", 0.4, 3])
def test_rows_of_weight_zero_only_train(resampling):
    weights = np.arange(40) % 2.0
    for fold in folds_of(classes(40), resampling, sample_weight=weights):
        assert (weights[fold.val_idx] > 0).all()
        assert set(np.flatnonzero(weights == 0)) <= set(fold.train_idx)
        assert len(fold.train_idx) + len(fold.val_idx) == 40


def test_time_order_is_respected_by_a_splitter():
    folds = folds_of(numbers(50), TimeSeriesSplit(4))
    assert len(folds) == 4
    assert all(fold.train_idx.max() < fold.val_idx.min() for fold in folds)
    assert min(fold.val_idx.min() for fold in folds) == 10


def test_splitters_see_targets_groups_and_the_table():
    y, groups = classes(30), np.repeat(np.arange(5), 6)
    assert len(folds_of(y, RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0))) == 6
    assert len(folds_of(y, LeaveOneGroupOut(), groups=groups)) == 5
    assert len(folds_of(y, GroupKFold(5), groups=groups)) == 5
    assert [fold.val_idx.tolist() for fold in folds_of(y, PredefinedSplit([-1] * 28 + [0, 0]))] == [[28, 29]]

    class ByFirstColumn:
        def split(self, X, y=None, groups=None):
            yield X[:, 0] > 0, X[:, 0] <= 0

    (fold,) = folds_of(y, ByFirstColumn(), X=np.repeat([[1.0], [-1.0]], 15, axis=0))
    assert fold.train_idx.tolist() == list(range(15))


def test_pairs_of_positions():
    pairs = ((part for part in ([0, 1], [2])) for _ in range(1))
    (fold,) = folds_of(classes(4), [([0, 1], [3])])
    assert fold.train_idx.tolist() == [0, 1] and fold.val_idx.tolist() == [3]
    assert len(folds_of(classes(4), pairs)) == 1


@pytest.mark.parametrize(
    ("resampling", "words"),
    [
        (0.0, "between 0 and 1, got resampling=0.0"),
        (1.5, "between 0 and 1, got resampling=1.5"),
        (float("nan"), "between 0 and 1"),
        (1, "from 2 to the 10 rows, got resampling=1"),
        (11, "from 2 to the 10 rows, got resampling=11"),
        (True, "got True"),
        (None, "gives no pairs"),
        ([], "gives no division"),
        ([([0, 1], [])], "validation part of division 0 must be a non-empty"),
        ([([0, 1], [1, 2])], "Division 0 has 1 rows on both sides, the first is row 1"),
        ([([0, 1], [10])], "names rows from 10 to 10; the table has rows 0 to 9"),
        ([([0, 1], [-1])], "names rows from -1"),
        ([([0, 1], [2, 2])], "more than once"),
        ([([0, 1], [0.5])], "float64"),
        ([1, 2], "gives no pairs"),
        (LeaveOneGroupOut(), "gives no pairs"),
        (KFold(20), "gives no pairs"),
    ],
)
def test_divisions_that_cannot_be_used(resampling, words):
    with pytest.raises(DataError, match=words):
        folds_of(classes(10), resampling)


def test_other_texts_than_auto():
    with pytest.raises(UnknownNameError, match="did you mean 'auto'"):
        folds_of(classes(10), "autp")


def test_too_few_rows():
    with pytest.raises(DataError, match="n_samples=1"):
        folds_of(classes(1))
