from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autopytorch_lite.errors import BudgetError, DataError, UnknownNameError
from lcbench import Benchmark
from lcbench.simulation import SEARCHERS, SHARES, RecordedTask, compare, space_of
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


def test_the_space_is_that_of_what_was_varied(task: RecordedTask) -> None:
    assert set(task.space) == {"rate", "units", "dropout", "network"}
    assert [task.space[name].log for name in ("rate", "units", "dropout")] == [True, True, False]
    assert set(task.space["network"].choices) == {"narrow", "wide"}
    units = [config["units"] for config in Recorded().configs]
    assert (task.space["units"].lower, task.space["units"].upper) == (min(units), max(units))
    assert task.max_budget == N_EPOCHS


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
    found = compare(task, list(SEARCHERS), n_trainings=10, n_seeds=2)
    again = compare(task, ["random"], n_trainings=10, n_seeds=2)
    assert found.loc["random"].equals(again.loc["random"])
    assert list(found.columns) == [*(f"{share:.0%}" for share in SHARES), "evaluations"]
    assert (found["100%"] >= 0).all() and (found["100%"] < 15).all()
    assert found.loc["hyperband", "evaluations"] > found.loc["random", "evaluations"] > 5
    many = compare(task, ["random"], n_trainings=10, n_seeds=2, n_workers=4)
    assert many.loc["random", "evaluations"] > 3 * found.loc["random", "evaluations"]
    long = compare(task, ["random"], n_trainings=300)
    assert long.loc["random", "100%"] < min(1, long.loc["random", "10%"])


def test_what_cannot_be_simulated_is_named(task: RecordedTask) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bohb'"):
        compare(task, ["bohp"], n_trainings=3)
    with pytest.raises(BudgetError, match="positive"):
        compare(task, ["random"], n_trainings=0)
    with pytest.raises(DataError, match="'seed' has none"):
        RecordedTask(Benchmark(Recorded()), "table", "seed")
    with pytest.raises(DataError, match="a time is missing"):
        RecordedTask(Benchmark(Recorded(time=[0.0, None, *range(9)])), "table", TAG)
    with pytest.raises(DataError, match="all are equal"):
        space_of([{"rate": 1.0}, {"rate": 1.0}])
