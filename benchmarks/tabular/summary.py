"""What rows of results say about systems, over all tables. Reads rows only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

import numpy as np

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import FloatArray
from benchmarks.hpo.aggregate import Interval, intervals
from benchmarks.tabular.ranking import (
    critical_difference,
    friedman_p,
    indistinct_groups,
    normalised_scores,
    ranks,
    win_matrix,
)
from benchmarks.tabular.results import Row, is_ok, row_loss
from benchmarks.tabular.systems import SYSTEMS, find_system


@dataclass(frozen=True)
class Entry:
    """What is known about one system.

    Attributes:
        name: of the list of systems.
        title: how tables call it.
        n_ok: rows with a result.
        n_rows: rows, failures included.
        rank: mean over the compared tables; None if it is not compared.
        score: normalised, 1 best and 0 worst, mean over the compared tables; None if it is not compared.
        accuracy: mean over the rows of classification tables, unweighted.
        fit_seconds: mean.
        overrun_seconds: largest; None without a limit.
        predict_10k_seconds: median, for 10,000 rows.
        predict_row_ms: median over rows of results of the median for one row.
        peak_memory_mb: largest.
        failures: reasons, with table and seed.
    """

    name: str
    title: str
    n_ok: int
    n_rows: int
    rank: Interval | None
    score: Interval | None
    accuracy: float | None
    fit_seconds: float | None
    overrun_seconds: float | None
    predict_10k_seconds: float | None
    predict_row_ms: float | None
    peak_memory_mb: float | None
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """The comparison.

    Attributes:
        tables: names of the compared tables, those on which all compared systems have rows.
        metrics: metric of each.
        compared: names of the compared systems, best mean rank first.
        losses: means over seeds, lower is better, shape (n_tables, n_systems), in these orders; NaN: failed on a seed.
        wins: share of tables won by the row against the column, in the order of `compared`.
        entries: one per system, compared ones first.
        friedman_p: see `ranking.friedman_p`; None with fewer than two tables or systems.
        critical_difference: of mean ranks; None likewise.
        groups: names of systems that the test does not tell apart.
        trajectories: system -> table -> pairs of seconds and validation loss, of the first seed that has one.
    """

    tables: tuple[str, ...]
    metrics: tuple[str, ...]
    compared: tuple[str, ...]
    losses: FloatArray
    wins: Sequence[Sequence[Interval]]
    entries: tuple[Entry, ...]
    friedman_p: float | None = None
    critical_difference: float | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    trajectories: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)


def summarise(rows: Iterable[Row]) -> Summary:
    """The comparison that rows allow.

    A row of a system that was unavailable counts as none, and a system with no other row is listed and not compared.
    Compared are the tables and, on each of them, the seeds of which all compared systems have a row; a failure is a
    row, and worse than any other.

    Raises:
        DataError: there are no rows.
    """
    rows = list(rows)
    if not rows:
        raise DataError("There are no results to compare.")
    by_system: dict[str, list[Row]] = {}
    for row in rows:
        by_system.setdefault(row["system"], []).append(row)
    tried = {name: [row for row in own if row["status"] != "unavailable"] for name, own in by_system.items()}
    compared = [name for name, own in tried.items() if own]
    tables = _common_seeds([tried[name] for name in compared])
    losses = _losses([tried[name] for name in compared], tables)
    if not tables:
        return Summary((), (), (), np.empty((0, 0)), [], _entries(by_system, {}, {}))
    rank_table = ranks(losses)
    order = np.argsort(rank_table.mean(axis=0), kind="stable")
    compared, losses, rank_table = [compared[i] for i in order], losses[:, order], rank_table[:, order]
    rank_of = dict(zip(compared, intervals(rank_table), strict=True))
    score_of = dict(zip(compared, intervals(normalised_scores(losses)), strict=True))
    has_test = len(tables) > 1 and len(compared) > 1
    difference = critical_difference(len(compared), len(tables)) if has_test else None
    groups = indistinct_groups(rank_table.mean(axis=0), difference) if difference is not None else []
    return Summary(
        tuple(tables),
        tuple(_metric(rows, name) for name in tables),
        tuple(compared),
        losses,
        win_matrix(losses),
        _entries(by_system, rank_of, score_of),
        friedman_p(rank_table) if has_test else None,
        difference,
        tuple(tuple(compared[i] for i in group) for group in groups),
        {name: found for name in compared if (found := _trajectories(by_system[name]))},
    )


def _common_seeds(by_system: Sequence[Sequence[Row]]) -> dict[str, list[int]]:
    """Table -> seeds of which all have a row."""
    pairs = [{(row["table"], row["seed"]) for row in own} for own in by_system]
    common: dict[str, list[int]] = {}
    for table, seed in sorted(set.intersection(*pairs)) if pairs else ():
        common.setdefault(table, []).append(seed)
    return common


def _losses(by_system: Sequence[Sequence[Row]], tables: dict[str, list[int]]) -> FloatArray:
    columns = []
    for own in by_system:
        known = {(row["table"], row["seed"]): row_loss(row) for row in own if is_ok(row)}
        columns.append([np.mean([known.get((name, seed), np.nan) for seed in seeds]) for name, seeds in tables.items()])
    return np.array(columns, dtype=np.float64).reshape(len(by_system), len(tables)).T


def _metric(rows: Iterable[Row], table: str) -> str:
    return next((str(row["metric"]) for row in rows if row["table"] == table and "metric" in row), "loss")


def _entries(
    by_system: dict[str, list[Row]], rank_of: dict[str, Interval], score_of: dict[str, Interval]
) -> tuple[Entry, ...]:
    names = [name for name in dict.fromkeys([*rank_of, *SYSTEMS, *by_system]) if name in by_system]
    return tuple(_entry(name, by_system[name], rank_of.get(name), score_of.get(name)) for name in names)


def _entry(name: str, rows: Sequence[Row], rank: Interval | None, score: Interval | None) -> Entry:
    good = [row for row in rows if is_ok(row)]

    def known(key: str) -> list[float]:
        return [row[key] for row in good if row.get(key) is not None]

    return Entry(
        name,
        find_system(name).title,
        len(good),
        len(rows),
        rank,
        score,
        _of([row["metrics"]["accuracy"] for row in good if "accuracy" in row["metrics"]], fmean),
        _of(known("fit_seconds"), fmean),
        _of(known("overrun_seconds"), max),
        _of(known("predict_10k_seconds"), median),
        _of(known("predict_row_ms"), median),
        _of(known("peak_memory_mb"), max),
        tuple(f"{row['table']} seed {row['seed']}: {row['reason']}" for row in rows if not is_ok(row)),
    )


def _of(values: Sequence[float], how: Any) -> float | None:
    return float(how(values)) if values else None


def _trajectories(rows: Iterable[Row]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        steps = row.get("facts", {}).get("trajectory")
        if steps:
            found.setdefault(row["table"], [(seconds, loss) for seconds, loss in steps])
    return found
