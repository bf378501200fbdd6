from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopytorch_lite.errors import BudgetError, DataError, UnknownNameError
from autopytorch_lite.types import Config
from lcbench import Benchmark, Surrogate
from lcbench.curves import read_recording
from lcbench.simulation import (
    MOMENTS,
    SEARCHERS,
    SHARES,
    RecordedTask,
    SurrogateTask,
    compare,
    open_tasks,
    over_datasets,
)
from lcbench.simulation_report import write_comparisons
from lcbench.spaces import Features, space_of
from lcbench.storage import RunRecord

TAG = "Train/val_accuracy"
N_RUNS, N_EPOCHS = 200, 9


def drawn(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "rate": float(10 ** rng.uniform(-4, -1)),
        "units": int(2 ** rng.uniform(4, 10)),
        "dropout": float(rng.uniform(0.1, 0.9)),
        "network": ["narrow", "wide"][int(rng.integers(2))],
        "seed": 1,
    }


class Recorded:
    """Accuracy climbs to 90 - 10 |log10(rate) + 2|, five less for narrow networks. An epoch takes units / 100 s."""

    def __init__(self, **changed_logs: Any) -> None:
        rng = np.random.default_rng(0)
        self.configs = [drawn(rng) for _ in range(N_RUNS)]
        self.changed_logs = changed_logs

    def dataset_names(self) -> list[str]:
        return ["table"]

    def config_ids(self, dataset_name: str) -> list[str]:
        return list(map(str, range(N_RUNS)))

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        config = self.configs[int(config_id)]
        final = 90 - 10 * abs(np.log10(config["rate"]) + 2) - 5 * (config["network"] == "narrow")
        steps = np.arange(N_EPOCHS + 2)
        log = {TAG: final * (1 - 0.5 * np.exp(-steps)), "time": config["units"] / 100 * steps}
        return RunRecord({name: values.tolist() for name, values in log.items()} | self.changed_logs, {}, config)


@pytest.fixture(scope="module")
def task() -> RecordedTask:
    return RecordedTask(Benchmark(Recorded()), "table", TAG)


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return Surrogate.fit(Benchmark(Recorded()), tag=TAG, families=["boosting"])


def test_the_space_is_that_of_what_was_varied(task: RecordedTask) -> None:
    assert set(task.space) == {"rate", "units", "dropout", "network"}
    assert [task.space[name].log for name in ("rate", "units", "dropout")] == [True, True, False]
    assert set(task.space["network"].choices) == {"narrow", "wide"}
    units = [config["units"] for config in Recorded().configs]
    assert (task.space["units"].lower, task.space["units"].upper) == (min(units), max(units))
    assert task.max_budget == N_EPOCHS


def nested(rng: np.random.Generator) -> Config:
    """sgd has a momentum, and if that is damped a damping; both optimizers have a rate of their own."""
    optimizer = ["sgd", "adam"][int(rng.integers(2))]
    config: Config = {"optimizer:__choice__": optimizer, f"optimizer:{optimizer}:rate": float(rng.uniform(1, 2))}
    if optimizer == "sgd":
        config["optimizer:sgd:damped"] = bool(rng.integers(2))
        if config["optimizer:sgd:damped"]:
            config["optimizer:sgd:damping"] = float(rng.random())
    return (
        {**config, "other": float(rng.random()), "optimizer:sgd:fixed": 1}
        if optimizer == "sgd"
        else config | {"other": 0.5}
    )


def test_conditions_are_found() -> None:
    configs = [nested(np.random.default_rng(number)) for number in range(40)]
    space = space_of(configs)
    parents = {child: space.parents_of[child][0].name for child in space.conditional_hyperparameters}
    assert parents == {
        "optimizer:sgd:rate": "optimizer:__choice__",
        "optimizer:adam:rate": "optimizer:__choice__",
        "optimizer:sgd:damped": "optimizer:__choice__",
        "optimizer:sgd:damping": "optimizer:sgd:damped",
    }
    features = Features(space)
    rows = features.encode(configs)
    assert rows.shape == (40, features.n_columns) and np.isfinite(rows).all()
    assert len(np.unique(rows, axis=0)) == len({tuple(config.items()) for config in configs})


def test_what_no_choice_explains_is_left_out() -> None:
    configs: list[Config] = [{"a": number / 10} | ({"b": number} if number % 3 else {}) for number in range(10)]
    assert list(space_of(configs)) == ["a"]


def test_inactive_is_as_far_as_another_choice() -> None:
    record = Recorded()
    record.configs = [{"kind": "x", "size": 0.0}, {"kind": "x", "size": 1.0}, {"kind": "y"}, {"kind": "y"}] * (
        N_RUNS // 4
    )
    record.run = lambda name, number: RunRecord(  # type: ignore[method-assign]
        {TAG: [float(number)] * 9, "time": list(range(9))}, {}, record.configs[int(number)]
    )
    task = RecordedTask(Benchmark(record), "table", TAG)
    assert task.curves({"kind": "y"}, 1).losses == -2
    assert task.curves({"kind": "x", "size": 0.8}, 1).losses == -1


def test_a_recorded_configuration_has_its_own_curve_and_another_one_that_of_the_nearest(task: RecordedTask) -> None:
    record = Recorded()
    for number in (3, 17):
        config = {name: record.configs[number][name] for name in task.space}
        log = record.run("table", str(number)).log
        for asked in (config, {**config, "dropout": config["dropout"] + 1e-4}):
            curve = task.curves(asked, 4)
            assert curve.losses.tolist() == [-value for value in log[TAG][1:5]]
            assert curve.seconds.tolist() == log["time"][1:5]
    finals = [record.run("table", str(number)).log[TAG][N_EPOCHS] for number in range(N_RUNS)]
    assert task.regret(config) == pytest.approx(max(finals) - finals[17])


