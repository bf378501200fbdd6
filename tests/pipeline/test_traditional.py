"""What every learner beside the networks must do, whichever library it is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autopytorch_lite.data.dataset import make_dataset
from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.errors import NothingTrainedError
from autopytorch_lite.execution.tabular import rows_of
from autopytorch_lite.pipeline import traditional
from autopytorch_lite.pipeline.build import TRADITIONAL, build_learner, default_graph, load_learner
from autopytorch_lite.pipeline.components.forests import MAX_ROWS as MAX_FOREST_ROWS
from autopytorch_lite.pipeline.components.nearest_neighbors import MAX_ROWS as MAX_NEIGHBOR_ROWS
from autopytorch_lite.pipeline.components.support_vectors import MAX_ROWS as MAX_SUPPORT_VECTOR_ROWS
from autopytorch_lite.pipeline.graph import Component
from autopytorch_lite.pipeline.learner import BEGAN_ANEW, Learner, Rows
from autopytorch_lite.pipeline.rounds import MIN_ROUNDS
from autopytorch_lite.types import DatasetInfo, Task
from tests.contracts.check_component import (
    FEW_ROUNDS,
    TABLES,
    Table,
    check_predictions,
    config_of,
    make_table,
    settings,
)

GRAPH = default_graph()
BOOSTED = ("hist_gradient_boosting", "lightgbm", "xgboost", "catboost")
IN_ROUNDS = (*BOOSTED, "random_forest", "extra_trees")
SAMPLING = {
    "hist_gradient_boosting": {"max_features": 0.5, "min_samples_leaf": 3},
    "lightgbm": {"subsample": 0.6, "colsample_bytree": 0.5, "min_child_samples": 3},
    "xgboost": {"subsample": 0.6, "colsample_bytree": 0.5},
    "catboost": {"subsample": 0.6, "rsm": 0.5},
    "random_forest": {"max_features": 0.5},
    "extra_trees": {"max_features": 0.5},
}
"""Values under which trees are drawn at random."""


@pytest.fixture(params=TRADITIONAL, ids=lambda component: component.name)
def component(request: pytest.FixtureRequest) -> Component:
    """Each learner whose package is installed."""
    if not request.param.is_installed():
        pytest.skip(f"{request.param.package} is not installed")
    return request.param


def learner_of(component: Component, info: DatasetInfo, **values: Any) -> Learner:
    edits = {f"learner:{component.name}:{name}": value for name, value in values.items()}
    config = config_of(GRAPH, info, {**FEW_ROUNDS, "learner:__choice__": component.name, **edits})
    return build_learner(GRAPH, config, info)


def fitted(component: Component, table: Table, **values: Any) -> Learner:
    learner = learner_of(component, table.info, **values)
    learner.fit(table.train, table.val, budget=3, settings=settings(table.info))
    return learner


def predicted(component: Component, table: Table, **values: Any) -> Any:
    return fitted(component, table, **values).predict(table.val.table)


@pytest.mark.parametrize(("kind", "budget"), [("multiclass", 5), ("binary", 7), ("regression", 5)])
def test_some_epochs_continued_to_fifteen_equal_fifteen(
    component: Component, kind: str, budget: int, tmp_path: Path
) -> None:
    """Forests draw rows and columns anew for each tree, so what they are drawn from must be continued, too."""
    table, of_run = TABLES[kind], settings(TABLES[kind].info, max_budget=15, keep_epoch=15)
    straight, first, second = (learner_of(component, table.info, **SAMPLING.get(component.name, {})) for _ in range(3))
    whole = straight.fit(table.train, table.val, budget=15, settings=of_run)
    first.fit(table.train, table.val, budget=budget, settings=of_run)
    first.save_checkpoint(tmp_path)
    continued = second.fit(table.train, table.val, budget=15, settings=of_run, resume_from=tmp_path)
    np.testing.assert_array_equal(second.predict(table.val.table), straight.predict(table.val.table))
    assert continued.curve == whole.curve


def test_the_budget_becomes_rounds_or_costs_nothing_more(component: Component) -> None:
    table, of_run = TABLES["multiclass"], settings(TABLES["multiclass"].info, max_budget=10, keep_epoch=10)
    outcomes = [
        learner_of(component, table.info).fit(table.train, table.val, budget=budget, settings=of_run)
        for budget in (4, 10)
    ]
    n_rounds = [outcome.info["n_rounds"] for outcome in outcomes]
    if component.name in IN_ROUNDS:
        assert n_rounds[0] == max(0.4 * n_rounds[1], MIN_ROUNDS)
        assert (outcomes[1].curve[:4] == outcomes[0].curve) == (component.name not in BOOSTED)
    else:
        assert n_rounds == [1, 1]
        assert set(outcomes[1].curve) == set(outcomes[0].curve) == {outcomes[0].curve[0]}


@pytest.mark.parametrize("kind", ["multiclass", "binary", "regression"])
def test_boosters_predict_with_the_rounds_that_validation_rows_found_best(
    component: Component, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers without a pattern are best predicted early; other models have no such choice."""
    table = without_pattern(TABLES[kind])
    monkeypatch.setattr(traditional, "MIN_ROWS_TO_CHOOSE", len(table.val))
    of_run = settings(table.info, max_budget=10)
    learner = learner_of(component, table.info)
    outcome = learner.fit(table.train, table.val, budget=10, settings=of_run)
    lowest = 1 + int(np.argmin(outcome.curve))
    assert outcome.info["kept_epoch"] == (lowest if component.name in BOOSTED else 10)
    assert (outcome.info["kept_epoch"] < 10) == outcome.info[BEGAN_ANEW] == (component.name in BOOSTED)
    predictions = learner.predict(table.val.table)
    loss = of_run.metric.loss(table.val.y, predictions)
    assert loss == pytest.approx(outcome.curve[outcome.info["kept_epoch"] - 1])
    learner.save(tmp_path)
    np.testing.assert_allclose(load_learner(tmp_path, GRAPH).predict(table.val.table), predictions, rtol=1e-6)


