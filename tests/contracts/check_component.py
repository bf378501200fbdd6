"""What every component of a graph must do: `check_values` asks the component alone, `check_fit` its learner.

Small tables of every kind are in `TABLES`; they have gaps, a constant column, a rare level, a level that only the
validation rows have, and a column of nothing but gaps.
"""

from __future__ import annotations

import pickle
import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import build_learner, load_learner
from autopytorch_lite.pipeline.graph import Categorical, Choice, Component, Constant, Float, Node, Step
from autopytorch_lite.pipeline.learner import FitOutcome, FitSettings, Learner, Rows
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.space.compile import compile
from autopytorch_lite.types import Config, ConfigValue, DatasetInfo, FloatArray, Task


@dataclass(frozen=True)
class Table:
    """A data set small enough to be learned in a moment."""

    info: DatasetInfo
    train: Rows
    val: Rows


def make_table(task: Task, n_outputs: int, cardinalities: tuple[int, ...] = (), n_rows: int = 90) -> Table:
    """Rows with a signal; the last third is for validation."""
    rng = np.random.default_rng(7)
    numeric = rng.normal(size=(n_rows, 5)) * [1.0, 100.0, 1e-3, 0.0, 1.0]
    signal = numeric[:, 0] + numeric[:, 1] / 100
    numeric[rng.random(numeric.shape) < 0.05] = np.nan
    numeric[:, 4] = np.nan
    codes = [rng.integers(-1, n_levels - 1, size=n_rows) for n_levels in cardinalities]
    categorical = np.column_stack(codes).astype(np.int32) if codes else np.zeros((n_rows, 0), dtype=np.int32)
    cut = 2 * n_rows // 3
    categorical[cut:, :] += 1  # the highest level is met in validation rows only
    y = _targets(signal, task, n_outputs)
    counts = tuple(np.bincount(y, minlength=n_outputs).tolist()) if task.is_classification else ()
    info = DatasetInfo(task, n_rows, 5, cardinalities, n_outputs, counts, has_missing=True)
    table = EncodedTable(numeric, categorical)
    parts = (Rows(table.take(rows), y[rows]) for rows in (slice(0, cut), slice(cut, n_rows)))
    return Table(info, *parts)


def _weighted(table: Table) -> Table:
    rng = np.random.default_rng(3)
    train, val = (replace(rows, sample_weight=rng.uniform(0.1, 3.0, len(rows))) for rows in (table.train, table.val))
    return replace(table, train=train, val=val)


def _targets(signal: FloatArray, task: Task, n_outputs: int) -> Any:
    if not task.is_classification:
        return np.column_stack([1000 + 50 * signal * (i + 1) for i in range(n_outputs)])
    edges = np.quantile(signal, np.linspace(0, 1, n_outputs + 1)[1:-1])
    return np.searchsorted(edges, signal).astype(np.int64)


TABLES = {
    "multiclass": make_table(Task.MULTICLASS, 3, (4, 12)),
    "binary": make_table(Task.BINARY, 2),
    "regression": make_table(Task.REGRESSION, 2, (4, 12)),
    "weighted": _weighted(make_table(Task.REGRESSION, 1, (4,))),
}


FEW_ROUNDS = {
    "learner:hist_gradient_boosting:max_iter": {"high": 60, "default": 60},
    "learner:lightgbm:n_estimators": {"high": 60, "default": 60},
    "learner:xgboost:n_estimators": {"high": 60, "default": 60},
    "learner:catboost:iterations": {"high": 60, "default": 60},
    "learner:random_forest:n_estimators": 40,
    "learner:extra_trees:n_estimators": 40,
}
"""Edits with which learners of many rounds take a moment, too."""


def settings(info: DatasetInfo, max_budget: int = 3, seed: int = 5, *, keep_epoch: int | None = None) -> FitSettings:
    """Settings with the task's own metric."""
    metric = resolve_metric(None, info.task, info.n_outputs)
    return FitSettings(max_budget, seed, metric, keep_epoch=keep_epoch)


def options(graph: Node) -> list[tuple[str, str]]:
    """(node, option) of every choice, sequences included, and of every step."""
    pairs: list[tuple[str, str]] = []
    for node in graph.walk():
        if isinstance(node, Choice):
            pairs += [(node.name, option.name) for option in node.options]
        elif isinstance(node, Step):
            pairs.append((node.name, node.component.name))
    return pairs


