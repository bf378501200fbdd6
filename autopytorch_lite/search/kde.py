"""Kernel densities over mixed spaces with inactive dimensions, and the ratio of two of them as a model of what is good.

Points are rows of float64 arrays, shape (n, d). A continuous dimension holds numbers in [0, 1]; a categorical one holds
codes 0 .. c - 1. `n_choices`, int array of shape (d,), tells them apart: 0 is continuous, else it is c.

Source: Falkner, Klein, Hutter (2018), "BOHB", ICML, section 3; HpBandSter optimizers/config_generators/bohb.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from autopytorch_lite.types import Array, FloatArray, IntArray

_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


def normal_reference_bandwidths(
    data: FloatArray, n_choices: IntArray, *, min_bandwidth: float = 1e-3, n_observed: int | None = None
) -> FloatArray:
    """Bandwidths 1.06 sigma n^(-1 / (4 + d)), at least `min_bandwidth`, at most no information.

    For a categorical dimension sigma is the square root of half the Gini impurity: with two choices it is the standard
    deviation of the codes, with more it does not depend on the order of the choices, as that would. Its bandwidth is at
    most (c - 1) / c, where the kernel is uniform.

    Args:
        data: float array, shape (n, d), no missing values.
        n_choices: int array, shape (d,).
        min_bandwidth: lower bound.
        n_observed: the n of the formula, where the data are a sample of more observations; None: all.

    Returns:
        float array, shape (d,).

    Source: statsmodels KDEMultivariate, bw="normal_reference", for continuous dimensions; ours for categorical ones.
    """
    n, d = data.shape
    sigma = data.std(axis=0)
    upper = np.full(d, np.inf)
    for j in np.flatnonzero(n_choices):
        shares = np.bincount(data[:, j].astype(np.int64), minlength=n_choices[j]) / n
        sigma[j] = np.sqrt(0.5 * (1.0 - np.sum(shares**2)))
        upper[j] = 1.0 - 1.0 / n_choices[j]
    return np.clip(1.06 * sigma * (n_observed or n) ** (-1.0 / (4 + d)), min_bandwidth, upper)


def impute(data: FloatArray, n_choices: IntArray, rng: np.random.Generator) -> FloatArray:
    """Fill inactive (NaN) values from other rows, keeping values that belong together together.

    For the first inactive dimension of a row a donor is drawn among the rows in which it is active, and everything that
    is inactive in the row is copied from the donor as far as it is active there; repeated until nothing is inactive. A
    dimension that is active in no row is filled uniformly.

    Args:
        data: float array, shape (n, d).
        n_choices: int array, shape (d,).
        rng: where donors and uniform values are drawn.

    Returns:
        float array, shape (n, d), a copy without NaN.

    Source: HpBandSter optimizers/config_generators/bohb.py, impute_conditional_data.
    """
    is_active = ~np.isnan(data)
    if is_active.all():
        return data.copy()
    families = _families(is_active)
    donors = _donors(is_active[:, [family[0] for family in families]], rng)
    columns = np.ascontiguousarray(data.T)
    filled = columns.copy()
    for family, donor in zip(families, np.ascontiguousarray(donors.T, dtype=np.intp), strict=True):
        for j in family:
            filled[j] = columns[j].take(donor) if donor[0] >= 0 else _uniform(n_choices[j], len(data), rng)
    return np.ascontiguousarray(filled.T)


def _uniform(n_choices: int, n: int, rng: np.random.Generator) -> FloatArray:
    return rng.integers(n_choices, size=n).astype(np.float64) if n_choices else rng.random(n)


def _families(is_active: Array) -> list[list[int]]:
    """Dimensions by the rows in which they are inactive, in the order of their first; those always active left out.

    Dimensions below one choice are active together, so there are far fewer families than dimensions.
    """
    families: dict[bytes, list[int]] = {}
    always = set(np.flatnonzero(is_active.all(axis=0)).tolist())
    for j, pattern in enumerate(np.packbits(is_active, axis=0).T):
        if j not in always:
            families.setdefault(pattern.tobytes(), []).append(j)
    return list(families.values())


def _donors(is_active: Array, rng: np.random.Generator) -> IntArray:
    """From which row each row takes its values: int array like `is_active`, shape (n, n_families).

    A row is its own donor where it is active; -1 stands in families that are active nowhere.
    """
    n = len(is_active)
    own = np.where(is_active, np.arange(n, dtype=np.int32)[:, None], np.int32(-1))
    donors = own.copy()
    for j in range(donors.shape[1]):
        rows, active = np.flatnonzero(donors[:, j] < 0), np.flatnonzero(is_active[:, j])
        if len(rows) and len(active):
            drawn = active.take(rng.integers(len(active), size=len(rows)))
            before, donated = donors[rows, j:], own[drawn, j:]
            donors[rows, j:] = np.where(before < 0, donated, before)
    return donors


class KernelDensity:
    """Product-kernel density: Gaussian in continuous dimensions, Aitchison-Aitken in categorical ones.

    The logarithm of a product kernel is a quadratic form in (continuous / bandwidth, one-hot codes), so all pairs of
    points and data rows are compared by one matrix product.

    Args:
        data: float array, shape (n, d), no missing values.
        n_choices: int array, shape (d,).
        bandwidths: float array, shape (d,); within (0, (c - 1) / c] for a categorical dimension.
    """

    def __init__(self, data: FloatArray, n_choices: IntArray, bandwidths: FloatArray):
        self.data = data
        self.n_choices = n_choices
        self.bandwidths = bandwidths
        self._continuous = np.flatnonzero(n_choices == 0)
        self._categorical = np.flatnonzero(n_choices)
        counts = n_choices[self._categorical]
        self._offsets = np.concatenate([[0], np.cumsum(counts)])[:-1].astype(np.int64)
        self._n_codes = int(counts.sum())

        switch = bandwidths[self._categorical]
        log_other = np.log(switch / (counts - 1))
        code_weights = np.repeat(np.log1p(-switch) - log_other, counts)
        n_continuous = len(self._continuous)
        self._log_constant = (
            log_other.sum()
            - np.log(bandwidths[self._continuous]).sum()
            - n_continuous * _LOG_SQRT_2PI
            - np.log(len(data))
        )
        self._features = self._featurise(data)
        self._half_squares = 0.5 * np.sum(self._features[:, :n_continuous] ** 2, axis=1)
        self._features[:, n_continuous:] *= code_weights

    @classmethod
    def fit(
        cls, data: FloatArray, n_choices: IntArray, *, min_bandwidth: float = 1e-3, n_observed: int | None = None
    ) -> KernelDensity:
        """Density with normal reference bandwidths; see `normal_reference_bandwidths`."""
        bandwidths = normal_reference_bandwidths(data, n_choices, min_bandwidth=min_bandwidth, n_observed=n_observed)
        return cls(data, n_choices, bandwidths)

    def log_density(self, points: FloatArray) -> FloatArray:
        """Natural logarithm of the density.

        Args:
            points: float array, shape (m, d), no missing values.

        Returns:
            float array, shape (m,); exact far away too, where the density itself would be zero.
        """
        features = self._featurise(points)
        half_squares = 0.5 * np.sum(features[:, : len(self._continuous)] ** 2, axis=1)
        exponents = features @ self._features.T
        exponents -= self._half_squares
        exponents -= half_squares[:, None]
        largest = exponents.max(axis=1)
        exponents -= largest[:, None]
        sums = np.exp(exponents, out=exponents).sum(axis=1)
        return np.log(sums) + largest + self._log_constant

    def sample(self, n: int, rng: np.random.Generator, *, bandwidth_factor: float = 1.0) -> FloatArray:
        """Points near data rows drawn at random.

        Continuous values come from a normal around the row's value, truncated to [0, 1], with bandwidth times
        `bandwidth_factor`; a code is kept with probability 1 - bandwidth and else drawn uniformly from all choices.

        Returns:
            float array, shape (n, d).

        Source: HpBandSter optimizers/config_generators/bohb.py, get_config.
        """
        points = self.data[rng.integers(len(self.data), size=n)]
        shape = (n, len(self._continuous))
        centres, scales = points[:, self._continuous], self.bandwidths[self._continuous] * bandwidth_factor
        below, above = ndtr((0.0 - centres) / scales), ndtr((1.0 - centres) / scales)
        steps = ndtri(below + rng.random(shape) * (above - below))
        points[:, self._continuous] = np.clip(centres + scales * steps, 0.0, 1.0)

        counts = self.n_choices[self._categorical]
        shape = (n, len(counts))
        is_drawn = rng.random(shape) < self.bandwidths[self._categorical]
        points[:, self._categorical] = np.where(
            is_drawn, np.floor(rng.random(shape) * counts), points[:, self._categorical]
        )
        return points

    def _featurise(self, points: FloatArray) -> FloatArray:
        """Scaled continuous values and one-hot codes, shape (m, n_continuous + sum of n_choices)."""
        n_continuous = len(self._continuous)
        features = np.zeros((len(points), n_continuous + self._n_codes))
        features[:, :n_continuous] = points[:, self._continuous] / self.bandwidths[self._continuous]
        columns = n_continuous + self._offsets + points[:, self._categorical].astype(np.int64)
        np.put_along_axis(features, columns, 1.0, axis=1)
        return features


@dataclass(frozen=True)
class DensityRatio:
    """What good configurations have that bad ones lack: one density of each.

    Attributes:
        good: density of the best configurations.
        bad: density of the others.
    """

    good: KernelDensity
    bad: KernelDensity

    @classmethod
    def fit(
        cls,
        good: FloatArray,
        bad: FloatArray,
        n_choices: IntArray,
        rng: np.random.Generator,
        *,
        min_bandwidth: float = 1e-3,
        n_observed: tuple[int | None, int | None] = (None, None),
    ) -> DensityRatio:
        """Fit both densities; inactive values are imputed within each group.

        Args:
            good: float array, shape (n_good, d), NaN where inactive.
            bad: float array, shape (n_bad, d), NaN where inactive.
            n_choices: int array, shape (d,).
            rng: for the imputation.
            min_bandwidth: lower bound of every bandwidth.
            n_observed: how many observations each group stands for, if it is a sample of more.
        """
        densities = (
            KernelDensity.fit(
                impute(group, n_choices, rng),
                n_choices,
                min_bandwidth=min_bandwidth,
                n_observed=n,
            )
            for group, n in zip((good, bad), n_observed, strict=True)
        )
        return cls(*densities)

    def candidates(self, n: int, rng: np.random.Generator, *, bandwidth_factor: float = 3.0) -> FloatArray:
        """Points drawn from the good density, the one with the largest ratio good / bad first.

        Returns:
            float array, shape (n, d), no NaN: what is inactive has to be removed by the caller.
        """
        points = self.good.sample(n, rng, bandwidth_factor=bandwidth_factor)
        log_ratio = self.good.log_density(points) - self.bad.log_density(points)
        return points[np.argsort(-log_ratio, kind="stable")]
