"""BOHB: Hyperband whose new configurations come from a model of what was good so far."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.search.brackets import rungs
from autopytorch_lite.search.kde import DensityRatio
from autopytorch_lite.search.scheduled import MultiFidelity, ScheduledSearcher
from autopytorch_lite.types import Config, FloatArray

_MAX_ROWS = 1024
"""Of more observations a density uses a random sample of this size, so that the cost of a proposal stays bounded."""


@dataclass(frozen=True)
class _ModelSettings:
    """Settings of the model; see `BOHB`."""

    top_n_percent: float
    num_samples: int
    random_fraction: float
    bandwidth_factor: float
    min_bandwidth: float
    min_points_in_model: int | None

    def __post_init__(self) -> None:
        n = self.min_points_in_model
        rules = {
            "top_n_percent must lie between 0 and 100": (0 < self.top_n_percent < 100, self.top_n_percent),
            "num_samples must be at least 1": (self.num_samples >= 1, self.num_samples),
            "random_fraction must lie in [0, 1]": (0 <= self.random_fraction <= 1, self.random_fraction),
            "bandwidth_factor must be positive": (self.bandwidth_factor > 0, self.bandwidth_factor),
            "min_bandwidth must lie between 0 and 0.5": (0 < self.min_bandwidth < 0.5, self.min_bandwidth),
            "min_points_in_model must be None or at least 2": (n is None or n >= 2, n),
        }
        for rule, (holds, value) in rules.items():
            if not holds:
                raise ValueError(f"{rule}, got {value!r}.")


class BOHB(ScheduledSearcher):
    """Hyperband with a pair of kernel densities, "model" being the origin of what they propose.

    The best `top_n_percent` of the trials finished at one budget (at least `min_points_in_model`, all successful) make
    the good density, the others, failures included, the bad one. There is a model as soon as the bad ones outnumber the
    dimensions too, or are as many as `min_points_in_model` if that is less. Of several budgets the largest that has a
    model counts.

    A random configuration is proposed, its origin being "random", until there is a model, in a share `random_fraction`
    of proposals, where the model offers one that was proposed before, and where it offers only forbidden ones.

    Args:
        space: what to search.
        min_budget: smallest budget that may be used, epochs.
        max_budget: largest budget, epochs; the last rung of every bracket.
        eta: quotient of neighbouring rungs; one in eta configurations is promoted.
        portfolio: configurations to evaluate first, all at the lowest budget; the first bracket is enlarged if needed.
        baseline: configurations you already trust, evaluated before everything else at the largest budget.
        seed: of everything random.
        max_brackets: the search is done after so many brackets; None: only when the space has nothing new.
        schedule: "synchronous": a rung is finished before its best are promoted, and a free worker opens another
            bracket; "asynchronous": whoever is among the best so far is promoted at once. Neither lets a worker wait
            while there are new configurations.
        top_n_percent: share of observations that are called good, percent.
        num_samples: candidates drawn for each proposal.
        random_fraction: share of proposals that ignore the model.
        bandwidth_factor: candidates are drawn with bandwidths widened by this.
        min_bandwidth: lower bound of every bandwidth, in units of the axis.
        min_points_in_model: observations that the good density needs; None: one more than dimensions. Constants are
            none.

    Raises:
        BudgetError: budgets or eta contradict each other.
        SpaceError: an entry of portfolio or baseline is not valid in the space.
        ValueError: a setting of the model is out of range, or the schedule has no such name.

    Source: Falkner, Klein, Hutter (2018), "BOHB", ICML; HpBandSter 0.7.4, its defaults included. Ours:

    - constants are left out; ordinals are numbers; fewer points than dimensions may make a model, if asked for;
    - failures are never called good;
    - bandwidths of choices do not depend on their order, and the values of a choice that no observation has are as
      likely as any other it might switch to (HpBandSter's density is infinite or undefined if only one was seen);
    - densities are compared on the log scale, not cut off at 1e-32;
    - a forbidden candidate gives way to the next best one, a known one to a random configuration;
    - of more than 1,024 good or bad observations a density uses a random sample of that size.

    Elsewhere the proposals have HpBandSter's distribution: tests/search/test_bohb_like_hpbandster.py.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        min_budget: int = 1,
        max_budget: int = 50,
        eta: float = 3,
        portfolio: Sequence[Config] = (),
        baseline: Sequence[Config] = (),
        seed: int = 0,
        max_brackets: int | None = None,
        schedule: str = "synchronous",
        top_n_percent: float = 15,
        num_samples: int = 64,
        random_fraction: float = 1 / 3,
        bandwidth_factor: float = 3,
        min_bandwidth: float = 1e-3,
        min_points_in_model: int | None = None,
    ):
        self._model_settings = _ModelSettings(
            top_n_percent, num_samples, random_fraction, bandwidth_factor, min_bandwidth, min_points_in_model
        )
        fidelity = MultiFidelity(schedule, rungs(min_budget, max_budget, eta), eta, max_brackets)
        super().__init__(
            space,
            fidelity,
            portfolio,
            seed,
            {**fidelity.settings, **asdict(self._model_settings)},
            baseline=baseline,
            baseline_budget=max_budget,
        )
        n_dims = self._sampler.codec.n_dims
        self._min_points = n_dims + 1 if min_points_in_model is None else min_points_in_model
        self._vectors = np.empty((0, n_dims))
        self._n_encoded = 0
        self._fitted: tuple[tuple[int, int] | None, DensityRatio | None] = (None, None)

    def _new_configuration(self, rng: np.random.Generator) -> tuple[Config, str]:
        is_random = rng.random() < self._model_settings.random_fraction
        model = None if is_random else self._model()
        config = None if model is None else self._from_model(model, rng)
        if config is None or self._ledger.knows(config):
            return self._sampler.sample(rng, self._ledger.knows), "random"
        return config, "model"

    def _from_model(self, model: DensityRatio, rng: np.random.Generator) -> Config | None:
        """The best candidate that is not forbidden; None if all are."""
        candidates = model.candidates(
            self._model_settings.num_samples, rng, bandwidth_factor=self._model_settings.bandwidth_factor
        )
        configs = map(self._sampler.codec.decode, candidates)
        return next(filter(self._sampler.allows, configs), None)

    def _model(self) -> DensityRatio | None:
        """The model of the largest budget that has one, fitted again only when that budget has new observations."""
        for budget in self._ledger.budgets():
            ranking = self._ledger.ranking(budget)
            n_good, n_bad = self._group_sizes(ranking)
            if n_good:
                observed = (budget, len(ranking))
                if self._fitted[0] != observed:
                    self._fitted = observed, self._fit(budget, ranking, n_good, n_bad)
                return self._fitted[1]
        return None

    def _group_sizes(self, ranking: Sequence[tuple[float, int]]) -> tuple[int, int]:
        """How many observations, best first, are called good and how many bad; 0, 0 if too few for a model.

        Source: HpBandSter optimizers/config_generators/bohb.py, new_result, its rounding included.
        """
        n, percent = len(ranking), self._model_settings.top_n_percent
        n_good = max(self._min_points, int(n * percent / 100))
        n_bad = min(max(self._min_points, int(n * (100 - percent) / 100)), n - n_good)
        n_finite = bisect_left(ranking, (math.inf, -1))
        is_enough = n_finite >= n_good and n_bad >= min(self._min_points, self._sampler.codec.n_dims + 1)
        return (n_good, n_bad) if is_enough else (0, 0)

    def _fit(self, budget: int, ranking: Sequence[tuple[float, int]], n_good: int, n_bad: int) -> DensityRatio:
        rng = np.random.default_rng([self._seed, 0, budget, len(ranking)])
        places = (_at_most(_MAX_ROWS, range(n_good), rng), _at_most(_MAX_ROWS, range(n_good, n_good + n_bad), rng))
        vectors = self._all_vectors()
        good, bad = (vectors[[ranking[place][1] for place in group]] for group in places)
        return DensityRatio.fit(
            good,
            bad,
            self._sampler.codec.n_choices,
            rng,
            min_bandwidth=self._model_settings.min_bandwidth,
            n_observed=(n_good, n_bad),
        )

    def _all_vectors(self) -> FloatArray:
        """Vectors of all configurations by config_id, float64, shape (at least n_configs, n_dims)."""
        configs = self._ledger.configs
        if len(configs) > len(self._vectors):
            spare = np.empty((len(configs), self._vectors.shape[1]))
            self._vectors = np.concatenate([self._vectors, spare])
        self._vectors[self._n_encoded : len(configs)] = self._sampler.codec.encode_many(configs[self._n_encoded :])
        self._n_encoded = len(configs)
        return self._vectors


def _at_most(n: int, places: range, rng: np.random.Generator) -> Sequence[int]:
    """All places, or n of them at random if there are more."""
    return places if len(places) <= n else np.sort(rng.choice(places, n, replace=False)).tolist()
