from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from autopytorch_lite.history.store import HistoryStore
from lcbench import Benchmark
from lcbench.analysis import analyse
from lcbench.cli import main
from lcbench.simulation import RecordedTask

TAG = "Train/val_cross_entropy"


def generate(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["generate", *map(str, arguments)])


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated") / "wine.json"
    result = generate("sklearn:wine", "--configs", 3, "--epochs", 4, "--out", out, "--run-dir", out.parent / "run")
    assert result.exit_code == 0, result.output
    assert "3 of 3 configurations" in result.output
    return out


def test_a_generated_file_is_read_like_the_original_ones(wine: Path) -> None:
    benchmark = Benchmark(wine)
    assert benchmark.get_dataset_names() == ["wine"]
    assert benchmark.get_openml_task_ids() == [0]
    assert benchmark.get_config_ids("wine") == ["0", "1", "2"]
    for config_id in range(3):
        curve = benchmark.query("wine", TAG, config_id)
        assert curve.shape == (6,) and np.isnan(curve[0]) and np.isfinite(curve[1:]).all()
        assert curve[4] == curve[5] == pytest.approx(benchmark.query("wine", f"final_val_{TAG[10:]}", config_id))
        assert (np.diff(benchmark.query("wine", "time", config_id)[:5]) > 0).all()
        assert benchmark.query("wine", "Train/lr", config_id)[1] == pytest.approx(
            benchmark.get_config("wine", config_id)["optimizer:sgd:learning_rate"], rel=0.1
        )
    assert benchmark.query("wine", "instances", 0) == 178
    assert benchmark.query("wine", "classes", 0) == 3


def test_it_can_be_analysed_and_searched(wine: Path) -> None:
    found = analyse(Benchmark(wine), tag=TAG, epochs=(1, 4))
    assert found.correlations.loc[4, 4] == pytest.approx(1)
    task = RecordedTask(Benchmark(wine), "wine", TAG)
    best = min(Benchmark(wine).query("wine", TAG, number)[4] for number in range(3))
    regrets = [task.regret(Benchmark(wine).get_config("wine", number)) for number in range(3)]
    assert min(regrets) == 0
    assert best == pytest.approx(Benchmark(wine).query("wine", TAG, int(np.argmin(regrets)))[4])


def test_a_run_that_was_kept_goes_on(wine: Path) -> None:
    run_dir, out = wine.parent / "run", wine.parent / "more.json"
    before = HistoryStore(run_dir).read()
    result = generate("sklearn:wine", "--configs", 4, "--epochs", 4, "--out", out, "--run-dir", run_dir)
    assert result.exit_code == 0, result.output
    assert HistoryStore(run_dir).read()[: len(before)] == before
    first, more = json.loads(wine.read_text())["wine"], json.loads(out.read_text())["wine"]
    assert list(more) == ["0", "1", "2", "3"]
    assert {number: more[number] for number in first} == first


def test_numbers_are_measured_by_their_root_mean_squared_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(90, 3)), columns=["a", "b", "c"])
    frame.assign(price=frame["a"] + 0.1 * rng.normal(size=90)).to_csv(tmp_path / "prices.csv", index=False)
    out = tmp_path / "prices.json"
    result = generate(tmp_path / "prices.csv", "--target", "price", "--configs", 1, "--epochs", 2, "--out", out)
    assert result.exit_code == 0, result.output
    assert np.isfinite(Benchmark(out).query("prices", "Train/val_root_mean_squared_error", 0)[1:]).all()
    assert generate(tmp_path / "prices.csv", "--out", out).exit_code == 2, "a file names no target"


def test_what_does_not_exist_is_one_line(tmp_path: Path) -> None:
    result = generate("sklearn:wine", "--space", "lcbensh", "--out", tmp_path / "x.json")
    assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
    assert "did you mean 'lcbench'" in result.output
    assert list(tmp_path.iterdir()) == []
