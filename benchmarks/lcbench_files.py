"""Files of learning curves as large as wanted: seconds, peak memory and size of reading, querying and converting them.

python -m benchmarks.lcbench_files FOLDER --megabytes 1000

The curves are drawn, not trained: accuracies are counts of rows, everything has the noise of training, and numbers are
float32 as in the original files, or float64.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from autopytorch_lite.types import FloatArray
from benchmarks.memory import PeakMemory
from lcbench import Benchmark, RunRecord, convert, save
from lcbench.storage import NamedRun

N_STEPS = 52
STATISTICS = ("max", "mean", "median", "std", "q10", "q25", "q75", "q90")
N_CONFIGS = 2000
_FIRST_TASK_ID = 167_000
_N_SIZED = 50
"""Runs whose size says how many are needed."""


def drawn_runs(
    n_runs: int, *, n_configs: int = N_CONFIGS, gradients: bool = True, single: bool = True, seed: int = 0
) -> Iterator[NamedRun]:
    """Runs with every tag of the original files.

    Args:
        n_runs: of all data sets together.
        n_configs: of each data set.
        gradients: whether there are gradient tags; "lw" files have none.
        single: whether curves are float32.
        seed: of everything.
    """
    for number in range(n_runs):
        dataset, config_id = divmod(number, n_configs)
        rng = np.random.default_rng([seed, number])
        n_rows = int(np.random.default_rng([seed, dataset]).integers(500, 60_000))
        yield f"table {dataset}", str(config_id), _drawn(rng, n_rows, _FIRST_TASK_ID + dataset, gradients, single)


def _drawn(rng: np.random.Generator, n_rows: int, task_id: int, gradients: bool, single: bool) -> RunRecord:
    config = _config(rng)
    n_layers = int(config["num_layers"])
    log = _log(rng, n_rows, config["learning_rate"])
    if gradients:
        log |= {f"Train/gradient_{name}": _gradients(rng) for name in (*STATISTICS, "norm")}
        for name in STATISTICS:
            log |= {f"Train/layer_wise_gradient_{name}_layer_{i}": _gradients(rng) for i in range(n_layers)}
    plain = {tag: (curve.astype(np.float32) if single else curve).astype(float).tolist() for tag, curve in log.items()}
    results: dict[str, Any] = {"model_parameters": int(rng.integers(1_000, 1_000_000))}
    for part, tag in (("train", "train_"), ("val", "val_"), ("test", "test_")):
        for metric in ("cross_entropy", "accuracy", "balanced_accuracy"):
            name = "Train/test_result" if (part, metric) == ("test", "accuracy") else f"Train/{tag}{metric}"
            results[f"final_{part}_{metric}"] = plain[name][-1]
    results |= {"OpenML_task_id": task_id, "test_split": 0.33, "budget": 50, "seed": 1}
    results |= {"instances": n_rows, "classes": 2, "features": 20}
    return RunRecord({**plain, "epoch": list(range(N_STEPS))}, results, config)


def _config(rng: np.random.Generator) -> dict[str, Any]:
    n_layers = int(rng.integers(1, 5))
    return {
        "batch_size": int(2 ** rng.uniform(4, 9)),
        "imputation_strategy": "mean",
        "learning_rate_scheduler": "cosine_annealing",
        "loss": "cross_entropy_weighted",
        "network": "shapedmlpnet",
        "max_dropout": float(rng.uniform(0, 1)),
        "normalization_strategy": "standardize",
        "optimizer": "sgd",
        "cosine_annealing_T_max": 50,
        "cosine_annealing_eta_min": 1e-8,
        "activation": "relu",
        "max_units": int(2 ** rng.uniform(6, 10)),
        "mlp_shape": "funnel",
        "num_layers": True if n_layers == 1 else n_layers,
        "learning_rate": float(10 ** rng.uniform(-4, -1)),
        "momentum": float(rng.uniform(0.1, 0.99)),
        "weight_decay": float(rng.uniform(1e-5, 0.1)),
    }


def _log(rng: np.random.Generator, n_rows: int, learning_rate: float) -> dict[str, FloatArray]:
    """Curves without gradients: losses fall, accuracies rise, both as noisy as their number of rows allows."""
    steps = np.arange(N_STEPS)
    progress = 1 - np.exp(-steps * rng.uniform(0.03, 0.5))
    seconds = rng.uniform(0.5, 20) * rng.lognormal(0, 0.03, N_STEPS)
    log = {"time": np.cumsum(seconds) - seconds[0]}
    best_accuracy, best_loss = rng.uniform(0.6, 0.99), rng.uniform(0.1, 0.5)
    log["Train/loss"] = 0.7 - (0.7 - best_loss) * progress + rng.normal(0, 0.3 / np.sqrt(n_rows), N_STEPS)
    for part, share, gap in (("train", 0.45, 0.0), ("val", 0.22, 0.02), ("test", 0.33, 0.02)):
        n = int(share * n_rows)
        wobble = np.cumsum(rng.normal(0, 0.2 / np.sqrt(n), N_STEPS)) * np.exp(-steps / 20)
        accuracy = np.clip(0.5 + (best_accuracy - gap - 0.5) * progress + wobble, 0, 1)
        counts = np.rint(n * accuracy)
        name = "test_result" if part == "test" else f"{part}_accuracy"
        log[f"Train/{name}"] = 100 * counts / n
        recall = np.clip(accuracy + rng.normal(0, 0.3 / np.sqrt(n), (2, N_STEPS)), 0, 1)
        log[f"Train/{part}_balanced_accuracy"] = (np.rint(recall.T * [n // 3, n - n // 3]) / [n // 3, n - n // 3]).mean(
            axis=1
        )
        log[f"Train/{part}_cross_entropy"] = log["Train/loss"] + gap + rng.normal(0, 0.3 / np.sqrt(n), N_STEPS)
    log["Train/lr"] = 1e-8 + (learning_rate - 1e-8) * (1 + np.cos(np.pi * np.minimum(steps, 50) / 50)) / 2
    return log


def _gradients(rng: np.random.Generator) -> FloatArray:
    """A statistic of gradients, which changes by about a tenth from epoch to epoch."""
    trend = np.cumsum(rng.normal(0, 0.1, N_STEPS))
    return 10 ** rng.uniform(-5, -1) * np.exp(trend) * rng.choice([-1, 1])


def measured(step: Callable[[], Any]) -> dict[str, Any]:
    """Run a step in a process of its own: seconds, peak resident memory in megabytes, and what it returned."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (step,))


