"""From a training that is watched to records in the schema of the original files."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autopytorch_lite.types import Array, FloatArray
from lcbench.generation.evaluation import Evaluation
from lcbench.generation.gradients import GradientStatistics
from lcbench.generation.trainings import Training

Log = dict[str, list[float | None]]
_TAGS = {"test_accuracy": "test_result"}
"""Metrics whose tag is not their name."""


def watched(
    training: Training, evaluation: Evaluation, *, n_epochs: int, shares: Sequence[float], gradients: bool
) -> list[Log]:
    """Train to the end; the logs of all networks, in the order in which they were given to the training.

    A log has one value before training, one after each epoch, and the last one again. Values after a network has
    diverged are missing. "time" is in seconds; those of networks that train together are divided among them.

    Args:
        training: not begun.
        evaluation: what is measured before training and after every epoch.
        n_epochs: of the training.
        shares: of the time, one per network in the order of `training`; they sum to one.
        gradients: whether statistics of gradients are among the tags.
    """
    started_s = time.perf_counter()
    statistics = GradientStatistics(training.real_weights()) if gradients else None
    steps: list[dict[str, Array]] = []
    for epoch in range(n_epochs + 1):
        learning_rates = training.learning_rates()
        if epoch:
            training.train_epoch()
        values = _measured(training, evaluation)
        if statistics is not None and epoch:
            values |= statistics(training.gradients())
        seconds = (time.perf_counter() - started_s if epoch else 0.0) * np.asarray(shares)
        is_finite = training.is_finite()
        steps.append({tag: np.where(is_finite, numbers, np.nan) for tag, numbers in values.items()})
        steps[-1] |= {"time": seconds, "Train/lr": learning_rates}
    logs = [_log(steps, number) for number in range(len(shares))]
    return [logs[training.order.index(number)] for number in range(len(logs))]


def _measured(training: Training, evaluation: Evaluation) -> dict[str, FloatArray]:
    values = evaluation(training.predictions())
    found = {f"Train/{_TAGS.get(name, name)}": numbers for name, numbers in values.items()}
    return found | {"Train/loss": training.train_losses()}


def _log(steps: Sequence[Mapping[str, Array]], number: int) -> Log:
    """One network's curves by tag."""
    tags = ["time", "epoch", *(tag for tag in steps[-1] if tag != "time")]
    missing = np.full(number + 1, np.nan)
    log: Log = {tag: [_plain(step.get(tag, missing)[number]) for step in steps] for tag in tags if tag != "epoch"}
    log["epoch"] = [float(epoch) for epoch in range(len(steps))]
    ordered = {tag: [*log[tag], log[tag][-1]] for tag in tags}
    ordered["epoch"] = list(range(len(steps) + 1))
    return ordered


def _plain(value: float) -> float | None:
    """In single precision, as the original files have it and `.lcb` files store best; None for what is not finite."""
    return float(np.float32(value)) if math.isfinite(value) else None


def final_results(log: Log) -> dict[str, float | None]:
    """The last value of every metric, by the original's names of results."""
    names = {tag: name for name, tag in _TAGS.items()}
    metrics = {tag.removeprefix("Train/"): values[-1] for tag, values in log.items() if tag.startswith("Train/")}
    by_name = {names.get(tag, tag): value for tag, value in metrics.items()}
    return {f"final_{name}": value for name, value in by_name.items() if name.split("_")[0] in ("train", "val", "test")}


def run_record(log: Log, results: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """A run as the files hold it."""
    return {"log": log, "results": {**final_results(log), **results}, "config": dict(config)}
