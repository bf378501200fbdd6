from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.pipeline.build import build_learner, default_graph
from autopytorch_lite.pipeline.components.losses import CrossEntropy, Huber, WeightedCrossEntropy
from autopytorch_lite.pipeline.learner import BEGAN_ANEW, Learner
from autopytorch_lite.pipeline.neural import UNCHOSEN_HALF_LIFE
from autopytorch_lite.types import DatasetInfo, Task
from tests.contracts.check_component import TABLES, Table, check_fit, config_of, make_table, settings

GRAPH = default_graph()
NOISY = {
    "backbone:__choice__": "shaped_resnet",
    "backbone:shaped_resnet:use_dropout": True,
    "backbone:shaped_resnet:use_shake_shake": True,
    "backbone:shaped_resnet:use_shake_drop": True,
    "batch_technique:__choice__": "mixup",
    "embedding:__choice__": "learned",
    "batching:minibatch:batch_size": 16,
}
"""Everything that draws random numbers while training."""


def learner_of(table: Table, edits: dict[str, Any] | None = None) -> Learner:
    return build_learner(
        GRAPH, config_of(GRAPH, table.info, {"learner:__choice__": "neural"} | (edits or {})), table.info
    )


def test_five_epochs_continued_to_fifteen_equal_fifteen(tmp_path: Path) -> None:
    table = TABLES["multiclass"]
    of_run = settings(table.info, max_budget=15)
    straight, first, second = (learner_of(table, NOISY) for _ in range(3))
    whole = straight.fit(table.train, table.val, budget=15, settings=of_run)
    first.fit(table.train, table.val, budget=5, settings=of_run)
    first.save_checkpoint(tmp_path)
    continued = second.fit(table.train, table.val, budget=15, settings=of_run, resume_from=tmp_path)
    assert continued.curve == whole.curve
    assert len(whole.curve) == 15
    np.testing.assert_array_equal(second.predict(table.val.table), straight.predict(table.val.table))


def test_the_schedule_is_laid_out_for_the_largest_budget() -> None:
    table = TABLES["multiclass"]
    rates = []
    for budget in (2, 6):
        outcome = learner_of(table).fit(
            table.train, table.val, budget=budget, settings=settings(table.info, max_budget=6)
        )
        rates.append(outcome.curves["learning_rate"])
    assert rates[0] == rates[1][:2]
    assert rates[1][5] < 0.1 * rates[1][0]


def test_t_max_of_a_ranges_file_counts() -> None:
    table = TABLES["multiclass"]
    learner = learner_of(table, {"lr_schedule:cosine_annealing:T_max": 2})
    outcome = learner.fit(table.train, table.val, budget=4, settings=settings(table.info, max_budget=4))
    assert outcome.curves["learning_rate"][2] == pytest.approx(1e-8)


def test_learns() -> None:
    table = make_table(Task.BINARY, 2, (4,), n_rows=300)
    outcome = learner_of(table, {"batching:minibatch:batch_size": 16}).fit(
        table.train, table.val, budget=10, settings=settings(table.info, max_budget=10)
    )
    assert outcome.curve[-1] < 0.4  # guessing costs 0.69


def test_seeds_differ() -> None:
    table = TABLES["regression"]
    predictions = []
    for seed in (1, 1, 2):
        learner = learner_of(table)
        learner.fit(table.train, table.val, budget=1, settings=settings(table.info, seed=seed))
        predictions.append(learner.predict(table.val.table))
    np.testing.assert_array_equal(predictions[0], predictions[1])
    assert not np.array_equal(predictions[0], predictions[2])


def test_validation_targets_are_only_scored() -> None:
    """Class weights, target scales and networks come from training rows alone."""
    for kind in ("multiclass", "regression"):
        table = TABLES[kind]
        edits = {"loss:__choice__": "cross_entropy_weighted"} if kind == "multiclass" else {}
        other = replace(table.val, y=table.val.y[::-1].copy())
        predictions = []
        for val in (table.val, other):
            learner = learner_of(table, edits)
            learner.fit(table.train, val, budget=2, settings=settings(table.info))
            predictions.append(learner.predict(table.val.table))
        np.testing.assert_array_equal(*predictions)


