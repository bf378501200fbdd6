from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from sklearn.metrics import balanced_accuracy_score, log_loss

from lcbench import Benchmark
from lcbench.analysis import analyse
from lcbench.cli import main
from lcbench.generation import GenerationRun
from lcbench.generation.evaluation import Evaluation
from lcbench.generation.gradients import GradientStatistics
from lcbench.generation.repeats import mean_record
from lcbench.simulation import RecordedTask

TAG = "Train/val_accuracy"
N_EPOCHS = 4
STATISTICS = ("max", "mean", "median", "std", "q10", "q25", "q75", "q90")


def generate(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["generate", *map(str, arguments), "--quiet"])


def common(out: Path, *, n_configs: int = 6, space: str = "lcbench") -> list[object]:
    return ["--configs", n_configs, "--epochs", N_EPOCHS, "--space", space, "--jobs", 1, "--out", out]


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated") / "wine.json"
    result = generate("sklearn:wine", "sklearn:iris", *common(out))
    assert result.exit_code == 0, result.output
    assert "12 of 12 configurations" in result.output
    return out


def without_times(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text())
    for runs in data.values():
        for run in runs.values():
            del run["log"]["time"], run["results"]["processor_seconds"]
    return data


def test_a_generated_file_is_read_like_the_original_ones(wine: Path) -> None:
    benchmark = Benchmark(wine)
    assert benchmark.get_dataset_names() == ["wine", "iris"]
    assert benchmark.get_openml_task_ids() == [0, 0]
    assert benchmark.get_config_ids("wine") == [str(number) for number in range(6)]
    metrics = ("cross_entropy", "accuracy", "balanced_accuracy")
    wanted = {f"final_{part}_{metric}" for part in ("train", "val", "test") for metric in metrics}
    wanted |= {f"Train/{part}_{metric}" for part in ("train", "val") for metric in metrics}
    wanted |= {
        "Train/test_result",
        "Train/test_cross_entropy",
        "Train/test_balanced_accuracy",
        "Train/loss",
        "Train/lr",
    }
    wanted |= {f"Train/gradient_{name}" for name in (*STATISTICS, "norm")}
    wanted |= {f"Train/layer_wise_gradient_{name}_layer_0" for name in STATISTICS}
    wanted |= {"model_parameters", "test_split", "budget", "seed", "instances", "classes", "features"}
    wanted |= {"batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout"}
    assert wanted <= set(benchmark.get_queriable_tags())
    for config_id in range(6):
        curve = benchmark.query("wine", TAG, config_id)
        assert curve.shape == (N_EPOCHS + 2,) and ((curve >= 0) & (curve <= 100)).all()
        assert curve[-2] == curve[-1] == benchmark.query("wine", "final_val_accuracy", config_id)
        assert (np.diff(benchmark.query("wine", "time", config_id)[:-1]) > 0).all()
        rates = benchmark.query("wine", "Train/lr", config_id)
        assert rates[1] == pytest.approx(benchmark.query("wine", "learning_rate", config_id))
        assert np.isnan(benchmark.query("wine", "Train/gradient_norm", config_id)[0])
        assert (benchmark.query("wine", "Train/gradient_norm", config_id)[1:] > 0).all()
        n_layers = benchmark.query("wine", "num_layers", config_id)
        assert f"Train/layer_wise_gradient_max_layer_{n_layers - 1}" in benchmark.get_queriable_tags("wine", config_id)
        assert benchmark.query("wine", "trained_in", config_id) == "stack"
    facts = [benchmark.query("wine", name, 0) for name in ("instances", "classes", "features", "budget")]
    assert facts == [178, 3, 13, N_EPOCHS]


def test_columns_hold_the_same_values(wine: Path) -> None:
    out = wine.parent / "wine.lcb"
    arguments = common(out)
    result = generate("sklearn:wine", "sklearn:iris", *arguments, "--run-dir", wine.parent / "wine.json.run")
    assert result.exit_code == 0, result.output
    for name in ("wine", "iris"):
        np.testing.assert_array_equal(Benchmark(out).query_all(name, TAG), Benchmark(wine).query_all(name, TAG))


def test_it_can_be_analysed_and_searched(wine: Path) -> None:
    found = analyse(Benchmark(wine), tag=TAG, epochs=(1, N_EPOCHS))
    assert found.correlations.loc[N_EPOCHS, N_EPOCHS] == pytest.approx(1)
    task = RecordedTask(Benchmark(wine), "wine", TAG)
    regrets = [task.regret(Benchmark(wine).get_config("wine", number)) for number in range(6)]
    best = max(Benchmark(wine).query("wine", TAG, number)[N_EPOCHS] for number in range(6))
    assert best == pytest.approx(Benchmark(wine).query("wine", TAG, int(np.argmin(regrets)))[N_EPOCHS])


def test_more_configurations_are_added_to_a_run(wine: Path) -> None:
    more = wine.parent / "more.json"
    before = without_times(wine)
    arguments = common(more, n_configs=8)
    result = generate("sklearn:wine", "sklearn:iris", *arguments, "--run-dir", wine.parent / "wine.json.run")
    assert result.exit_code == 0, result.output
    after = without_times(more)
    assert list(after["wine"]) == [str(number) for number in range(8)]
    assert all({number: after[name][number] for number in before[name]} == before[name] for name in before)


