"""What other tasks say: interpolation, standardised scores, other budgets, gaps in the matrix, misfits."""

from __future__ import annotations

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import PortfolioError
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.search.gaussian_process import Geometry
from autopytorch_lite.search.task_prior import TaskPrior
from autopytorch_lite.space.encode import VectorCodec

SPACE = ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)})
BUDGETS = (1, 3, 9)


def make_matrix(n: int = 120, budgets: tuple[int, ...] = BUDGETS, seed: int = 0) -> PerformanceMatrix:
    """Four tasks whose loss has its minimum at different x; y decides how long an epoch takes."""
    points = np.random.default_rng(seed).random((n, 2))
    configs = tuple({"x": float(x), "y": float(y)} for x, y in points)
    optima = np.array([0.1, 0.3, 0.5, 0.7])
    final = (points[:, 0][None, :] - optima[:, None]) ** 2
    losses = np.stack([final + 1 / budget for budget in budgets], axis=2)
    seconds = np.stack([np.tile(budget * np.exp(points[:, 1]), (4, 1)) for budget in budgets], axis=2)
    return PerformanceMatrix(SPACE, configs, ("a", "b", "c", "d"), budgets, losses, seconds)


def make_prior(matrix: PerformanceMatrix, budgets: tuple[int, ...] = BUDGETS) -> TaskPrior:
    codec = VectorCodec(SPACE)
    return TaskPrior(matrix, codec, Geometry(codec.n_choices), budgets)


def test_tasks_are_interpolated_between_the_known_configurations() -> None:
    matrix = make_matrix()
    vectors = np.random.default_rng(1).uniform(0.05, 0.95, (50, 2))
    expected = make_prior(matrix).expect(vectors)
    final = (vectors[:, :1] - np.array([0.1, 0.3, 0.5, 0.7])) ** 2 + 1 / BUDGETS[-1]
    truth = -(final - matrix.final_losses.mean(axis=1)) / matrix.final_losses.std(axis=1)
    assert expected.means[:, -1] == pytest.approx(truth.mean(axis=1), abs=0.1)
    deviations = (truth - truth.mean(axis=1, keepdims=True)) / np.sqrt(3)
    assert np.abs(expected.loadings[:, -1, :4] - deviations).max() < 0.05
    assert np.corrcoef(expected.log_rates, vectors[:, 1])[0, 1] > 0.99


def test_lengthscales_say_what_matters() -> None:
    x, y = make_prior(make_matrix()).lengthscales
    assert x < y


def test_low_rungs_expect_less() -> None:
    means = make_prior(make_matrix()).expect(np.random.default_rng(1).random((20, 2))).means
    assert (np.diff(means, axis=1) > 0).all()


def test_other_budgets_are_read_off_between_the_known_ones() -> None:
    prior = make_prior(make_matrix(), budgets=(2, 6, 18))
    exact = make_prior(make_matrix())
    vectors = np.random.default_rng(1).random((10, 2))
    assert prior.expect(vectors).means == pytest.approx(exact.expect(vectors).means, abs=1e-6)


def test_what_is_missing_is_interpolated() -> None:
    matrix = make_matrix()
    losses = np.array(matrix.losses)
    losses[0, :30] = np.nan
    with_gaps = PerformanceMatrix(SPACE, matrix.configs, matrix.tasks, BUDGETS, losses, matrix.seconds)
    vectors = VectorCodec(SPACE).encode_many(matrix.configs[:30])
    found, whole = make_prior(with_gaps).expect(vectors), make_prior(matrix).expect(vectors)
    assert found.means[:, -1] == pytest.approx(whole.means[:, -1], abs=0.15)


def test_a_failure_is_as_bad_as_the_worst() -> None:
    matrix = make_matrix()
    losses = np.array(matrix.losses)
    losses[1, 30:40, -1] = np.nan
    with_failures = PerformanceMatrix(SPACE, matrix.configs, matrix.tasks, BUDGETS, losses, matrix.seconds)
    vectors = VectorCodec(SPACE).encode_many(matrix.configs[30:40])
    found, whole = make_prior(with_failures).expect(vectors), make_prior(matrix).expect(vectors)
    assert (found.means[:, -1] - whole.means[:, -1]).mean() < -0.1


def test_a_prior_of_another_space_is_refused_by_name() -> None:
    codec = VectorCodec(ConfigurationSpace({"x": (0.0, 1.0)}))
    with pytest.raises(PortfolioError, match="'y'"):
        TaskPrior(make_matrix(), codec, Geometry(codec.n_choices), BUDGETS)
    with pytest.raises(PortfolioError, match="at least 2 tasks"):
        make_prior(make_matrix().with_tasks(["a"]))


def test_the_fingerprint_tells_matrices_apart() -> None:
    assert make_prior(make_matrix()).fingerprint == make_prior(make_matrix()).fingerprint
    assert make_prior(make_matrix()).fingerprint != make_prior(make_matrix().without("a")).fingerprint
