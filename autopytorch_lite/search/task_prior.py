"""What other tasks say about a new one: their losses as functions of configuration and rung, between known points.

The prior mean of the new task is the mean of the others, its prior covariance their sample covariance: the deviations
of the single tasks from the mean are the loadings of the process in `gaussian_process`.

Source of the idea: Swersky, Snoek, Adams (2013), "Multi-Task Bayesian Optimization", NeurIPS, with the sample
covariance in place of a learned one, as in probabilistic matrix factorisation (Fusi, Sheth, Elibol 2018, NeurIPS).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from autopytorch_lite.errors import PortfolioError, SpaceError, UnknownNameError
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.search.gaussian_process import Geometry, Kernel, matern, matern_fall, scaled_distances
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.types import Array, FloatArray, IntArray

_MAX_NODES = 1500
_N_FOR_LENGTHSCALES = 240
_NODE_NOISE = 1e-3
_DOUBT = 0.7
"""How much the mean over tasks may turn out to be worth more or less than it says, in units of the tasks' weights."""
_MIN_PLAIN = 50
"""So many configurations that no task led to are enough to say what is typical of a task."""


@dataclass(frozen=True)
class Expectation:
    """What other tasks say about configurations.

    Attributes:
        means: float64, shape (m, n_rungs): mean over tasks of the scores: losses with the sign changed, standardised.
        loadings: float64, shape (m, n_rungs, n_tasks + 1): deviations of the tasks, such that their products are the
            sample covariance; and the mean itself, which may matter more or less here than elsewhere.
        log_rates: float64, shape (m,): log of the seconds per epoch, relative to other configurations.
    """

    means: FloatArray
    loadings: FloatArray
    log_rates: FloatArray

    def __getitem__(self, index: IntArray) -> Expectation:
        return Expectation(self.means[index], self.loadings[index], self.log_rates[index])

    @staticmethod
    def concatenate(parts: list[Expectation]) -> Expectation:
        """Several as one."""
        return Expectation(
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.loadings for part in parts]),
            np.concatenate([part.log_rates for part in parts]),
        )


class TaskPrior:
    """Losses and times of configurations on other tasks, interpolated.

    Args:
        matrix: what was measured; its space must be the one searched.
        codec: of the space searched.
        geometry: of the codec.
        budgets: the rungs searched, epochs, ascending.

    Attributes:
        vectors: float64, shape (n, n_dims): the configurations of the matrix.
        lengthscales: float64, shape (n_dims,): over which the tasks' losses change.
        typical_scale: the median over tasks of the standard deviation of their final losses.
        fingerprint: identifies the matrix.

    Raises:
        PortfolioError: fewer than two tasks or ten configurations, or a configuration does not fit the space searched;
            the message names the hyperparameter.
    """

    def __init__(self, matrix: PerformanceMatrix, codec: VectorCodec, geometry: Geometry, budgets: tuple[int, ...]):
        if len(matrix.tasks) < 2 or len(matrix.configs) < 10:
            raise PortfolioError(
                "A prior needs at least 2 tasks and 10 configurations, "
                f"got {len(matrix.tasks)} and {len(matrix.configs)}."
            )
        kept = matrix.with_configs(range(min(len(matrix.configs), _MAX_NODES)))
        self._geometry = geometry
        self.vectors = _encode(kept, codec)
        self.fingerprint = _fingerprint(matrix)
        self._n_tasks, self._n_rungs = len(kept.tasks), len(budgets)
        scores, self.typical_scale = _scores(kept, budgets)
        self._level = np.nanmean(scores, axis=1)  # (tasks, rungs)
        outputs = np.moveaxis(scores - self._level[:, None, :], 0, 2).reshape(len(self.vectors), -1)
        rates = _log_rates(kept)
        points = geometry.points(self.vectors)
        self.lengthscales = _fit_lengthscales(points, geometry, outputs)
        nodes = points / self.lengthscales[geometry.dim_of]
        coefficients = _interpolate(nodes, np.column_stack([outputs, rates]))
        self._nodes = nodes.astype(np.float32)  # enough to read it, and twice as fast
        of_tasks = coefficients[:, :-1].reshape(len(points), self._n_rungs, self._n_tasks)
        outputs = _mean_and_loadings(of_tasks)
        self._offsets = _mean_and_loadings(self._level.T)
        self._coefficients = [
            np.hstack([outputs[:, rung:].reshape(len(points), -1), coefficients[:, -1:]]).astype(np.float32)
            for rung in range(self._n_rungs)
        ]  # by first rung

    def expect(self, vectors: FloatArray, first_rung: int = 0) -> Expectation:
        """What the other tasks say about configurations, given as vectors, float64, shape (m, n_dims).

        Args:
            vectors: the configurations.
            first_rung: leave out the rungs below.
        """
        points = self._geometry.points(vectors) / self.lengthscales[self._geometry.dim_of]
        shape = (len(vectors), self._n_rungs - first_rung, self._n_tasks + 2)
        kernel = matern(scaled_distances(points.astype(np.float32), self._nodes))
        values = (kernel @ self._coefficients[first_rung]).astype(np.float64)
        by_rung = values[:, :-1].reshape(shape) + self._offsets[first_rung:]
        return Expectation(by_rung[:, :, 0], by_rung[:, :, 1:], values[:, -1])