def test_few_validation_rows_choose_no_rounds(component: Component) -> None:
    table = without_pattern(TABLES["binary"])
    outcome = learner_of(component, table.info).fit(table.train, table.val, budget=3, settings=settings(table.info))
    assert len(table.val) < traditional.MIN_ROWS_TO_CHOOSE
    assert outcome.info["kept_epoch"] == 3


def test_an_epoch_that_was_chosen_before_is_kept_again(component: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    """As members are trained on all rows, where nobody is left to choose by: the same steps, and as many rounds."""
    table = without_pattern(TABLES["multiclass"])
    monkeypatch.setattr(traditional, "MIN_ROWS_TO_CHOOSE", len(table.val))
    chosen, again = (learner_of(component, table.info) for _ in range(2))
    outcome = chosen.fit(table.train, table.val, budget=8, settings=settings(table.info, max_budget=10))
    kept = outcome.info["kept_epoch"]
    of_run = settings(table.info, max_budget=10, keep_epoch=kept)
    assert again.fit(table.train, table.val, budget=8, settings=of_run).info == outcome.info
    np.testing.assert_allclose(again.predict(table.val.table), chosen.predict(table.val.table), rtol=1e-6)


def test_boosters_of_few_rounds_take_larger_steps(component: Component) -> None:
    """The lowest budget is as good as a full training with as many rounds and larger steps, for it is the same."""
    if component.name not in BOOSTED:
        pytest.skip("takes no steps")
    table = TABLES["multiclass"]
    rounds = {"catboost": "iterations", "hist_gradient_boosting": "max_iter"}.get(component.name, "n_estimators")
    small = learner_of(component, table.info, **{rounds: 100, "learning_rate": 0.02})
    large = learner_of(component, table.info, **{rounds: 50, "learning_rate": 0.04})
    small.fit(table.train, table.val, budget=5, settings=settings(table.info, max_budget=10))
    large.fit(table.train, table.val, budget=10, settings=settings(table.info, max_budget=10))
    np.testing.assert_allclose(small.predict(table.val.table), large.predict(table.val.table), rtol=1e-6)


def without_pattern(table: Table) -> Table:
    """The table with the answers of validation rows shuffled."""
    y = np.random.default_rng(0).permutation(table.val.y)
    return replace(table, val=replace(table.val, y=y))


def test_the_seed_decides_everything_random(component: Component) -> None:
    table = TABLES["multiclass"]
    values = SAMPLING.get(component.name, {})
    first, again = (predicted(component, table, **values) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_sample_weights_count(component: Component) -> None:
    """Every training row twice, once with class 1 and a large weight, once with class 0 and a small one."""
    table = TABLES["binary"]
    rows = np.repeat(np.arange(len(table.train)), 2)
    y = np.tile([1, 0], len(table.train)).astype(np.int64)
    weight = np.tile([99.0, 1.0], len(table.train))
    table = replace(table, train=Rows(table.train.table.take(rows), y, weight))
    assert predicted(component, table)[:, 1].mean() > 0.8


def test_rows_of_weight_zero_do_not_matter(component: Component) -> None:
    table = TABLES["weighted"]
    train = table.train
    y = np.concatenate([train.y, 1e6 * np.ones_like(train.y)])
    weight = np.concatenate([np.ones(len(train)), np.zeros(len(train))])
    twice = train.table.take(np.tile(np.arange(len(train)), 2))
    with_zeros = predicted(component, replace(table, train=Rows(twice, y, weight)))
    without = predicted(component, replace(table, train=replace(train, sample_weight=np.ones(len(train)))))
    np.testing.assert_array_equal(with_zeros, without)


def test_balanced_classes_count_the_same(component: Component) -> None:
    if component.name == "hist_gradient_boosting":
        pytest.skip("its space has no class weights")
    table = make_table(Task.BINARY, 2, n_rows=300)
    y = (np.arange(len(table.train)) % 5 == 0).astype(np.int64)
    table = replace(table, train=replace(table.train, y=y))
    plain, balanced = (predicted(component, table, class_weight=value)[:, 1].mean() for value in ("none", "balanced"))
    assert plain < 0.3
    assert plain + 0.05 < balanced < 0.6


def test_classes_without_training_rows_get_zero(component: Component) -> None:
    table = make_table(Task.MULTICLASS, 3)
    kept = table.train.y != 1
    table = replace(table, train=Rows(table.train.table.take(kept), table.train.y[kept]))
    predictions = predicted(component, table)
    check_predictions(predictions, table)
    assert (predictions[:, 1] == 0).all()


def test_a_class_with_a_single_row_is_learned_from(component: Component) -> None:
    table = make_table(Task.MULTICLASS, 3)
    kept = (table.train.y != 1) | (np.cumsum(table.train.y == 1) == 1)
    table = replace(table, train=Rows(table.train.table.take(kept), table.train.y[kept]))
    check_predictions(predicted(component, table), table)


def test_one_class_only_is_certain(component: Component, tmp_path: Path) -> None:
    table = TABLES["binary"]
    table = replace(table, train=replace(table.train, y=np.ones_like(table.train.y)))
    learner = fitted(component, table)
    learner.save(tmp_path)
    loaded = learner_of(component, table.info)
    loaded.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(table.val.table), [[0, 1]] * len(table.val))


def test_inputs_that_never_vary_give_the_average(component: Component) -> None:
    table = TABLES["regression"]
    constant = EncodedTable(np.full((60, 5), np.nan), np.zeros((60, 2), dtype=np.int32))
    predictions = predicted(component, replace(table, train=Rows(constant, table.train.y)))
    np.testing.assert_allclose(predictions, np.tile(table.train.y.mean(axis=0), (len(table.val), 1)))


def test_one_constant_target_among_several_is_predicted(component: Component) -> None:
    table = TABLES["regression"]
    y = table.train.y.copy()
    y[:, 1] = 7.0
    predictions = predicted(component, replace(table, train=replace(table.train, y=y)))
    assert np.ptp(predictions[:, 0]) > 0
    np.testing.assert_array_equal(predictions[:, 1], 7.0)


def test_huge_numbers_and_an_outlying_target_leave_predictions_sane(component: Component) -> None:
    table = make_table(Task.REGRESSION, 1)
    numeric = table.val.table.numeric.copy()
    numeric[:5, 0], numeric[5:10, 0] = 1e300, -1e300
    y = table.train.y.copy()
    y[0] *= 1e4
    table = replace(
        table,
        train=replace(table.train, y=y),
        val=replace(table.val, table=EncodedTable(numeric, table.val.table.categorical)),
    )
    check_predictions(predicted(component, table), table)


def test_a_handful_of_rows_is_enough(component: Component) -> None:
    table = TABLES["multiclass"]
    rows = np.concatenate([np.flatnonzero(table.train.y == code)[:2] for code in range(3)])
    table = replace(table, train=Rows(table.train.table.take(rows), table.train.y[rows]))
    check_predictions(predicted(component, table), table)


def test_names_and_cells_of_ordinary_tables_are_no_matter(component: Component) -> None:
    """Commas and brackets in column names, an empty column and gaps have crashed other systems."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "price, total": rng.normal(size=60),
            '{"a": [1]}': np.where(rng.random(60) < 0.3, np.nan, rng.normal(size=60)),
            "empty": np.full(60, np.nan),
            "ünicode <kind>": rng.choice(["a,b", 'c"d', None], size=60),
        }
    )
    y = np.where(frame["price, total"] > 0, "yes, it is", "no")
    dataset = make_dataset(frame, y, kind="classification", seed=0)
    train, val = (rows_of(dataset, idx) for idx in (dataset.folds[0].train_idx, dataset.folds[0].val_idx))
    learner = learner_of(component, dataset.info)
    outcome = learner.fit(train, val, budget=1, settings=settings(dataset.info, max_budget=1))
    assert outcome.curve[-1] < 0.6


def test_an_unfitted_learner_says_so(component: Component, tmp_path: Path) -> None:
    learner = learner_of(component, TABLES["binary"].info)
    with pytest.raises(NothingTrainedError):
        learner.predict(TABLES["binary"].val.table)
    with pytest.raises(NothingTrainedError):
        learner.save_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("k_nearest_neighbors", MAX_NEIGHBOR_ROWS),
        ("support_vectors", MAX_SUPPORT_VECTOR_ROWS),
        ("random_forest", MAX_FOREST_ROWS),
        ("extra_trees", MAX_FOREST_ROWS),
    ],
)
def test_what_grows_with_the_rows_is_offered_for_small_tables_only(name: str, limit: int) -> None:
    option = GRAPH.option(name)
    assert isinstance(option, Component)
    info = TABLES["binary"].info
    assert option.applies(replace(info, n_rows=limit))
    assert not option.applies(replace(info, n_rows=limit + 1))


def test_a_network_learns_with_target_statistics(tmp_path: Path) -> None:
    """The training rows' encoding is made again when a training is continued, and is the same."""
    table, of_run = TABLES["multiclass"], settings(TABLES["multiclass"].info, max_budget=4)
    config = config_of(GRAPH, table.info, {"learner:__choice__": "neural", "encoding:__choice__": "target"})
    straight, first, second = (build_learner(GRAPH, config, table.info) for _ in range(3))
    straight.fit(table.train, table.val, budget=4, settings=of_run)
    first.fit(table.train, table.val, budget=2, settings=of_run)
    first.save_checkpoint(tmp_path)
    second.fit(table.train, table.val, budget=4, settings=of_run, resume_from=tmp_path)
    np.testing.assert_array_equal(second.predict(table.val.table), straight.predict(table.val.table))


def test_weights_of_zero_only_are_no_weights() -> None:
    table = TABLES["binary"]
    unweighted = predicted(GRAPH.option("hist_gradient_boosting"), table)  # type: ignore[arg-type]
    nothing = replace(table, train=replace(table.train, sample_weight=np.zeros(len(table.train))))
    np.testing.assert_array_equal(predicted(GRAPH.option("hist_gradient_boosting"), nothing), unweighted)  # type: ignore[arg-type]
