"""A Gaussian process over items (configuration, rung): how losses at all budgets hang together, with uncertainty.

The covariance of two items is a sum of independent parts: a level common to all; a shift of each rung against the next;
a smooth function of the configuration; a rough one; for each rung a smooth function that it differs by from the next;
and a weighted sum of known functions, the loadings, for example what other tasks have shown. Exact inference by
Cholesky factors that grow a row at a time.

Sources: Rasmussen and Williams (2006), "Gaussian Processes for Machine Learning", algorithms 2.1 and 5.1; Swersky,
Snoek, Adams (2014), "Freeze-Thaw Bayesian Optimization", for one process over configurations and time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dtrtrs
from scipy.optimize import minimize

from autopytorch_lite.types import FloatArray, IntArray

_ROOT5 = np.sqrt(5.0)
_ROUGHNESS = 0.3
"""Lengthscales of the rough part, as a share of those of the smooth part."""
_JITTER = 1e-6
_MAX_ITERATIONS = 12


@dataclass(frozen=True)
class Items:
    """Items of the process.

    Attributes:
        points: float64, shape (n, d): one coordinate for each dimension of the kernel, see `Geometry`.
        rungs: int64, shape (n,): 0 is the lowest.
        means: float64, shape (n,): prior mean, in units of the scale.
        loadings: float64, shape (n, k): values of the known functions.
    """

    points: FloatArray
    rungs: IntArray
    means: FloatArray
    loadings: FloatArray

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: slice | IntArray) -> Items:
        return Items(self.points[index], self.rungs[index], self.means[index], self.loadings[index])

    @staticmethod
    def concatenate(parts: list[Items]) -> Items:
        """Several sets of items as one."""
        return Items(
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.rungs for part in parts]),
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.loadings for part in parts]),
        )


class Geometry:
    """How vectors of a space become points of the kernel.

    A continuous dimension is a coordinate; a categorical one has a coordinate for each choice, such that different
    choices are at distance 1; where a dimension is inactive its coordinates are constant.

    Args:
        n_choices: int array, shape (n_dims,); 0 for continuous dimensions.

    Attributes:
        n_dims: number of lengthscales.
        dim_of: int array, shape (d,): the dimension that each coordinate belongs to.
    """

    def __init__(self, n_choices: IntArray):
        self._n_choices = np.asarray(n_choices)
        self.n_dims = len(self._n_choices)
        widths = np.where(self._n_choices > 0, self._n_choices, 1)
        self.dim_of: IntArray = np.repeat(np.arange(self.n_dims), widths)
        self._starts = np.cumsum(widths) - widths
        self._is_continuous = self._n_choices == 0

    def points(self, vectors: FloatArray) -> FloatArray:
        """Points of vectors with NaN where inactive, float64, shape (m, n_dims) -> (m, d)."""
        points = np.zeros((len(vectors), len(self.dim_of)))
        continuous = vectors[:, self._is_continuous]
        points[:, self._starts[self._is_continuous]] = np.where(np.isnan(continuous), 0.5, continuous)
        for dim in np.flatnonzero(~self._is_continuous):
            codes = vectors[:, dim]
            active = np.flatnonzero(~np.isnan(codes))
            points[active, self._starts[dim] + codes[active].astype(np.int64)] = np.sqrt(0.5)
        return points


@dataclass(frozen=True)
class Kernel:
    """Covariance of items; variances are in units of the squared scale.

    Attributes:
        lengthscales: float64, shape (n_dims,).
        smooth: variance of the smooth function of the configuration.
        rough: variance of the rough function of the configuration.
        gaps: float64, shape (n_rungs - 1,): variance of the function by which a rung differs from the next.
        shifts: float64, shape (n_rungs - 1,): variance of the level by which a rung differs from the next.
        level: variance of the level common to all.
        weights: variance of the weights of the loadings.
        noise: variance of the noise.
        dim_of: int array, shape (d,): see `Geometry`.
    """

    lengthscales: FloatArray
    smooth: float
    rough: float
    gaps: FloatArray
    shifts: FloatArray
    level: float
    weights: float
    noise: float
    dim_of: IntArray

    @cached_property
    def _gap_sums(self) -> FloatArray:
        return _sums_from(self.gaps)

    @cached_property
    def _shift_sums(self) -> FloatArray:
        return _sums_from(self.shifts)

    @cached_property
    def _scales(self) -> FloatArray:
        return self.lengthscales[self.dim_of]

    def between(self, a: Items, b: Items) -> FloatArray:
        """Covariances, noise left out, float64, shape (len(a), len(b))."""
        lower = np.maximum(a.rungs[:, None], b.rungs[None, :])
        distances = scaled_distances(a.points / self._scales, b.points / self._scales)
        covariances = matern(distances)
        covariances *= (self.smooth + self._gap_sums)[lower]
        if self.rough:
            distances /= _ROUGHNESS
            covariances += self.rough * matern(distances)
        covariances += (self.level + self._shift_sums)[lower]
        if a.loadings.shape[1]:
            covariances += (self.weights * a.loadings) @ b.loadings.T
        return covariances

    def variances(self, items: Items) -> FloatArray:
        """Prior variances, noise left out, float64, shape (len(items),)."""
        return self.same(items, items)

    def same(self, a: Items, b: Items) -> FloatArray:
        """Covariances of the items of a and b, one by one, of the same configurations, noise left out, shape (n,)."""
        lower = np.maximum(a.rungs, b.rungs)
        parts = self.smooth + self.rough + self.level + (self._gap_sums + self._shift_sums)[lower]
        return parts + self.weights * np.einsum("ij,ij->i", a.loadings, b.loadings)


def _sums_from(values: FloatArray) -> FloatArray:
    """Sum of values[r:] for every r, 0 for the last rung, shape (len(values) + 1,)."""
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)


def scaled_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Distances of points, in units of the lengthscales, times the root of 5, shape (len(a), len(b))."""
    squares = a @ (-2 * b.T)
    squares += np.einsum("ij,ij->i", b, b)
    squares += np.einsum("ij,ij->i", a, a)[:, None]
    np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)
    squares *= _ROOT5
    return np.asarray(squares)


