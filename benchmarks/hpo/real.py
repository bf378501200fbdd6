"""Searchers on real trainings of small tables, at equal wall-clock time.

python -m benchmarks.hpo.real --tables digits,breast_cancer --searchers freeze_thaw_cold,bohb --seconds 60 --out RESULTS
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from ConfigSpace import ConfigurationSpace
from sklearn import datasets

import search_spaces
from autopytorch_lite.data.dataset import Dataset, make_dataset
from autopytorch_lite.errors import AutoPyTorchLiteError, UnknownNameError
from autopytorch_lite.execution.tabular import TabularObjective
from autopytorch_lite.execution.workers import ProcessExecutor
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.metrics import Metric
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.tuner import tune
from benchmarks.hpo.anytime import Evaluation, evaluations_of, incumbent_steps
from benchmarks.hpo.runs import RunKey, Timed
from benchmarks.hpo.searchers import SEARCHERS, UnavailableError
from benchmarks.hpo.study import Rows

_TABLES = {"digits": datasets.load_digits, "breast_cancer": datasets.load_breast_cancer, "wine": datasets.load_wine}
_METRIC = "neg_log_loss"
_SHARES = (0.1, 0.3, 1.0)
_HOLDOUT = 0.33


class RealTable:
    """A bundled table with its space and objective; see `Searchable`. It is trained, so that no curve is known before.

    Args:
        task: name of the table; a third of its rows is for validation.
        ranges: name of a search space, see `search_spaces`.

    Raises:
        UnknownNameError: there is no such table.
    """

    family = "real"
    eta = 3.0
    budgets: tuple[int, ...] = (2, 6, 17, 50)

    def __init__(self, task: str, ranges: str = "lcbench"):
        if task not in _TABLES:
            raise UnknownNameError("table", task, _TABLES)
        X, y = _TABLES[task](return_X_y=True)
        self.task = task
        self.dataset: Dataset = make_dataset(X, y, kind="classification", resampling=_HOLDOUT, seed=0)
        edits = search_spaces.load_ranges(ranges)
        self.space: ConfigurationSpace = compile_space(default_graph(), edits, self.dataset.info, seed=0)

    def objective(self, folder: Path, seed: int) -> TabularObjective:
        """The estimator's own objective; the data is stored in `folder`."""
        self.dataset.save(folder)
        info = self.dataset.info
        return TabularObjective(
            data_folder=str(folder.resolve()),
            fingerprint=self.dataset.fingerprint,
            graph=default_graph(),
            metric=Metric(_METRIC, info.task, info.n_outputs),
            seed=seed,
            max_budget=self.budgets[-1],
        )

    def knowledge(self) -> PerformanceMatrix | None:
        """None: the shipped matrix has LCBench's short names, this space the full ones."""
        return None


def measure(key: RunKey, table: RealTable, seconds: float, n_trials: int | None = None) -> dict[str, Any]:
    """One row: validation loss of the best full training over wall-clock seconds, thinking included.

    Raises:
        UnknownNameError: there is no such searcher.
        UnavailableError: the row cannot be measured.
    """
    if key.searcher not in SEARCHERS:
        raise UnknownNameError("searcher", key.searcher, SEARCHERS)
    row = SEARCHERS[key.searcher]
    if row.make is None or row.on is not None:
        raise UnavailableError(f"{row.title}: measured on simulated time only.")
    searcher = Timed(row.make(table, key.seed))
    with tempfile.TemporaryDirectory() as folder:
        objective = table.objective(Path(folder) / "data", key.seed)
        executor = ProcessExecutor(objective, n_workers=1, files_root=Path(folder) / "files")
        try:
            result = tune(searcher, executor=executor, store=MemoryStore(), time_limit=seconds, n_trials=n_trials)
        finally:
            executor.close()
    ended = evaluations_of(result.lines)
    return {
        **key._asdict(),
        "status": "ok",
        "limit": seconds,
        "n_evaluations": len(ended),
        "n_failed": sum(evaluation.loss is None for evaluation in ended),
        "n_full": sum(evaluation.budget == table.budgets[-1] for evaluation in ended),
        "ask_ms_median": float(np.median(searcher.thinking_ms)),
        "ask_ms_mean": float(np.mean(searcher.thinking_ms)),
        "steps": full_budget_steps(ended, table.budgets[-1]),
    }


def full_budget_steps(evaluations: Iterable[Evaluation], budget: int) -> list[tuple[float, float]]:
    """Best validation loss of a full training over seconds; smaller budgets show nothing comparable."""
    full = [evaluation for evaluation in evaluations if evaluation.budget == budget and evaluation.loss is not None]
    losses = {id(evaluation.config): float(evaluation.loss or 0.0) for evaluation in full}
    return incumbent_steps(full, lambda config: losses[id(config)], 1.0)


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mean over seeds of the loss after a tenth, a third and all of the time, as markdown."""
    header = ["table", "searcher", *(f"log loss at {share:.0%} of the time" for share in _SHARES)]
    header += ["evaluations", "full trainings", "ask, ms", "seeds"]
    lines = [header, ["---"] * len(header)]
    for task, searcher in dict.fromkeys((row["task"], row["searcher"]) for row in rows):
        mine = [row for row in rows if (row["task"], row["searcher"]) == (task, searcher)]
        losses = np.mean([_losses(row) for row in mine], axis=0)
        counts = [f"{np.mean([row[name] for row in mine]):.0f}" for name in ("n_evaluations", "n_full")]
        asked = f"{np.median([row['ask_ms_median'] for row in mine]):.2g}"
        lines.append([task, searcher, *(f"{loss:.4f}" for loss in losses), *counts, asked, str(len(mine))])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _losses(row: Mapping[str, Any]) -> list[float]:
    return [_loss_at(row["steps"], share * row["limit"]) for share in _SHARES]


def _loss_at(steps: Iterable[tuple[float, float]], seconds: float) -> float:
    """The last loss known by then; NaN before the first."""
    return next((loss for cost, loss in reversed(list(steps)) if cost <= seconds), float("nan"))


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the results; continued if there."
)
@click.option("--tables", default="digits,breast_cancer", show_default=True, help=", ".join(_TABLES))
@click.option("--searchers", default="freeze_thaw_cold,bohb,hyperband,random", show_default=True)
@click.option("--space", default="lcbench", show_default=True, help="Search space, see `search_spaces`.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="A run.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="How many, from 0.")
def main(out: Path, tables: str, searchers: str, space: str, seconds: float, seeds: int) -> None:
    """Search on real trainings, one worker process, and compare the loss of the best full training."""
    rows = Rows(out)
    keys = [
        RunKey("real", table, searcher, seed, 1)
        for seed in range(seeds)
        for table in tables.split(",")
        for searcher in searchers.split(",")
    ]
    try:
        for key in rows.to_do(keys, seconds):
            click.echo(f"{key.task} {key.searcher} seed {key.seed}")
            try:
                rows.append(measure(key, RealTable(key.task, space), seconds))
            except UnavailableError as error:
                click.echo(f"  {error}")
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    text = table_of([row for row in rows.read().values() if row["problem"] == "real"])
    (out / "real.md").write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