def test_another_generation_is_refused_in_the_same_directory(wine: Path) -> None:
    run_dir = wine.parent / "wine.json.run"
    result = generate("sklearn:wine", *common(wine), "--seed", 1, "--run-dir", run_dir)
    assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
    assert "begun with another tables, another seed" in result.output


def records_of(run_dir: Path) -> dict[int, dict[str, Any]]:
    """What the files of a run's only table hold, by number of the training."""
    files = (run_dir / "tables" / "0").glob("runs-*.json")
    return {int(number): run for file in files for number, run in json.loads(file.read_text()).items()}


def test_the_record_of_several_trainings_is_their_mean(tmp_path: Path) -> None:
    out = tmp_path / "iris.json"
    arguments = [*common(out, n_configs=2), "--repeats", 3]
    assert "2 of 2 configurations" in generate("sklearn:iris", *arguments).output
    trained = records_of(tmp_path / "iris.json.run")
    assert sorted(trained) == list(range(6))
    once = tmp_path / "once.json"
    assert generate("sklearn:iris", *common(once, n_configs=2)).exit_code == 0
    for config_id in range(2):
        runs = [trained[3 * config_id + repeat] for repeat in range(3)]
        losses = np.array([run["log"]["Train/val_cross_entropy"] for run in runs])
        assert len(np.unique(losses[:, 1])) == 3, "each has a seed of its own"
        for benchmark in (Benchmark(out), Benchmark(once)):
            assert benchmark.get_config("iris", config_id) == runs[0]["config"]
        query = Benchmark(out).query
        np.testing.assert_allclose(query("iris", "Train/val_cross_entropy", config_id), losses.mean(axis=0))
        assert query("iris", "deviation_val_cross_entropy", config_id) == pytest.approx(losses[:, -1].std(ddof=1))
        assert query("iris", "repeats", config_id) == 3
        assert query("iris", "trained_in", config_id) == "stack"


def test_a_configuration_is_recorded_when_all_its_trainings_are(tmp_path: Path) -> None:
    out = tmp_path / "iris.json"
    arguments = [*common(out, n_configs=8), "--repeats", 2]
    assert generate("sklearn:iris", *arguments).exit_code == 0
    run_dir = tmp_path / "iris.json.run"
    before = without_times(out)
    ids = [int(config_id) for config_id in before["iris"]]
    files = {file: [int(number) for number in json.loads(file.read_text())] for file in run_dir.glob("tables/0/runs-*")}
    file, trainings = next(iter(files.items()))
    file.unlink()
    run = GenerationRun(run_dir)
    left = [int(config_id) for _, config_id, _ in run.records(8)]
    assert left == [i for i in ids if not {2 * i, 2 * i + 1} & set(trainings)]
    assert 0 < run.n_records(8) == len(left) < 8
    assert generate("sklearn:iris", *arguments).exit_code == 0
    assert without_times(out) == before


def test_the_mean_of_what_is_missing_is_missing() -> None:
    runs = [
        {"log": {"loss": [1.0, loss]}, "results": {"final_loss": loss, "trained_in": how, "classes": 2}, "config": {}}
        for loss, how in ((3.0, "stack"), (None, "trainer"))
    ]
    mean = mean_record(runs)
    assert mean["log"] == {"loss": [1.0, None]}
    assert mean["results"] == {
        "final_loss": None,
        "trained_in": "stack, trainer",
        "classes": 2,
        "deviation_loss": None,
        "repeats": 2,
    }
    assert mean_record(runs[:1]) is runs[0]


class Killed(Exception):
    pass


def test_a_run_that_ends_early_loses_the_batch_at_most_and_goes_on_to_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, resumed = tmp_path / "whole.json", tmp_path / "resumed.json"
    assert generate("sklearn:iris", *common(whole)).exit_code == 0
    add_records = GenerationRun.add_records
    written: list[int] = []

    def fail_third_time(self: GenerationRun, *arguments: Any) -> None:
        if len(written) == 2:
            raise Killed
        add_records(self, *arguments)
        written.append(1)

    plans = (tmp_path / "whole.json.run" / "tables" / "0").glob("plan-*.json")
    table = tmp_path / "resumed.json.run" / "tables" / "0"
    monkeypatch.setattr(GenerationRun, "add_records", fail_third_time)
    monkeypatch.setattr("lcbench.generation.batches.faster_precision", lambda *_, **__: "float32")
    assert isinstance(generate("sklearn:iris", *common(resumed)).exception, Killed)
    assert len(list(table.glob("runs-*.json"))) == 2 and len(list(plans)) == 1
    monkeypatch.setattr(GenerationRun, "add_records", add_records)
    assert generate("sklearn:iris", *common(resumed)).exit_code == 0
    assert list(without_times(resumed)["iris"]) == list(without_times(whole)["iris"])


