"""Searchers on recorded or predicted learning curves, in simulated time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import BudgetError, UnknownNameError
from autopytorch_lite.execution.simulated import SimulatedCurve, SimulatedExecutor
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.history.trial import Finished, Line
from autopytorch_lite.search import BOHB, FreezeThaw, Hyperband, RandomSearch, Searcher
from autopytorch_lite.space.encode import VectorCodec, squared_distances
from autopytorch_lite.stopping import Standing
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config, FloatArray
from lcbench.benchmark import Benchmark, is_loss
from lcbench.curves import DEFAULT_TAG, read_recording
from lcbench.spaces import Features, space_of
from lcbench.surrogate import Surrogate, YahpoSurrogate
from lcbench.surrogate.yahpo import is_yahpo

SHARES = (0.1, 0.3, 1.0)
"""Parts of the time at which tables look."""
MOMENTS = np.union1d(np.geomspace(0.01, 1.0, 61), SHARES)
"""Parts of the time at which regrets are kept."""
_N_FOR_BEST = 5000


class SimulatedTask(Protocol):
    """What searchers can be run on without training.

    Attributes:
        dataset_name: which data set.
        tag: what is searched for.
        space: of the configurations.
        max_budget: epochs of a full training.
        mean_s: mean seconds of a full training.
        span: the largest loss less the smallest one; what regrets are divided by when data sets are averaged.
    """

    dataset_name: str
    tag: str
    space: ConfigurationSpace
    max_budget: int
    mean_s: float
    span: float

    def curves(self, config: Config, budget: int) -> SimulatedCurve:
        """The training of a configuration up to a budget; for a `SimulatedExecutor`."""
        ...

    def regret(self, config: Config) -> float:
        """How much worse a full training is than the best known one, in units of the tag."""
        ...


class RecordedTask:
    """The runs of one data set as a task for searchers.

    What was recorded are single configurations, and a searcher proposes others: each has the curve and the times of the
    recorded one that is nearest, on axes from 0 to 1 where different choices, and active and inactive, are at distance
    1. The recorded best is among them: this shows how fast a searcher finds it, and not how much better one could do.

    Args:
        benchmark: the runs.
        dataset_name: which data set.
        tag: of the log, with one value before training, one per epoch, and one of a final evaluation.
        space: of the configurations; None: what they show, see `space_of`.

    Attributes: as `SimulatedTask`.

    Raises:
        UnknownNameError: the data set or the tag does not exist.
        DataError: the tag or "time" has no learning curves, or nothing was varied.
    """

    def __init__(
        self, benchmark: Benchmark, dataset_name: str, tag: str, space: ConfigurationSpace | None = None
    ) -> None:
        recording = read_recording(benchmark, dataset_name, tag)
        table = recording.table
        self.dataset_name, self.tag = dataset_name, tag
        self.space = space or space_of(table.configs)
        self.max_budget = len(table.epochs)
        self.mean_s = recording.mean_s
        self.span = float(np.ptp(table.final))
        self._regrets = table.final - table.final.min()
        self._losses = np.where(table.is_missing, np.nan, table.losses)
        self._seconds = recording.seconds
        self._features = Features(self.space)
        self._is_choice = self._features.codec.n_choices > 0
        self._vectors = self._features.vectors(table.configs)

    def curves(self, config: Config, budget: int) -> SimulatedCurve:
        """The recorded training that is nearest, up to a budget; it diverges where the recorded one did.

        What the configuration has beyond the names of the space does not matter.
        """
        number = self._nearest(config)
        return SimulatedCurve(self._losses[number, :budget], self._seconds[number, :budget])

    def regret(self, config: Config) -> float:
        """How much worse the nearest recorded training is than the best recorded one; diverged is the worst."""
        return float(self._regrets[self._nearest(config)])

    def _nearest(self, config: Config) -> int:
        (vector,) = self._features.vectors([config])
        return int(np.argmin(squared_distances(self._vectors, vector, self._is_choice)))


class SurrogateTask:
    """A data set of a surrogate as a task for searchers: every configuration has a curve of its own.

    Args:
        surrogate: what predicts the curves.
        dataset_name: which of its data sets.

    Attributes: as `SimulatedTask`. The best known training is the best recorded one, beyond which a `Surrogate`
        predicts nothing; a `YahpoSurrogate` does not know it, so there it is the best of 5,000 random configurations,
        and a regret may be negative.

    Raises:
        UnknownNameError: the surrogate does not know the data set.
    """

    def __init__(self, surrogate: Surrogate | YahpoSurrogate, dataset_name: str):
        self.dataset_name, self.tag = dataset_name, surrogate.tag
        self.space, self.max_budget = surrogate.space, surrogate.n_epochs
        self._surrogate = surrogate
        self._found: dict[frozenset[tuple[str, object]], tuple[FloatArray, FloatArray]] = {}
        if isinstance(surrogate, Surrogate):
            recorded = surrogate.recorded(dataset_name)
            self._best, self.span, self.mean_s = recorded.best, recorded.worst - recorded.best, recorded.mean_s
        else:
            configs = _sample(self.space, _N_FOR_BEST)
            final = self._losses(configs)[:, -1]
            self._best, self.span = float(final.min()), float(np.ptp(final))
            self.mean_s = float(surrogate.predict_seconds(dataset_name, configs[: _N_FOR_BEST // 10])[:, -1].mean())

    def curves(self, config: Config, budget: int) -> SimulatedCurve:
        """The predicted training up to a budget."""
        losses, seconds = self._curve(config)
        return SimulatedCurve(losses[:budget], seconds[:budget])

    def regret(self, config: Config) -> float:
        """How much worse the predicted value after the last epoch is than the best known one."""
        return float(self._curve(config)[0][-1] - self._best)

    def _curve(self, config: Config) -> tuple[FloatArray, FloatArray]:
        """Losses and seconds; kept, because a trial is continued and its regret asked for."""
        key = frozenset(config.items())
        if key not in self._found:
            seconds = self._surrogate.predict_seconds(self.dataset_name, [config])[0]
            self._found[key] = self._losses([config])[0], seconds
        return self._found[key]

    def _losses(self, configs: Sequence[Config]) -> FloatArray:
        values = self._surrogate.predict(self.dataset_name, configs)
        return values if is_loss(self.tag) else -values


def open_tasks(path: str | Path, dataset_names: Sequence[str] = (), tag: str | None = None) -> Iterator[SimulatedTask]:
    """The data sets of a file of runs, of the folder of a surrogate, or of a folder with YAHPO's files, one by one.

    Args:
        path: which.
        dataset_names: which data sets; none: all.
        tag: what is searched for; None: "Train/val_accuracy" of runs, what a surrogate predicts by itself.

    Raises:
        DataError: the path is none of these.
        UnknownNameError: a data set or the tag does not exist.
    """
    if Path(path).is_file():
        benchmark = Benchmark(path)
        for name in dataset_names or benchmark.get_dataset_names():
            yield RecordedTask(benchmark, name, tag or DEFAULT_TAG)
        return
    surrogate = _open_surrogate(Path(path), tag)
    for name in dataset_names or surrogate.dataset_names:
        yield SurrogateTask(surrogate, name)


def _open_surrogate(folder: Path, tag: str | None) -> Surrogate | YahpoSurrogate:
    if is_yahpo(folder):
        return YahpoSurrogate(folder, tag) if tag else YahpoSurrogate(folder)
    surrogate = Surrogate.load(folder)
    if tag not in (None, surrogate.tag):
        raise UnknownNameError(f"tag of the surrogate {str(folder)!r}", tag, [surrogate.tag])
    return surrogate


def _sample(space: ConfigurationSpace, n: int) -> list[Config]:
    codec, rng = VectorCodec(space), np.random.default_rng(0)
    return [codec.sample(rng) for _ in range(n)]


SEARCHERS: dict[str, Callable[[SimulatedTask, int], Searcher]] = {
    "freeze_thaw": lambda task, seed: FreezeThaw(task.space, min_budget=2, max_budget=task.max_budget, seed=seed),
    "bohb": lambda task, seed: BOHB(task.space, min_budget=2, max_budget=task.max_budget, seed=seed),
    "hyperband": lambda task, seed: Hyperband(task.space, min_budget=2, max_budget=task.max_budget, seed=seed),
    "random": lambda task, seed: RandomSearch(task.space, max_budget=task.max_budget, seed=seed),
}
"""Searchers by name, made for a task and a seed."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """How searchers did on one task.

    Attributes:
        dataset_name: of the task.
        tag: of the task.
        span: of the task.
        n_trainings: simulated time of a run, in full trainings.
        regrets: searcher -> regret of the incumbent at `MOMENTS`, in units of the tag, float64, shape
            (n_seeds, n_moments); NaN before there is an incumbent.
        n_evaluations: searcher -> evaluations of each run, float64, shape (n_seeds,).
    """

    dataset_name: str
    tag: str
    span: float
    n_trainings: float
    regrets: Mapping[str, FloatArray]
    n_evaluations: Mapping[str, FloatArray]

    @property
    def n_seeds(self) -> int:
        """Runs of each searcher."""
        return len(next(iter(self.n_evaluations.values())))

    def table(self) -> pd.DataFrame:
        """One row per searcher: mean regret after each of `SHARES` of the time (NaN: some run had no incumbent yet),
        and the mean number of evaluations.
        """
        at = np.searchsorted(MOMENTS, SHARES)
        rows = {
            name: [*regrets[:, at].mean(axis=0), self.n_evaluations[name].mean()]
            for name, regrets in self.regrets.items()
        }
        return pd.DataFrame.from_dict(
            rows, orient="index", columns=[*(f"{share:.0%}" for share in SHARES), "evaluations"]
        )


def compare(
    task: SimulatedTask, names: Sequence[str], *, n_trainings: float, n_seeds: int = 1, n_workers: int = 1
) -> Comparison:
    """Run searchers for the same simulated time.

    Args:
        task: what to search.
        names: of `SEARCHERS`.
        n_trainings: simulated time, in full trainings of an average configuration.
        n_seeds: runs of each searcher, seeds from 0.
        n_workers: evaluations at once.

    Raises:
        UnknownNameError: there is no such searcher.
        BudgetError: a number is not positive.
    """
    if not (n_trainings > 0 and n_seeds >= 1):
        raise BudgetError(f"Time and seeds must be positive, got {n_trainings=} and {n_seeds=}.")
    for name in names:
        if name not in SEARCHERS:
            raise UnknownNameError("searcher", name, SEARCHERS)
    limit_s = n_trainings * task.mean_s
    regrets, n_evaluations = {}, {}
    for name in names:
        histories = [_history(task, name, seed, limit_s, n_workers) for seed in range(n_seeds)]
        regrets[name] = np.array([_regrets(task, lines, limit_s) for lines in histories])
        n_evaluations[name] = np.array(
            [sum(isinstance(line, Finished) for line in lines) for lines in histories], dtype=float
        )
    return Comparison(task.dataset_name, task.tag, task.span, n_trainings, regrets, n_evaluations)


def over_datasets(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row per searcher: mean over data sets of the regret, divided by the span of each task's losses, after each of
    `SHARES` of the time; and the searcher's mean rank at the end, 1 is best.
    """
    tables = [comparison.table() for comparison in comparisons]
    columns = [f"{share:.0%}" for share in SHARES]
    scaled = [table[columns] / (comparison.span or 1.0) for table, comparison in zip(tables, comparisons, strict=True)]
    found: pd.DataFrame = sum(scaled[1:], scaled[0]) / len(scaled)
    found["mean rank"] = np.mean([table[columns[-1]].rank() for table in tables], axis=0)
    return found


def _history(task: SimulatedTask, name: str, seed: int, limit_s: float, n_workers: int) -> Sequence[Line]:
    executor = SimulatedExecutor(task.curves, n_workers)
    return tune(SEARCHERS[name](task, seed), executor=executor, store=MemoryStore(), time_limit=limit_s).lines


def _regrets(task: SimulatedTask, lines: Iterable[Line], limit_s: float) -> FloatArray:
    """Regret of the incumbent at `MOMENTS`, float64, shape (n_moments,); NaN before the first."""
    standing = Standing(task.max_budget)
    times, found = [-np.inf], [np.nan]
    incumbent = None
    for line in lines:
        standing.tell(line)
        if standing.incumbent is not incumbent and standing.incumbent is not None and isinstance(line, Finished):
            incumbent = standing.incumbent
            times.append(line.finished_s)
            found.append(task.regret(incumbent.config))
    return np.array(found)[np.searchsorted(times, MOMENTS * limit_s, side="right") - 1]