def _measure(step: Callable[[], Any]) -> dict[str, Any]:
    start = time.perf_counter()
    with PeakMemory() as memory:
        found = step()
    row: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 3), "peak_mb": round(memory.megabytes)}
    return row if found is None else row | {"found": found}


def _write(path: Path, megabytes: float, gradients: bool, single: bool) -> None:
    drawn = partial(drawn_runs, gradients=gradients, single=single)
    save(path, drawn(_N_SIZED))
    save(path, drawn(max(1, round(megabytes * 1e6 / path.stat().st_size * _N_SIZED))))


def _open(path: Path) -> int:
    return len(Benchmark(path).get_dataset_names())


def _query(path: Path, n_queries: int = 100) -> float:
    """Milliseconds of a query of one curve, at random places of the file."""
    benchmark = Benchmark(path)
    places = [(name, i) for name in benchmark.get_dataset_names() for i in benchmark.get_config_ids(name)]
    chosen = np.random.default_rng(0).integers(len(places), size=n_queries)
    start = time.perf_counter()
    for number in chosen:
        name, config_id = places[number]
        benchmark.query(name, "Train/val_accuracy", config_id)
    return round((time.perf_counter() - start) * 1000 / n_queries, 3)


def _query_all(path: Path) -> float:
    """Milliseconds of all curves of one tag on the first data set."""
    benchmark = Benchmark(path)
    name = benchmark.get_dataset_names()[0]
    start = time.perf_counter()
    benchmark.query_all(name, "Train/val_cross_entropy")
    return round((time.perf_counter() - start) * 1000, 1)


def _are_equal(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes; read a megabyte at a time."""
    with one.open("rb") as a, other.open("rb") as b:
        pairs = iter(lambda: (a.read(2**20), b.read(2**20)), (b"", b""))
        return all(left == right for left, right in pairs)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--megabytes", default=50.0, show_default=True, help="Of the JSON file that is made in FOLDER.")
@click.option("--gradients/--lightweight", default=True, help='"lw" files have no gradient tags.')
@click.option("--double", is_flag=True, help="Numbers with all digits of a float64, which the original's do not have.")
@click.option("--zipped", is_flag=True, help="Measure the reader on the file in a zip archive too.")
def main(folder: Path, megabytes: float, gradients: bool, double: bool, zipped: bool) -> None:
    """Make a JSON file in FOLDER, read it, convert it to .lcb and back, and remove all of them; one line per step."""
    folder.mkdir(parents=True, exist_ok=True)
    original, compact, again, archive = (folder / name for name in ("a.json", "b.lcb", "c.json", "d.zip"))
    steps: dict[str, Callable[[], Any]] = {
        "write json": partial(_write, original, megabytes, gradients, not double),
        "open json": partial(_open, original),
        "query json (ms)": partial(_query, original),
        "query_all json (ms)": partial(_query_all, original),
        "json to lcb": partial(convert, original, compact),
        "open lcb": partial(_open, compact),
        "query lcb (ms)": partial(_query, compact),
        "query_all lcb (ms)": partial(_query_all, compact),
        "lcb to json": partial(convert, compact, again),
        "same bytes": partial(_are_equal, original, again),
    }
    if zipped:
        steps |= {
            "json to zip": partial(convert, original, archive),
            "open zip": partial(_open, archive),
            "query zip (ms)": partial(_query, archive),
            "query_all zip (ms)": partial(_query_all, archive),
        }
    try:
        for name, step in steps.items():
            click.echo(f"{name:<20} {json.dumps(measured(step))}")
        sizes = {path.name: path.stat().st_size / 1e6 for path in (original, compact)}
        ratio = sizes["a.json"] / sizes["b.lcb"]
        click.echo(f"{sizes['a.json']:.1f} MB of JSON are {sizes['b.lcb']:.2f} MB as .lcb: {ratio:.1f} times smaller")
    finally:
        for path in (original, compact, again, archive):
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
