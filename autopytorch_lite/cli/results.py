"""The commands that use what a search found: predict, leaderboard and report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autopytorch_lite.cli.common import RUN_DIR, debuggable, print_run
from autopytorch_lite.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

    from autopytorch_lite.estimator import AutoTabularClassifier, AutoTabularRegressor


@click.command()
@RUN_DIR
@click.argument("table")
@click.option("--proba", is_flag=True, help="Class probabilities instead of labels.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .csv or .parquet file.  [default: csv on standard output]",
)
@debuggable
def predict(run_dir: Path, table: str, proba: bool, out: Path | None) -> None:
    """Predict every row of TABLE with the ensemble of RUN_DIR (or of a saved model).

    \b
    Examples:
      autopytorch-lite predict runs/price new.csv --out prices.csv
      autopytorch-lite predict runs/churn new.csv --proba > probabilities.csv
    """
    from autopytorch_lite.data.readers import read_table
    from autopytorch_lite.estimator import load

    estimator = load(run_dir)
    target = estimator.predictor_.target
    if proba and not target.task.is_classification:
        raise click.UsageError("--proba is for classification; this run predicts numbers.")
    X, _, _ = read_table(table, None)
    _write_frame(_prediction_frame(estimator, X, proba), out)


def _prediction_frame(
    estimator: AutoTabularClassifier | AutoTabularRegressor, X: pd.DataFrame, proba: bool
) -> pd.DataFrame:
    """Predictions under the target's names, probabilities under the classes' names."""
    import pandas as pd

    target = estimator.predictor_.target
    if proba:
        return pd.DataFrame(estimator.predictor_.predict(X), columns=[str(label) for label in target.classes])
    labels = estimator.predict(X)
    names = list(target.target_names) or ["prediction"]
    return pd.DataFrame(labels.reshape(len(X), -1), columns=names)


def _write_frame(frame: pd.DataFrame, out: Path | None) -> None:
    if out is None:
        frame.to_csv(sys.stdout, index=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        try:
            frame.to_parquet(out, index=False)
        except ImportError as error:
            raise MissingExtraError("pyarrow", "parquet", "Writing parquet") from error
    elif out.suffix in (".csv", ".gz"):
        frame.to_csv(out, index=False)
    else:
        raise DataError(f"Predictions are written as .csv or .parquet, got {str(out)!r}.")


@click.command()
@RUN_DIR
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Rows to show.")
@click.option("--csv", "as_csv", is_flag=True, help="All rows as csv, for other programs.")
@debuggable
def leaderboard(run_dir: Path, top: int, as_csv: bool) -> None:
    """Every evaluation of RUN_DIR, best first; also while the search runs.

    \b
    Example:
      autopytorch-lite leaderboard runs/price --top 50
    """
    if not as_csv:
        print_run(run_dir, top)
        return
    from autopytorch_lite.report.record import read_run
    from autopytorch_lite.report.tables import leaderboard as leaderboard_of

    run = read_run(run_dir)
    leaderboard_of(run.lines, run.ensemble).to_csv(sys.stdout, index=False)


@click.command()
@RUN_DIR
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to.  [default: RUN_DIR/report.html]"
)
@debuggable
def report(run_dir: Path, out: Path | None) -> None:
    """Write the report of RUN_DIR, one self-contained HTML page; also while the search runs.

    \b
    Example:
      autopytorch-lite report runs/price --out price.html
    """
    from autopytorch_lite.report.page import write_report

    click.echo(write_report(run_dir, out))