def test_class_weights_balance_the_training_rows() -> None:
    info = DatasetInfo(Task.MULTICLASS, 10, 1, (), 3, (8, 1, 1))
    targets = torch.tensor([0, 0, 0, 1])
    outputs = torch.zeros(4, 3)
    plain = CrossEntropy().build({}, info)(targets.numpy())(outputs, targets)
    weighted = WeightedCrossEntropy().build({}, info)(targets.numpy())(outputs, targets)
    np.testing.assert_allclose(weighted / plain, [4 / 9, 4 / 9, 4 / 9, 4 / 3], rtol=1e-6)


def test_huber_is_linear_beyond_delta() -> None:
    info = DatasetInfo(Task.REGRESSION, 10, 1, (), 1)
    loss = Huber().build({"delta": 1.0}, info)(np.zeros(1))
    losses = loss(torch.tensor([[0.5], [3.0], [4.0]]), torch.zeros(3, 1))
    np.testing.assert_allclose(losses, [0.125, 2.5, 3.5])


def test_predictions_of_huge_targets_are_in_their_units() -> None:
    table = TABLES["regression"]
    train, val = (replace(rows, y=rows.y * 1e9) for rows in (table.train, table.val))
    learner = learner_of(table)
    learner.fit(train, val, budget=1, settings=settings(table.info))
    assert abs(learner.predict(val.table).mean() / train.y.mean() - 1) < 0.5


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    table = TABLES["binary"]
    learner_of(table).fit(table.train, table.val, budget=1, settings=replace(settings(table.info), n_threads=2))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("budget", [0, 4])
@pytest.mark.parametrize("learner", ["neural", "hist_gradient_boosting"])
def test_budgets_out_of_range_are_refused(learner: str, budget: int) -> None:
    table = TABLES["binary"]
    with pytest.raises(BudgetError, match=str(budget)):
        learner_of(table, {"learner:__choice__": learner}).fit(
            table.train, table.val, budget=budget, settings=settings(table.info, max_budget=3)
        )


def test_early_stopping_is_told() -> None:
    table = TABLES["multiclass"]
    edits = {
        "early_stopping:__choice__": "patience",
        "early_stopping:patience:patience": 3,
        "optimizer:adam:learning_rate": 0.1,
    }
    outcome = learner_of(table, edits).fit(
        table.train, table.val, budget=40, settings=settings(table.info, max_budget=40)
    )
    assert outcome.info["stopped_early"]
    assert outcome.n_epochs == len(outcome.curve) == outcome.info["kept_epoch"] + 3 < 40


@pytest.mark.parametrize("schedule", ["cosine_annealing", "cosine_log"])
def test_an_epoch_that_was_chosen_before_is_kept_again(schedule: str) -> None:
    table = TABLES["multiclass"]
    edits = {
        "lr_schedule:__choice__": schedule,
        "early_stopping:__choice__": "patience",
        "early_stopping:patience:patience": 3,
        "optimizer:__choice__": "adamw",
        "optimizer:adamw:learning_rate": 0.1,
        "weight_averaging:__choice__": "moving",
        "weight_averaging:moving:half_life": 0.2,
    }
    stopped, again = (learner_of(table, edits) for _ in range(2))
    outcome = stopped.fit(table.train, table.val, budget=20, settings=settings(table.info, max_budget=40))
    kept = outcome.info["kept_epoch"]
    assert outcome.info[BEGAN_ANEW] == (schedule == "cosine_log")
    assert kept < outcome.n_epochs
    of_run = settings(table.info, max_budget=40, keep_epoch=kept)
    assert again.fit(table.train, table.val, budget=20, settings=of_run).curve == outcome.curve[:kept]
    np.testing.assert_array_equal(again.predict(table.val.table), stopped.predict(table.val.table))


@pytest.mark.parametrize("stopping", ["patience", "none"])
def test_where_nothing_chooses_the_epoch_the_mean_of_several_epochs_predicts(stopping: str) -> None:
    table = TABLES["multiclass"]
    plain = {"early_stopping:__choice__": stopping, "optimizer:__choice__": "adamw"}
    average = {"weight_averaging:__choice__": "moving", "weight_averaging:moving:half_life": UNCHOSEN_HALF_LIFE}
    averaged = plain | average
    kept, same, searched = (learner_of(table, edits) for edits in (plain, averaged, plain))
    of_run = settings(table.info, max_budget=6, keep_epoch=6)
    curves = [learner.fit(table.train, table.val, budget=6, settings=of_run).curve for learner in (kept, same)]
    searched.fit(table.train, table.val, budget=6, settings=settings(table.info, max_budget=6))
    predictions = [learner.predict(table.val.table) for learner in (kept, same)]
    if stopping == "patience":
        assert curves[0] == curves[1]
        np.testing.assert_array_equal(*predictions)
    else:
        assert curves[0] != curves[1]
        np.testing.assert_array_equal(kept.predict(table.val.table), searched.predict(table.val.table))


