"""Each learner beside the networks with its defaults: loss on unseen rows, worth in an ensemble, what it costs.

python -m benchmarks.learners DATA_FOLDER --tables phoneme,credit-g --max-rows 10000
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from autopytorch_lite.data.dataset import Dataset, make_dataset
from autopytorch_lite.ensemble.selection import select, weighted_average
from autopytorch_lite.errors import AutoPyTorchLiteError
from autopytorch_lite.execution.tabular import rows_of
from autopytorch_lite.metrics import Metric, resolve_metric
from autopytorch_lite.pipeline.build import TRADITIONAL, build_learner, default_graph
from autopytorch_lite.pipeline.graph import Component, choice_name
from autopytorch_lite.pipeline.learner import FitSettings
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.types import Array, Config, DatasetInfo, FloatArray
from benchmarks.tables import Table, choose, read_manifest, split
from search_spaces import load_ranges, with_edits

MAX_BUDGET = 27
"""Epochs of the full training; they only say at how many points the learning curve is read."""

ENSEMBLE_SIZE = 50
"""Steps of ensemble selection."""


@dataclass(frozen=True)
class Measured:
    """One training of a learner with its defaults.

    Attributes:
        table: name.
        learner: name.
        loss: log loss or RMSE on the unseen rows.
        fit_s: CPU seconds of the fit, learning curve included.
        predict_s: CPU seconds of predicting the unseen rows.
        megabytes: of the saved model.
        weight: in an ensemble of all learners.
        worth: share by which the loss of the ensemble grows without the learner.
    """

    table: str
    learner: str
    loss: float
    fit_s: float
    predict_s: float
    megabytes: float
    weight: float = 0.0
    worth: float = 0.0


@click.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tables", default="", help="Names from the manifest, separated by commas; all by default.")
@click.option("--learners", default="", help="Names, separated by commas; all that are installed by default.")
@click.option("--max-rows", default=10_000, show_default=True, help="Larger tables are sampled.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
def main(folder: Path, tables: str, learners: str, max_rows: int, seeds: int, threads: int) -> None:
    """Train every learner with its defaults on 67 % of each table of DATA_FOLDER; prints a Markdown table."""
    names = [name for name in learners.split(",") if name]
    try:
        chosen = choose(read_manifest(folder), [name for name in tables.split(",") if name])
        rows = [
            measured
            for table in chosen
            for seed in range(seeds)
            for measured in measure(table, installed(names), max_rows=max_rows, seed=seed, n_threads=threads)
        ]
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    click.echo(markdown(rows))


def installed(names: Sequence[str]) -> list[Component]:
    """The learners of these names, or all that are installed."""
    graph = default_graph()
    for name in names:
        graph.option(name)
    return [c for c in TRADITIONAL if (c.name in names if names else c.is_installed())]


def measure(table: Table, learners: Iterable[Component], *, max_rows: int, seed: int, n_threads: int) -> list[Measured]:
    """Every learner that applies to the table, trained on one division of it."""
    parts = split(table, seed)
    train = parts.X_train.sample(min(len(parts.X_train), round(max_rows * 0.67)), random_state=seed).index
    test = parts.X_test.sample(min(len(parts.X_test), round(max_rows * 0.33)), random_state=seed).index
    dataset = make_dataset(
        parts.X_train.loc[train],
        parts.y_train.loc[train],
        kind="classification" if table.task.is_classification else "regression",
        X_val=parts.X_test.loc[test],
        y_val=parts.y_test.loc[test],
        seed=seed,
    )
    rows, predictions = [], {}
    for component in learners:
        if component.applies(dataset.info):
            measured, predictions[component.name] = _measured(table.name, component, dataset, seed, n_threads)
            click.echo(measured, err=True)
            rows.append(measured)
    shares = contributions(predictions, dataset.y[dataset.folds[0].val_idx], _metric(dataset.info))
    return [replace(row, weight=shares[row.learner][0], worth=shares[row.learner][1]) for row in rows]


def contributions(predictions: Mapping[str, FloatArray], y: Array, metric: Metric) -> dict[str, tuple[float, float]]:
    """Learner -> its weight in an ensemble, and the share by which the ensemble's loss grows without it.

    Every other unseen row selects the ensembles, the rest scores them.
    """
    weights, loss = _ensemble(predictions, y, metric)
    shares = {}
    for name in predictions:
        others = {other: of_other for other, of_other in predictions.items() if other != name}
        without = _ensemble(others, y, metric)[1] if others else loss
        shares[name] = (weights[name], without / loss - 1)
    return shares


def _ensemble(predictions: Mapping[str, FloatArray], y: Array, metric: Metric) -> tuple[dict[str, float], float]:
    """Weights by learner, and the loss on the rows that did not select them."""
    found = select([of_learner[::2] for of_learner in predictions.values()], y[::2], metric=metric, size=ENSEMBLE_SIZE)
    average = weighted_average([of_learner[1::2] for of_learner in predictions.values()], found.weights)
    return dict(zip(predictions, found.weights.tolist(), strict=True)), metric.loss(y[1::2], average)


def default_config(component: Component, info: DatasetInfo) -> Config:
    """The learner's defaults in the default space."""
    ranges = with_edits(load_ranges("default"), {choice_name("learner"): component.name})
    return SpaceWalk(compile_space(default_graph(), ranges, info)).default()


