"""Searches over the trainings of a pool, on a simulated clock: what ways of searching find, without waiting for it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from autopytorch_lite.ensemble.library import Library
from autopytorch_lite.ensemble.selection import weighted_average
from autopytorch_lite.errors import AutoPyTorchLiteError, UnknownNameError
from autopytorch_lite.execution.costs import EvaluationCosts, load_prior
from autopytorch_lite.execution.simulated import SimulatedExecutor
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.history.trial import Finished, Proposed, TrialKey
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.run import COST_EXPONENT, trial_limit_s
from autopytorch_lite.search import BOHB, FreezeThaw, RandomSearch, Searcher
from autopytorch_lite.space.adapt import adapt_portfolio
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config, FloatArray
from benchmarks.commands import names
from benchmarks.markdown import table as markdown_table
from benchmarks.portfolio.files import read_portfolio
from benchmarks.portfolio.leave_one_out import eligible
from benchmarks.portfolio.record import ENSEMBLE_SIZE, TaskRecord
from benchmarks.portfolio.recorded import RecordedTable, is_of
from benchmarks.portfolio.select import read_pool
from benchmarks.portfolio.tasks import open_task
from search_spaces import load_portfolio

OPTIONS = {"cost_exponent": float, "eta": float, "foresight": float, "n_candidates": int, "n_local": int}
"""What may be set of `FreezeThaw`."""

SEARCHERS = ("freeze_thaw", "bohb", "random")


@dataclass(frozen=True)
class Policy:
    """How a search is made.

    Attributes:
        time_s: its limit.
        n_workers: evaluations at once.
        searcher: which of `SEARCHERS`; BOHB and random search have no use for seconds.
        ensemble_size: picks with replacement; 1: the best trial alone.
        options: of `FreezeThaw`.
    """

    time_s: float
    n_workers: int
    searcher: str = "freeze_thaw"
    ensemble_size: int = ENSEMBLE_SIZE
    options: Mapping[str, float] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What a row says of it."""
        return {"time": self.time_s, "searcher": self.searcher, "ensemble_size": self.ensemble_size, **self.options}


def _searcher(table: RecordedTable, policy: Policy, portfolio: Sequence[Config], seed: int) -> Searcher:
    task = table.task
    entries = adapt_portfolio(portfolio, table.space, default_graph(), task.info)
    asked: dict[str, Any] = {"portfolio": entries, "seed": seed}
    if policy.searcher == "random":
        return RandomSearch(table.space, max_budget=task.max_budget, **asked)
    if policy.searcher == "bohb":
        return BOHB(table.space, min_budget=task.rungs[0], max_budget=task.max_budget, **asked)
    return FreezeThaw(
        table.space,
        min_budget=task.rungs[0],
        max_budget=task.max_budget,
        costs=EvaluationCosts(table.sizes, load_prior()),
        **{"cost_exponent": COST_EXPONENT, **policy.options},  # type: ignore[arg-type]
        **asked,
    )


def replayed(table: RecordedTable, policy: Policy, portfolio: Sequence[Config], seed: int) -> dict[str, Any]:
    """What a search finds: the loss of its ensemble on unseen rows and on those that select it, and what was tried."""
    task = table.task
    result = tune(
        _searcher(table, policy, portfolio, seed),
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
    ensemble = library.build(size=policy.ensemble_size, seed=seed)
    n_finished = sum(isinstance(line, Finished) for line in result.lines)
    taken_away = {"n_entries": len(portfolio), "without": list(table.without)}
    facts = {"table": task.name, **policy.facts(), **taken_away, "seed": seed, "n_finished": n_finished}
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
@click.option("--portfolio/--no-portfolio", "begins", default=True, show_default=True, help="What searches begin with.")
@click.option("--without", default="", help="Learners and backbones to leave out, separated by commas.")
@click.option("--searcher", default=SEARCHERS[0], show_default=True, type=click.Choice(SEARCHERS))
@click.option("--ensemble-size", default=ENSEMBLE_SIZE, show_default=True, type=click.IntRange(min=1))
@click.option("--set", "options", multiple=True, metavar="NAME=NUMBER", help="An option of FreezeThaw.")
@click.option("--out", type=click.Path(path_type=Path), help="File that gets a line of JSON for each search.")
def replay(
    folder: Path,
    tables: str,
    times: str,
    seeds: int,
    workers: int,
    portfolios: Path | None,
    begins: bool,
    without: str,
    searcher: str,
    ensemble_size: int,
    options: tuple[str, ...],
    out: Path | None,
) -> None:
    """Search over the trainings of POOL again and again, and print the mean loss by time.

    Losses are of the ensemble on unseen rows, 0 for one of all candidates and 1 for a bad one. Each search begins with
    the portfolio that --portfolios has for its table, or else with the default one, or with none.
    """
    start = time.monotonic()
    if options and searcher != SEARCHERS[0]:
        raise click.UsageError(f"--set is of {SEARCHERS[0]}, and --searcher is {searcher}.")
    if portfolios is not None and not begins:
        raise click.UsageError("--portfolios and --no-portfolio contradict each other.")
    try:
        pool, records, candidates = read_pool(folder, names(tables))
        kept = [candidates[number] for number in eligible(candidates)]
        left_out, set_to = names(without), dict(map(_option, options))
        rows: list[dict[str, Any]] = []
        for record in records:
            table = RecordedTable(pool, open_task(pool.task_folder(record.name)), kept, left_out)
            portfolio = load_portfolio("default") if portfolios is None else read_portfolio(portfolios, record.name)
            portfolio = [entry for entry in portfolio if begins and not is_of(entry, left_out)]
            for time_s in _numbers(times):
                policy = Policy(time_s, workers, searcher, ensemble_size, set_to)
                searched = [_scaled(record, replayed(table, policy, portfolio, seed)) for seed in range(seeds)]
                rows += searched
                _append(out, searched)
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    for line in summary(rows):
        click.echo(line)
    click.echo(f"{len(rows)} searches in {time.monotonic() - start:.0f} s", err=True)


def _append(out: Path | None, rows: Sequence[Mapping[str, Any]]) -> None:
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


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
