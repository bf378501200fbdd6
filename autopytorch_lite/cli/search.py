"""The commands that search: fit and resume."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autopytorch_lite.cli.common import JOBS, QUIET, RUN_DIR, debuggable, print_run
from autopytorch_lite.cli.stopping import STOP, STOP_ANEW, STOP_TRIALS
from autopytorch_lite.errors import AutoPyTorchLiteError

if TYPE_CHECKING:
    import pandas as pd

    from autopytorch_lite.estimator import AutoTabularClassifier, AutoTabularRegressor
    from autopytorch_lite.history.events import Event
    from autopytorch_lite.report.holdout import SplitTable

PREDICT_MS = click.option(
    "--max-predict-ms-per-row",
    type=click.FloatRange(min=0, min_open=True),
    help="Milliseconds that the ensemble may take to predict a single row.",
)
DEFAULT_TIME_S = 300.0
BOARD_ROWS = 10
HOLDOUT_FILE = "holdout.json"


def _resampling(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """A number of folds, a holdout fraction, or "auto"."""
    if value is None or value == "auto":
        return value
    try:
        return int(value) if value.isdigit() else float(value)
    except ValueError:
        raise click.BadParameter("give 'auto', a number of folds, or a fraction such as 0.25.") from None


def _column_kinds(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """COLUMN=KIND pairs as a mapping."""
    pairs = [value.rpartition("=") for value in values]
    if not all(separator and column for column, separator, _ in pairs):
        raise click.BadParameter("give COLUMN=numeric, COLUMN=categorical or COLUMN=datetime.")
    return {column: kind for column, _, kind in pairs}


@click.command()
@click.argument("table")
@click.option("--target", help="Column to predict. Not needed for openml: and sklearn: tables.")
@click.option(
    "--time",
    "time_s",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds for the whole fit.  [default: 300; none with --trials]",
)
@click.option("--trials", type=click.IntRange(min=1), help="Stop after this many evaluations.")
@STOP
@STOP_TRIALS
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run directory; one that holds this very search is continued.  [default: runs/TABLE-TIMESTAMP]",
)
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression"]),
    default="auto",
    show_default=True,
    help="What is predicted; auto decides by the values of the target.",
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the rows kept aside and scored at the end (stratified, seeded).",
)
@click.option("--metric", help="What to optimise: any scikit-learn scorer name, or log_loss, auc, rmse, ...")
@click.option("--space", help="Search space: a name (see the command space) or a path to a .json file.")
@click.option("--portfolio", help="Configurations tried first: a name, a path, or 'none'.")
@click.option("--learners", help="'all', 'neural', 'traditional', or names separated by commas.")
@click.option("--min-budget", type=click.IntRange(min=1), help="Epochs of the lowest rung.")
@click.option("--max-budget", type=click.IntRange(min=1), help="Epochs of a full training.")
@click.option(
    "--eta", type=click.IntRange(min=2), help="One of ETA configurations is promoted, to ETA times the epochs."
)
@click.option("--resampling", callback=_resampling, help="'auto', a number of folds, or a validation fraction.")
@click.option(
    "--refit/--no-refit", default=None, help="Train models of the ensemble again on all rows at the end, or never."
)
@click.option(
    "--ensemble-size", type=click.IntRange(min=1), help="Steps of greedy ensemble selection; 1: the best model alone."
)
@PREDICT_MS
@click.option(
    "--column-kind",
    "column_kinds",
    multiple=True,
    callback=_column_kinds,
    metavar="COLUMN=KIND",
    help="numeric, categorical or datetime, where it is not inferred as you mean it; repeatable.",
)
@JOBS
@click.option(
    "--seed", type=int, help="Of everything random. With --trials and --jobs 1 a fit is exactly reproducible."
)
@click.option(
    "--memory-mb", type=click.FloatRange(min=0, min_open=True), help="Megabytes that one evaluation may take."
)
@click.option("--device", help="'auto', 'cpu', 'cuda' or 'cuda:0' and so on.")
@click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16"]), help="Number format of training.")
@QUIET
@debuggable
def fit(
    table: str, target: str | None, out: Path | None, task: str, holdout: float | None, quiet: bool, **options: Any
) -> None:
    """Search for the best ensemble on TABLE, and print what was found.

    \b
    Examples:
      autopytorch-lite fit train.csv --target price --time 600 --out runs/price
      autopytorch-lite fit sklearn:digits --time 60 --holdout 0.25
      autopytorch-lite fit train.csv --target price --time 3600 --stop NoImprovement:n_evaluations=50
    """
    from autopytorch_lite.data.readers import read_table
    from autopytorch_lite.data.target import guess_kind

    run_dir = _run_dir(out, table)
    X, y, target_name = read_table(table, target)
    if y is None:
        columns = ", ".join(map(str, X.columns[:30]))
        raise click.UsageError(f"--target must name the column to predict, one of: {columns}.")
    kind = guess_kind(y) if task == "auto" else task
    if not quiet:
        decided = " (decided by the values of the target; --task says otherwise)" if task == "auto" else ""
        click.echo(f"{kind.capitalize()} of {target_name!r}: {len(X)} rows, {X.shape[1]} columns{decided}", err=True)
        click.echo(f"Run directory: {run_dir}", err=True)
    plan = None
    if holdout is not None:
        plan = {"table": table, "target": target, "kind": kind, "fraction": holdout, "seed": options["seed"] or 0}
    split = None if plan is None else _split(X, y, plan)
    if split is not None:
        X, y = split.X, split.y
    estimator = _new_estimator(kind, run_dir, quiet, options, _plan_writer(run_dir, plan, split))
    estimator.fit(X, y)
    _finish(estimator, run_dir, plan, split)


def _run_dir(out: Path | None, table: str) -> Path:
    """The run directory; a time-stamped one unless it was named."""
    if out is not None:
        return out
    name = Path(table.rpartition(":")[2]).name.split(".")[0] or "table"
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


def _new_estimator(
    kind: str, run_dir: Path, quiet: bool, options: dict[str, Any], callbacks: tuple[Callable[[Event], None], ...]
) -> AutoTabularClassifier | AutoTabularRegressor:
    """The estimator with what was given on the command line; everything else keeps the estimator's own default."""
    from autopytorch_lite.estimator import AutoTabularClassifier, AutoTabularRegressor

    names = {"time_s": "time_limit", "trials": "n_trials", "space": "search_space", "jobs": "n_jobs",
             "seed": "random_state", "memory_mb": "memory_limit_mb"}  # fmt: skip
    given = {names.get(name, name): value for name, value in options.items() if value is not None}
    given.setdefault("time_limit", None if "n_trials" in given else DEFAULT_TIME_S)
    if given.get("portfolio") == "none":
        given["portfolio"] = None
    if "learners" in given and "," in given["learners"]:
        given["learners"] = [name.strip() for name in given["learners"].split(",")]
    cls = AutoTabularClassifier if kind == "classification" else AutoTabularRegressor
    return cls(**given, run_dir=run_dir, verbose=0 if quiet else 1, callbacks=callbacks)


