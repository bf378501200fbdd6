from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

N_STEPS = 52
STATISTICS = ("max", "mean", "median", "std", "q10", "q25", "q75", "q90")


def make_log(rng: np.random.Generator, n_layers: int, gradients: bool) -> dict[str, list[float]]:
    accuracy = np.sort(rng.uniform(40, 90, N_STEPS))
    log: dict[str, Any] = {"time": np.cumsum(rng.uniform(1, 2, N_STEPS)), "epoch": np.arange(N_STEPS)}
    log |= {"Train/loss": 2 - accuracy / 100, "Train/lr": np.full(N_STEPS, 0.1), "Train/test_result": accuracy - 1}
    for part in ("train", "val"):
        log[f"Train/{part}_accuracy"] = accuracy + rng.normal(size=N_STEPS)
        log[f"Train/{part}_cross_entropy"] = 1.5 - accuracy / 100 + rng.normal(0, 0.01, N_STEPS)
        log[f"Train/{part}_balanced_accuracy"] = accuracy / 100
    log |= {"Train/test_cross_entropy": 1.6 - accuracy / 100, "Train/test_balanced_accuracy": accuracy / 100}
    if gradients:
        log |= {f"Train/gradient_{s}": rng.uniform(size=N_STEPS) for s in (*STATISTICS, "norm")}
        for layer in range(n_layers):
            log |= {f"Train/layer_wise_gradient_{s}_layer_{layer}": rng.uniform(size=N_STEPS) for s in STATISTICS}
    return {tag: np.asarray(values).tolist() for tag, values in log.items()}


def make_run(rng: np.random.Generator, number: int, task_id: int, gradients: bool) -> dict[str, Any]:
    num_layers: int | bool = [True, 2, 3, 4][number % 4]
    log = make_log(rng, int(num_layers), gradients)
    results = {"model_parameters": int(rng.integers(100, 10_000)), "OpenML_task_id": task_id, "test_split": 0.33}
    for part in ("train", "val", "test"):
        tags = {"cross_entropy", "accuracy", "balanced_accuracy"}
        results |= {f"final_{part}_{tag}": float(rng.uniform()) for tag in sorted(tags)}
    results |= {"budget": 50, "seed": 1, "instances": 690, "classes": 2, "features": 14}
    config = {
        "batch_size": 2 ** (4 + number),
        "imputation_strategy": "mean",
        "learning_rate_scheduler": "cosine_annealing",
        "loss": "cross_entropy_weighted",
        "network": "shapedmlpnet",
        "max_dropout": float(rng.uniform()),
        "normalization_strategy": "standardize",
        "optimizer": "sgd",
        "cosine_annealing_T_max": 50,
        "cosine_annealing_eta_min": 1e-8,
        "activation": "relu",
        "max_units": 128,
        "mlp_shape": "funnel",
        "num_layers": num_layers,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 1e-4,
    }
    return {"log": log, "results": results, "config": config}


def make_runs(gradients: bool = True) -> dict[str, dict[str, Any]]:
    """The original format: two data sets, six and four configurations."""
    rng = np.random.default_rng(0)
    sizes = {"Australian": (167104, 6), "credit-g": (167161, 4)}
    return {
        name: {str(i): make_run(rng, i, task_id, gradients) for i in range(n)} for name, (task_id, n) in sizes.items()
    }


@pytest.fixture(scope="session")
def runs() -> dict[str, dict[str, Any]]:
    return make_runs()


@pytest.fixture(scope="session")
def benchmark_file(runs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lcbench") / "data.json"
    path.write_text(json.dumps(runs))
    return path


@pytest.fixture(scope="session")
def lightweight_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lcbench") / "data_lw.json"
    path.write_text(json.dumps(make_runs(gradients=False)))
    return path
