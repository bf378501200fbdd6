"""The command that trains the pool for the default portfolio."""

from __future__ import annotations

from pathlib import Path

import click

from autopytorch_lite.errors import AutoPyTorchLiteError
from benchmarks.commands import names
from benchmarks.portfolio.cells import PoolFolder, train_missing
from benchmarks.portfolio.pool import chosen as chosen_candidates
from benchmarks.portfolio.tasks import BUNDLED, prepare
from benchmarks.tables import ReadableTable, choose, read_manifest


@click.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the pool; continued if it exists."
)
@click.option(
    "--tables", default="", help="Names, separated by commas; by default all of the manifest and of scikit-learn."
)
@click.option("--sources", default="", help="by_hand, published, drawn, paper, separated by commas; all by default.")
@click.option("--families", default="", help="Learners and backbones, separated by commas; all by default.")
@click.option(
    "--max-rows", default=7_500, show_default=True, type=click.IntRange(min=50), help="Larger tables are sampled."
)
@click.option(
    "--limit",
    default=120.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds of a training.",
)
@click.option(
    "--seconds-per-table", type=click.FloatRange(min=0, min_open=True), help="CPU seconds for each table in all."
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Trainings at once.")
@click.option(
    "--binary-metric",
    default="roc_auc",
    show_default=True,
    type=click.Choice(["roc_auc", "log_loss"]),
    help="Of tables with two classes.",
)
def build(
    folder: Path,
    out: Path,
    tables: str,
    sources: str,
    families: str,
    max_rows: int,
    limit: float,
    seconds_per_table: float | None,
    jobs: int,
    binary_metric: str,
) -> None:
    """Train the pool on the tables of DATA_FOLDER and on scikit-learn's, as far as time permits.

    A training has one thread and is killed after --limit seconds. Every row is on disk as soon as it is known: stop
    when you like, the same command goes on.
    """
    try:
        wanted = chosen_candidates(names(sources), names(families))
        every_table: list[ReadableTable] = [*read_manifest(folder), *BUNDLED]
        readable = choose(every_table, names(tables))
        constraint = {"max_rows": max_rows, "limit_s": limit, "binary_metric": binary_metric, "by_rung": True}
        pool = PoolFolder(out, {"constraint": constraint})
        tasks = prepare(readable, pool.path / "tasks", max_rows=max_rows, binary_metric=binary_metric)
        train_missing(pool, tasks, wanted, n_jobs=jobs, limit_s=limit, seconds_per_table=seconds_per_table)
        pool.results.finish()
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
