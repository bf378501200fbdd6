"""What the rows of a study say: regret, ranks and speed-ups at budgets, with intervals. Reads rows only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import rankdata

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.types import FloatArray
from benchmarks.hpo.anytime import Steps, cost_to_reach, mean_steps, regret_at
from benchmarks.hpo.runs import RunKey
from benchmarks.hpo.searchers import SEARCHERS

REFERENCE = "random"
_N_BOOTSTRAP = 2000
_LEVEL = 0.95

Curves = dict[str, dict[int, Steps]]
"""Task -> seed -> anytime curve."""


@dataclass(frozen=True)
class Interval:
    """A mean over tasks with its bootstrap interval (95 %, tasks drawn with replacement)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Entry:
    """What is known about one searcher on one family of problems.

    Attributes:
        label: name of the searcher, with the number of simulated workers if there are several.
        title: how tables call it.
        n_tasks: tasks with at least one run.
        n_runs: runs that count.
        regrets: one at each budget; NaN beyond the end of the runs.
        ranks: mean rank at each budget among all entries with one worker, 1 is best; NaN where there is none.
        speed_ups: times faster than random search at each budget, median over tasks; 0: never got there.
        lasting_speed_ups: the same, but what counts is from when on the regret stays as low.
        ask_ms_median: thinking time per proposal, milliseconds, median over all runs of their medians.
        ask_ms_mean: the same, mean of means.
        n_evaluations: mean number of evaluations of a run.
        utilisation: mean share of time in which the simulated workers trained.
        reason: why there is no number, if there is none.
    """

    label: str
    title: str
    n_tasks: int = 0
    n_runs: int = 0
    regrets: tuple[Interval, ...] = ()
    ranks: tuple[float, ...] = ()
    speed_ups: tuple[float, ...] = ()
    lasting_speed_ups: tuple[float, ...] = ()
    ask_ms_median: float | None = None
    ask_ms_mean: float | None = None
    n_evaluations: float | None = None
    utilisation: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Summary:
    """One family of problems.

    Attributes:
        problem: its name.
        budgets: costs at which is looked, full trainings of a random configuration.
        entries: one per searcher and number of workers.
        parallel: label of an entry with several workers -> how many times faster, in simulated time, it reaches what
            one worker has at the largest budget, median over tasks.
        curves: label -> task -> seed -> anytime curve.
    """

    problem: str
    budgets: tuple[float, ...]
    entries: tuple[Entry, ...]
    parallel: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curves] = field(default_factory=dict)


def summarise(rows: Iterable[Mapping[str, Any]], budgets: Sequence[float]) -> list[Summary]:
    """One summary per family of problems, in the order of the rows.

    Raises:
        UnknownNameError: a row is of a searcher that there is none of.
    """
    rows = list(rows)
    for row in rows:
        if row["searcher"] not in SEARCHERS:
            raise UnknownNameError("searcher of a row", row["searcher"], SEARCHERS)
    problems = dict.fromkeys(row["problem"] for row in rows)
    return [_summary(name, [row for row in rows if row["problem"] == name], tuple(budgets)) for name in problems]


def label_of(key: RunKey) -> str:
    """How an entry is called."""
    return key.searcher if key.workers == 1 else f"{key.searcher} x{key.workers}"


def _summary(problem: str, rows: Sequence[Mapping[str, Any]], budgets: tuple[float, ...]) -> Summary:
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_label.setdefault(label_of(_key(row)), []).append(row)
    labels = sorted(by_label, key=lambda label: (list(SEARCHERS).index(label.split(" x")[0]), label))
    curves = {label: _curves(by_label[label]) for label in labels}
    compared = [label for label in labels if " x" not in label and _limit(by_label[label]) >= budgets[-1]]
    ranks = mean_ranks({label: curves[label] for label in compared}, budgets)
    entries = [
        _entry(label, by_label[label], curves[label], ranks.get(label), curves.get(REFERENCE, {}), budgets)
        for label in labels
    ]
    return Summary(problem, budgets, tuple(entries), parallel_speed_ups(curves, budgets[-1]), curves)


def _key(row: Mapping[str, Any]) -> RunKey:
    return RunKey(*(row[name] for name in RunKey._fields))


def _limit(rows: Iterable[Mapping[str, Any]]) -> float:
    """The cost up to which all runs that count were made; 0 if none counts."""
    return min((row["limit"] for row in rows if row["status"] == "ok"), default=0.0)


def _curves(rows: Iterable[Mapping[str, Any]]) -> Curves:
    curves: Curves = {}
    for row in rows:
        if row["status"] == "ok":
            curves.setdefault(row["task"], {})[row["seed"]] = [(cost, value) for cost, value in row["steps"]]
    return curves