def matern(distances: FloatArray) -> FloatArray:
    """Matern 5/2 of `scaled_distances`."""
    values = distances / 3
    values += 1
    values *= distances
    values += 1
    values *= np.exp(-distances)
    return values


@dataclass(frozen=True)
class Scale:
    """What the prior leaves open about the units of the observations.

    Attributes:
        value: the unit in which the process is measured.
        likelihood: log marginal likelihood at this scale, up to a constant.
    """

    value: float
    likelihood: float


def fit_scale(whitened: FloatArray, n_pseudo: float, typical: float) -> Scale:
    """The most likely scale b, where observations are b times a draw of the process.

    Args:
        whitened: float64, shape (n, 2): observations and prior means times the inverse Cholesky factor.
        n_pseudo: how many observations the typical scale is worth.
        typical: scale to expect.
    """
    observed, means = whitened[:, 0], whitened[:, 1]
    n = len(whitened) + n_pseudo
    square = observed @ observed + n_pseudo * typical**2
    product = observed @ means
    value = (np.sqrt(product**2 + 4 * n * square) - product) / (2 * n)
    misfit = square / value**2 - 2 * product / value + means @ means
    return Scale(float(value), float(-n * np.log(value) - misfit / 2))


class Posterior:
    """Observed items, and what follows for columns: items whose posterior is kept up to date as observations come.

    Everything is a function of the calls made, in their order; reading changes nothing.

    Args:
        kernel: the covariance.
        observed: items observed so far.
        columns: items to keep up to date.
    """

    def __init__(self, kernel: Kernel, observed: Items, columns: Items):
        self.kernel = kernel
        self.observed = observed
        self.columns = columns
        n = len(observed)
        covariances = kernel.between(observed, observed)
        covariances[np.diag_indices(n)] += kernel.noise + _JITTER
        self._factor = _Growing(np.linalg.cholesky(covariances) if n else np.zeros((0, 0)))
        self._contiguous: FloatArray | None = None  # the factor, as LAPACK likes it
        projections = self.whiten(kernel.between(observed, columns))
        self._projections = _Growing(projections)
        self._variances = kernel.variances(columns) - (projections**2).sum(axis=0)

    def observe(self, item: Items) -> None:
        """Add one observed item."""
        self._grow(item)
        self.observed = Items.concatenate([self.observed, item])

    def add_columns(self, items: Items) -> None:
        """Add columns."""
        n, m = len(self.observed), len(self.columns)
        projections = self.project(items)
        self._projections.reserve(n, m + len(items))
        self._projections.array[:n, m : m + len(items)] = projections
        self.columns = Items.concatenate([self.columns, items])
        self._variances = np.append(self._variances, self.kernel.variances(items) - (projections**2).sum(axis=0))

    def whiten(self, values: FloatArray) -> FloatArray:
        """Values of the observed items, shape (n, k), times the inverse Cholesky factor."""
        if self._contiguous is None:
            n = len(self.observed)
            self._contiguous = np.ascontiguousarray(self._factor.view(n, n))
        return _solve(self._contiguous, values)

    def project(self, items: Items) -> FloatArray:
        """Covariances of items with the observations, whitened, float64, shape (n, len(items))."""
        return self.whiten(self.kernel.between(self.observed, items))

    def column_projections(self) -> FloatArray:
        """`project` of the columns, kept up to date, shape (n, n_columns)."""
        return self._projections.view(len(self.observed), len(self.columns))

    def reductions(self, columns: FloatArray, pending: Items, items: Items | None) -> FloatArray:
        """How much less variance there will be once pending items are observed, whatever comes out.

        Args:
            columns: projections of the items asked for, shape (n, m).
            pending: items being evaluated.
            items: the items asked for; None for the columns.
        """
        asked = self.columns if items is None else items
        own = self.project(pending)
        among = self.kernel.between(pending, pending) - own.T @ own
        among[np.diag_indices(len(pending))] += self.kernel.noise + _JITTER
        across = self.kernel.between(pending, asked) - own.T @ columns
        return np.asarray((_solve(np.linalg.cholesky(among), across) ** 2).sum(axis=0))

    def column_variances(self) -> FloatArray:
        """Variances of the columns given the observations, noise left out, shape (n_columns,)."""
        return self._variances

    def _grow(self, item: Items) -> None:
        n, m = len(self.observed), len(self.columns)
        row = self.project(item)[:, 0]
        variance = self.kernel.variances(item)[0] + self.kernel.noise + _JITTER - row @ row
        pivot = np.sqrt(max(variance, _JITTER))
        self._factor.reserve(n + 1, n + 1)
        self._factor.array[n, :n] = row
        self._factor.array[n, n] = pivot
        self._contiguous = None
        self._projections.reserve(n + 1, m)
        covariances = self.kernel.between(item, self.columns)[0]
        projection = (covariances - row @ self._projections.view(n, m)) / pivot
        self._projections.array[n, :m] = projection
        self._variances = self._variances - projection**2


