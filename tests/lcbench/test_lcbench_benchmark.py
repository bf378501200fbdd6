from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopytorch_lite.errors import DataError, UnknownNameError
from lcbench import Benchmark, convert
from lcbench.benchmark import is_loss
from lcbench.storage import RunRecord

Runs = dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=[".json", ".zip", ".lcb"])
def benchmark_(
    request: pytest.FixtureRequest, benchmark_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Benchmark:
    """The same runs in every format."""
    path = tmp_path_factory.mktemp("formats") / f"data{request.param}"
    convert(benchmark_file, path)
    return Benchmark(path)


def test_every_tag_of_the_file_can_be_queried(benchmark_: Benchmark, runs: Runs) -> None:
    record = runs["Australian"]["3"]
    tags = benchmark_.get_queriable_tags("Australian", 3)
    assert tags == [*record["log"], *record["results"], *record["config"], "config"]
    for tag, values in record["log"].items():
        np.testing.assert_array_equal(benchmark_.query("Australian", tag, 3), values)
    for tag, value in (record["results"] | record["config"]).items():
        assert benchmark_.query("Australian", tag, 3) == value


def test_curves_are_float_arrays_of_all_steps(benchmark_: Benchmark) -> None:
    curve = benchmark_.query("Australian", "epoch", 0)
    assert isinstance(curve, np.ndarray)
    assert curve.shape == (52,)
    assert curve.dtype == np.float64


def test_all_runs_are_queried_at_once(benchmark_: Benchmark, runs: Runs) -> None:
    curves = benchmark_.query_all("Australian", "Train/loss")
    assert (curves.shape, curves.dtype) == ((6, 52), np.float64)
    np.testing.assert_array_equal(curves, [run["log"]["Train/loss"] for run in runs["Australian"].values()])
    assert benchmark_.query_all("Australian", "num_layers").tolist() == [1, 2, 3, 4, 1, 2]
    assert benchmark_.query_all("credit-g", "optimizer").tolist() == ["sgd"] * 4
    assert benchmark_.query_all("credit-g", "config")[1] == benchmark_.get_config("credit-g", 1)


def test_what_is_missing_in_some_runs_is_nan() -> None:
    class Ragged:
        records = [
            RunRecord({"loss": [0.5, 0.25]}, {"best": 0.25}, {"optimizer": "sgd"}),
            RunRecord({"loss": [None]}, {"best": None}, {}),
            RunRecord({}, {}, {"optimizer": "adam"}),
        ]

        def dataset_names(self) -> list[str]:
            return ["table"]

        def config_ids(self, dataset_name: str) -> list[str]:
            return ["0", "1", "2"]

        def run(self, dataset_name: str, config_id: str) -> RunRecord:
            return self.records[int(config_id)]

    nan, reader = np.nan, Benchmark(Ragged())
    np.testing.assert_array_equal(reader.query_all("table", "loss"), [[0.5, 0.25], [nan, nan], [nan, nan]])
    np.testing.assert_array_equal(reader.query_all("table", "best"), [0.25, nan, nan])
    assert reader.query_all("table", "optimizer").tolist() == ["sgd", None, "adam"]
    assert reader.query_best("table", "optimizer", "loss", -1) == "adam"
    with pytest.raises(UnknownNameError, match="tag of the runs on data set 'table' 'time'"):
        reader.query_all("table", "time")


def test_config_ids_are_integers_or_strings(benchmark_: Benchmark) -> None:
    assert benchmark_.query("credit-g", "batch_size", 2) == benchmark_.query("credit-g", "batch_size", "2") == 64


def test_a_depth_stored_as_true_is_one_layer(benchmark_: Benchmark) -> None:
    depths = [benchmark_.get_config("Australian", i)["num_layers"] for i in range(4)]
    assert depths == [1, 2, 3, 4]
    assert type(depths[0]) is int
    assert type(benchmark_.query("Australian", "num_layers", 0)) is int
    assert benchmark_.query("Australian", "config", 0) == benchmark_.get_config("Australian", 0)


def test_data_sets_tasks_and_sizes(benchmark_: Benchmark) -> None:
    assert benchmark_.get_dataset_names() == ["Australian", "credit-g"]
    assert benchmark_.get_openml_task_ids() == [167104, 167161]
    assert [benchmark_.get_number_of_configs(name) for name in benchmark_.get_dataset_names()] == [6, 4]


def test_the_first_run_answers_for_the_tags(benchmark_: Benchmark) -> None:
    assert benchmark_.get_queriable_tags() == benchmark_.get_queriable_tags("Australian", 0)
    assert benchmark_.get_queriable_tags("credit-g") == benchmark_.get_queriable_tags("credit-g", "0")


def test_best_accuracy_is_the_largest_at_any_step(benchmark_: Benchmark, runs: Runs) -> None:
    tag = "Train/val_accuracy"
    peaks = sorted((max(run["log"][tag]) for run in runs["Australian"].values()), reverse=True)
    found = [benchmark_.query_best("Australian", tag, tag, position).max() for position in range(6)]
    assert found == peaks
    assert benchmark_.query_best("Australian", tag, tag, -1).max() == peaks[-1]


def test_best_loss_is_the_smallest(benchmark_: Benchmark, runs: Runs) -> None:
    """The original ranked losses by their largest value, so that its best run was the worst."""
    tag = "Train/val_cross_entropy"
    floors = sorted(min(run["log"][tag]) for run in runs["Australian"].values())
    found = [benchmark_.query_best("Australian", tag, tag, position).min() for position in range(6)]
    assert found == floors


def test_the_direction_can_be_said(benchmark_: Benchmark, runs: Runs) -> None:
    peaks = [max(run["log"]["Train/loss"]) for run in runs["Australian"].values()]
    assert benchmark_.query_best("Australian", "Train/loss", "Train/loss", minimize=False).max() == max(peaks)
    floors = [min(run["log"]["Train/test_result"]) for run in runs["Australian"].values()]
    found = benchmark_.query_best("Australian", "Train/test_result", "Train/test_result", minimize=True)
    assert found.min() == min(floors)


def test_results_can_be_the_criterion(benchmark_: Benchmark, runs: Runs) -> None:
    best = benchmark_.query_best("credit-g", "final_test_accuracy", "final_test_accuracy")
    assert best == max(run["results"]["final_test_accuracy"] for run in runs["credit-g"].values())


def test_runs_that_diverged_rank_last(tmp_path: Path, runs: Runs) -> None:
    path = tmp_path / "diverged.json"
    broken = json.loads(json.dumps(runs))
    broken["credit-g"]["0"]["log"]["Train/loss"] = [None] * 52
    path.write_text(json.dumps(broken))
    reader = Benchmark(path)
    assert np.isnan(reader.query("credit-g", "Train/loss", 0)).all()
    assert np.isnan(reader.query_best("credit-g", "Train/loss", "Train/loss", -1)).all()


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("Train/loss", True),
        ("final_val_cross_entropy", True),
        ("time", True),
        ("Train/gradient_norm", True),
        ("Train/val_balanced_accuracy", False),
        ("Train/test_result", False),
    ],
)
def test_direction_of_a_tag(tag: str, expected: bool) -> None:
    assert is_loss(tag) is expected


