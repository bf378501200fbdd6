"""Searches over the trainings of a pool, on a simulated clock: what ways of searching find, without waiting for it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import numpy as np

from autopytorch_lite.ensemble.library import Library
from autopytorch_lite.ensemble.selection import weighted_average
from autopytorch_lite.errors import AutoPyTorchLiteError, UnknownNameError
from autopytorch_lite.execution.costs import EvaluationCosts, load_prior
from autopytorch_lite.execution.simulated import SimulatedCurve, SimulatedExecutor
from autopytorch_lite.execution.work import Sizes, family_of
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.history.trial import Finished, Proposed, TrialKey
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.run import COST_EXPONENT, trial_limit_s
from autopytorch_lite.search import FreezeThaw
from autopytorch_lite.space.adapt import adapt_portfolio
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.space.encode import VectorCodec, squared_distances
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config, FloatArray
from benchmarks.commands import names
from benchmarks.markdown import table as markdown_table
from benchmarks.portfolio.cells import PoolFolder
from benchmarks.portfolio.files import read_portfolio
from benchmarks.portfolio.leave_one_out import eligible
from benchmarks.portfolio.pool import Candidate
from benchmarks.portfolio.record import ENSEMBLE_SIZE, TaskRecord
from benchmarks.portfolio.select import read_pool
from benchmarks.portfolio.tasks import PoolTask, open_task
from search_spaces import load_portfolio, load_ranges

OPTIONS = {"cost_exponent": float, "eta": float, "foresight": float, "n_candidates": int, "n_local": int}
"""What may be set of `FreezeThaw`."""

OVERHEAD_S = 0.05
"""Seconds of an evaluation beside its training."""


@dataclass(frozen=True)
class Policy:
    """How a search is made.

    Attributes:
        time_s: its limit.
        n_workers: evaluations at once.
        options: of `FreezeThaw`.
    """

    time_s: float
    n_workers: int
    options: Mapping[str, float]


class RecordedTable:
    """The trainings of a pool on one table, as a task for searchers.

    What was trained are single configurations, and a searcher proposes others: each goes as the nearest one of its
    family goes, on axes from 0 to 1 where different choices, and active and inactive, are at distance 1.

    Args:
        pool: the trainings.
        task: the table.
        candidates: which may be found; those without a successful training on the table may not.
    """

    def __init__(self, pool: PoolFolder, task: PoolTask, candidates: Sequence[Candidate]):
        self.task = task
        self.space = compile_space(default_graph(), load_ranges("default"), task.info)
        rows = {c.name: pool.row(task.name, c) for c in candidates}
        self._names: list[str] = []
        self._rungs: list[list[dict[str, float]]] = []
        configs: list[Config] = []
        for candidate in candidates:
            row, config = rows[candidate.name], candidate.fitted(task.info)
            if row is not None and row["status"] == "ok" and config is not None and config not in configs:
                self._names.append(candidate.name)
                self._rungs.append(row["rungs"])
                configs.append(config)
        self._codec = VectorCodec(self.space)
        self._vectors = self._codec.encode_many(configs)
        self._families = np.array([family_of(config) for config in configs])
        self._predictions = lru_cache(maxsize=None)(lambda name, budget: pool.predictions(task, name, budget))

    @cached_property
    def sizes(self) -> Sizes:
        """What is trained on."""
        return Sizes.of(self.task.dataset, self.task.max_budget)

    def curves(self, config: Config, budget: int) -> SimulatedCurve:
        """The training that is nearest; between rungs its loss stays and its seconds grow evenly."""
        rungs = self._rungs[self.nearest(config)]
        known, losses = np.array([(rung["budget"], rung["loss"]) for rung in rungs]).T
        ends_s = np.cumsum([rung["cpu_seconds"] + OVERHEAD_S for rung in rungs])
        epochs = np.arange(1, budget + 1)
        place = np.minimum(np.searchsorted(known, epochs), len(rungs) - 1)
        return SimulatedCurve(losses[place], np.interp(epochs, [0, *known], [0, *ends_s]))

    def nearest(self, config: Config) -> int:
        """Which of the trainings is nearest; of any family where its own has none."""
        family = np.flatnonzero(self._families == family_of(config))
        among = family if len(family) else np.arange(len(self._families))
        distances = squared_distances(self._vectors[among], self._codec.encode(config), self._codec.n_choices > 0)
        return int(among[np.argmin(distances)])

    def predictions(self, config: Config, budget: int) -> tuple[FloatArray, FloatArray]:
        """Predictions of the validation rows and of the unseen rows, shapes (n_rows, n_outputs)."""
        return self._predictions(self._names[self.nearest(config)], budget)


def replayed(table: RecordedTable, policy: Policy, portfolio: Sequence[Config], seed: int) -> dict[str, Any]:
    """What a search finds: the loss of its ensemble on unseen rows and on those that select it, and what was tried."""
    graph, task = default_graph(), table.task
    searcher = FreezeThaw(
        table.space,
        min_budget=task.rungs[0],
        max_budget=task.max_budget,
        portfolio=adapt_portfolio(portfolio, table.space, graph, task.info),
        seed=seed,
        costs=EvaluationCosts(table.sizes, load_prior()),
        **{"cost_exponent": COST_EXPONENT, **policy.options},  # type: ignore[arg-type]
    )
    result = tune(
        searcher,
        executor=SimulatedExecutor(table.curves, policy.n_workers),
        store=MemoryStore(),
        time_limit=policy.time_s,
        trial_time_limit=trial_limit_s(policy.time_s),
    )
    configs = {line.key.config_id: line.proposal.config for line in result.lines if isinstance(line, Proposed)}

    def read(key: TrialKey) -> FloatArray:
        return table.predictions(configs[key.config_id], key.budget)[0]

    library = Library(read, task.validation_targets, task.metric, n_folds=table.sizes.n_folds)
    library.extend(result.lines)
    ensemble = library.build(size=ENSEMBLE_SIZE, seed=seed)
    n_finished = sum(isinstance(line, Finished) for line in result.lines)
    facts = {"table": task.name, "time": policy.time_s, "seed": seed, "n_finished": n_finished, **policy.options}
    if ensemble is None:
        return {**facts, "loss": None, "validation_loss": None}
    votes = [table.predictions(configs[member.key.config_id], member.key.budget)[1] for member in ensemble.members]
    mean = weighted_average(votes, [member.weight for member in ensemble.members])
    loss = task.metric.loss(task.unseen[1], ensemble.calibration(mean))
    return {**facts, "loss": loss, "validation_loss": ensemble.loss}


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in names(text)]
    except ValueError as error:
        raise click.BadParameter(f"must be numbers separated by commas, got {text!r}.") from error


def _option(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in OPTIONS:
        raise UnknownNameError("option", name, OPTIONS)
    try:
        return name, OPTIONS[name](value)
    except ValueError as error:
        raise click.BadParameter(f"must be NAME=NUMBER, got {text!r}.") from error


@click.command()
@click.argument("folder", metavar="POOL", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tables", default="", help="Names, separated by commas; all of the pool by default.")
@click.option("--time", "times", default="5,15,60", show_default=True, help="Limits of searches, seconds.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Searches of each kind.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1), help="Evaluations at once.")
@click.option("--portfolios", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="See `select`.")
@click.option("--set", "options", multiple=True, metavar="NAME=NUMBER", help="An option of FreezeThaw.")
@click.option("--out", type=click.Path(path_type=Path), help="File that gets a line of JSON for each search.")
def replay(
    folder: Path,
    tables: str,
    times: str,
    seeds: int,
    workers: int,
    portfolios: Path | None,
    options: tuple[str, ...],
    out: Path | None,
) -> None:
    """Search over the trainings of POOL again and again, and print the mean loss by time.

    Losses are of the ensemble on unseen rows, 0 for one of all candidates and 1 for a bad one. Each search begins with
    the portfolio that --portfolios has for its table, or else with the default one.
    """
    start = time.monotonic()
    try:
        pool, records, candidates = read_pool(folder, names(tables))
        kept = [candidates[number] for number in eligible(candidates)]
        rows = []
        for record in records:
            table = RecordedTable(pool, open_task(pool.task_folder(record.name)), kept)
            portfolio = load_portfolio("default") if portfolios is None else read_portfolio(portfolios, record.name)
            for time_s in _numbers(times):
                policy = Policy(time_s, workers, dict(map(_option, options)))
                rows += [_scaled(record, replayed(table, policy, portfolio, seed)) for seed in range(seeds)]
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    for line in summary(rows):
        click.echo(line)
    click.echo(f"{len(rows)} searches in {time.monotonic() - start:.0f} s", err=True)


def _scaled(record: TaskRecord, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "normalised": 1.0 if row["loss"] is None else record.normalised(row["loss"])}


def summary(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: the mean normalised loss of each table by time, and the mean of all."""
    times = sorted({row["time"] for row in rows})

    def cells(tables: Sequence[str]) -> list[str]:
        means = [fmean(r["normalised"] for r in rows if r["time"] == t and r["table"] in tables) for t in times]
        return [f"{mean:.4f}" for mean in means]

    tables = list(dict.fromkeys(row["table"] for row in rows))
    lines = [[name, *cells([name])] for name in tables] + [["all", *cells(tables)]]
    return markdown_table(["table", *(f"{t:g} s" for t in times)], lines)
