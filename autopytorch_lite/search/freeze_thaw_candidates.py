"""Whom `FreezeThaw` may propose, and who is worth it: random ones, those of the prior, those begun, neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from autopytorch_lite.history.trial import Finished, Line, Proposed, Status
from autopytorch_lite.search.acquisition import log_expected_improvement, reservation_order
from autopytorch_lite.search.base import Costs
from autopytorch_lite.search.freeze_thaw_model import Forecast, LossModel
from autopytorch_lite.search.gaussian_process import Geometry
from autopytorch_lite.search.ledger import Ledger
from autopytorch_lite.search.sampling import ConfigurationSampler
from autopytorch_lite.search.task_prior import TaskPrior
from autopytorch_lite.types import Array, Config, FloatArray, IntArray

_N_FRESH = 20
"""So many configurations that were not begun are compared in depth."""
_N_BEGUN = 10
"""So many of those that may be continued."""
_PATIENCE = 3.0
"""So many times more trainings than in successive halving a rung may have beside the next, if there is a prior.

Without one the model knows nothing of what low rungs tell but what it has seen, and there the factor is 1.
"""
_N_STARTS = 5
_N_ROUNDS = 3
_STEPS = (0.01, 0.2)
"""Range of the standard deviation of a neighbour's distance, in units of the axis."""
_SHRINK = 0.6
_CHANGED = 0.5
"""Share of the dimensions in which a neighbour differs."""
_RECHOSEN = 0.15
"""Share of the categorical ones among these that take another value."""
_POOL_STREAM = 1
"""Sets the generator of the random candidates apart from those of the proposals."""


@dataclass(frozen=True)
class Options:
    """How proposals are chosen; see `FreezeThaw`."""

    eta: float
    n_candidates: int
    n_local: int
    cost_exponent: float
    foresight: float

    def __post_init__(self) -> None:
        rules = {
            "n_candidates must be at least 1": (self.n_candidates >= 1, self.n_candidates),
            "n_local must be at least 0": (self.n_local >= 0, self.n_local),
            "cost_exponent must be at least 0": (self.cost_exponent >= 0, self.cost_exponent),
            "foresight must be at least 1": (self.foresight >= 1, self.foresight),
        }
        for rule, (holds, value) in rules.items():
            if not holds:
                raise ValueError(f"{rule}, got {value!r}.")


