"""Predictive performance on a folder of tables, against gradient boosting with defaults.

python -m benchmarks.tabular DATA_FOLDER --tables adult,shuttle --time 120 --jobs 2 --learners all,neural --out RESULTS
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from autopytorch_lite.errors import AutoPyTorchLiteError
from benchmarks.isolation import IsolatedError, call_isolated
from benchmarks.results import Results, Row, RowKey
from benchmarks.systems import BASELINE, OURS, Constraint, evaluate
from benchmarks.tables import TEST_FRACTION, Table, choose, read_manifest

PACKAGES = ("torch", "scikit-learn", "numpy", "pandas", "ConfigSpace")


@click.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for the results; continued if it exists."
)
@click.option("--tables", default="", help="Names from the manifest, separated by commas; by default all.")
@click.option("--time", "time_limit", type=click.FloatRange(min=0, min_open=True), help="Seconds for each fit of ours.")
@click.option("--n-trials", type=click.IntRange(min=1), help="Evaluations for each fit of ours.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="How many splits, from seed 0.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Worker processes of ours.")
@click.option(
    "--learners", default="all", show_default=True, help="Learners of ours, separated by commas: all, neural."
)
@click.option("--space", default="default", show_default=True, help="Search space of ours.")
@click.option("--keep-runs", is_flag=True, help="Keep the run directories of ours below the results.")
def main(
    folder: Path,
    out: Path,
    tables: str,
    time_limit: float | None,
    n_trials: int | None,
    seeds: int,
    jobs: int,
    learners: str,
    space: str,
    keep_runs: bool,
) -> None:
    """Fit ours and gradient boosting on tables, and measure both on unseen rows.

    DATA_FOLDER holds manifest.json and the tables it describes. One line per table, system and seed is appended to
    RESULTS/results.jsonl as it finishes; what is there already is skipped.
    """
    if time_limit is None and n_trials is None:
        raise click.UsageError("Give --time, --n-trials or both.")
    constraint = Constraint(time_limit, n_trials, jobs, space)
    systems = [BASELINE, *(OURS + name for name in _names(learners))]
    try:
        chosen = choose(read_manifest(folder), _names(tables))
        results = Results(out, _config(chosen, systems, seeds, constraint))
        run_dirs = out / "runs" if keep_runs else None
        run(chosen, systems, range(seeds), constraint, results, run_dirs)
        click.echo("\n" + results.finish())
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


def run(
    tables: Sequence[Table],
    systems: Sequence[str],
    seeds: Sequence[int],
    constraint: Constraint,
    results: Results,
    run_dirs: Path | None,
) -> None:
    """Evaluate what is not in `results` yet, each in a process of its own; a failure becomes a row with its reason."""
    for table, key in _missing(tables, systems, seeds, results):
        run_dir = None if run_dirs is None else run_dirs / "_".join(map(str, key))
        start = time.perf_counter()
        row = _row(table, key, constraint, run_dir)
        results.append(key, row)
        outcome = row["status"] if row["status"] == "ok" else f"failed: {row['reason']}"
        click.echo(f"{key.table} {key.system} seed {key.seed}: {outcome} after {time.perf_counter() - start:.0f} s")


def _missing(
    tables: Sequence[Table], systems: Sequence[str], seeds: Sequence[int], results: Results
) -> Iterator[tuple[Table, RowKey]]:
    keys = ((table, RowKey(table.name, system, seed)) for table in tables for seed in seeds for system in systems)
    yield from ((table, key) for table, key in keys if key not in results)


def _row(table: Table, key: RowKey, constraint: Constraint, run_dir: Path | None) -> Row:
    try:
        outcome = call_isolated(
            evaluate, table, key.system, key.seed, constraint, run_dir, time_limit_s=_kill_after_s(constraint)
        )
        row: Row = {"status": "ok", "reason": "", **outcome}
    except IsolatedError as error:
        row = {"status": "failed", "reason": str(error), "traceback": error.traceback}
    return {"task": table.task.value, "finished": datetime.now(UTC).isoformat(timespec="seconds"), **row}


def _kill_after_s(constraint: Constraint) -> float | None:
    """When a fit counts as hanging: long after its limit, so that overruns are still measured."""
    return None if constraint.time_limit_s is None else 3 * constraint.time_limit_s + 600


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _config(tables: Sequence[Table], systems: Sequence[str], seeds: int, constraint: Constraint) -> dict[str, Any]:
    return {
        "format": 1,
        "constraint": {**asdict(constraint), "test_fraction": TEST_FRACTION},
        "tables": [table.name for table in tables],
        "systems": list(systems),
        "n_seeds": seeds,
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "machine": {"processor": platform.machine(), "n_cores": os.cpu_count()},
    }


if __name__ == "__main__":
    main()
