"""Learning curves of random configurations on a table of one's own, in the format of the original files."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import search_spaces
from autopytorch_lite.data.dataset import Dataset, make_dataset
from autopytorch_lite.data.target import guess_kind
from autopytorch_lite.errors import NothingTrainedError
from autopytorch_lite.execution.tabular import TabularObjective
from autopytorch_lite.execution.workers import ProcessExecutor
from autopytorch_lite.history.lines import to_plain
from autopytorch_lite.history.store import RunDirectory
from autopytorch_lite.history.summary import closed, failure_summary, proposals
from autopytorch_lite.history.trial import Finished
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.search import RandomSearch
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.tuner import TuneResult, tune

VALIDATION_SHARE = 0.33
"""As in LCBench, where it is the share of test rows; there are none here."""


def generate(
    X: Any,
    y: Any,
    *,
    dataset_name: str,
    n_configs: int,
    n_epochs: int = 50,
    space: str = "lcbench",
    seed: int = 0,
    n_jobs: int = 1,
    openml_task_id: int = 0,
    run_dir: Path | None = None,
) -> dict[str, dict[str, Any]]:
    """Train random configurations and return their records, ready for `json.dump` and `Benchmark`.

    A record has the tags "time", "epoch", "Train/loss", "Train/lr", and "Train/train_..." and "Train/val_..." of the
    cross entropy, or for numbers of the root mean squared error. Nothing is evaluated before training, so the first
    step is null; the last step repeats the last epoch. Runs that fail have no record, and neither have those of other
    learners than networks.

    Args:
        X: the table; a third of its rows is for validation.
        y: what is predicted; by its values classes or numbers.
        dataset_name: how the data set is called in the file.
        n_configs: how many configurations.
        n_epochs: of each training.
        space: name or path of the ranges, see `search_spaces`; of networks only.
        seed: of everything random.
        n_jobs: worker processes.
        openml_task_id: noted in the records; 0 if there is none.
        run_dir: where the run is kept; it is continued if it is there. None: nowhere.

    Raises:
        DataError: the table cannot be used.
        UnknownFileError: there is no such space.
        NothingTrainedError: all runs failed.
    """
    dataset = make_dataset(X, y, kind=guess_kind(y), resampling=VALIDATION_SHARE, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(Path(folder) if run_dir is None else run_dir)
        result = _trained(dataset, directory, n_configs, n_epochs, space, seed, n_jobs)
    facts = {
        "OpenML_task_id": openml_task_id,
        "budget": n_epochs,
        "seed": seed,
        "instances": len(dataset),
        "classes": dataset.info.n_outputs if dataset.info.task.is_classification else 0,
        "features": dataset.info.n_numeric + dataset.info.n_categorical,
    }
    tag = "cross_entropy" if dataset.info.task.is_classification else "root_mean_squared_error"
    configs = {key: proposal.config for key, proposal in proposals(result.lines).items()}
    good = [line for line in closed(result.lines) if line.ok and "seconds" in line.curves]
    if not good:
        raise NothingTrainedError(f"No run has a learning curve. {failure_summary(result.lines)}")
    good.sort(key=lambda line: line.key)
    records = {str(line.key.config_id): _record(line, configs[line.key], facts, tag, n_epochs) for line in good}
    return {dataset_name: records}


def _trained(
    dataset: Dataset, directory: RunDirectory, n_configs: int, n_epochs: int, space: str, seed: int, n_jobs: int
) -> TuneResult:
    graph, info, data_folder = default_graph(), dataset.info, directory.path.resolve() / "data"
    dataset.save(data_folder)
    ranges = search_spaces.load_ranges(space)
    metric = resolve_metric(None, info.task, info.n_outputs)
    objective = TabularObjective(str(data_folder), dataset.fingerprint, graph, metric, seed, n_epochs)
    searcher = RandomSearch(compile_space(graph, ranges, info, seed=seed), max_budget=n_epochs, seed=seed)
    executor = ProcessExecutor(objective, n_workers=n_jobs, files_root=directory.files)
    try:
        return tune(searcher, executor=executor, run_dir=directory.path, n_trials=n_configs)
    finally:
        executor.close()


def _record(line: Finished, config: Any, facts: dict[str, Any], tag: str, n_epochs: int) -> dict[str, Any]:
    seconds = [sum(line.curves["seconds"][: epoch + 1]) for epoch in range(len(line.curve))]
    log = {
        "time": [0.0, *_steps(seconds, n_epochs)[1:]],
        "epoch": list(range(n_epochs + 2)),
        "Train/loss": _steps(line.curves.get("train_loss", ()), n_epochs),
        "Train/lr": _steps(line.curves.get("learning_rate", ()), n_epochs),
        f"Train/train_{tag}": _steps(line.curves.get("train_score", ()), n_epochs),
        f"Train/val_{tag}": _steps(line.curve, n_epochs),
    }
    results = {**facts, "model_parameters": line.info.get("n_parameters"), f"final_val_{tag}": line.loss}
    results |= {f"final_val_{name}": value for name, value in line.metrics.items()}
    plain: dict[str, Any] = to_plain({"log": log, "results": results, "config": dict(config)})
    return plain


def _steps(values: Sequence[float], n_epochs: int) -> list[float | None]:
    """One value before training, which nobody measured, one per epoch, and the last one again.

    A training that stopped before keeps its last value.
    """
    known = [value if math.isfinite(value) else None for value in values] or [None]
    return [None, *known, *[known[-1]] * (n_epochs + 1 - len(known))]