def _mean_and_loadings(of_tasks: FloatArray) -> FloatArray:
    """What `Expectation` holds, from values by task, along the last axis: the mean, deviations, and the mean again."""
    means = of_tasks.mean(axis=-1, keepdims=True)
    deviations = (of_tasks - means) / np.sqrt(of_tasks.shape[-1] - 1)
    return np.concatenate([means, deviations, _DOUBT * means], axis=-1)


def _encode(matrix: PerformanceMatrix, codec: VectorCodec) -> FloatArray:
    try:
        for config in matrix.configs:
            codec.check(config)
    except (SpaceError, UnknownNameError) as error:
        raise PortfolioError(f"The prior's configurations must be points of the space searched: {error}") from error
    return codec.encode_many(matrix.configs)


def _fingerprint(matrix: PerformanceMatrix) -> str:
    digest = hashlib.sha256(repr((matrix.tasks, matrix.budgets, matrix.configs)).encode())
    digest.update(np.ascontiguousarray(matrix.losses, dtype=np.float32).tobytes())
    return digest.hexdigest()[:16]


def _scores(matrix: PerformanceMatrix, budgets: tuple[int, ...]) -> tuple[FloatArray, float]:
    """Standardised scores at the rungs, shape (t, n, n_rungs), NaN where nothing was measured at any budget.

    A failure, NaN beside measured values, counts as the task's worst loss at that budget.
    """
    losses = np.asarray(matrix.losses, dtype=np.float64)
    is_missing = np.isnan(losses)
    has_failed = is_missing & ~is_missing.all(axis=2, keepdims=True)
    losses = np.where(has_failed, np.nanmax(losses, axis=1, keepdims=True), losses)
    plain = [number for number, found in enumerate(matrix.found_on) if not found]
    final: FloatArray = losses[:, plain, -1] if len(plain) >= _MIN_PLAIN else losses[:, :, -1]
    scale: FloatArray = np.asarray(np.maximum(np.nanstd(final, axis=1), 1e-12))
    standardised = -(losses - np.nanmean(final, axis=1)[:, None, None]) / scale[:, None, None]
    return _at_rungs(standardised, matrix.budgets, budgets), float(np.median(scale))


def _at_rungs(values: FloatArray, known: tuple[int, ...], asked: tuple[int, ...]) -> FloatArray:
    """Values at other budgets, linear in the log of the share of the largest budget, constant outside."""
    old, new = np.log(np.array(known) / known[-1]), np.log(np.array(asked) / asked[-1])
    right = np.clip(np.searchsorted(old, new), 1, max(len(old) - 1, 1))
    if len(old) == 1:
        return np.repeat(values, len(new), axis=2)
    share = np.clip((new - old[right - 1]) / (old[right] - old[right - 1]), 0, 1)
    return values[:, :, right - 1] * (1 - share) + values[:, :, right] * share


def _log_rates(matrix: PerformanceMatrix) -> FloatArray:
    """Log seconds of the largest budget, relative to the task's median, mean over tasks, shape (n,); 0: unknown."""
    seconds = np.asarray(matrix.seconds, dtype=np.float64)[:, :, -1]
    logs = np.log(np.where(seconds > 0, seconds, np.nan))
    is_known = np.isfinite(logs)
    medians = np.array([np.median(row[ok]) if ok.any() else 0.0 for row, ok in zip(logs, is_known, strict=True)])
    relative = np.where(is_known, logs - medians[:, None], 0.0)
    return np.asarray(relative.sum(axis=0) / np.maximum(is_known.sum(axis=0), 1))


