"""Single trainings of different networks on a folder of tables: loss on unseen rows, and processor seconds.

OMP_NUM_THREADS=1 python -m benchmarks.networks DATA_FOLDER --tables phoneme,car --networks tabm --out ROWS.jsonl

The network "pytabkit" is the RealMLP of its authors' package, where that is installed, with the same rows and epochs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np
import pandas as pd

from autopytorch_lite.data.dataset import Dataset, make_dataset
from autopytorch_lite.errors import AutoPyTorchLiteError, DataError, UnknownNameError
from autopytorch_lite.execution.tabular import rows_of
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import build_learner, default_graph
from autopytorch_lite.pipeline.learner import FitSettings
from autopytorch_lite.settings import resolve_budgets
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.space.adapt import adapt
from autopytorch_lite.space.compile import compile
from autopytorch_lite.types import Config, ConfigValue, DatasetInfo, FloatArray
from benchmarks.scores import classification_scores, metric_of, regression_scores
from benchmarks.tables import Split, Table, choose, read_manifest, split
from search_spaces import load_ranges

VALIDATION_FRACTION = 0.2
"""Of the rows that are not unseen: they decide which epoch's weights predict."""


def _without(changes: Config, node: str) -> Config:
    """The changes of all other nodes."""
    return {name: value for name, value in changes.items() if not name.startswith(f"{node}:")}


_PERIODIC_MLP: Config = {
    "scaling:__choice__": "quantile",
    "scaling:quantile:split_ties": False,
    "numeric_embedding:__choice__": "periodic",
    "gradient_clipping:__choice__": "none",
    "backbone:__choice__": "shaped_mlp",
    "backbone:shaped_mlp:num_layers": 3,
    "backbone:shaped_mlp:use_dropout": True,
    "backbone:shaped_mlp:max_dropout": 0.2,
    "optimizer:adamw:learning_rate": 1e-3,
    "optimizer:adamw:weight_decay": 1e-2,
    "optimizer:adamw:beta2": 0.999,
    "lr_schedule:__choice__": "cosine_annealing",
    "batching:minibatch:batch_size": 128,
}
_REALMLP: Config = {
    "scaling:__choice__": "smooth_clip",
    "embedding:__choice__": "learned",
    "embedding:learned:min_unique_values_for_embedding": 10,
    "numeric_embedding:__choice__": "pbld",
    "backbone:__choice__": "realmlp",
    "optimizer:adamw:learning_rate": 2.5e-3,
    "optimizer:adamw:weight_decay": 0.02,
    "optimizer:adamw:beta2": 0.95,
    "lr_schedule:__choice__": "cosine_log",
    "gradient_clipping:__choice__": "none",
    "early_stopping:patience:patience": 50,
}
_TABM: Config = {
    "scaling:__choice__": "quantile",
    "scaling:quantile:split_ties": True,
    "numeric_embedding:__choice__": "piecewise_linear",
    "numeric_embedding:piecewise_linear:n_bins": 32,
    "numeric_embedding:piecewise_linear:dim": 8,
    "backbone:__choice__": "tabm",
    "backbone:tabm:n_members": 8,
    "backbone:tabm:n_layers": 2,
    "backbone:tabm:width": 128,
    "backbone:tabm:dropout": 0.1,
    "backbone:tabm:is_mini": True,
    "backbone:tabm:start": "normal",
    "optimizer:adamw:learning_rate": 6e-3,
    "optimizer:adamw:weight_decay": 3e-4,
    "optimizer:adamw:beta2": 0.999,
    "lr_schedule:__choice__": "cosine_annealing",
    "gradient_clipping:__choice__": "norm",
    "batching:minibatch:batch_size": 128,
}
NETWORKS: dict[str, Config] = {
    "default": {},
    "periodic_mlp": _PERIODIC_MLP,
    "realmlp": _REALMLP,
    "tabm": _TABM,
    "tabm_full": _TABM | {"backbone:tabm:is_mini": False},
    "tabm_16": _TABM | {"backbone:tabm:n_members": 16},
    "tabm_periodic": _without(_TABM, "numeric_embedding") | {"numeric_embedding:__choice__": "periodic"},
    "ft_transformer": {"backbone:__choice__": "ft_transformer", "optimizer:adamw:learning_rate": 1e-3},
}
"""Changes to the default configuration; what else a changed choice needs is as the component declares it."""

