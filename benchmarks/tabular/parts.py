"""What an ensemble and each family of learners are worth in kept runs: selected again without them, nothing trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from autopytorch_lite.ensemble.predictor import EnsemblePredictor
from autopytorch_lite.errors import DataError
from autopytorch_lite.run import TableRun
from benchmarks.scores import loss_of
from benchmarks.tables import Split, Table, choose, split
from benchmarks.tabular.fits import score_predictions, with_categories
from benchmarks.tabular.results import Row, is_ok, key_of, read_rows, run_dir
from benchmarks.tabular.worth import WHOLE, Losses

ENSEMBLE = "an ensemble (the best model instead)"
BOOSTERS = ("catboost", "hist_gradient_boosting", "lightgbm", "xgboost")


def measure_parts(tables: Sequence[Table], out: Path, system: str) -> list[Row]:
    """`losses_without` of every run of a system that `--keep-runs` has left in a folder of results.

    Args:
        tables: those of the results, at least.
        out: folder of results.
        system: whose runs.

    Raises:
        DataError: there is none.
    """
    kept = [
        row for row in read_rows(out) if row["system"] == system and is_ok(row) and run_dir(out, key_of(row)).is_dir()
    ]
    if not kept:
        raise DataError(f"{out} holds no run of {system}; --keep-runs keeps them.")
    rows: list[Row] = []
    for row in kept:
        run, data = TableRun.open(run_dir(out, key_of(row))), split(choose(tables, [row["table"]])[0], row["seed"])
        rows.append({"table": row["table"], "seed": row["seed"], "losses": losses_without(run, data, row["metric"])})
    return rows


def losses_without(run: TableRun, data: Split, metric: str) -> Losses:
    """Losses on unseen rows of ensembles selected from a run's trials, with all of them and without some.

    What only some candidates are of is left out, one after another: each family, all networks, all boosting. What the
    search would have done with their time is not told. Models of all rows do not vote, as they were trained for the
    members only.

    Args:
        run: of the driver; its classes are numbers.
        data: the split that the run is of.
        metric: of `benchmarks.scores`, that losses are of.
    """
    library = run.ensemble.library(run.lines())
    families = sorted({library.learner(key) for key in library.ranked()})

    def loss(without: Collection[str] = (), size: int = run.request.ensemble_size) -> float | None:
        ensemble = library.build(size=size, seed=run.request.seed, without=without)
        return None if ensemble is None else _unseen_loss(run.ensemble.predictor(ensemble), data, metric)

    groups = {"networks": [name for name in families if name.startswith("neural")]}
    groups["boosting"] = [name for name in families if name in BOOSTERS]
    groups |= {name: [name] for name in families}
    losses = {WHOLE: loss(), ENSEMBLE: loss(size=1)}
    losses |= {name: loss(without) for name, without in groups.items() if without}
    return {name: value for name, value in losses.items() if value is not None}


def _unseen_loss(predictor: EnsemblePredictor, data: Split, metric: str) -> float:
    classes = np.unique(np.asarray(data.y_train)) if data.task.is_classification else None
    predicted = predictor.predict(with_categories(data)[1])
    scores = score_predictions(data, predicted[:, 0] if classes is None else predicted, classes, metric)
    return loss_of(scores, metric)
