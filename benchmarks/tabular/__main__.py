"""Predictive performance on a folder of tables: ours, public systems, and models with defaults.

python -m benchmarks.tabular DATA_FOLDER --tables adult,shuttle --time 120 --jobs 2 --learners all,neural --out RESULTS
python -m benchmarks.tabular DATA_FOLDER --systems comparison --time 120 --jobs 2 --environments ENV --out RESULTS
python -m benchmarks.tabular DATA_FOLDER --systems ablation --time 120 --jobs 2 --out RESULTS
python -m benchmarks.tabular table RESULTS          # again, from the rows that are there
python -m benchmarks.tabular worth RESULTS          # losses of the others beside those of ours
python -m benchmarks.tabular parts RESULTS DATA_FOLDER          # what families are worth in runs that were kept
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from autopytorch_lite.errors import AutoPyTorchLiteError
from benchmarks.commands import RunByDefault, names
from benchmarks.portfolio.files import read_portfolio
from benchmarks.tables import TEST_FRACTION, Table, choose, read_manifest, split
from benchmarks.tabular.fits import Constraint, measure
from benchmarks.tabular.parts import measure_parts
from benchmarks.tabular.results import Results, Row, RowKey, read_rows, run_dir
from benchmarks.tabular.summary import Summary, summarise
from benchmarks.tabular.systems import BASELINE, GROUPS, OURS, SYSTEMS, System, expand, find_system
from benchmarks.tabular.worth import losses_of_systems, worth_table
from benchmarks.tabular.writing import write_summary

PACKAGES = ("torch", "scikit-learn", "numpy", "pandas", "ConfigSpace")


@dataclass(frozen=True)
class Plan:
    """What is asked for, and where things are.

    Attributes:
        tables: what to fit on.
        systems: names.
        n_seeds: splits, from seed 0.
        constraint: limits and metric.
        environments: folder of the environments of public systems; None: there is none.
        keep_in: folder of results that keeps runs of ours; None: they are not kept.
        portfolios: file of portfolios without each table; None: ours has its default portfolio.
    """

    tables: Sequence[Table]
    systems: Sequence[str]
    n_seeds: int
    constraint: Constraint
    environments: Path | None = None
    keep_in: Path | None = None
    portfolios: Path | None = None

    def system(self, key: RowKey) -> System:
        """What a row is about, with the portfolio that no result on its table has shaped, if there is such a file."""
        system = find_system(key.system)
        return system if self.portfolios is None else system.beginning_with(read_portfolio(self.portfolios, key.table))

    def config(self) -> dict[str, Any]:
        """As plain data, with versions and machine."""
        return {
            "format": 2,
            "constraint": {**asdict(self.constraint), "test_fraction": TEST_FRACTION},
            "tables": [table.name for table in self.tables],
            "systems": list(self.systems),
            "n_seeds": self.n_seeds,
            "portfolios": None if self.portfolios is None else sha256(self.portfolios.read_bytes()).hexdigest()[:12],
            "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
            "machine": {"processor": platform.machine(), "n_cores": os.cpu_count()},
        }


@click.group(cls=RunByDefault)
def main() -> None:
    """Compare systems on tables: losses, ranks, wins, seconds and memory on the same unseen rows."""


@main.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for the results; continued if it exists."
)
@click.option("--tables", default="", help="Names from the manifest, separated by commas; by default all.")
@click.option("--time", "time_limit", type=click.FloatRange(min=0, min_open=True), help="Seconds for each fit.")
@click.option("--n-trials", type=click.IntRange(min=1), help="Evaluations for each fit of ours.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="How many splits, from seed 0.")
@click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Cores of every system; worker processes of ours.",
)
@click.option(
    "--systems", help=f"Separated by commas: {', '.join([*GROUPS, *SYSTEMS])}. By default hgb and --learners."
)
@click.option(
    "--learners", default="all", show_default=True, help="Learners of ours, separated by commas: all, neural."
)
@click.option("--space", default="default", show_default=True, help="Search space of ours.")
@click.option(
    "--binary-metric",
    default="roc_auc",
    show_default=True,
    type=click.Choice(["roc_auc", "log_loss"]),
    help="What systems are told to optimise, and are compared by, on two classes.",
)
@click.option("--environments", type=click.Path(path_type=Path), help="Folder of `benchmarks.tabular.peers install`.")
@click.option("--again", default="", help="Systems whose rows are dropped and measured again, separated by commas.")
@click.option(
    "--portfolios",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="portfolios.json of `benchmarks.portfolio select`: ours gets on each table the portfolio of all others.",
)
@click.option("--keep-runs", is_flag=True, help="Keep the run directories of ours below the results.")
def run(
    folder: Path,
    out: Path,
    tables: str,
    time_limit: float | None,
    n_trials: int | None,
    seeds: int,
    jobs: int,
    systems: str | None,
    learners: str,
    space: str,
    binary_metric: str,
    environments: Path | None,
    again: str,
    portfolios: Path | None,
    keep_runs: bool,
) -> None:
    """Fit systems on tables and measure them on unseen rows.

    DATA_FOLDER holds manifest.json and the tables it describes. One line per table, system and seed is appended to
    RESULTS/results.jsonl as it finishes; what is there already is skipped, unless the system's driver, options or
    pinned versions have changed since.
    """
    if time_limit is None and n_trials is None:
        raise click.UsageError("Give --time, --n-trials or both.")
    try:
        plan = Plan(
            choose(read_manifest(folder), names(tables)),
            expand(names(systems)) if systems else [BASELINE, *(OURS + name for name in names(learners))],
            seeds,
            Constraint(time_limit, n_trials, jobs, space, binary_metric),
            None if environments is None else environments.resolve(),
            out if keep_runs else None,
            portfolios,
        )
        repeated = expand(names(again))
        results = Results(out, plan.config())
        results.forget(repeated)
        measure_missing(plan, results)
        _write(out)
        results.finish()
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("out", metavar="RESULTS", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--systems", default="", help="Only these, separated by commas; by default all that have rows.")
def table(out: Path, systems: str) -> None:
    """Write tables and figures of RESULTS again, from the rows that are there."""
    try:
        _write(out, expand(names(systems)))
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument(
    "outs",
    metavar="RESULTS...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--whole", default="ours-all", show_default=True, help="The system that others are compared with.")
@click.option(
    "--after",
    type=click.FloatRange(min=0),
    help="Losses on validation rows after so many seconds of search, instead of those on unseen rows at the end.",
)
def worth(outs: Sequence[Path], whole: str, after: float | None) -> None:
    """Tell by how much the other systems' losses are above those of one that lacks nothing, on the same tables.

    Of a system with rows in several RESULTS the first ones count.
    """
    try:
        losses = losses_of_systems([row for out in outs for row in read_rows(out)], whole, after)
        click.echo("\n".join(worth_table(losses, f"instead of {whole}")))
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("out", metavar="RESULTS", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--system", default="ours-no-refit", show_default=True, help="Whose runs.")
def parts(out: Path, folder: Path, system: str) -> None:
    """Tell what an ensemble and each family are worth, from the runs that --keep-runs left in RESULTS.

    Ensembles are selected again from a run's trials without some of them, and scored on the unseen rows of DATA_FOLDER.
    RESULTS/parts.jsonl gets the losses, a line per table and seed.
    """
    try:
        rows = measure_parts(read_manifest(folder), out, system)
        (out / "parts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        click.echo("\n".join(worth_table([row["losses"] for row in rows], "without")))
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


def measure_missing(plan: Plan, results: Results) -> None:
    """Do what is not in `results` yet, each fit in a process of its own; a failure becomes a row with its reason."""
    for chosen, key in _missing(plan, results):
        start = time.perf_counter()
        row = _row(plan, chosen, key)
        results.append(key, row)
        outcome = row["status"] if row["status"] == "ok" else f"{row['status']}: {row['reason']}"
        click.echo(f"{key.table} {key.system} seed {key.seed}: {outcome} after {time.perf_counter() - start:.0f} s")


def _missing(plan: Plan, results: Results) -> Iterator[tuple[Table, RowKey]]:
    """A first seed of everything before the second."""
    for seed in range(plan.n_seeds):
        for chosen in plan.tables:
            for name in plan.systems:
                key = RowKey(chosen.name, name, seed)
                if not results.is_done(key, plan.system(key).revision()):
                    yield chosen, key


def _row(plan: Plan, chosen: Table, key: RowKey) -> Row:
    row = measure(
        plan.system(key),
        split(chosen, key.seed),
        key.seed,
        plan.constraint,
        environments=plan.environments,
        run_dir=None if plan.keep_in is None else run_dir(plan.keep_in, key),
    )
    return {"task": chosen.task.value, "finished": datetime.now(UTC).isoformat(timespec="seconds"), **row}


def _write(out: Path, systems: Sequence[str] = ()) -> None:
    rows = [row for row in read_rows(out) if not systems or row["system"] in systems]
    summary: Summary = summarise(rows)
    click.echo(write_summary(summary, rows, out))


if __name__ == "__main__":
    main()
