"""Tables at the edges: very many rows or columns, very few rows, many levels or classes, rare classes.

python -m benchmarks.scale run DATA_FOLDER ROWS.jsonl --time 60

Each fit is a process of its own. Printed are the seconds of the fit and until the first ensemble, the peak memory of
all its processes, and the loss on held-out rows beside that of the trivial predictor: class frequencies, or the mean.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import click
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from autopytorch_lite import AutoTabularClassifier, AutoTabularRegressor
from autopytorch_lite.errors import AutoPyTorchLiteError
from autopytorch_lite.history.events import Event, EventKind
from benchmarks.scores import classification_scores, regression_scores
from benchmarks.tables import TEST_FRACTION, choose, read_manifest
from benchmarks.tabular.processes import run_process

N_ROWS = 240_000
"""Rows of the longest table, of which two thirds are learned from."""
GRACE = 30.0
"""Seconds beyond twice the limit after which a fit is killed."""
MEMORY_MB = 6 * 1024
"""What a fit may take."""

Data: TypeAlias = tuple[pd.DataFrame, "pd.Series[Any]"]


@dataclass(frozen=True)
class Edge:
    """A kind of table.

    Attributes:
        make: (columns and target of a real table, generator) -> columns and target.
        is_classification: whether the target is classes.
    """

    make: Callable[[Data, np.random.Generator], Data]
    is_classification: bool = True


# Tables ---------------------------------------------------------------------------------------------


def many_rows(base: Data, rng: np.random.Generator, n_rows: int = N_ROWS) -> Data:
    """Rows of a real table, drawn again and again, with a little noise on its numbers."""
    X, y = base
    rows = rng.integers(0, len(X), n_rows)
    drawn = X.iloc[rows].reset_index(drop=True)
    numbers = drawn.select_dtypes("number")
    noise = rng.standard_normal(numbers.shape) * 0.02 * numbers.std().to_numpy()
    return drawn.assign(**(numbers + noise)), y.iloc[rows].reset_index(drop=True)


def many_columns(base: Data, rng: np.random.Generator) -> Data:
    """500 numbers, of which 20 matter."""
    numbers = rng.standard_normal((6_000, 500)).astype(np.float32)
    signal = numbers[:, :20] @ rng.standard_normal(20) + 2 * numbers[:, 0] * numbers[:, 1]
    return _frame(numbers), _classes(signal + rng.standard_normal(6_000), 2)


def many_levels(base: Data, rng: np.random.Generator) -> Data:
    """A category with 10,000 levels that matters as much as the numbers beside it; values as target."""
    codes = np.concatenate([np.arange(10_000), rng.integers(0, 10_000, 50_000)])
    numbers = rng.standard_normal((60_000, 8))
    y = rng.standard_normal(10_000)[codes] + numbers[:, 0] * numbers[:, 1] + 0.5 * rng.standard_normal(60_000)
    return _frame(numbers).assign(level=pd.Series(codes).map("level {}".format)), pd.Series(y)


def few_rows(base: Data, rng: np.random.Generator) -> Data:
    """75 rows, of which 50 are learned from."""
    numbers = rng.standard_normal((75, 6))
    return _frame(numbers), _classes(numbers[:, 0] + numbers[:, 1] + 0.5 * rng.standard_normal(75), 2)


def many_classes(base: Data, rng: np.random.Generator) -> Data:
    """30 classes of which the rarest have a handful of rows."""
    sizes = np.maximum(12_000 / np.arange(1, 31) ** 1.8, 4).astype(int)
    y = np.repeat(np.arange(30), sizes)
    centres = 1.5 * rng.standard_normal((30, 12))
    return _frame(centres[y] + rng.standard_normal((len(y), 12))), pd.Series(y).map("class {}".format)


def rare_class(base: Data, rng: np.random.Generator) -> Data:
    """One row of 500 is of the other class."""
    numbers = rng.standard_normal((45_000, 10))
    signal = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + 0.3 * rng.standard_normal(45_000)
    return _frame(numbers), pd.Series(np.where(signal > np.quantile(signal, 1 - 1 / 500), "rare", "common"))


EDGES: dict[str, Edge] = {
    "many_rows": Edge(many_rows),
    "many_columns": Edge(many_columns),
    "many_levels": Edge(many_levels, is_classification=False),
    "few_rows": Edge(few_rows),
    "many_classes": Edge(many_classes),
    "rare_class": Edge(rare_class),
}


def _frame(numbers: np.ndarray[Any, Any]) -> pd.DataFrame:
    return pd.DataFrame(numbers, columns=[f"x{i}" for i in range(numbers.shape[1])])


def _classes(signal: np.ndarray[Any, Any], n: int) -> pd.Series[Any]:
    return pd.Series(pd.qcut(signal, n, labels=[f"class {i}" for i in range(n)]).astype(str))


# Fits -----------------------------------------------------------------------------------------------


@click.group()
def main() -> None:
    """Fit tables at the edges."""


@main.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("rows", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--tables", default=",".join(EDGES), show_default=True, help="These, or tables of the folder.")
@click.option("--base", default="adult", show_default=True, help="Table of the folder that many_rows is made of.")
@click.option("--time", "time_limit", default=60.0, show_default=True, help="Seconds of each fit.")
@click.option("--cores", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
def run(folder: Path, rows: Path, tables: str, base: str, time_limit: float, cores: int, seed: int) -> None:
    """Fit each table in a process of its own, append a line for each to ROWS, and print all lines as a table."""
    for name in tables.split(","):
        row = fit_in_process(folder.resolve(), name, base, time_limit, cores, seed)
        with rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    click.echo(markdown([json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]))


@main.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("name")
@click.option("--base", default="adult", show_default=True)
@click.option("--time", "time_limit", default=60.0, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path))
def one(folder: Path, name: str, base: str, time_limit: float, seed: int, out: Path) -> None:
    """Fit one table in this process, and write what was measured to a file."""
    try:
        X, y, is_classification = table_of(folder, name, base, seed)
        measured = fit(X, y, time_limit, seed, is_classification=is_classification)
        out.write_text(json.dumps(measured), encoding="utf-8")
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


def table_of(folder: Path, name: str, base: str, seed: int) -> tuple[pd.DataFrame, pd.Series[Any], bool]:
    """Columns, target, and whether that is classes: of an edge, or of a table of the folder.

    Raises:
        UnknownNameError: there is neither.
    """
    tables = read_manifest(folder)
    if name in EDGES:
        (table,) = choose(tables, [base])
        return *EDGES[name].make(table.read(), np.random.default_rng(seed)), EDGES[name].is_classification
    (table,) = choose(tables, [name])
    return *table.read(), table.task.is_classification


def fit_in_process(folder: Path, name: str, base: str, time_limit: float, cores: int, seed: int) -> dict[str, Any]:
    """What `fit` measures, and the peak memory; or why there is no result."""
    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "row.json"
        command = [sys.executable, "-m", "benchmarks.scale", "one", str(folder), name, "--base", base]
        command += ["--time", str(time_limit), "--seed", str(seed), "--out", str(out)]
        ended = run_process(
            command,
            Path(scratch) / "log.txt",
            n_cores=cores,
            time_limit_s=2 * time_limit + GRACE,
            python_path=Path(__file__).parents[1],
        )
        measured = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"error": ended.reason}
    return {"table": name, "time_limit": time_limit, "memory_mb": round(ended.peak_memory_mb), **measured}


def fit(X: pd.DataFrame, y: pd.Series[Any], time_limit: float, seed: int, *, is_classification: bool) -> dict[str, Any]:
    """Fit two thirds of the rows and predict the others.

    Returns:
        n_train, fit_seconds, first_ensemble_s (from the call of fit), predict_seconds, n_evaluations and how they
        ended, loss (log loss or RMSE) and that of the trivial predictor.
    """
    stratify = y if is_classification else None
    parts = train_test_split(X, y, test_size=TEST_FRACTION, random_state=seed, stratify=stratify)
    X_train, X_test, y_train, y_test = parts
    ensembles: list[float] = []

    def watch(event: Event) -> None:
        if event.kind is EventKind.ENSEMBLE:
            ensembles.append(time.perf_counter() - start)

    kind = AutoTabularClassifier if is_classification else AutoTabularRegressor
    estimator = kind(time_limit=time_limit, random_state=seed, verbose=0, callbacks=(watch,))
    start = time.perf_counter()
    estimator.fit(X_train, y_train)
    fitted = time.perf_counter()
    predicted = estimator.predict_proba(X_test) if is_classification else estimator.predict(X_test)
    end = time.perf_counter()
    statuses = Counter(estimator.history_["status"])
    return {
        "n_train": len(X_train),
        "fit_seconds": fitted - start,
        "first_ensemble_s": ensembles[0] if ensembles else None,
        "predict_seconds": end - fitted,
        "statuses": dict(statuses),
        "loss": loss(y_test, predicted, getattr(estimator, "classes_", None)),
        "trivial_loss": trivial_loss(y_train, y_test, is_classification=is_classification),
    }


def loss(y_test: pd.Series[Any], predicted: np.ndarray[Any, Any], classes: np.ndarray[Any, Any] | None) -> float:
    """Log loss of probabilities, or RMSE of values."""
    if classes is None:
        return float(regression_scores(y_test, predicted)["rmse"] or 0.0)
    return float(classification_scores(y_test, predicted, classes)["log_loss"] or 0.0)


def trivial_loss(y_train: pd.Series[Any], y_test: pd.Series[Any], *, is_classification: bool) -> float:
    """The loss of predicting each row by the training rows' class frequencies, or their mean."""
    if not is_classification:
        return loss(y_test, np.full(len(y_test), y_train.mean()), None)
    shares = y_train.value_counts(normalize=True).sort_index()
    return loss(y_test, np.tile(shares.to_numpy(), (len(y_test), 1)), shares.index.to_numpy())


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The latest line of each table, with what must hold: time, memory, a margin over the trivial predictor."""
    lines = [
        "| table | rows | fit s | first ensemble s | memory MB | loss | trivial | margin | evaluations | ok |",
        "|---" * 10 + "|",
    ]
    for row in {row["table"]: row for row in rows}.values():
        if "error" in row:
            lines.append(f"| {row['table']} | | | | {row['memory_mb']} | | | | {row['error']} | no |")
            continue
        in_time = row["fit_seconds"] <= 1.05 * row["time_limit"] + 2
        is_fine = in_time and row["memory_mb"] <= MEMORY_MB and row["loss"] < row["trivial_loss"]
        first = "none" if row["first_ensemble_s"] is None else f"{row['first_ensemble_s']:.1f}"
        statuses = ", ".join(f"{n} {status}" for status, n in row["statuses"].items())
        cells = [row["table"], f"{row['n_train']:,}", f"{row['fit_seconds']:.1f}", first, row["memory_mb"]]
        cells += [f"{row['loss']:.4g}", f"{row['trivial_loss']:.4g}", f"{1 - row['loss'] / row['trivial_loss']:.0%}"]
        lines.append(f"| {' | '.join(map(str, [*cells, statuses, 'yes' if is_fine else 'no']))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