TODAYS = {
    "realmlp": {
        "scaling:__choice__": "smooth_clip",
        "numeric_embedding:__choice__": "pbld",
        "backbone:__choice__": "realmlp",
        "optimizer:__choice__": "adamw",
        "optimizer:adamw:beta2": 0.95,
        "lr_schedule:__choice__": "cosine_log",
        "weight_averaging:__choice__": "moving",
    },
    "tabm": {
        "scaling:quantile:split_ties": True,
        "scaling:__choice__": "quantile",
        "numeric_embedding:__choice__": "piecewise_linear",
        "backbone:__choice__": "tabm",
        "optimizer:__choice__": "adamw",
        "gradient_clipping:__choice__": "norm",
        "batch_technique:__choice__": "mixup",
        "embedding:__choice__": "learned",
    },
    "ft_transformer": {"backbone:__choice__": "ft_transformer", "numeric_embedding:__choice__": "periodic"},
}
"""Networks with what belongs to them; all but the last draw from training rows before they start."""


@pytest.mark.parametrize("name", TODAYS)
def test_only_a_schedule_that_is_whole_is_laid_out_for_the_budget(name: str, tmp_path: Path) -> None:
    """Two epochs of six are two epochs of two, and six begin anew; else two are the beginning of six."""
    table = TABLES["binary"]
    of_six, of_two, again, straight = (learner_of(table, TODAYS[name]) for _ in range(4))
    outcomes = [
        learner.fit(table.train, table.val, budget=2, settings=settings(table.info, max_budget=n))
        for learner, n in ((of_six, 6), (of_two, 2))
    ]
    is_whole = name == "realmlp"
    assert (outcomes[0].curve == outcomes[1].curve) == is_whole
    of_six.save_checkpoint(tmp_path)
    of_run = settings(table.info, max_budget=6)
    continued = again.fit(table.train, table.val, budget=6, settings=of_run, resume_from=tmp_path)
    whole = straight.fit(table.train, table.val, budget=6, settings=of_run)
    assert continued.curve == whole.curve
    assert (whole.curve[:2] == outcomes[0].curve) != is_whole


def of_categories_only(table: Table) -> Table:
    train, val = (
        replace(rows, table=replace(rows.table, numeric=rows.table.numeric[:, :0])) for rows in (table.train, table.val)
    )
    return Table(replace(table.info, n_numeric=0), train, val)


KINDS = {
    "numbers_only": TABLES["binary"],
    "categories_only": of_categories_only(TABLES["multiclass"]),
    "two_targets": TABLES["regression"],
    "weighted": TABLES["weighted"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TODAYS)
def test_todays_networks_train_on_every_kind_of_table(name: str, kind: str, tmp_path: Path) -> None:
    table = KINDS[kind]
    check_fit(GRAPH, config_of(GRAPH, table.info, {"learner:__choice__": "neural"} | TODAYS[name]), table, tmp_path)


@pytest.mark.parametrize("name", TODAYS)
def test_todays_networks_learn_in_both_precisions(name: str) -> None:
    """Half precision may change the loss a little, not the result."""
    table = make_table(Task.BINARY, 2, (4,), n_rows=300)
    losses = []
    for precision in ("float32", "bfloat16"):
        learner = learner_of(table, TODAYS[name] | {"batching:minibatch:batch_size": 32})
        of_run = replace(settings(table.info, max_budget=10), precision=precision)
        losses.append(learner.fit(table.train, table.val, budget=10, settings=of_run).curve[-1])
    assert max(losses) < 0.45  # guessing costs 0.69
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


@pytest.mark.gpu
def test_trains_on_a_gpu_and_loads_on_a_cpu(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    table = TABLES["multiclass"]
    learner = learner_of(table, NOISY)
    learner.fit(table.train, table.val, budget=3, settings=replace(settings(table.info), device="cuda"))
    predictions = learner.predict(table.val.table)
    learner.save(tmp_path)
    loaded = learner_of(table, NOISY)
    loaded.load(tmp_path)
    np.testing.assert_allclose(loaded.predict(table.val.table), predictions, atol=1e-4)