class _Growing:
    """A matrix with room to grow."""

    def __init__(self, start: FloatArray):
        self.array = start.copy()

    def reserve(self, n_rows: int, n_columns: int) -> None:
        """Make room; what is there stays."""
        rows, columns = self.array.shape
        if n_rows > rows or n_columns > columns:
            larger = np.zeros((max(rows, int(1.5 * n_rows)), max(columns, int(1.2 * n_columns))))
            larger[:rows, :columns] = self.array
            self.array = larger

    def view(self, n_rows: int, n_columns: int) -> FloatArray:
        """The first rows and columns."""
        return self.array[:n_rows, :n_columns]


def _solve(factor: FloatArray, right: FloatArray) -> FloatArray:
    """The inverse of a lower triangular factor, times something."""
    if not right.size:
        return right
    solved, _ = dtrtrs(factor.T, right, lower=0, trans=1)  # the transpose is in the order that LAPACK has
    return np.asarray(solved)


@dataclass(frozen=True)
class KernelBelief:
    """What hyperparameters of a kernel to expect: log-normal around a typical kernel.

    Attributes:
        typical: the most likely kernel before anything is observed.
        lengthscale_spread: standard deviation of the log lengthscales.
        variance_spread: standard deviation of the log variances.
    """

    typical: Kernel
    lengthscale_spread: float = 0.7
    variance_spread: float = 1.0

    def fit(self, items: Items, values: FloatArray, start: Kernel, *, n_pseudo: float, typical_scale: float) -> Kernel:
        """The most likely kernel given observations: a dozen steps of L-BFGS-B from `start`.

        Args:
            items: observed items, n of them.
            values: float64, shape (n,): centred observations.
            start: where to begin.
            n_pseudo, typical_scale: see `fit_scale`.
        """
        problem = _Likelihood(self, items, values, n_pseudo, typical_scale)
        centre = _pack(self.typical)
        result = minimize(
            problem,
            np.clip(_pack(start), centre - 5, centre + 5),
            jac=True,
            method="L-BFGS-B",
            bounds=[(middle - 5, middle + 5) for middle in centre],
            options={"maxiter": _MAX_ITERATIONS, "maxfun": 2 * _MAX_ITERATIONS},
        )
        return _unpack(result.x, self.typical) if np.isfinite(result.fun) else start