def test_a_run_that_diverged_diverges_again_and_counts_as_the_worst() -> None:
    record = Recorded()
    original = record.run

    def run(name: str, number: str) -> RunRecord:
        found = original(name, number)
        curve = [*found.log[TAG][:4], *[None] * (N_EPOCHS - 2)] if number == "5" else found.log[TAG]
        return RunRecord({**found.log, TAG: curve}, {}, found.config)

    record.run = run  # type: ignore[method-assign]
    task = RecordedTask(Benchmark(record), "table", TAG)
    assert np.isnan(task.curves(record.configs[5], N_EPOCHS).losses[3:]).all()
    assert task.regret(record.configs[5]) == task.span


def test_another_choice_is_farther_than_any_other_number() -> None:
    record = Recorded()
    record.configs = [{"rate": 0.0, "network": "wide"}, {"rate": 0.9, "network": "narrow"}] * (N_RUNS // 2)
    record.configs[2] = {"rate": 1.0, "network": "wide"}
    record.run = lambda name, number: RunRecord(  # type: ignore[method-assign]
        {TAG: [float(number)] * 9, "time": list(range(9))}, {}, record.configs[int(number)]
    )
    task = RecordedTask(Benchmark(record), "table", TAG)
    assert -task.curves({"rate": 0.0, "network": "narrow"}, 1).losses[0] % 2 == 1
    assert -task.curves({"rate": 0.9, "network": "wide"}, 1).losses[0] == 2


def test_searchers_are_compared_at_the_same_time(task: RecordedTask) -> None:
    comparison = compare(task, list(SEARCHERS), n_trainings=10, n_seeds=2)
    found = comparison.table()
    again = compare(task, ["random"], n_trainings=10, n_seeds=2).table()
    assert found.loc["random"].equals(again.loc["random"])
    assert list(found.columns) == [*(f"{share:.0%}" for share in SHARES), "evaluations"]
    assert (found["100%"] >= 0).all() and (found["100%"] < 15).all()
    assert found.loc["hyperband", "evaluations"] > found.loc["random", "evaluations"] > 5
    for name, regrets in comparison.regrets.items():
        assert regrets.shape == (2, len(MOMENTS))
        assert regrets[:, -1].mean() == found.loc[name, "100%"]
    many = compare(task, ["random"], n_trainings=10, n_seeds=2, n_workers=4).table()
    assert many.loc["random", "evaluations"] > 3 * found.loc["random", "evaluations"]
    long = compare(task, ["random"], n_trainings=300).table()
    assert long.loc["random", "100%"] < min(1, long.loc["random", "10%"])


def test_a_surrogate_is_searched_as_the_table_is(task: RecordedTask, surrogate: Surrogate) -> None:
    predicted = SurrogateTask(surrogate, "table")
    assert (predicted.span, predicted.mean_s) == pytest.approx((task.span, task.mean_s))
    configs = read_recording(Benchmark(Recorded()), "table", TAG).table.configs[:20]
    regrets = [[each.regret(config) for config in configs] for each in (task, predicted)]
    assert np.corrcoef(regrets)[0, 1] > 0.98
    curve = predicted.curves(configs[0], 4)
    assert curve.losses.shape == curve.seconds.shape == (4,)
    orders = []
    for each in (task, predicted):
        table = compare(each, ["random", "bohb"], n_trainings=20, n_seeds=4).table()
        orders.append(table["100%"].sort_values().index.tolist())
    assert orders[0] == orders[1] == ["bohb", "random"]


def test_tasks_are_opened_from_a_folder(surrogate: Surrogate, tmp_path: Path) -> None:
    surrogate.save(tmp_path)
    (found,) = open_tasks(tmp_path)
    assert (found.dataset_name, found.tag, found.max_budget) == ("table", TAG, N_EPOCHS)
    with pytest.raises(UnknownNameError, match="did you mean 'table'"):
        list(open_tasks(tmp_path, ["tables"]))
    with pytest.raises(UnknownNameError, match="tag of the surrogate"):
        list(open_tasks(tmp_path, tag="Train/loss"))
    with pytest.raises(DataError, match="does not exist"):
        list(open_tasks(tmp_path / "empty"))


def test_data_sets_are_averaged_and_drawn(task: RecordedTask, tmp_path: Path) -> None:
    comparisons = [compare(task, ["random", "bohb"], n_trainings=n, n_seeds=2) for n in (5, 10)]
    found = over_datasets(comparisons)
    tables = [comparison.table() for comparison in comparisons]
    expected = np.mean([table.loc["bohb", "100%"] for table in tables]) / task.span
    assert found.loc["bohb", "100%"] == pytest.approx(expected)
    assert found["mean rank"].sum() == 3
    text = write_comparisons(tmp_path / "page.html", comparisons, source="made up").read_text(encoding="utf-8")
    assert text.count('id="figure-anytime-table"') == 2
    assert "regret of the incumbent (percentage points)" in text


def test_what_cannot_be_simulated_is_named(task: RecordedTask) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bohb'"):
        compare(task, ["bohp"], n_trainings=3)
    with pytest.raises(BudgetError, match="positive"):
        compare(task, ["random"], n_trainings=0)
    with pytest.raises(DataError, match="'seed' of 'table' has none"):
        RecordedTask(Benchmark(Recorded()), "table", "seed")
    with pytest.raises(DataError, match="a time is missing"):
        RecordedTask(Benchmark(Recorded(time=[0.0, None, *range(9)])), "table", TAG)
    with pytest.raises(DataError, match="all are equal"):
        space_of([{"rate": 1.0}, {"rate": 1.0}])