def _split(X: pd.DataFrame, y: Any, plan: dict[str, Any]) -> SplitTable:
    from autopytorch_lite.report.holdout import split_rows

    stratify = plan["kind"] == "classification"
    return split_rows(X, y, plan["fraction"], stratify=stratify, seed=plan["seed"])


def _plan_writer(
    run_dir: Path, plan: dict[str, Any] | None, split: SplitTable | None
) -> tuple[Callable[[Event], None], ...]:
    """A callback that notes, as the search starts, which rows are kept aside, so that `resume` can score them too."""
    if plan is None or split is None:
        return ()

    def write_plan(event: Event) -> None:
        if event.kind == "start":
            _write_holdout(run_dir, plan, split, {})

    return (write_plan,)


def _write_holdout(run_dir: Path, plan: dict[str, Any], split: SplitTable, metrics: dict[str, float]) -> None:
    from autopytorch_lite.history.store import write_json_atomic

    record = {"rows": len(split.held_X), "metrics": metrics, "plan": plan, "fingerprint": split.fingerprint}
    write_json_atomic(run_dir / HOLDOUT_FILE, record)


def _finish(
    estimator: AutoTabularClassifier | AutoTabularRegressor,
    run_dir: Path,
    plan: dict[str, Any] | None,
    split: SplitTable | None,
) -> None:
    """Score the rows kept aside, write the report, print what was found."""
    if plan is not None and split is not None:
        from autopytorch_lite.report.holdout import score_rows

        predictor = estimator.predictor_
        targets = predictor.target.encode(split.held_y, name="the held-out target")
        metrics = score_rows(predictor.target.task, targets, predictor.predict(split.held_X))
        _write_holdout(run_dir, plan, split, metrics)
    report_path = estimator.report()
    print_run(run_dir, BOARD_ROWS)
    click.echo(f"\nReport: {report_path}")
    if estimator.verbose:
        click.echo(
            f"Go on with: autopytorch-lite predict {run_dir} TABLE, or autopytorch-lite resume {run_dir}", err=True
        )


@click.command()
@RUN_DIR
@click.option(
    "--time",
    "time_s",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds for this sitting.  [default: as the run was started]",
)
@click.option("--trials", type=click.IntRange(min=1), help="Evaluations in all, earlier ones included.")
@STOP_ANEW
@PREDICT_MS
@JOBS
@QUIET
@debuggable
def resume(
    run_dir: Path,
    time_s: float | None,
    trials: int | None,
    stop: list[dict[str, Any]] | None,
    max_predict_ms_per_row: float | None,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Continue the search in RUN_DIR, whether it was interrupted or had ended.

    \b
    Example:
      autopytorch-lite resume runs/price --time 600
    """
    from autopytorch_lite.estimator import AutoTabularClassifier, AutoTabularRegressor
    from autopytorch_lite.report.record import read_run
    from autopytorch_lite.types import Task

    cls = AutoTabularRegressor if read_run(run_dir).task is Task.REGRESSION else AutoTabularClassifier
    given = {"n_jobs": jobs, "stop": stop, "max_predict_ms_per_row": max_predict_ms_per_row}
    changes = {name: value for name, value in given.items() if value is not None}
    estimator = cls.resume(run_dir, time_limit=time_s, n_trials=trials, verbose=0 if quiet else 1, **changes)
    plan, split = _restored_split(run_dir)
    _finish(estimator, run_dir, plan, split)


def _restored_split(run_dir: Path) -> tuple[dict[str, Any] | None, SplitTable | None]:
    """The rows kept aside when the run was started, read again; nothing if there were none or the table has changed."""
    from autopytorch_lite.data.readers import read_table
    from autopytorch_lite.report.record import read_run

    record = read_run(run_dir).holdout
    if record is None or "plan" not in record:
        return None, None
    plan = record["plan"]
    try:
        X, y, _ = read_table(plan["table"], plan["target"])
        split = _split(X, y, plan)
    except (AutoPyTorchLiteError, OSError) as error:
        click.echo(f"The held-out rows are not scored again: {error}", err=True)
        return None, None
    if split.fingerprint != record["fingerprint"]:
        click.echo(f"The held-out rows are not scored again: {plan['table']} has changed since the start.", err=True)
        return None, None
    return plan, split