def _interpolate(nodes: FloatArray, outputs: FloatArray) -> FloatArray:
    """Coefficients of kernel interpolation, shape (n, n_outputs); outputs may be NaN at nodes where unknown."""
    covariances = matern(scaled_distances(nodes, nodes))
    covariances[np.diag_indices(len(nodes))] += _NODE_NOISE
    coefficients = np.zeros_like(outputs)
    patterns, of_output = np.unique(np.isfinite(outputs).T, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        if pattern.any():
            columns = np.flatnonzero(of_output.ravel() == number)
            factor = cho_factor(covariances[np.ix_(pattern, pattern)], check_finite=False)
            coefficients[np.ix_(pattern, columns)] = cho_solve(factor, outputs[np.ix_(pattern, columns)])
    return coefficients


def _fit_lengthscales(points: FloatArray, geometry: Geometry, outputs: FloatArray) -> FloatArray:
    """Lengthscales that explain all tasks together best, by marginal likelihood on a part of the nodes."""
    start = np.full(geometry.n_dims, np.log(0.3 * np.sqrt(max(geometry.n_dims, 1))))
    step = max(len(points) // _N_FOR_LENGTHSCALES, 1)
    some, targets = points[::step], outputs[::step]
    complete = np.isfinite(targets).all(axis=0)
    if not complete.any() or geometry.n_dims == 0:
        return np.exp(start)
    targets = targets[:, complete]
    targets = (targets - targets.mean(axis=0)) / np.maximum(targets.std(axis=0), 1e-12)
    squares = (some[:, None, :] - some[None, :, :]) ** 2
    by_dim = np.stack([squares[:, :, geometry.dim_of == dim].sum(axis=2).ravel() for dim in range(geometry.n_dims)])

    def negative_log_posterior(logs: FloatArray) -> tuple[float, FloatArray]:
        return _negative_log_posterior(logs, start, by_dim, targets)

    bounds = [(middle - 3, middle + 3) for middle in start]
    found = minimize(negative_log_posterior, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 15})
    return np.asarray(np.exp(found.x))


def _negative_log_posterior(
    logs: FloatArray, centre: FloatArray, squares: FloatArray, targets: FloatArray
) -> tuple[float, FloatArray]:
    n, n_outputs = targets.shape
    inverse_squares = np.exp(-2 * logs)
    distances = np.sqrt(5 * np.maximum(inverse_squares @ squares, 0.0)).reshape(n, n)
    covariances = 0.95 * matern(distances)
    covariances[np.diag_indices(n)] += 0.05
    factor = cho_factor(covariances, lower=True, check_finite=False)
    solved = cho_solve(factor, targets)
    slopes = n_outputs * cho_solve(factor, np.eye(n)) - solved @ solved.T
    gradient = (squares @ (slopes * 0.95 * matern_fall(distances)).ravel()) * inverse_squares / 2
    value = n_outputs * np.log(np.diagonal(factor[0])).sum() + (targets * solved).sum() / 2
    deviations = logs - centre
    return float(value + (deviations**2).sum() / 2), gradient + deviations


def typical_kernel(
    geometry: Geometry, n_rungs: int, lengthscales: Array | None = None, n_active: float | None = None
) -> Kernel:
    """The kernel to expect before anything is observed.

    Args:
        geometry: of the space.
        n_rungs: number of rungs.
        n_active: how many dimensions a configuration has on average; None: all. Distances grow with its root.
        lengthscales: of a prior, float64, shape (n_dims,); None: there is none, and the new task is all there is.
    """
    informed = lengthscales is not None
    plain = np.full(geometry.n_dims, 0.3 * np.sqrt(geometry.n_dims if n_active is None else n_active))
    n_gaps = n_rungs - 1
    shares = 0.5 ** np.arange(n_gaps)
    return Kernel(
        lengthscales=np.asarray(lengthscales) if informed else plain,
        smooth=0.07 if informed else 1.0,
        rough=0.03 if informed else 0.01,
        gaps=(0.1 if informed else 0.9) * shares,
        shifts=(0.05 if informed else 2.0) * shares,
        level=25.0,
        weights=0.5,
        noise=1e-3 if informed else 1e-4,
        dim_of=geometry.dim_of,
    )