class Candidates:
    """Configurations that may be begun or continued, and the model that compares them.

    Args:
        sampler: of the space.
        geometry: of the space.
        budgets: the rungs, epochs, ascending.
        prior: what other tasks say; None: nothing.
        options: how proposals are chosen.
        seed: of the random candidates.
        costs: what evaluations take; None: seconds per epoch are learned by the model.
    """

    def __init__(
        self,
        sampler: ConfigurationSampler,
        geometry: Geometry,
        budgets: tuple[int, ...],
        prior: TaskPrior | None,
        options: Options,
        seed: int,
        costs: Costs | None = None,
    ):
        self._sampler = sampler
        self._budgets = budgets
        self._options = options
        self._costs = costs
        self._most_per_next = options.eta * (1.0 if prior is None else _PATIENCE)
        self._is_plain = sampler.is_unconditional and not (sampler.codec.n_choices > 0).any()
        self._vectors = np.zeros((0, sampler.codec.n_dims))
        self._configs: list[Config] = []  # by column
        self._column_of: dict[frozenset[tuple[str, object]], int] = {}
        self._columns: dict[int, int] = {}  # by config_id
        self._taken: list[bool] = []
        self._observed: dict[tuple[int, int], float] = {}  # (column, rung) -> score
        self._n_begun = [0] * len(budgets)  # trials proposed, by rung
        self._trained: dict[int, int] = {}  # column -> epochs of its last trial
        rng = np.random.default_rng([seed, _POOL_STREAM])
        random = [sampler.sample(rng, self._knows) for _ in range(options.n_candidates)]
        n_active = float(np.mean([len(config) for config in random]))
        self._model = LossModel(geometry, budgets, prior, n_active)
        configs = [sampler.codec.decode(vector) for vector in ([] if prior is None else prior.vectors)] + random
        self._add([config for config in configs if sampler.allows(config)], taken=False)

    def read(self, line: Line, ledger: Ledger) -> None:
        """Take in a line that the ledger has."""
        if isinstance(line, Proposed):
            self._take(line.proposal.config)
            self._n_begun[self._rung_of(line.proposal.budget)] += 1
        elif line.status is not Status.CANCELLED:
            self._observe(self._column_of_trial(line.key.config_id, ledger), line)

    def choose(
        self, rng: np.random.Generator, ledger: Ledger, alive: Mapping[int, int], limit_s: float, *, can_grow: bool
    ) -> int | Config | None:
        """The config_id to continue, or the configuration to begin; None: nothing very likely ends in time.

        Args:
            rng: for the neighbours.
            ledger: what was proposed.
            alive: highest rung finished, by config_id, of those that may be continued.
            limit_s: seconds that the evaluation may take.
            can_grow: whether there are configurations that were never proposed.
        """
        pending = [
            (self._column(proposal.config), self._rung_of(proposal.budget)) for proposal in ledger.open_proposals()
        ]
        alive = {i: rung for i, rung in alive.items() if self._fits(ledger.configs[i], rung + 1, limit_s)}
        forecast = self._model.forecast(pending)
        best = self._score_to_beat(forecast)
        continued = {self._column_of_trial(config_id, ledger): config_id for config_id in alive}
        rungs = np.full(len(self._vectors), -1)
        for column, config_id in continued.items():
            rungs[column] = alive[config_id]
        worth = self._worth(forecast, self._log_rates(self._model.log_rates(), self._configs), best)
        is_open = self._may_begin(limit_s) if can_grow else np.zeros(len(worth), dtype=bool)
        is_open[list(continued)] = True
        overdue = self._overdue_rung(alive.values())
        if overdue is not None:
            is_open &= rungs == overdue
            can_grow = False
        worth[~is_open] = -np.inf
        neighbours = self._neighbours(rng, worth, rungs, best, pending) if can_grow else []
        columns = self._shortlist(worth, rungs)
        for number in self._ranked(columns, rungs, neighbours, best, pending):
            if number < len(columns):
                column = int(columns[number])
                return continued[column] if column in continued else self._config(column)
            config = neighbours[number - len(columns)]
            if not ledger.knows(config) and self._sampler.allows(config) and self._fits(config, 0, limit_s):
                return config
        if not can_grow:
            return None
        config = self._sampler.sample(rng, lambda config: ledger.knows(config) or not self._fits(config, 0, limit_s))
        return config if self._fits(config, 0, limit_s) else None

    def _fits(self, config: Config, rung: int, limit_s: float) -> bool:
        """Whether training a configuration from the rung before to this one very likely ends in time."""
        if self._costs is None or math.isinf(limit_s):
            return True
        resume_from = self._budgets[rung - 1] if rung else None
        return self._costs.safe_s(config, self._budgets[rung], resume_from) <= limit_s

    def _log_rates(self, learned: FloatArray, configs: Iterable[Config]) -> FloatArray:
        """Log of the seconds per epoch of configurations: what `costs` says, or else what the model has learned."""
        if self._costs is None or not self._options.cost_exponent:
            return learned
        full = self._budgets[-1]
        return np.log([self._costs.expected_s(config, full) / full for config in configs])

    def _may_begin(self, limit_s: float) -> Array:
        """Which columns were never proposed and fit into the time, bool, shape (n_columns,)."""
        is_free = ~np.array(self._taken)
        if self._costs is not None and not math.isinf(limit_s):
            is_free[is_free] = [self._fits(self._configs[i], 0, limit_s) for i in np.flatnonzero(is_free)]
        return is_free

    @staticmethod
    def _shortlist(worth: FloatArray, rungs: Array) -> IntArray:
        """The most promising columns, of those to begin and of those to continue."""
        chosen: list[int] = []
        for group, n in ((rungs < 0, _N_FRESH), (rungs >= 0, _N_BEGUN)):
            open_ones = np.flatnonzero(group & (worth > -np.inf))
            chosen += open_ones[np.argsort(-worth[open_ones], kind="stable")[:n]].tolist()
        return np.array(chosen, dtype=np.int64)

    def _ranked(
        self,
        columns: IntArray,
        rungs: Array,
        neighbours: list[Config],
        best: float,
        pending: list[tuple[int, int]],
    ) -> list[int]:
        """Places of columns and neighbours, by what they may become for the price of time, best first."""
        if not len(columns) and not neighbours:
            return []
        vectors = self._sampler.codec.encode_many(neighbours)
        outlook = self._model.outlook(columns, vectors, pending)
        reached = np.concatenate([rungs[columns], np.full(len(neighbours), -1)])
        epochs = np.array(self._budgets) - np.array([0, *self._budgets])[reached + 1][:, None]
        log_rates = self._log_rates(outlook.log_rates, [*(self._configs[column] for column in columns), *neighbours])
        costs = np.maximum(epochs, 0) * np.exp(self._options.cost_exponent * log_rates)[:, None]
        news = np.where(epochs[:, :-1] > 0, outlook.news, 0.0)
        final = outlook.final
        foresight = self._options.foresight
        return reservation_order(final.means, final.deviations, news, costs, best, foresight=foresight).tolist()

    def _overdue_rung(self, waiting: Iterable[int]) -> int | None:
        """The rung from which somebody has to go on now, so that rungs stay near the proportions of successive halving.

        The model may promote as many as it likes, but not much less than one in eta: where it wrongly trusts the lowest
        rung, cheap trainings would else be preferred forever.
        """
        present = set(waiting)
        for rung in reversed(range(len(self._budgets) - 1)):
            is_due = self._n_begun[rung] >= self._most_per_next * (self._n_begun[rung + 1] + 1)
            if is_due and rung in present:
                return rung
        return None

    def _neighbours(
        self, rng: np.random.Generator, worth: FloatArray, rungs: Array, best: float, pending: list[tuple[int, int]]
    ) -> list[Config]:
        """What a few rounds of local search find from the most promising columns and the best that is known."""
        if not self._model.n_observations or not self._options.n_local:
            return []
        starts = np.argsort(-worth, kind="stable")[: min(_N_STARTS, int((worth > -np.inf).sum()))].tolist()
        finals = [column for (column, rung) in self._observed if rung == len(self._budgets) - 1]
        if finals:
            starts.append(max(finals, key=lambda column: self._observed[column, len(self._budgets) - 1]))
        if not starts:
            return []
        vectors, values = self._vectors[starts], worth[starts]
        improved = np.zeros(len(starts), dtype=bool)
        per_start = max(self._options.n_local // (_N_ROUNDS * len(starts)), 1)
        largest = _STEPS[1]
        for _ in range(_N_ROUNDS):
            moved = self._perturb(rng, np.repeat(vectors, per_start, axis=0), largest)
            configs = [] if self._is_plain and self._costs is None else [*map(self._sampler.codec.decode, moved)]
            tried = moved if self._is_plain else self._sampler.codec.encode_many(configs)
            found_there, learned = self._model.forecast_vectors(tried, pending)
            log_rates = self._log_rates(learned, configs)
            tried_worth = self._worth(found_there, log_rates, best).reshape(-1, per_start)
            winners = tried_worth.argmax(axis=1)
            found = tried_worth[np.arange(len(starts)), winners]
            better = found > values
            vectors[better] = tried.reshape(len(starts), per_start, -1)[np.arange(len(starts)), winners][better]
            values = np.where(better, found, values)
            improved |= better
            largest *= _SHRINK
        return [self._sampler.codec.decode(vector) for vector in vectors[improved]]

    def _perturb(self, rng: np.random.Generator, vectors: FloatArray, largest: float) -> FloatArray:
        """Neighbours of vectors, float64, shape (m, n_dims); where the space is not plain, to be decoded first."""
        shape = vectors.shape
        steps = np.exp(rng.uniform(math.log(_STEPS[0]), math.log(largest), (shape[0], 1)))
        moved = vectors + steps * rng.standard_normal(shape) * (rng.random(shape) < _CHANGED)
        if self._is_plain:
            return np.asarray(np.clip(moved, 0, 1))
        n_choices = self._sampler.codec.n_choices
        fresh = rng.random(shape)
        fresh = np.where(n_choices > 0, np.floor(fresh * n_choices), fresh)
        rechosen = np.where(rng.random(shape) < _CHANGED * _RECHOSEN, fresh, vectors)
        moved = np.where(n_choices > 0, rechosen, np.clip(moved, 0, 1))
        return np.where(np.isnan(moved), fresh, moved)

    def _worth(self, forecast: Forecast, log_rates: FloatArray, best: float) -> FloatArray:
        """Log of the expected improvement of training to the end, per cost of an epoch, shape (m,)."""
        gain = log_expected_improvement(forecast.means, forecast.deviations, best)
        return gain - self._options.cost_exponent * log_rates

    def _score_to_beat(self, forecast: Forecast) -> float:
        """The best expected score of a configuration evaluated at the largest budget; before there is one, of any."""
        last = len(self._budgets) - 1
        finals = [column for (column, rung), score in self._observed.items() if rung == last and np.isfinite(score)]
        columns = finals or sorted({column for column, _ in self._observed})
        return float(forecast.means[columns].max() if columns else forecast.means.max())

    def _observe(self, column: int, line: Finished) -> None:
        if not line.ok and line.status is not Status.STOPPED:
            for rung in {self._rung_of(line.key.budget), len(self._budgets) - 1}:  # it will never be good either
                self._note(column, rung, math.nan)
            return
        last = self._rung_of(line.key.budget) if line.ok else len(self._budgets) - 1
        for rung, budget in enumerate(self._budgets[: last + 1]):
            if line.ok and rung == last and line.loss is not None:
                self._note(column, rung, -line.loss)
            elif budget <= len(line.curve):
                self._note(column, rung, -line.curve[budget - 1])
        n_epochs = line.key.budget - self._trained.get(column, 0)
        if self._costs is None and line.ok and line.seconds > 0 and n_epochs > 0:
            self._model.observe_rate(column, line.seconds / n_epochs)
        self._trained[column] = line.key.budget

    def _note(self, column: int, rung: int, score: float) -> None:
        """Take in the score of a column at a rung unless it is known."""
        if (column, rung) not in self._observed:
            self._observed[column, rung] = score
            self._model.observe(column, rung, score if math.isfinite(score) else math.nan)

    def _rung_of(self, budget: int) -> int:
        """The highest rung that a budget reaches; the lowest if it reaches none."""
        return max(int(np.searchsorted(self._budgets, budget, side="right")) - 1, 0)

    def _take(self, config: Config) -> None:
        if not self._knows(config):
            self._add([config], taken=True)
        self._taken[self._column(config)] = True

    def _add(self, configs: list[Config], *, taken: bool) -> None:
        new = {frozenset(config.items()): config for config in configs if not self._knows(config)}
        vectors = self._sampler.codec.encode_many(new.values())
        for identity in new:
            self._column_of[identity] = len(self._column_of)
        self._taken += [taken] * len(new)
        self._configs += new.values()
        self._vectors = np.concatenate([self._vectors, vectors])
        self._model.add(vectors)

    def _knows(self, config: Config) -> bool:
        return frozenset(config.items()) in self._column_of

    def _column(self, config: Config) -> int:
        return self._column_of[frozenset(config.items())]

    def _column_of_trial(self, config_id: int, ledger: Ledger) -> int:
        if config_id not in self._columns:
            self._columns[config_id] = self._column(ledger.configs[config_id])
        return self._columns[config_id]

    def _config(self, column: int) -> Config:
        return self._sampler.codec.decode(self._vectors[column])
