from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, truncnorm

from autopytorch_lite.search.kde import DensityRatio, KernelDensity, impute, normal_reference_bandwidths

MIXED = np.array([0, 3, 0, 2])


def mixed_data(n: int, rng: np.random.Generator, n_choices: np.ndarray = MIXED) -> np.ndarray:
    data = rng.random((n, len(n_choices)))
    return np.where(n_choices > 0, np.floor(data * n_choices), data)


def brute_force_density(data, n_choices, bandwidths, point) -> float:
    """Sum of products of one-dimensional kernels, in loops."""
    total = 0.0
    for row in data:
        kernel = 1.0
        for value, centre, choices, h in zip(point, row, n_choices, bandwidths, strict=True):
            if choices:
                kernel *= 1 - h if value == centre else h / (choices - 1)
            else:
                kernel *= math.exp(-0.5 * ((value - centre) / h) ** 2) / (h * math.sqrt(2 * math.pi))
        total += kernel
    return total / len(data)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 20),
    n_choices=st.lists(st.sampled_from([0, 0, 2, 3, 7]), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_density_is_the_brute_force_one(n: int, n_choices: list[int], seed: int) -> None:
    rng, choices = np.random.default_rng(seed), np.array(n_choices)
    data, points = mixed_data(n, rng, choices), mixed_data(9, rng, choices)
    bandwidths = np.where(
        choices > 0, rng.uniform(1e-3, 1 - 1 / np.maximum(choices, 2)), rng.uniform(0.05, 1, len(choices))
    )
    density = KernelDensity(data, choices, bandwidths)
    expected = [brute_force_density(data, choices, bandwidths, point) for point in points]
    np.testing.assert_allclose(np.exp(density.log_density(points)), expected, rtol=1e-9)


def test_density_is_that_of_statsmodels() -> None:
    kernel_density = pytest.importorskip("statsmodels.nonparametric.kernel_density")
    rng = np.random.default_rng(0)
    data, points = mixed_data(50, rng), mixed_data(20, rng)
    bandwidths = np.array([0.1, 0.3, 0.2, 0.25])
    theirs = kernel_density.KDEMultivariate(data=data, var_type="cucu", bw=bandwidths)
    ours = KernelDensity(data, MIXED, bandwidths)
    np.testing.assert_allclose(np.exp(ours.log_density(points)), theirs.pdf(points), rtol=1e-9)


def test_continuous_bandwidths_are_those_of_statsmodels() -> None:
    kernel_density = pytest.importorskip("statsmodels.nonparametric.kernel_density")
    data = np.random.default_rng(0).random((40, 3))
    theirs = kernel_density.KDEMultivariate(data=data, var_type="ccc", bw="normal_reference").bw
    np.testing.assert_allclose(normal_reference_bandwidths(data, np.zeros(3, int)), theirs)


def test_density_integrates_to_one() -> None:
    density = KernelDensity(np.array([[0.4, 1.0], [0.6, 0.0]]), np.array([0, 3]), np.array([0.1, 0.4]))
    grid = np.linspace(-1, 2, 3001)
    points = np.array([(x, code) for code in range(3) for x in grid])
    assert math.isclose(np.exp(density.log_density(points)).sum() * (grid[1] - grid[0]), 1.0, rel_tol=1e-6)


def test_log_density_is_exact_where_the_density_is_zero() -> None:
    density = KernelDensity(np.array([[0.0]]), np.array([0]), np.array([1e-3]))
    log_density = density.log_density(np.array([[1.0]]))[0]
    assert math.isclose(log_density, -0.5e6 - math.log(1e-3 * math.sqrt(2 * math.pi)), rel_tol=1e-12)


def test_bandwidths_by_hand() -> None:
    data = np.array([[0.0, 0.0], [0.2, 1.0], [0.4, 1.0], [0.6, 1.0]])
    factor = 1.06 * 4 ** (-1 / 6)
    expected = [factor * np.std([0.0, 0.2, 0.4, 0.6]), factor * math.sqrt(0.25 * 0.75)]
    np.testing.assert_allclose(normal_reference_bandwidths(data, np.array([0, 2])), expected)


def test_bandwidths_have_a_floor_and_a_ceiling() -> None:
    same = np.array([[0.5, 1.0, 0.0], [0.5, 1.0, 1.0]])
    bandwidths = normal_reference_bandwidths(same, np.array([0, 3, 2]))
    assert bandwidths.tolist() == [1e-3, 1e-3, pytest.approx(1.06 * 0.5 * 2 ** (-1 / 7))]
    even = np.array([[code] for code in range(7)], dtype=float)
    assert normal_reference_bandwidths(even, np.array([7]))[0] <= 6 / 7


def test_categorical_bandwidth_does_not_depend_on_the_order_of_choices() -> None:
    codes = np.random.default_rng(0).integers(4, size=(30, 1)).astype(float)
    renamed = np.array([2.0, 0.0, 3.0, 1.0])[codes.astype(int)]
    n_choices = np.array([4])
    assert normal_reference_bandwidths(codes, n_choices) == normal_reference_bandwidths(renamed, n_choices)


def test_samples_stay_in_the_space() -> None:
    rng = np.random.default_rng(0)
    data = mixed_data(5, rng)
    data[:2, 0] = 0.0, 1.0
    points = KernelDensity.fit(data, MIXED).sample(2000, rng, bandwidth_factor=30)
    assert points.shape == (2000, 4)
    assert np.all((points >= 0) & (points <= np.where(MIXED > 0, MIXED - 1, 1)))
    assert np.array_equal(points[:, [1, 3]], np.floor(points[:, [1, 3]]))
    assert set(np.unique(points[:, 1])) == {0, 1, 2}


def test_samples_follow_a_truncated_normal_and_keep_codes() -> None:
    rng = np.random.default_rng(0)
    density = KernelDensity(np.array([[0.1, 2.0]]), np.array([0, 4]), np.array([0.1, 0.4]))
    points = density.sample(40_000, rng, bandwidth_factor=2)
    assert kstest(points[:, 0], truncnorm(-0.5, 4.5, loc=0.1, scale=0.2).cdf).pvalue > 0.01
    shares = np.bincount(points[:, 1].astype(int), minlength=4) / len(points)
    np.testing.assert_allclose(shares, [0.1, 0.1, 0.7, 0.1], atol=0.01)


def test_imputation_copies_what_belongs_together_from_one_row() -> None:
    nan = math.nan
    data = np.array([[0.0, nan, nan], [1.0, 0.1, 0.01], [1.0, 0.2, 0.02], [0.0, nan, nan]] * 20)
    filled = impute(data, np.zeros(3, int), np.random.default_rng(0))
    assert not np.isnan(filled).any()
    np.testing.assert_allclose(filled[:, 2], filled[:, 1] / 10)
    assert {0.1, 0.2} == set(filled[data[:, 0] == 0, 1])
    active = ~np.isnan(data)
    np.testing.assert_array_equal(filled[active], data[active])
    assert np.isnan(data).sum() == 80, "the input was changed"


def test_imputation_of_many_branches_keeps_each_together() -> None:
    """Three branches with two dimensions each; a row is in one of them, or in two. Pairs stay pairs."""
    rng, data = np.random.default_rng(0), np.full((200, 6), math.nan)
    for row in data:
        for branch in rng.choice(3, size=rng.integers(1, 3), replace=False):
            row[2 * branch] = rng.random()
            row[2 * branch + 1] = row[2 * branch] + 1
    filled = impute(data, np.zeros(6, int), rng)
    np.testing.assert_array_equal(filled[:, 1::2], filled[:, ::2] + 1)
    active = ~np.isnan(data)
    np.testing.assert_array_equal(filled[active], data[active])
    for j in range(6):
        assert set(filled[:, j]) == set(data[active[:, j], j]), "every donor is used, nothing is invented"


def test_imputation_asks_another_row_where_the_first_donor_is_inactive_too() -> None:
    nan = math.nan
    data = np.array([[nan, nan], [0.3, nan], [nan, 0.7]])
    filled = impute(data, np.zeros(2, int), np.random.default_rng(0))
    assert filled.tolist() == [[0.3, 0.7], [0.3, 0.7], [0.3, 0.7]]


def test_what_is_active_nowhere_is_filled_uniformly() -> None:
    data = np.full((3000, 2), math.nan)
    filled = impute(data, np.array([0, 3]), np.random.default_rng(0))
    assert abs(filled[:, 0].mean() - 0.5) < 0.03
    np.testing.assert_allclose(np.bincount(filled[:, 1].astype(int)) / 3000, [1 / 3] * 3, atol=0.03)


def test_candidates_are_ranked_by_the_ratio_and_prefer_the_good_side() -> None:
    rng = np.random.default_rng(0)
    good = np.column_stack([rng.uniform(0.0, 0.3, 30), np.ones(30)])
    bad = np.column_stack([rng.uniform(0.1, 1.0, 80), np.zeros(80)])
    n_choices = np.array([0, 2])
    ratio = DensityRatio.fit(good, bad, n_choices, rng)
    points = ratio.candidates(64, rng)
    values = [
        brute_force_density(good, n_choices, ratio.good.bandwidths, point)
        / brute_force_density(bad, n_choices, ratio.bad.bandwidths, point)
        for point in points
    ]
    assert all(before >= after * (1 - 1e-9) for before, after in pairwise(values))
    assert points[0, 0] < 0.2
    assert points[0, 1] == 1
