from __future__ import annotations

from lcbench import Benchmark
from lcbench.storage import RunRecord, named_runs


class TwoRuns:
    def dataset_names(self) -> list[str]:
        return ["table"]

    def config_ids(self, dataset_name: str) -> list[str]:
        return ["0", "1"]

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        return RunRecord({"Train/loss": [float(config_id)]}, {"seed": 7}, {"num_layers": True})


def test_any_storage_can_stand_behind_the_reader() -> None:
    benchmark = Benchmark(TwoRuns())
    assert benchmark.query("table", "Train/loss", 1).tolist() == [1.0]
    assert benchmark.get_config("table", 0) == {"num_layers": 1}


def test_all_runs_are_named_in_order() -> None:
    assert [(name, config_id) for name, config_id, _ in named_runs(TwoRuns())] == [("table", "0"), ("table", "1")]