def _pack(kernel: Kernel) -> FloatArray:
    """Logarithms of lengthscales, smooth, rough, noise, weights, gaps."""
    return np.log(
        np.concatenate([kernel.lengthscales, [kernel.smooth, kernel.rough, kernel.noise, kernel.weights], kernel.gaps])
    )


def _unpack(logs: FloatArray, like: Kernel) -> Kernel:
    values = np.exp(logs)
    d = len(like.lengthscales)
    smooth, rough, noise, weights = values[d : d + 4].tolist()
    return replace(
        like, lengthscales=values[:d], smooth=smooth, rough=rough, noise=noise, weights=weights, gaps=values[d + 4 :]
    )


class _Likelihood:
    """Negative log posterior density of packed hyperparameters, with its gradient."""

    def __init__(self, belief: KernelBelief, items: Items, values: FloatArray, n_pseudo: float, typical_scale: float):
        self._like = belief.typical
        self._centre = _pack(belief.typical)
        d = len(belief.typical.lengthscales)
        self._spread = np.full(len(self._centre), belief.variance_spread)
        self._spread[:d] = belief.lengthscale_spread
        self._items, self._values = items, values
        self._n_pseudo, self._typical_scale = n_pseudo, typical_scale
        n = len(items)
        squares = (items.points[:, None, :] - items.points[None, :, :]) ** 2
        self._squares = np.stack(
            [squares[:, :, belief.typical.dim_of == dim].sum(axis=2).ravel() for dim in range(d)]
        ).reshape(d, n * n)
        self._lower = np.maximum(items.rungs[:, None], items.rungs[None, :])
        self._loadings = items.loadings @ items.loadings.T

    def __call__(self, logs: FloatArray) -> tuple[float, FloatArray]:
        kernel = _unpack(logs, self._like)
        n, d = len(self._items), len(kernel.lengthscales)
        inverse_squares = kernel.lengthscales**-2.0
        distances = _ROOT5 * np.sqrt(np.maximum(inverse_squares @ self._squares, 0.0)).reshape(n, n)
        smooth, rough = matern(distances), matern(distances / _ROUGHNESS)
        gaps = _sums_from(kernel.gaps)[self._lower]
        covariances = smooth * (kernel.smooth + gaps) + kernel.rough * rough + kernel.level
        covariances += _sums_from(kernel.shifts)[self._lower] + kernel.weights * self._loadings
        covariances[np.diag_indices(n)] += kernel.noise + _JITTER
        try:
            factor = np.linalg.cholesky(covariances)
        except np.linalg.LinAlgError:
            return np.inf, np.zeros_like(logs)
        whitened = _solve(factor, np.column_stack([self._values, self._items.means]))
        scale = fit_scale(whitened, self._n_pseudo, self._typical_scale)
        inverse = _solve(factor, np.eye(n))
        inverse = inverse.T @ inverse
        residual = inverse @ (self._values / scale.value - self._items.means)
        slopes = inverse - np.outer(residual, residual)
        gradient = np.empty_like(logs)
        falls = (kernel.smooth + gaps) * matern_fall(distances)
        falls += kernel.rough / _ROUGHNESS**2 * matern_fall(distances / _ROUGHNESS)
        gradient[:d] = (self._squares @ (slopes * falls).ravel()) * inverse_squares / 2
        gradient[d] = kernel.smooth * (slopes * smooth).sum() / 2
        gradient[d + 1] = kernel.rough * (slopes * rough).sum() / 2
        gradient[d + 2] = kernel.noise * np.trace(slopes) / 2
        gradient[d + 3] = kernel.weights * (slopes * self._loadings).sum() / 2
        weighted = slopes * smooth
        for gap, variance in enumerate(kernel.gaps):
            gradient[d + 4 + gap] = variance * weighted[self._lower <= gap].sum() / 2
        deviations = (logs - self._centre) / self._spread
        value = -scale.likelihood + np.log(np.diagonal(factor)).sum() + (deviations**2).sum() / 2
        return float(value), gradient + deviations / self._spread


def matern_fall(distances: FloatArray) -> FloatArray:
    """Derivative of Matern 5/2 by the log lengthscale, divided by the squared scaled difference of that dimension."""
    return 5 / 3 * (1 + distances) * np.exp(-distances)
