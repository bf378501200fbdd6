"""The model of `FreezeThaw`: what is known of configurations at all rungs, and what to expect at the last."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autopytorch_lite.search.gaussian_process import Geometry, Items, KernelBelief, Posterior, fit_scale
from autopytorch_lite.search.task_prior import Expectation, TaskPrior, typical_kernel
from autopytorch_lite.types import FloatArray, IntArray

_OBSERVATIONS_PER_DIM = 20
_OBSERVATIONS = (160, 400)
"""A model keeps so many observations per dimension of the space, within these limits: the most informative ones."""
_N_FOR_KERNEL = 160
_FIRST_FIT = 6
_REFIT_GROWTH = 1.15
_N_PSEUDO = 1.0
_RATE_RIDGE = 1.0


@dataclass(frozen=True)
class Observation:
    """A score (a loss with the sign changed) of a column at a rung; NaN: the trial failed."""

    column: int
    rung: int
    score: float


@dataclass(frozen=True)
class Forecast:
    """What to expect at the last rung.

    Attributes:
        means: float64, shape (m,): expected scores.
        deviations: float64, shape (m,): their standard deviations.
    """

    means: FloatArray
    deviations: FloatArray


@dataclass(frozen=True)
class Outlook:
    """What to expect of configurations on their way to the last rung.

    Attributes:
        final: of the last rung.
        news: float64, shape (m, n_rungs - 1): standard deviations of what observing each rung before the last would
            add to the final means.
        log_rates: float64, shape (m,): log of the seconds per epoch, up to a constant.
    """

    final: Forecast
    news: FloatArray
    log_rates: FloatArray


@dataclass(frozen=True)
class _Fit:
    """The observations in terms of the process.

    Attributes:
        centre: where scores are centred.
        scale: the unit in which the process is measured.
        residuals: float64, shape (n,): scores less their prior means, whitened.
    """

    centre: float
    scale: float
    residuals: FloatArray


class LossModel:
    """A Gaussian process over (configuration, rung), with columns whose forecasts are kept up to date.

    A column is a configuration that was or may be proposed. All methods that change anything are called in the order
    of the history, so that a restored model is equal to the last digit.

    Args:
        geometry: of the space.
        budgets: the rungs, epochs, ascending.
        prior: what other tasks say; None: nothing.
        n_active: how many dimensions a configuration has on average; None: all.
    """

    def __init__(
        self, geometry: Geometry, budgets: tuple[int, ...], prior: TaskPrior | None, n_active: float | None = None
    ):
        self._geometry = geometry
        self._n_rungs = len(budgets)
        self._n_kept = int(np.clip(_OBSERVATIONS_PER_DIM * geometry.n_dims, *_OBSERVATIONS))
        self._prior = prior
        lengthscales = None if prior is None else prior.lengthscales
        self._belief = KernelBelief(typical_kernel(geometry, self._n_rungs, lengthscales, n_active))
        self._kernel = self._belief.typical
        self._points = np.zeros((0, len(geometry.dim_of)))
        self._expected = self._expect(np.zeros((0, geometry.n_dims)))
        self._observations: list[Observation] = []
        self._used: list[Observation] = []
        self._next_fit = _FIRST_FIT
        self._current: _Fit | None = None
        self._rates = _RateModel(geometry)
        self._posterior = Posterior(self._kernel, self._no_items(), self._no_items())

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self._points)

    @property
    def n_observations(self) -> int:
        """Number of observations, failures included."""
        return len(self._observations)

    def add(self, vectors: FloatArray) -> None:
        """Add columns, given as vectors, float64, shape (m, n_dims), NaN where inactive."""
        expected = self._expect(vectors)
        points = self._geometry.points(vectors)
        self._points = np.concatenate([self._points, points])
        self._expected = Expectation.concatenate([self._expected, expected])
        self._posterior.add_columns(self._items_of(points, expected, self._n_rungs - 1))

    def observe(self, column: int, rung: int, score: float) -> None:
        """Take in a score, NaN for a failure."""
        observation = Observation(column, rung, score)
        self._observations.append(observation)
        self._used.append(observation)
        self._current = None
        if len(self._observations) >= self._next_fit:
            self._fit()
            self._next_fit = math.ceil(len(self._observations) * _REFIT_GROWTH)
        else:
            self._posterior.observe(self._items([observation]))

    def observe_rate(self, column: int, seconds_per_epoch: float) -> None:
        """Take in how long a column's epochs take."""
        self._rates.observe(self._points[column], math.log(seconds_per_epoch) - self._expected.log_rates[column])

    def forecast(self, pending: list[tuple[int, int]]) -> Forecast:
        """What to expect of the columns.

        Args:
            pending: (column, rung) of running evaluations; their outcome makes the rest more certain, though unknown.
        """
        return self._forecast(self._expected.means[:, -1], self._posterior.column_projections(), None, pending)

    def forecast_vectors(self, vectors: FloatArray, pending: list[tuple[int, int]]) -> tuple[Forecast, FloatArray]:
        """What to expect of configurations that are no columns, and the log of their seconds per epoch."""
        expected, points = self._expect(vectors, self._n_rungs - 1), self._geometry.points(vectors)
        items = self._items_of(points, expected, self._n_rungs - 1)
        forecast = self._forecast(items.means, self._posterior.project(items), items, pending)
        return forecast, self._rates.predict(points) + expected.log_rates

    def log_rates(self) -> FloatArray:
        """Log of the seconds per epoch to expect of the columns, up to a constant, shape (n_columns,)."""
        return self._rates.predict(self._points) + self._expected.log_rates

    def outlook(self, columns: IntArray, vectors: FloatArray, pending: list[tuple[int, int]]) -> Outlook:
        """What to expect of some columns, followed by configurations that are none."""
        points = np.concatenate([self._points[columns], self._geometry.points(vectors)])
        expected = Expectation.concatenate([self._expected[columns], self._expect(vectors)])
        last = self._n_rungs - 1
        by_rung = [self._items_of(points, expected, rung) for rung in range(self._n_rungs)]
        projected = np.split(self._posterior.project(Items.concatenate(by_rung)), self._n_rungs, axis=1)
        news = np.zeros((len(points), last))
        if self._used:
            for rung in range(last):
                news[:, rung] = self._news(by_rung[rung], by_rung[last], projected[rung], projected[last])
        forecast = self._forecast(by_rung[last].means, projected[last], by_rung[last], pending)
        return Outlook(forecast, news, self._rates.predict(points) + expected.log_rates)

    def _news(self, items: Items, finals: Items, own: FloatArray, projected: FloatArray) -> FloatArray:
        """Standard deviations by which observing items would move the means of the same configurations' finals.

        Args:
            items: of a rung.
            finals: of the last.
            own: the items' projections.
            projected: those of the finals.
        """
        variances = self._kernel.variances(items) - (own**2).sum(axis=0) + self._kernel.noise
        shared = self._kernel.same(items, finals) - (own * projected).sum(axis=0)
        return np.asarray(self._fitted().scale * np.abs(shared) / np.sqrt(np.maximum(variances, 1e-10)))

    def _forecast(
        self, means: FloatArray, projections: FloatArray, items: Items | None, pending: list[tuple[int, int]]
    ) -> Forecast:
        if items is None:
            remaining = self._posterior.column_variances()
        else:
            remaining = self._kernel.variances(items) - (projections**2).sum(axis=0)
        if not self._used:
            return Forecast(means, np.sqrt(remaining - self._kernel.level))
        fit = self._fitted()
        if pending:
            asked = self._items([Observation(column, rung, math.nan) for column, rung in pending])
            remaining = remaining - self._posterior.reductions(projections, asked, items)
        deviations = fit.scale * np.sqrt(np.maximum(remaining, 1e-10))
        return Forecast(fit.centre + fit.scale * means + fit.residuals @ projections, deviations)

    def _fitted(self) -> _Fit:
        if self._current is None:
            scores, n_pseudo, typical = self._scores()
            centre = scores.mean()
            whitened = self._posterior.whiten(np.column_stack([scores - centre, self._posterior.observed.means]))
            scale = fit_scale(whitened, n_pseudo, typical).value
            self._current = _Fit(float(centre), scale, whitened[:, 0] - scale * whitened[:, 1])
        return self._current

    def _scores(self) -> tuple[FloatArray, float, float]:
        """Scores of the observations in use, failures as bad ones, and what scale to expect of them."""
        scores = np.array([observation.score for observation in self._used])
        fine = scores[np.isfinite(scores)]
        spread = float(fine.std()) if len(fine) > 1 else 0.0
        worst = float(fine.min()) if len(fine) else 0.0
        scores = np.where(np.isfinite(scores), scores, worst - spread / 2)
        if self._prior is not None:
            return scores, _N_PSEUDO, self._prior.typical_scale
        if len(fine) > 2:
            scores = _compressed(scores, fine)
            spread = float(scores.std())
        return scores, _N_PSEUDO, spread or 1.0

    def _fit(self) -> None:
        """Choose the observations to use and the kernel anew."""
        self._used = _most_informative(self._observations, self._n_kept)
        scores, n_pseudo, typical = self._scores()
        some = _spread_out(len(self._used), _N_FOR_KERNEL)
        self._kernel = self._belief.fit(
            self._items([self._used[i] for i in some]),
            scores[some] - scores.mean(),
            self._kernel,
            n_pseudo=n_pseudo,
            typical_scale=typical,
        )
        columns = self._items_of(self._points, self._expected, self._n_rungs - 1)
        self._posterior = Posterior(self._kernel, self._items(self._used), columns)

    def _expect(self, vectors: FloatArray, first_rung: int = 0) -> Expectation:
        if self._prior is not None:
            return self._prior.expect(vectors, first_rung)
        shape = (len(vectors), self._n_rungs - first_rung)
        return Expectation(np.zeros(shape), np.zeros((*shape, 0)), np.zeros(len(vectors)))

    def _items(self, observations: list[Observation]) -> Items:
        columns = np.array([observation.column for observation in observations], dtype=np.int64)
        rungs = np.array([observation.rung for observation in observations], dtype=np.int64)
        expected = self._expected
        return Items(self._points[columns], rungs, expected.means[columns, rungs], expected.loadings[columns, rungs])

    def _items_of(self, points: FloatArray, expected: Expectation, rung: int) -> Items:
        place = rung - self._n_rungs  # from the end: the expectation may lack the lower rungs
        rungs = np.full(len(points), rung, dtype=np.int64)
        return Items(points, rungs, expected.means[:, place], expected.loadings[:, place])

    def _no_items(self) -> Items:
        return self._items([])


