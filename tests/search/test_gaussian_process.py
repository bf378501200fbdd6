"""The process against textbook formulas: covariance, gradient, growth by rows, pending items, scale."""

from __future__ import annotations

import numpy as np
import pytest

from autopytorch_lite.search.gaussian_process import Geometry, Items, Kernel, KernelBelief, Posterior, fit_scale
from autopytorch_lite.search.gaussian_process import _Likelihood as Likelihood
from autopytorch_lite.search.gaussian_process import _pack as pack

N_RUNGS = 4
N_CHOICES = np.array([0, 0, 3])


def make_items(n: int, seed: int = 0) -> tuple[Geometry, Items]:
    rng = np.random.default_rng(seed)
    geometry = Geometry(N_CHOICES)
    vectors = np.column_stack([rng.random((n, 2)), rng.integers(0, 3, n)])
    vectors[0, 1] = np.nan
    rungs = rng.integers(0, N_RUNGS, n)
    return geometry, Items(geometry.points(vectors), rungs, rng.standard_normal(n), rng.standard_normal((n, 2)))


def make_kernel(geometry: Geometry) -> Kernel:
    return Kernel(
        lengthscales=np.array([0.5, 0.4, 1.0]),
        smooth=0.4,
        rough=0.1,
        gaps=np.array([0.3, 0.2, 0.1]),
        shifts=np.array([1.0, 0.5, 0.2]),
        level=25.0,
        weights=0.5,
        noise=1e-2,
        dim_of=geometry.dim_of,
    )


def dense_posterior(kernel: Kernel, seen: Items, values: np.ndarray, asked: Items) -> tuple[np.ndarray, np.ndarray]:
    covariances = kernel.between(seen, seen) + (kernel.noise + 1e-6) * np.eye(len(seen))
    across = kernel.between(seen, asked)
    solved = np.linalg.solve(covariances, across)
    means = asked.means + solved.T @ (values - seen.means)
    return means, kernel.variances(asked) - np.einsum("ij,ij->j", across, solved)


def test_different_choices_are_at_distance_one_and_inactive_values_at_none() -> None:
    geometry = Geometry(N_CHOICES)
    points = geometry.points(np.array([[0.2, np.nan, 0.0], [0.2, np.nan, 2.0], [0.2, 0.5, 0.0]]))
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(1)
    assert np.array_equal(points[0], points[2])


def test_covariance_of_a_pair_by_hand() -> None:
    geometry, items = make_items(2)
    kernel = make_kernel(geometry)
    a, b = items.points / kernel.lengthscales[geometry.dim_of]
    lower = int(items.rungs.max())

    def matern(distance: float) -> float:
        scaled = np.sqrt(5) * distance
        return float((1 + scaled + scaled**2 / 3) * np.exp(-scaled))

    distance = float(np.linalg.norm(a - b))
    expected = matern(distance) * (0.4 + kernel.gaps[lower:].sum()) + 0.1 * matern(distance / 0.3)
    expected += 25 + kernel.shifts[lower:].sum() + 0.5 * items.loadings[0] @ items.loadings[1]
    assert kernel.between(items, items)[0, 1] == pytest.approx(expected)
    assert np.diagonal(kernel.between(items, items)) == pytest.approx(kernel.variances(items))


def test_gradient_of_the_likelihood() -> None:
    geometry, items = make_items(20)
    values = np.random.default_rng(1).standard_normal(20)
    problem = Likelihood(KernelBelief(make_kernel(geometry)), items, values - values.mean(), 1.0, 1.0)
    logs = pack(make_kernel(geometry)) + np.random.default_rng(2).normal(0, 0.3, 10)
    steps = 1e-5 * np.eye(len(logs))
    numeric = [(problem(logs + step)[0] - problem(logs - step)[0]) / 2e-5 for step in steps]
    assert problem(logs)[1] == pytest.approx(numeric, abs=1e-4)


def test_fitting_finds_a_more_likely_kernel() -> None:
    geometry, items = make_items(60)
    values = np.sin(6 * items.points[:, 0]) + 0.1 * items.rungs
    belief = KernelBelief(make_kernel(geometry))
    fitted = belief.fit(items, values - values.mean(), belief.typical, n_pseudo=1.0, typical_scale=1.0)
    problem = Likelihood(belief, items, values - values.mean(), 1.0, 1.0)
    assert problem(pack(fitted))[0] < problem(pack(belief.typical))[0] - 5
    assert fitted.lengthscales[0] < fitted.lengthscales[1], "only the first axis matters"


@pytest.mark.parametrize("n_at_once", [0, 3, 12])
def test_growing_by_rows_and_columns_equals_the_dense_formula(n_at_once: int) -> None:
    geometry, items = make_items(20)
    kernel = make_kernel(geometry)
    seen, asked = items[slice(0, 12)], items[slice(12, 20)]
    posterior = Posterior(kernel, seen[slice(0, n_at_once)], asked[slice(0, 5)])
    for row in range(n_at_once, 12):
        posterior.observe(seen[slice(row, row + 1)])
    posterior.add_columns(asked[slice(5, 8)])
    values = np.random.default_rng(3).standard_normal(12)
    means, variances = dense_posterior(kernel, seen, values, asked)
    projections = posterior.column_projections()
    residuals = posterior.whiten((values - seen.means)[:, None])[:, 0]
    assert asked.means + residuals @ projections == pytest.approx(means)
    assert posterior.column_variances() == pytest.approx(variances)
    assert posterior.project(asked) == pytest.approx(projections)


def test_pending_items_reduce_variance_as_if_they_were_observed() -> None:
    geometry, items = make_items(20)
    kernel = make_kernel(geometry)
    seen, pending, asked = items[slice(0, 8)], items[slice(8, 11)], items[slice(11, 20)]
    posterior = Posterior(kernel, seen, asked)
    projections = posterior.column_projections()
    reduced = posterior.column_variances() - posterior.reductions(projections, pending, None)
    both = Items.concatenate([seen, pending])
    assert reduced == pytest.approx(dense_posterior(kernel, both, both.means, asked)[1])


def test_the_scale_of_many_observations_is_found() -> None:
    rng = np.random.default_rng(0)
    means = rng.standard_normal(4000)
    observed = 3.0 * (means + rng.standard_normal(4000))
    assert fit_scale(np.column_stack([observed, means]), 1.0, 1.0).value == pytest.approx(3, rel=0.05)
    assert fit_scale(np.zeros((0, 2)), 1.0, 0.2).value == pytest.approx(0.2)