def test_lightweight_files_lack_only_the_gradients(lightweight_file: Path, benchmark_: Benchmark) -> None:
    light = Benchmark(lightweight_file).get_queriable_tags()
    assert [tag for tag in benchmark_.get_queriable_tags() if "gradient" not in tag] == light


def test_an_unknown_data_set_is_named(benchmark_: Benchmark) -> None:
    with pytest.raises(UnknownNameError, match=r"data set 'australian'; did you mean 'Australian'"):
        benchmark_.query("australian", "time", 0)


def test_an_unknown_configuration_is_named_with_its_data_set(benchmark_: Benchmark) -> None:
    with pytest.raises(UnknownNameError, match=r"configuration on data set 'credit-g' '5'"):
        benchmark_.get_config("credit-g", 5)


def test_a_missing_tag_is_named_with_run_and_closest_tag(lightweight_file: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"tag of configuration 1 on data set 'Australian' 'Train/val_acuracy'"):
        Benchmark(lightweight_file).query("Australian", "Train/val_acuracy", 1)


def test_a_rank_beyond_the_runs_is_an_error(benchmark_: Benchmark) -> None:
    with pytest.raises(UnknownNameError, match="rank among the runs on data set 'credit-g' 4"):
        benchmark_.query_best("credit-g", "time", "time", 4)


def test_a_criterion_without_numbers_is_an_error(benchmark_: Benchmark) -> None:
    with pytest.raises(DataError, match="must be a tag with numbers, got 'optimizer'"):
        benchmark_.query_best("credit-g", "time", "optimizer")


def test_plot_has_one_panel_per_data_set_and_one_line_per_run(benchmark_: Benchmark) -> None:
    figure = benchmark_.plot_by_name(
        ["Australian", "credit-g"], "epoch", "Train/val_accuracy", n_configs=5, yscale="log"
    )
    assert len(figure.data) == 5 + 4
    assert figure.layout.yaxis2.type == "log"
    assert figure.layout.xaxis.title.text == "epoch"
    assert "credit-g, features: 14, classes: 2, instances: 690" in [a.text for a in figure.layout.annotations]
    np.testing.assert_array_equal(figure.data[2].y, benchmark_.query("Australian", "Train/val_accuracy", 2))


def test_plot_of_the_best_runs(benchmark_: Benchmark) -> None:
    tag = "Train/val_cross_entropy"
    figure = benchmark_.plot_by_name("Australian", "time", tag, n_configs=1, show_best=True)
    np.testing.assert_array_equal(figure.data[0].y, benchmark_.query_best("Australian", tag, tag))


def test_plot_refuses_an_unknown_scale(benchmark_: Benchmark) -> None:
    with pytest.raises(UnknownNameError, match="axis scale 'logit'"):
        benchmark_.plot_by_name("Australian", "time", "Train/loss", xscale="logit")
