from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from autopytorch_lite.metrics import Metric
from autopytorch_lite.portfolio.anytime import NOTHING, anytime_order, curve_of
from autopytorch_lite.types import FloatArray, Task
from benchmarks.portfolio.leave_one_out import judge, learned_without, summary_lines
from benchmarks.portfolio.pool import Candidate
from benchmarks.portfolio.record import TaskRecord, growth
from benchmarks.portfolio.tasks import BundledTable, PoolTask, prepare

N = 200
EARLY, LATE, POOR, FAILED = range(4)


def record(name: str = "table", noise: float = 0.0) -> TaskRecord:
    """Values of which one candidate knows the first half, one the second, one a little of both; the last has failed."""
    truth = np.linspace(-1, 1, N)[:, None]
    is_early = truth < 0
    rng = np.random.default_rng(0)
    known = [np.where(is_early, truth, 0.0), np.where(is_early, 0.0, truth), 0.2 * truth]
    predictions: list[FloatArray | None] = [own + noise * rng.normal(size=own.shape) for own in known]
    predictions.append(None)
    seconds = np.array([2.0, 4.0, 0.5, 1.0])
    metric = Metric("neg_root_mean_squared_error", Task.REGRESSION, 1)
    return TaskRecord(name, metric, truth, truth, predictions, predictions, seconds, 20 * seconds)


def test_candidates_that_complement_each_other_are_both_taken() -> None:
    order = anytime_order([record().restricted([EARLY, LATE, POOR, FAILED])], 4, horizon_s=600)
    assert set(order[:2]) == {EARLY, LATE}
    assert FAILED not in order


def test_numbers_of_a_part_of_the_candidates_count_from_zero() -> None:
    task = record().restricted([FAILED, LATE])
    assert task.seconds.tolist() == [[1.0, 4.0], [20.0, 80.0]]
    assert anytime_order([task], 2, horizon_s=600) == [1]


def test_orders_are_judged_by_the_ensembles_of_their_entries() -> None:
    one = record()
    times, losses = curve_of(one.judged(), [POOR, FAILED, EARLY, LATE])
    assert times.tolist() == [0.5, 1.5, 3.5, 7.5]
    assert losses[0] == losses[1] == NOTHING
    assert losses[3] == pytest.approx(0.0, abs=1e-6)
    best, usual = one.scale
    alone = (one.single_losses[EARLY] - best) / (usual - best)
    assert losses[2] <= alone + 1e-9


def test_the_scale_ends_at_an_ensemble_of_all_and_at_a_usual_candidate() -> None:
    one = record()
    best, usual = one.scale
    assert best < np.nanmin(one.single_losses) < usual <= np.nanmax(one.single_losses)
    assert one.normalised(usual + 5) == NOTHING


def test_no_table_shapes_the_portfolio_it_is_judged_with() -> None:
    """On two tables halves are worth having, on the third only the cheap one is trained at all."""
    odd = record("odd")
    odd = TaskRecord(
        "odd", odd.metric, odd.validation_targets, odd.unseen_targets, [None, None, odd.validation[POOR], None],
        [None, None, odd.unseen[POOR], None], odd.seconds, odd.large_seconds,
    )  # fmt: skip
    orders = learned_without([record("a"), odd], range(4), 3)
    assert orders == {"a": [POOR], "odd": learned_without([record("b"), odd], range(4), 3)["odd"]}
    assert orders["odd"][0] in (EARLY, LATE)


def test_means_over_tables_and_tables_won() -> None:
    rows = [
        row
        for name in ("a", "b")
        for row in judge(record(name), {"learned": [[EARLY, LATE]], "by_hand": [[POOR]], "absent": [[]]})
    ]
    lines = summary_lines(rows)
    assert len(lines) == 4
    assert lines[2].startswith("| learned |")
    assert lines[2].endswith("| 2 of 2 |")
    assert lines[3].endswith("|  |")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> PoolTask:
    table = BundledTable("diabetes", Task.REGRESSION, load_diabetes)
    root: Path = tmp_path_factory.mktemp("tasks")
    return prepare([table], root, max_rows=300, binary_metric="roc_auc")[0]


def test_a_prepared_table_is_sampled_and_divided_as_estimators_would(task: PoolTask) -> None:
    assert (task.info.n_rows, len(task.unseen[1]), len(task.dataset.folds)) == (201, 99, 3)
    assert sorted(task.validation_targets.ravel()) == sorted(task.dataset.y.ravel())
    assert (task.max_budget, task.metric.label) == (81, "root_mean_squared_error")


def test_seconds_grow_with_rows_read_and_vanish_where_a_learner_is_not_offered(task: PoolTask) -> None:
    def of(learner: str) -> float:
        return growth(task, Candidate("x", "drawn", {"learner:__choice__": learner, "backbone:__choice__": "tabm"}))

    read = 3 * 134  # each of three models sees two thirds of 201 rows
    assert of("lightgbm") == pytest.approx(100_000 / read)
    assert of("neural") == pytest.approx(100_000 / read * 27 / 81)
    assert np.isnan(of("extra_trees"))