def _entry(
    label: str,
    rows: Sequence[Mapping[str, Any]],
    curves: Curves,
    ranks: FloatArray | None,
    reference: Curves,
    budgets: tuple[float, ...],
) -> Entry:
    name, _, workers = label.partition(" x")
    title = SEARCHERS[name].title + (f", {workers} workers" if workers else "")
    good = [row for row in rows if row["status"] == "ok"]
    failures = [row for row in rows if row["status"] != "ok"]
    reason = f"{len(failures)} runs {failures[0]['status']}: {failures[0]['reason']}" if failures else ""
    if not good:
        return Entry(label, title, reason=reason)
    return Entry(
        label,
        title,
        n_tasks=len(curves),
        n_runs=len(good),
        regrets=mean_regrets(curves, [budget if budget <= _limit(good) else np.nan for budget in budgets]),
        ranks=tuple(np.full(len(budgets), np.nan) if ranks is None else ranks),
        speed_ups=tuple(speed_up(curves, reference, budget) for budget in budgets),
        lasting_speed_ups=tuple(speed_up(curves, reference, budget, lasting=True) for budget in budgets),
        ask_ms_median=_middle([row["ask_ms_median"] for row in good], np.median),
        ask_ms_mean=_middle([row["ask_ms_mean"] for row in good], np.mean),
        n_evaluations=_middle([row["n_evaluations"] for row in good], np.mean),
        utilisation=_middle([row["utilisation"] for row in good], np.mean),
        reason=reason,
    )


def _middle(values: Iterable[float | None], how: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(how(known)) if known else None


def mean_regrets(curves: Curves, budgets: Sequence[float]) -> tuple[Interval, ...]:
    """Regret at each budget: mean over the seeds of a task, then over tasks; NaN where the budget is."""
    values = task_regrets(curves, budgets)
    values[:, np.isnan(budgets)] = np.nan
    return tuple(intervals(values))


def task_regrets(curves: Curves, costs: Sequence[float] | FloatArray) -> FloatArray:
    """Regret of each task at each cost, mean over seeds; float64, shape (n_tasks, n_costs)."""
    return np.array(
        [np.mean([regret_at(steps, costs) for steps in seeds.values()], axis=0) for seeds in curves.values()]
    )


def intervals(values: FloatArray) -> list[Interval]:
    """Means over rows with bootstrap intervals. `values`: shape (n_tasks, n); one interval per column."""
    drawn = np.random.default_rng(0).integers(len(values), size=(_N_BOOTSTRAP, len(values)))
    means = np.array([values[rows].mean(axis=0) for rows in drawn])
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    return [Interval(*map(float, triple)) for triple in zip(values.mean(axis=0), low, high, strict=True)]


def mean_ranks(curves: Mapping[str, Curves], budgets: Sequence[float]) -> dict[str, FloatArray]:
    """Mean rank at each budget over the pairs of task and seed that all entries have; ties share a rank.

    The row *ideal* is no searcher and takes no part.
    """
    curves = {label: own for label, own in curves.items() if label != "ideal"}
    pairs = [{(task, seed) for task, seeds in own.items() for seed in seeds} for own in curves.values()]
    common = sorted(set.intersection(*pairs)) if pairs else []
    if not common:
        return {}
    regrets = np.array([[regret_at(own[task][seed], budgets) for task, seed in common] for own in curves.values()])
    ranks = rankdata(regrets, axis=0).mean(axis=1)  # shape (n_entries, n_budgets)
    return dict(zip(curves, ranks, strict=True))


def speed_up(curves: Curves, reference: Curves, budget: float, *, lasting: bool = False) -> float:
    """How many times cheaper the reference's regret at `budget` is reached, median over tasks.

    On each task both regrets are means over seeds. 0 on a task where it is never reached; NaN without common tasks.
    `lasting`: reached for good, see `cost_to_reach`.
    """
    ratios = []
    for task in curves.keys() & reference.keys():
        goal = float(regret_at(mean_steps(list(reference[task].values())), [budget])[0])
        ratios.append(budget / cost_to_reach(mean_steps(list(curves[task].values())), goal, lasting=lasting))
    return float(np.median(ratios)) if ratios else float("nan")


def parallel_speed_ups(curves: Mapping[str, Curves], budget: float) -> dict[str, float]:
    """Entries with several workers against the same searcher with one; see `Summary.parallel`."""
    found = {}
    for label, own in curves.items():
        name, _, workers = label.partition(" x")
        if workers and curves.get(name):
            found[label] = speed_up(own, curves[name], budget)
    return found
