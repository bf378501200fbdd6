"""How long a fitted estimator takes to predict: one row at a time, and many at once.

python -m benchmarks.prediction DATA_FOLDER --table adult RUN_DIR [RUN_DIR ...]

A run directory or a saved model predicts rows of the table, drawn with replacement, on as many threads as it takes.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from autopytorch_lite.errors import AutoPyTorchLiteError
from autopytorch_lite.estimator import AutoTabularClassifier, AutoTabularRegressor, load
from autopytorch_lite.pipeline.graph import learner_of
from benchmarks.tables import choose, read_manifest

N_SINGLE_ROWS = 100
N_BATCHES = 3


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DATA_FOLDER")
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--table", required=True, help="Name in the manifest: what the models were fitted on.")
@click.option("--rows", default=10_000, show_default=True, type=click.IntRange(min=1), help="Rows of a batch.")
def main(folder: Path, models: tuple[Path, ...], table: str, rows: int) -> None:
    """Print, as JSON, the milliseconds of one row and the seconds of a batch for each of MODELS."""
    try:
        X, _ = choose(read_manifest(folder), [table])[0].read()
        for path in models:
            click.echo(json.dumps({"model": path.name, "table": table, **measure(load(path), X, rows)}))
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


def measure(model: AutoTabularClassifier | AutoTabularRegressor, X: pd.DataFrame, n_rows: int) -> dict[str, Any]:
    """Speed of a fitted estimator on rows of a table.

    Returns:
        one_row_ms and one_row_p95_ms (median and 95th percentile of single-row calls), batch_s (best of a few calls
        with `n_rows` rows), n_members, n_models (members times folds), member_ms (one row, by learner).
    """
    rng = np.random.default_rng(0)
    batch = X.iloc[rng.integers(0, len(X), n_rows)].reset_index(drop=True)
    single = [batch.iloc[[i % n_rows]] for i in range(N_SINGLE_ROWS)]
    model.predict(single[0])
    one_row_ms = [1000 * _seconds(model, row) for row in single]
    of_learner: dict[str, float] = defaultdict(float)
    learners = {member.key: learner_of(member.learners[0].config) for member in model.predictor_.members}
    for key, ms in model.predictor_.timing(single[:10]).member_ms.items():
        of_learner[learners[key]] += round(ms, 3)
    return {
        "one_row_ms": round(statistics.median(one_row_ms), 3),
        "one_row_p95_ms": round(float(np.quantile(one_row_ms, 0.95)), 3),
        "batch_rows": n_rows,
        "batch_s": round(min(_seconds(model, batch) for _ in range(N_BATCHES)), 3),
        "n_members": len(learners),
        "n_models": sum(len(member.learners) for member in model.predictor_.members),
        "member_ms": dict(of_learner),
    }


def _seconds(model: AutoTabularClassifier | AutoTabularRegressor, rows: pd.DataFrame) -> float:
    start = time.perf_counter()
    model.predictor_.predict(rows)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