PYTABKIT = "pytabkit"


@click.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tables", default="", help="Names from the manifest, separated by commas; by default all.")
@click.option("--networks", default=",".join(NETWORKS), show_default=True, help="Which networks.")
@click.option("--set", "changes", default="{}", help="JSON object: changes of all these configurations.")
@click.option("--seed", default=0, show_default=True, help="Of the division of the rows, and of the training.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of what the number of rows suggests.")
@click.option("--max-rows", default=10_000, show_default=True, type=click.IntRange(min=10), help="Sample of the table.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to append rows to.")
def main(
    folder: Path, tables: str, networks: str, changes: str, seed: int, epochs: int | None, max_rows: int, out: Path
) -> None:
    """Train each network once on each table of DATA_FOLDER, and print losses on unseen rows and seconds."""
    try:
        trainings = {name: training(name, json.loads(changes)) for name in networks.split(",")}
        for table in choose(read_manifest(folder), [name for name in tables.split(",") if name]):
            data = sampled(split(table, seed), max_rows, seed)
            for name, train in trainings.items():
                row = {"table": table.name, "network": name, "seed": seed, "changes": json.loads(changes)}
                row |= measure(table, data, train, seed, epochs)
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                click.echo(f"{table.name:20s} {name:14s} {row['loss']:10.4f} {row['fit_seconds']:7.1f} s", err=True)
        click.echo(table_of([json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]))
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


def sampled(data: Split, max_rows: int, seed: int) -> Split:
    """The same division with at most `max_rows` rows, training and unseen ones in proportion."""
    share = max_rows / (len(data.y_train) + len(data.y_test))
    if share >= 1:
        return data
    rng = np.random.default_rng(seed)
    train, test = (rng.permutation(len(y))[: round(share * len(y))] for y in (data.y_train, data.y_test))
    frames = (data.X_train.iloc[train], data.X_test.iloc[test], data.y_train.iloc[train], data.y_test.iloc[test])
    return Split(data.task, *frames)


@dataclass(frozen=True)
class Trained:
    """What a training gives.

    Attributes:
        predicted: for the unseen rows, shape (n_rows, n_classes) or (n_rows, 1).
        fit_seconds: processor time of fitting, on one thread.
        predict_seconds: processor time of predicting.
        facts: anything else worth keeping.
    """

    predicted: FloatArray
    fit_seconds: float
    predict_seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


Train: TypeAlias = Callable[[Split, Dataset, int, int], Trained]
"""(rows, the ones to learn from as a data set with one fold, epochs, seed) -> what came of it."""


def training(name: str, changes: Mapping[str, ConfigValue]) -> Train:
    """How the network of that name is trained, with some more changes.

    Raises:
        UnknownNameError: there is no network of that name.
    """
    if name == PYTABKIT:
        return _train_pytabkit
    if name not in NETWORKS:
        raise UnknownNameError("network", name, [*NETWORKS, PYTABKIT])
    return _train({**NETWORKS[name], **changes})


def measure(table: Table, data: Split, train: Train, seed: int, epochs: int | None) -> dict[str, Any]:
    """Train one network and measure it on the unseen rows.

    Returns:
        loss (log loss or RMSE), score (accuracy or R2), fit_seconds, predict_seconds, budget (epochs),
        n_train, facts of the training.
    """
    kind = "classification" if table.task.is_classification else "regression"
    dataset = make_dataset(data.X_train, data.y_train, kind=kind, resampling=VALIDATION_FRACTION, seed=seed)
    budget = epochs or resolve_budgets({"min_budget": None, "max_budget": None}, {}, dataset.info)[1]
    trained = train(data, dataset, budget, seed)
    scores = _scores(dataset, trained.predicted, data.y_test)
    return {
        "loss": scores[metric_of(table.task, "log_loss")],
        "score": scores["accuracy" if table.task.is_classification else "r2"],
        "fit_seconds": trained.fit_seconds,
        "predict_seconds": trained.predict_seconds,
        "budget": budget,
        "n_train": len(dataset.folds[0].train_idx),
        **trained.facts,
    }