def config_of(
    graph: Node, info: DatasetInfo, edits: Mapping[str, Any] | None = None, seed: int | None = None
) -> Config:
    """The default configuration, or a random one, of the graph narrowed by edits."""
    walk = SpaceWalk(compile(graph, dict(edits or {}), info))
    if seed is None:
        return walk.default()
    rng = np.random.default_rng(seed)
    return walk.fill(
        lambda name, domain: domain.decode(float(rng.integers(domain.n_choices) if domain.n_choices else rng.random()))
    )


def check_values(component: Component, info: DatasetInfo, n_random: int = 5) -> None:
    """It builds from its defaults and from random values, and says what it is."""
    assert component.description(), f"{component.name} needs a docstring: its first sentence is what users read"
    rng = np.random.default_rng(0)
    component.build(_values(component, info, None), info)
    for _ in range(n_random):
        component.build(_values(component, info, rng), info)


def _values(component: Component, info: DatasetInfo, rng: np.random.Generator | None) -> dict[str, ConfigValue]:
    values: dict[str, ConfigValue] = {}
    for h in component.hyperparameters(info):
        if any(values.get(name) not in allowed for name, allowed in (h.when or {}).items()):
            continue
        if rng is None or isinstance(h, Constant):
            values[h.name] = h.default_value
        elif isinstance(h, Categorical):
            values[h.name] = h.choices[rng.integers(len(h.choices))]
        elif isinstance(h, Float):
            values[h.name] = float(rng.uniform(h.low, h.high))
        else:
            values[h.name] = int(rng.integers(h.low, h.high + 1))
    return values


def check_fit(graph: Node, config: Config, table: Table, folder: Path, *, continues: bool = True) -> None:
    """A learner with it fits quietly, predicts sanely, is saved, and continues as if never stopped."""
    learner = build_learner(graph, config, table.info)
    states = _random_states()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = learner.fit(table.train, table.val, budget=3, settings=settings(table.info))
        predictions = learner.predict(table.val.table)
    assert _random_states() == states
    assert len(outcome.curve) == outcome.n_epochs <= 3
    check_predictions(predictions, table)
    _check_same_loss(outcome, predictions, table)
    _check_saved(graph, learner, predictions, table, folder / "model")
    if continues:
        _check_continued(graph, config, table, outcome, predictions, folder)


def check_predictions(predictions: FloatArray, table: Table) -> None:
    """Finite, float64, of the right shape; probabilities sum to one, values are near the training targets."""
    assert predictions.dtype == np.float64
    assert predictions.shape == (len(table.val), table.info.n_outputs)
    assert np.isfinite(predictions).all()
    if table.info.task.is_classification:
        assert (predictions >= 0).all()
        np.testing.assert_allclose(predictions.sum(axis=1), 1.0, atol=1e-12)
    else:
        low, high = table.train.y.min(axis=0), table.train.y.max(axis=0)
        assert (predictions >= low - (high - low)).all()
        assert (predictions <= high + (high - low)).all()


def _check_same_loss(outcome: FitOutcome, predictions: FloatArray, table: Table) -> None:
    """The curve is about the predictions (with early stopping, about one of its epochs)."""
    loss = settings(table.info).metric.loss(table.val.y, predictions, table.val.sample_weight)
    assert np.isclose(loss, outcome.curve, rtol=1e-4).any()


def _check_saved(graph: Node, learner: Learner, predictions: FloatArray, table: Table, folder: Path) -> None:
    learner.save(folder)
    assert not [path for path in folder.rglob("*") if path.suffix in {".pkl", ".pt", ".joblib"}]
    loaded = load_learner(folder, graph)
    np.testing.assert_array_equal(loaded.predict(table.val.table), predictions)
    pickled = pickle.loads(pickle.dumps(loaded))
    np.testing.assert_array_equal(pickled.predict(table.val.table), predictions)


def _check_continued(
    graph: Node, config: Config, table: Table, straight: FitOutcome, predictions: FloatArray, folder: Path
) -> None:
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True)
    first = build_learner(graph, config, table.info)
    first.fit(table.train, table.val, budget=1, settings=settings(table.info))
    first.save_checkpoint(checkpoint)
    second = build_learner(graph, config, table.info)
    continued = second.fit(table.train, table.val, budget=3, settings=settings(table.info), resume_from=checkpoint)
    np.testing.assert_array_equal(second.predict(table.val.table), predictions)
    assert continued.curve == straight.curve
    assert continued.n_epochs == straight.n_epochs


def _random_states() -> tuple[Any, ...]:
    return (
        random.getstate(),
        str(
            np.random.get_state()  # noqa: NPY002
        ),
        torch.get_rng_state().numpy().tobytes(),
    )
