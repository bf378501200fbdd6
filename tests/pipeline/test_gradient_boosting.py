from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.pipeline.build import build_learner, default_graph
from autopytorch_lite.pipeline.components.gradient_boosting import MAX_NATIVE_LEVELS
from autopytorch_lite.pipeline.learner import Learner, Rows
from autopytorch_lite.pipeline.rounds import MIN_ROUNDS
from autopytorch_lite.types import DatasetInfo, Task
from tests.contracts.check_component import TABLES, Table, config_of, make_table, settings

GRAPH = default_graph()


def learner_of(info: DatasetInfo, **values: Any) -> Learner:
    edits = {f"learner:hist_gradient_boosting:{name}": value for name, value in values.items()}
    return build_learner(GRAPH, config_of(GRAPH, info, {"learner:__choice__": "hist_gradient_boosting"} | edits), info)


@pytest.mark.parametrize(("budget", "n_rounds"), [(1, MIN_ROUNDS), (5, 67), (15, 200)])
def test_budget_becomes_rounds(budget: int, n_rounds: int) -> None:
    table = TABLES["binary"]
    outcome = learner_of(table.info, max_iter=200).fit(
        table.train, table.val, budget=budget, settings=settings(table.info, max_budget=15, keep_epoch=15)
    )
    assert outcome.info["n_rounds"] == n_rounds
    assert outcome.n_epochs == len(outcome.curve) == budget


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_five_epochs_continued_to_fifteen_equal_fifteen(kind: str, tmp_path: Path) -> None:
    """More rounds begin anew with smaller steps, whatever there was before."""
    table, of_run = TABLES[kind], settings(TABLES[kind].info, max_budget=15, keep_epoch=15)
    straight, first, second = (learner_of(table.info, max_features=0.5, max_iter=100) for _ in range(3))
    whole = straight.fit(table.train, table.val, budget=15, settings=of_run)
    first.fit(table.train, table.val, budget=5, settings=of_run)
    first.save_checkpoint(tmp_path)
    continued = second.fit(table.train, table.val, budget=15, settings=of_run, resume_from=tmp_path)
    np.testing.assert_array_equal(second.predict(table.val.table), straight.predict(table.val.table))
    assert continued.curve == whole.curve


def test_equals_scikit_learn_without_early_stopping() -> None:
    table = TABLES["binary"]
    learner = learner_of(table.info, max_iter=60)
    learner.fit(table.train, table.val, budget=3, settings=settings(table.info, keep_epoch=3))
    X = np.delete(table.train.table.numeric, 4, axis=1)
    expected = HistGradientBoostingClassifier(
        max_iter=60, early_stopping=False, l2_regularization=1e-10, random_state=5
    ).fit(X, table.train.y)
    val = np.delete(table.val.table.numeric, 4, axis=1)
    np.testing.assert_allclose(learner.predict(table.val.table), expected.predict_proba(val))


def test_categories_are_native_up_to_the_limit() -> None:
    """Alternate levels have alternate classes: native categories need one split, ordered numbers need many."""
    rng = np.random.default_rng(0)
    losses = []
    for n_levels in (MAX_NATIVE_LEVELS, MAX_NATIVE_LEVELS + 1):
        codes = rng.integers(0, 200, size=(4000, 1)).astype(np.int32)
        y = (codes[:, 0] % 2).astype(np.int64)
        table = EncodedTable(np.zeros((4000, 0)), codes)
        info = DatasetInfo(Task.BINARY, 4000, 0, (n_levels,), 2, (2000, 2000))
        rows = Rows(table, y)
        outcome = learner_of(info, max_leaf_nodes=3, min_samples_leaf=1).fit(
            rows, rows, budget=1, settings=settings(info, max_budget=10)
        )
        losses.append(outcome.curve[-1])
    assert losses[0] < 0.3 < losses[1]


def test_classes_without_training_rows_get_zero() -> None:
    table = make_table(Task.MULTICLASS, 3)
    kept = table.train.y != 1
    train = Rows(table.train.table.take(kept), table.train.y[kept])
    learner = learner_of(table.info)
    learner.fit(train, table.val, budget=1, settings=settings(table.info))
    predictions = learner.predict(table.val.table)
    assert predictions.shape == (len(table.val), 3)
    assert (predictions[:, 1] == 0).all()
    np.testing.assert_allclose(predictions.sum(axis=1), 1)


def test_one_class_only_is_certain() -> None:
    table = TABLES["binary"]
    train = replace(table.train, y=np.ones_like(table.train.y))
    learner = learner_of(table.info)
    learner.fit(train, table.val, budget=1, settings=settings(table.info))
    np.testing.assert_allclose(learner.predict(table.val.table), [[0, 1]] * len(table.val), atol=1e-12)


def test_sample_weights_count() -> None:
    table = _duplicated(TABLES["binary"])
    learner = learner_of(table.info)
    learner.fit(table.train, table.val, budget=1, settings=settings(table.info))
    assert learner.predict(table.val.table)[:, 1].mean() > 0.9


def _duplicated(table: Table) -> Table:
    """Every training row twice, once with class 1 and a large weight, once with class 0 and a small one."""
    rows = np.repeat(np.arange(len(table.train)), 2)
    y = np.tile([1, 0], len(table.train)).astype(np.int64)
    weight = np.tile([99.0, 1.0], len(table.train))
    return replace(table, train=Rows(table.train.table.take(rows), y, weight))


def test_the_curve_is_carried_forward() -> None:
    table = TABLES["multiclass"]
    of_run = settings(table.info, max_budget=50)
    curve = learner_of(table.info, max_iter=500).fit(table.train, table.val, budget=20, settings=of_run).curve
    assert curve[4] == curve[5] != curve[9]