def _train(changes: Mapping[str, ConfigValue]) -> Train:
    """Ours: the default network with some changes, on one thread."""

    def train(data: Split, dataset: Dataset, budget: int, seed: int) -> Trained:
        info, fold = dataset.info, dataset.folds[0]
        learner = build_learner(default_graph(), configuration(changes, info), info)
        settings = FitSettings(budget, seed, resolve_metric(None, info.task, info.n_outputs))
        rows, val = (rows_of(dataset, idx) for idx in (fold.train_idx, fold.val_idx))
        outcome, fit_seconds = _timed(lambda: learner.fit(rows, val, budget=budget, settings=settings))
        unseen = dataset.schema.encode(data.X_test)
        predicted, predict_seconds = _timed(lambda: learner.predict(unseen))
        return Trained(predicted, fit_seconds, predict_seconds, {"n_epochs": outcome.n_epochs, **outcome.info})

    return train


def _train_pytabkit(data: Split, dataset: Dataset, budget: int, seed: int) -> Trained:
    """RealMLP-TD of the package pytabkit, without label smoothing, as its authors advise for the log loss.

    It takes no gaps in numbers; they become the median of the rows to learn from.
    """
    try:
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor
    except ImportError as error:
        raise DataError(f"The network {PYTABKIT!r} needs the package pytabkit: {error}.") from error
    is_classification, fold = data.task.is_classification, dataset.folds[0]
    common = {"device": "cpu", "random_state": seed, "n_epochs": budget, "n_threads": 1, "batch_size": "auto"}
    for_classes = {"use_ls": False, "val_metric_name": "cross_entropy"}
    model = RealMLP_TD_Classifier(**common, **for_classes) if is_classification else RealMLP_TD_Regressor(**common)
    medians = data.X_train.median(numeric_only=True)
    X, y, X_test = data.X_train.fillna(medians), data.y_train, data.X_test.fillna(medians)
    rows, val = ((X.iloc[idx], y.iloc[idx]) for idx in (fold.train_idx, fold.val_idx))
    _, fit_seconds = _timed(lambda: model.fit(*rows, *val))
    predict = model.predict_proba if is_classification else model.predict
    predicted, predict_seconds = _timed(lambda: np.asarray(predict(X_test), dtype=np.float64))
    return Trained(predicted, fit_seconds, predict_seconds)


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What the call returns, and its seconds of processor time, which other programs disturb less than the clock."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


def configuration(changes: Mapping[str, ConfigValue], info: DatasetInfo) -> Config:
    """The default network with some changes, which need not lie in the default space."""
    graph = default_graph()
    default = SpaceWalk(compile(graph, load_ranges("default"), info)).default()
    return adapt({**default, "learner:__choice__": "neural", **changes}, compile(graph, {}, info), graph, info)


def _scores(dataset: Dataset, predictions: FloatArray, y_test: pd.Series[Any]) -> dict[str, float | None]:
    if dataset.target.task.is_classification:
        return classification_scores(y_test, predictions, dataset.target.classes)
    return regression_scores(y_test, predictions)


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: loss on unseen rows and seconds of each network on each table, of the last row of each."""
    frame = pd.DataFrame(rows)
    losses = [f"{loss:,.0f}" if loss >= 1000 else f"{loss:.4f}" for loss in frame["loss"]]
    frame["cell"] = [f"{loss} ({seconds:.0f} s)" for loss, seconds in zip(losses, frame["fit_seconds"], strict=True)]
    wide = frame.pivot_table(index="table", columns="network", values="cell", aggfunc="last", sort=False).fillna("")
    lines = [["table", *wide.columns], ["---"] * (1 + len(wide.columns))]
    lines += [[str(index), *map(str, cells)] for index, cells in zip(wide.index, wide.to_numpy(), strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
