from __future__ import annotations

import inspect
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch.nn.utils import parameters_to_vector

from autopytorch_lite.training.evaluation import evaluation_outputs
from benchmarks import throughput_generation, throughput_training
from benchmarks.throughput_training import N_INPUTS, epoch_flops, make_rows, make_trainer


def test_speed_is_measured_for_every_width_batch_and_system() -> None:
    arguments = ["--widths", "16,32", "--batches", "32", "--rows", "128", "--seconds", "0.01"]
    result = CliRunner().invoke(
        throughput_training.main, [*arguments, "--systems", "stack of 1,our trainer,plain torch,scikit-learn"]
    )
    assert result.exit_code == 0, result.output
    assert result.output.count("scikit-learn") == 2, "epochs per second and shares of the peak"
    wrong = CliRunner().invoke(throughput_training.main, ["--systems", "plain torsh"])
    assert "did you mean 'plain torch'" in wrong.output


def test_operations_are_those_of_three_products_a_layer() -> None:
    widths = (N_INPUTS, 32, 22, 12, 2)
    n_weights = sum(n_in * n_out for n_in, n_out in pairwise(widths))
    assert epoch_flops(32, 100) == 6 * 100 * n_weights


def test_the_plain_loop_trains_the_same_network() -> None:
    trainer, rows = make_trainer(16, 8, 0), make_rows(20)
    network = throughput_generation.plain_network(trainer).eval()
    torch.testing.assert_close(network(rows.dense), evaluation_outputs(trainer.network, rows.dense, rows.codes))


def test_generation_is_compared_with_a_plain_loop(data_folder: Path, tmp_path: Path) -> None:
    arguments = [str(data_folder), "--tables", "iris", "--configs", "4", "--epochs", "3", "--jobs", "1"]
    result = CliRunner().invoke(throughput_generation.main, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "times less" in result.output and "t-test" in result.output
    rows = [json.loads(line) for line in (tmp_path / "out" / "runs.jsonl").read_text().splitlines()]
    assert [row["config_id"] for row in rows] == [0, 1, 2, 3]
    assert all(row["plain_s"] > 0 and row["ours_s"] > 0 for row in rows)
    differences = [row["ours_val_accuracy"] - row["plain_val_accuracy"] for row in rows]
    assert max(map(abs, differences)) < 1e-3, "same rows, same dropped units"


def test_accuracies_of_diverged_runs_are_left_out() -> None:
    frame = pd.DataFrame(
        {"ours_val_accuracy": [80.0, 81.0, 79.5, None], "plain_val_accuracy": [79.0, 81.5, 80.0, 50.0]}
    )
    text = throughput_generation.accuracies("made up", frame)
    assert "mean -0.00 points" in text or "mean +0.00 points" in text
    assert "(3 of 4 did not diverge)" in text


TRAINED = {
    "stack": lambda stack: stack.outputs(make_rows(64).dense),
    "trainer": lambda trainer: parameters_to_vector(trainer.network.parameters()),
    "network": lambda network: parameters_to_vector(network.parameters()),
    "net": lambda net: parameters_to_vector(net.module_.parameters()),
    "mlp": lambda mlp: torch.from_numpy(mlp.coefs_[0]),
}
"""What a system's epoch keeps its network in -> numbers that training changes."""


@pytest.mark.parametrize("system", throughput_training.SYSTEMS)
def test_every_epoch_trains(system: str) -> None:
    if system == "skorch":
        pytest.importorskip("skorch")
    epoch = throughput_training.SYSTEMS[system][1](make_rows(64), 16, 16)
    epoch()
    ((name, kept),) = [item for item in inspect.getclosurevars(epoch).nonlocals.items() if item[0] in TRAINED]
    before = TRAINED[name](kept).detach().clone()
    epoch()
    after = TRAINED[name](kept).detach()
    assert not torch.equal(before, after)
    assert after.isfinite().all()


SURROGATE = """
SPACE, INSTANCES = {"max_units": (64, 1024, True, True)}, ["7"]

class Surrogate:
    def __init__(self, task):
        self.scale = int(task)
    def curve(self, config, epochs=52):
        return {"time": [0.0, self.scale * config["num_layers"]]}
"""


def test_seconds_of_lcbench_are_those_of_the_same_configurations(data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "surrogate.py").write_text(SURROGATE)
    (tmp_path / "instance_names.json").write_text(json.dumps({"7": {"name": "iris"}}))
    np.savez(tmp_path / "lcbench_real_final.npz", configs=np.array([[64.0]]))
    arguments = [str(data_folder), "--tables", "iris,cancer", "--configs", "3", "--epochs", "1", "--jobs", "1"]
    result = CliRunner().invoke(
        throughput_generation.main, [*arguments, "--surrogate", str(tmp_path), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "out" / "runs.jsonl").read_text().splitlines()]
    seconds = 7 * sum(row["n_layers"] for row in rows if row["table"] == "iris")
    assert f"by its surrogate: {seconds} s (iris {seconds} s)" in result.output