def test_a_killed_process_leaves_what_can_be_continued(tmp_path: Path) -> None:
    arguments = ["sklearn:breast_cancer", "--configs", 10, "--epochs", 30, "--precision", "float32", "--no-gradients"]
    killed, whole = tmp_path / "killed.json", tmp_path / "whole.json"
    command = [sys.executable, "-m", "lcbench.cli", "generate", *map(str, arguments), "--quiet"]
    process = subprocess.Popen([*command, "--jobs", "2", "--out", str(killed)], start_new_session=True)
    table = tmp_path / "killed.json.run" / "tables" / "0"
    deadline_s = time.monotonic() + 120
    while not list(table.glob("runs-*.json")) and time.monotonic() < deadline_s:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(table.glob("runs-*.json")) and not killed.exists()
    time.sleep(1.0)  # workers notice within half a second that nobody waits for them
    for out in (killed, whole):
        result = generate(*arguments, "--jobs", 1, "--out", out)
        assert result.exit_code == 0, result.output
    assert without_times(killed) == without_times(whole)


def test_other_spaces_are_trained_by_their_own_trainer(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    edits = {
        "learner:__choice__": "neural",
        "backbone:__choice__": "shaped_resnet",
        "batching:minibatch:batch_size": 32,
    }
    space.write_text(json.dumps({"format": 1, "name": "resnets", "description": "", "source": "", "edits": edits}))
    out = tmp_path / "wine.json"
    result = generate("sklearn:wine", *common(out, n_configs=2, space=str(space)))
    assert result.exit_code == 0, result.output
    benchmark = Benchmark(out)
    assert benchmark.query("wine", "trained_in", 0) == "trainer"
    assert np.isfinite(benchmark.query("wine", TAG, 0)).all()
    assert benchmark.get_config("wine", 0)["backbone:__choice__"] == "shaped_resnet"
    assert benchmark.query("wine", "Train/gradient_norm", 0)[1] > 0


def test_numbers_are_measured_by_their_root_mean_squared_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(90, 3)), columns=["a", "b", "c"])
    frame.assign(price=100 * frame["a"] + rng.normal(size=90)).to_csv(tmp_path / "prices.csv", index=False)
    out = tmp_path / "prices.json"
    result = generate(tmp_path / "prices.csv", "--target", "price", *common(out, n_configs=2))
    assert result.exit_code == 0, result.output
    errors = Benchmark(out).query("prices", "Train/test_root_mean_squared_error", 0)
    assert np.isfinite(errors).all() and 1 < errors[0] < 300, "in the units of the target"


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(40), "b": [0, 1] * 20})
    frame.to_csv(tmp_path / "table.csv", index=False)
    out = tmp_path / "x.json"
    cases = {
        "did you mean 'lcbench'": ["sklearn:wine", "--space", "lcbensh"],
        "does not say what is to be predicted": [tmp_path / "table.csv"],
        "Every table must have a name of its own": ["sklearn:wine", "sklearn:wine"],
        "Unknown precision 'float8'": ["sklearn:wine", "--precision", "float8"],
        "Unknown device 'cuda:7'": ["sklearn:wine", "--device", "cuda:7"],
    }
    for words, arguments in cases.items():
        result = generate(*arguments, "--out", out)
        assert (result.exit_code, len(result.output.splitlines())) == (1, 1), result.output
        assert words in result.output
    assert generate("sklearn:wine", "--name", "a", "--name", "b", "--out", out).exit_code == 2
    assert generate("sklearn:wine", "--out", tmp_path / "x.csv").exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=60)
    probabilities = rng.dirichlet(np.ones(3), size=(2, 60))
    evaluation = Evaluation(torch.from_numpy(targets), {"train": 30, "val": 20, "test": 10}, 3)
    found = evaluation(torch.from_numpy(probabilities).log().transpose(1, 2))
    for number, rows in enumerate(probabilities):
        part = slice(30, 50)
        assert found["val_cross_entropy"][number] == pytest.approx(log_loss(targets[part], rows[part], labels=range(3)))
        hits = rows[part].argmax(axis=1)
        assert found["val_accuracy"][number] == pytest.approx(100 * (hits == targets[part]).mean())
        assert found["val_balanced_accuracy"][number] == pytest.approx(balanced_accuracy_score(targets[part], hits))


def test_statistics_of_gradients_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 12)).astype(np.float32)
    values[2] = -np.abs(values[2])
    real = np.array([[True] * 12, [True] * 9 + [False] * 3, [True] * 9 + [False] * 3])
    found = GradientStatistics([real])([values * real])
    for number, n in enumerate((12, 9, 9)):
        own = values[number, :n]
        expected = {"max": own.max(), "mean": own.mean(), "std": own.std(ddof=1), "q25": np.quantile(own, 0.25)}
        for name, value in expected.items():
            assert found[f"Train/layer_wise_gradient_{name}_layer_0"][number] == pytest.approx(value, rel=1e-5)
        assert found["Train/gradient_norm"][number] == pytest.approx(np.linalg.norm(own), rel=1e-5)
        assert found["Train/gradient_q90"][number] == pytest.approx(np.quantile(own, 0.9), rel=1e-5)