def _metric(info: DatasetInfo) -> Metric:
    return resolve_metric(None, info.task, info.n_outputs)


def _measured(
    table: str, component: Component, dataset: Dataset, seed: int, n_threads: int
) -> tuple[Measured, FloatArray]:
    """One training, and its predictions of the unseen rows."""
    train, val = (rows_of(dataset, idx) for idx in (dataset.folds[0].train_idx, dataset.folds[0].val_idx))
    info = dataset.info
    metric = _metric(info)
    learner = build_learner(default_graph(), default_config(component, info), info)
    start = time.process_time()
    settings = FitSettings(MAX_BUDGET, seed, metric, n_threads=n_threads)
    learner.fit(train, val, budget=MAX_BUDGET, settings=settings)
    fitted = time.process_time()
    predictions = learner.predict(val.table)
    end = time.process_time()
    with TemporaryDirectory() as folder:
        learner.save(Path(folder))
        n_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    loss = metric.loss(val.y, predictions, val.sample_weight)
    return Measured(table, component.name, loss, fitted - start, end - fitted, n_bytes / 2**20), predictions


def markdown(rows: Sequence[Measured]) -> str:
    """Losses by learner and table, means over seeds; then of all tables together: ranks, ensembles, costs."""
    tables = list(dict.fromkeys(row.table for row in rows))
    learners = list(dict.fromkeys(row.learner for row in rows))
    losses = {(t, n): _mean(r.loss for r in rows if (r.table, r.learner) == (t, n)) for t in tables for n in learners}
    lines = [
        "| learner | " + " | ".join([*tables, "mean rank", "weight", "worth %", "fit s", "predict s", "MB"]) + " |"
    ]
    lines.append("|---" * (len(tables) + 7) + "|")
    for name in learners:
        ranks = [_rank(losses, t, name, learners) for t in tables if losses[t, name] is not None]
        own = [row for row in rows if row.learner == name]
        cells = [_number(losses[t, name]) for t in tables]
        cells += [_number(_mean(ranks), 3), _number(_mean(row.weight for row in own), 2)]
        cells.append(f"{100 * sum(row.worth for row in own) / len(own):+.1f}")
        cells += [f"{sum(getattr(row, cost) for row in own):.1f}" for cost in ("fit_s", "predict_s", "megabytes")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None


def _rank(losses: dict[tuple[str, str], float | None], table: str, name: str, learners: Sequence[str]) -> int:
    """1 for the smallest loss on the table."""
    known = [losses[table, other] for other in learners if losses[table, other] is not None]
    return 1 + sum(loss < losses[table, name] for loss in known)  # type: ignore[operator]


def _number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


if __name__ == "__main__":
    main()
