"""Searchers on recorded learning curves, in simulated time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from scipy.stats import kstest

from autopytorch_lite.errors import BudgetError, DataError, UnknownNameError
from autopytorch_lite.execution.simulated import SimulatedCurve, SimulatedExecutor
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.history.trial import Finished, Line
from autopytorch_lite.search import BOHB, FreezeThaw, Hyperband, RandomSearch, Searcher
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.stopping import Standing
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config, FloatArray
from lcbench.benchmark import Benchmark, is_loss

SHARES = (0.1, 0.3, 1.0)
"""Parts of the time at which `compare` looks."""
_TIME = "time"


class RecordedTask:
    """The runs of one data set as a task for searchers.

    What was recorded are single configurations, and a searcher proposes others: each has the curve and the times of the
    recorded one that is nearest, on axes from 0 to 1 where different choices are at distance 1. The recorded best is
    among them, so this shows how fast a searcher finds it, and not how much better one could do.

    Args:
        benchmark: the runs.
        dataset_name: which data set.
        tag: of the log, with one value before training, one per epoch, and one of a final evaluation.

    Attributes:
        space: of every hyperparameter that was varied, from its smallest to its largest recorded value; on the axis,
            logarithmic or not, along which the recorded values lie more evenly.
        max_budget: epochs that were recorded.
        mean_s: mean seconds of a full training.

    Raises:
        UnknownNameError: the data set or the tag does not exist.
        DataError: the tag or "time" has no learning curves, or nothing was varied.
    """

    def __init__(self, benchmark: Benchmark, dataset_name: str, tag: str):
        ids = benchmark.get_config_ids(dataset_name)
        configs = [benchmark.get_config(dataset_name, config_id) for config_id in ids]
        losses = _curves([benchmark.query(dataset_name, tag, config_id) for config_id in ids], tag)
        self._losses = losses if is_loss(tag) else -losses
        seconds = _curves([benchmark.query(dataset_name, _TIME, config_id) for config_id in ids], _TIME)
        if not np.isfinite(seconds).all():
            raise DataError(f"The tag {_TIME!r} must say when each epoch ended; on {dataset_name!r} a time is missing.")
        self._seconds = np.maximum.accumulate(seconds, axis=1)
        self.space = space_of(configs)
        self.max_budget = losses.shape[1]
        self.mean_s = float(self._seconds[:, -1].mean())
        self._codec = VectorCodec(self.space)
        self._is_choice = self._codec.n_choices > 0
        self._vectors = self._codec.encode_many(
            [{name: config[name] for name in self.space} for config in configs],
        )

    def curves(self, config: Config, budget: int) -> SimulatedCurve:
        """The recorded training that is nearest, up to a budget; for a `SimulatedExecutor`.

        What the configuration has beyond the names of the space does not matter.
        """
        number = self._nearest(config)
        return SimulatedCurve(self._losses[number, :budget], self._seconds[number, :budget])

    def regret(self, config: Config) -> float:
        """How much worse a full training is than the best recorded one, in units of the tag; diverged is the worst."""
        final = self._losses[:, -1]
        return float(np.nan_to_num(final, nan=float(np.nanmax(final)))[self._nearest(config)] - np.nanmin(final))

    def _nearest(self, config: Config) -> int:
        differences = self._vectors - self._codec.encode({name: config[name] for name in self.space})
        differences[:, self._is_choice] = differences[:, self._is_choice] != 0
        return int(np.argmin((differences**2).sum(axis=1)))


SEARCHERS: dict[str, Callable[[RecordedTask, int], Searcher]] = {
    "freeze_thaw": lambda task, seed: FreezeThaw(task.space, min_budget=2, max_budget=task.max_budget, seed=seed),
    "bohb": lambda task, seed: BOHB(task.space, min_budget=2, max_budget=task.max_budget, seed=seed),
    "hyperband": lambda task, seed: Hyperband(task.space, min_budget=2, max_budget=task.max_budget, seed=seed),
    "random": lambda task, seed: RandomSearch(task.space, max_budget=task.max_budget, seed=seed),
}
"""Searchers by name, made for a task and a seed."""


def compare(
    task: RecordedTask, names: Sequence[str], *, n_trainings: float, n_seeds: int = 1, n_workers: int = 1
) -> pd.DataFrame:
    """Run searchers for the same simulated time.

    Args:
        task: what to search.
        names: of `SEARCHERS`.
        n_trainings: simulated time, in full trainings of a recorded configuration on average.
        n_seeds: runs of each searcher, seeds from 0; what is returned are means over them.
        n_workers: evaluations at once.

    Returns:
        One row per searcher; for each of `SHARES` of the time the regret of the incumbent (NaN: there was none in some
        run), and the number of evaluations.

    Raises:
        UnknownNameError: there is no such searcher.
        BudgetError: a number is not positive.
    """
    if not (n_trainings > 0 and n_seeds >= 1):
        raise BudgetError(f"Time and seeds must be positive, got {n_trainings=} and {n_seeds=}.")
    rows = {}
    for name in names:
        if name not in SEARCHERS:
            raise UnknownNameError("searcher", name, SEARCHERS)
        limit_s = n_trainings * task.mean_s
        found = []
        for seed in range(n_seeds):
            executor = SimulatedExecutor(task.curves, n_workers)
            lines = tune(SEARCHERS[name](task, seed), executor=executor, store=MemoryStore(), time_limit=limit_s).lines
            n_ended = sum(isinstance(line, Finished) for line in lines)
            found.append([*(_regret_at(task, lines, share * limit_s) for share in SHARES), n_ended])
        rows[name] = np.mean(found, axis=0)
    columns = [*(f"{share:.0%}" for share in SHARES), "evaluations"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _regret_at(task: RecordedTask, lines: Iterable[Line], seconds: float) -> float:
    """Regret of the incumbent at a time; NaN before the first."""
    standing = Standing(task.max_budget)
    for line in lines:
        if isinstance(line, Finished) and line.finished_s > seconds:
            break
        standing.tell(line)
    return float("nan") if standing.incumbent is None else task.regret(standing.incumbent.config)


def space_of(configs: Sequence[Config]) -> ConfigurationSpace:
    """The space that recorded configurations were drawn from, as far as they show it; see `RecordedTask`.

    What only some of them have is left out.

    Raises:
        DataError: all are equal.
    """
    space = ConfigurationSpace()
    for name in configs[0]:
        values = [config[name] for config in configs if name in config]
        if len(values) == len(configs) and len(set(values)) > 1:
            space.add(_hyperparameter(name, values))
    if len(space) == 0:
        raise DataError("The recorded configurations must differ, but all are equal: there is nothing to search.")
    return space


def _hyperparameter(name: str, values: Sequence[Any]) -> Any:
    if any(isinstance(value, str | bool) for value in values):
        return Categorical(name, sorted(set(values), key=str))
    low, high = min(values), max(values)
    is_log = low > 0 and _unevenness(np.log(values)) < _unevenness(np.array(values, dtype=float))
    if all(isinstance(value, int) for value in values):
        return Integer(name, (low, high), log=is_log)
    return Float(name, (float(low), float(high)), log=is_log)


def _unevenness(values: FloatArray) -> float:
    """Distance between the distribution of values and the even one over their range."""
    return float(kstest(values, "uniform", args=(values.min(), np.ptp(values))).statistic)


def _curves(values: Sequence[Any], tag: str) -> FloatArray:
    """Values after each epoch, float64, shape (n_runs, n_epochs); the shortest run decides how many."""
    n_epochs = min(len(curve) if isinstance(curve, np.ndarray) else 0 for curve in values) - 2
    if n_epochs < 2:
        raise DataError(f"A search needs learning curves of at least two epochs, but {tag!r} has none.")
    return np.array([curve[1 : n_epochs + 1] for curve in values])
