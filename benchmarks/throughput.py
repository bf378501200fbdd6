"""Speed of the search: evaluations per minute, seconds until the first result, and import time.

python -m benchmarks.throughput DATA_FOLDER --table phoneme --space lcbench --seconds 60
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pandas as pd

from autopytorch_lite.errors import AutoPyTorchLiteError
from autopytorch_lite.history.events import Event, EventKind
from benchmarks.tables import Table, choose, read_manifest

_IMPORT = "import time; t = time.perf_counter(); import autopytorch_lite; print(time.perf_counter() - t)"


class FirstResult:
    """A callback that notes when the first evaluation ended, in seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds: float | None = None

    def __call__(self, event: Event) -> None:
        """Take in one event of the search."""
        if event.kind == EventKind.EVALUATION_END and self.seconds is None:
            self.seconds = time.perf_counter() - self._start


@click.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--table", required=True, help="Name from the manifest.")
@click.option("--space", default="default", show_default=True, help="Search space.")
@click.option("--learners", default="neural", show_default=True, help="Which learners take part.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--n-trials", type=click.IntRange(min=1), help="End after so many evaluations.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Worker processes.")
@click.option("--seed", default=0, show_default=True)
def main(
    folder: Path, table: str, space: str, learners: str, seconds: float, n_trials: int | None, jobs: int, seed: int
) -> None:
    """Measure the speed of the search on one table of DATA_FOLDER; prints one JSON object."""
    arguments: dict[str, Any] = {"search_space": space, "learners": learners, "time_limit": seconds}
    arguments |= {"n_trials": n_trials, "n_jobs": jobs, "random_state": seed}
    try:
        (chosen,) = choose(read_manifest(folder), [table])
        measured = measure(chosen, arguments)
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps({"table": table, **arguments, **measured, "import_seconds": import_seconds()}, indent=1))


def measure(table: Table, arguments: dict[str, Any]) -> dict[str, float | None]:
    """Fit on all rows of the table, without a portfolio, and read the speed off the history.

    Args:
        table: what to fit on.
        arguments: of the estimator.

    Returns:
        n_evaluations and n_epochs that succeeded, both per minute of search too, n_failed, first_result_seconds
        (from the call of fit), fit_seconds.
    """
    from autopytorch_lite import AutoTabularClassifier, AutoTabularRegressor

    cls = AutoTabularClassifier if table.task.is_classification else AutoTabularRegressor
    X, y = table.read()
    first = FirstResult()
    start = time.perf_counter()
    estimator = cls(**arguments, portfolio=None, verbose=0, callbacks=(first,)).fit(X, y)
    fit_seconds = time.perf_counter() - start
    return {**rates(estimator.history_), "first_result_seconds": first.seconds, "fit_seconds": fit_seconds}


def rates(history: pd.DataFrame) -> dict[str, float]:
    """Counts and rates of a history frame; the clock runs from the start of the search to its last finished trial."""
    good = history[history["status"] == "ok"]
    minutes = float(good["finished_s"].max()) / 60
    n_epochs = int((good["budget"] - good["resume_from"].fillna(0)).sum())
    return {
        "n_evaluations": len(good),
        "n_failed": int((~history["status"].isin(["ok", "cancelled"])).sum()),
        "n_epochs": n_epochs,
        "evaluations_per_minute": len(good) / minutes,
        "epochs_per_minute": n_epochs / minutes,
    }


def import_seconds(repeats: int = 3) -> float:
    """Seconds that importing the package takes in a fresh interpreter; the best of some repeats."""
    command = [sys.executable, "-c", _IMPORT]
    return min(float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(repeats))


if __name__ == "__main__":
    main()