def _compressed(scores: FloatArray, fine: FloatArray) -> FloatArray:
    """Scores whose bad tail is drawn in: logarithmic below the median, in units of the distance from it to the best."""
    middle = float(np.median(fine))
    unit = max(float(fine.max()) - middle, 1e-12)
    return np.where(scores < middle, middle - unit * np.log1p(np.maximum(middle - scores, 0.0) / unit), scores)


def _most_informative(observations: list[Observation], n: int) -> list[Observation]:
    """At most n observations: the best half at high rungs, the rest the latest; in the order observed."""
    if len(observations) <= n:
        return list(observations)
    ranked = sorted(
        range(len(observations)),
        key=lambda i: (-observations[i].rung, -np.nan_to_num(observations[i].score, nan=-np.inf), i),
    )
    chosen = set(ranked[: n // 2])
    latest = (i for i in reversed(range(len(observations))) if i not in chosen)
    chosen.update([i for i, _ in zip(latest, range(n - len(chosen)), strict=False)])
    return [observations[i] for i in sorted(chosen)]


def _spread_out(n: int, n_chosen: int) -> IntArray:
    """At most n_chosen indices below n, evenly spread, the last included."""
    return np.unique(np.linspace(0, n - 1, min(n, n_chosen)).round().astype(np.int64))


class _RateModel:
    """Ridge regression of log seconds per epoch on coordinates and their squares."""

    def __init__(self, geometry: Geometry):
        n_features = 1 + 2 * len(geometry.dim_of)
        self._moments = np.eye(n_features) * _RATE_RIDGE
        self._moments[0, 0] = 1e-6
        self._products = np.zeros(n_features)
        self._weights: FloatArray | None = np.zeros(n_features)

    def observe(self, point: FloatArray, log_rate: float) -> None:
        features = self._features(point[None])[0]
        self._moments += np.outer(features, features)
        self._products += log_rate * features
        self._weights = None

    def predict(self, points: FloatArray) -> FloatArray:
        if self._weights is None:
            self._weights = np.linalg.solve(self._moments, self._products)
        return self._features(points) @ self._weights

    @staticmethod
    def _features(points: FloatArray) -> FloatArray:
        return np.concatenate([np.ones((len(points), 1)), points, points**2], axis=1)
