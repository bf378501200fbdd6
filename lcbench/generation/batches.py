"""What the processes of a generation do: plan the batches of a table, and train a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from autopytorch_lite.errors import DivergedError, SpaceError
from autopytorch_lite.pipeline.neural import Prepared
from autopytorch_lite.training.calibration import faster_precision
from autopytorch_lite.training.loop import Trainer
from autopytorch_lite.training.stack_plan import (
    CPU_COSTS,
    GPU_COSTS,
    MAX_NETWORKS,
    TrainingSize,
    seconds_per_epoch,
    stack_groups,
)
from autopytorch_lite.training.stackable import Perceptron, obstacle, stack_key
from autopytorch_lite.types import Config
from lcbench.generation.configurations import random_configurations, recorded_config
from lcbench.generation.records import run_record, watched
from lcbench.generation.run import Batch, GenerationRun, Plan
from lcbench.generation.sources import TEST_SHARE
from lcbench.generation.tables import NetworkRows, TrainingTable
from lcbench.generation.trainings import LoneTraining, StackTraining, Training

MAX_STACK_SECONDS = 20.0
"""Longest estimated time of a stack of several networks: what a kill can cost a process."""
_MAX_OUTPUTS = 2**25
"""Numbers that all networks of a stack may give for all rows: 128 MB, and as much again while they are scored."""
_EVALUATED_ROWS = 512
"""Rows of an evaluation's products, of which precision is chosen."""


@contextmanager
def one_thread() -> Iterator[None]:
    """A block in which torch has one thread, and numbers too small to matter, which slow it down, are zero."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
        torch.set_flush_denormal(False)


@lru_cache(maxsize=1)
def _run(path: Path) -> GenerationRun:
    return GenerationRun(path)


@lru_cache(maxsize=4)
def _table(path: Path, number: int) -> TrainingTable:
    return TrainingTable(_run(path).table_folder(number), _run(path).settings)


@one_thread()
def plan_table(path: Path, number: int, n_configs: int) -> None:
    """Plan the trainings of a table's first `n_configs` configurations that are not planned yet."""
    run = _run(path)
    first = max((plan.last for plan in run.plans(number)), default=0)
    if first >= n_configs * run.settings.repeats:
        return
    table = _table(path, number)
    configs = random_configurations(run.settings.space, table.dataset.info, n_configs, run.settings.seed)
    left = [config for config in configs for _ in range(run.settings.repeats)][first:]
    planner = _Planner(run, table)
    for training, config in enumerate(left, start=first):
        planner.add(training, config)
    run.add_plan(number, Plan(first, tuple(left), tuple(planner.batches())))


class _Planner:
    """Sorts configurations into stacks, those that train alone, and those that cannot be trained."""

    def __init__(self, run: GenerationRun, table: TrainingTable):
        self._settings, self._table = run.settings, table
        self._device = torch.device(run.settings.device)
        self._costs = CPU_COSTS if self._device.type == "cpu" else GPU_COSTS
        self._sizes: dict[int, TrainingSize] = {}  # by training
        self._others: list[Batch] = []

    def add(self, training: int, config: Config) -> None:
        """Look at one training."""
        try:
            prepared, rows = self._table.prepare(training, config)
        except (SpaceError, DivergedError) as error:
            self._others.append(Batch((training,), False, (), (), 0.0, (1.0,), error=str(error)))
            return
        trainer = prepared.trainer
        if obstacle(trainer) is None:
            self._sizes[training] = _size(trainer, rows)
        else:
            precisions = (trainer.precision,)
            self._others.append(Batch((training,), False, precisions, precisions, self._lone_seconds(trainer), (1.0,)))

    def batches(self) -> list[Batch]:
        """All batches, by first training."""
        ids, sizes = list(self._sizes), list(self._sizes.values())
        max_seconds = MAX_STACK_SECONDS / self._settings.n_epochs
        n_outputs = self._n_rows[1] * self._table.dataset.info.n_outputs
        max_networks = max(1, min(MAX_NETWORKS, _MAX_OUTPUTS // n_outputs))
        groups = stack_groups(
            sizes, *self._n_rows, costs=self._costs, max_networks=max_networks, max_seconds=max_seconds
        )
        stacks = [self._stack(sorted(ids[position] for position in group)) for group in groups]
        return sorted([*stacks, *self._others], key=lambda batch: batch.trainings)

    @property
    def _n_rows(self) -> tuple[int, int]:
        """Rows that are trained on, and all rows."""
        n_rows = self._table.n_rows
        return n_rows["train"], sum(n_rows.values())

    def _stack(self, trainings: Sequence[int]) -> Batch:
        sizes = [self._sizes[training] for training in trainings]
        own = [self._seconds([size]) for size in sizes]
        return Batch(
            tuple(trainings),
            True,
            self._precisions(sizes, max(size.batch_size for size in sizes), in_training=True),
            self._precisions(sizes, _EVALUATED_ROWS, in_training=False),
            self._seconds(sizes) * self._settings.n_epochs,
            tuple(seconds / sum(own) for seconds in own),
        )

    def _seconds(self, sizes: Sequence[TrainingSize]) -> float:
        return seconds_per_epoch(sizes, *self._n_rows, costs=self._costs)

    def _lone_seconds(self, trainer: Trainer) -> float:
        """A guess: as a perceptron with one square layer of as many weights, five times as slow."""
        n_weights = sum(weight.numel() for weight in trainer.network.parameters())
        size = TrainingSize((round(n_weights**0.5),) * 2, trainer.plan.batch_size, None)
        return 5 * self._seconds([size]) * self._settings.n_epochs

    def _precisions(self, sizes: Sequence[TrainingSize], n_rows: int, *, in_training: bool) -> tuple[str, ...]:
        widths = [max(column) for column in zip(*(size.widths for size in sizes), strict=True)]
        if self._settings.precision != "auto":
            return (self._settings.precision,) * (len(widths) - 1)
        products = [(len(sizes), n_rows, *pair) for pair in pairwise(widths)]
        chosen = [faster_precision(product, self._device, in_training=in_training) for product in products]
        if not in_training and "bfloat16" in chosen:  # those before it give what would be converted anyway
            last = len(chosen) - 1 - chosen[::-1].index("bfloat16")
            chosen[:last] = ["bfloat16"] * last
        return tuple(chosen)


def _size(trainer: Trainer, rows: NetworkRows) -> TrainingSize:
    perceptron = Perceptron.of(trainer.network)
    assert perceptron is not None, "it has no obstacle"
    return TrainingSize(perceptron.widths, trainer.plan.batch_size, (stack_key(trainer), id(rows)))


@one_thread()
def train_batch(path: Path, number: int, batch: Batch, configs: Sequence[Config]) -> None:
    """Train a batch of a table and write its records.

    Args:
        path: the run directory.
        number: of the table.
        batch: what to train.
        configs: of its trainings.
    """
    run, table = _run(path), _table(path, number)
    members = [table.prepare(*member) for member in zip(batch.trainings, configs, strict=True)]
    training = _training(batch, [prepared for prepared, _ in members], members[0][1])
    shares = [batch.shares[position] for position in training.order]
    started_s = time.process_time()
    logs = watched(
        training,
        table.evaluation(),
        n_epochs=run.settings.n_epochs,
        shares=shares,
        gradients=run.settings.gradients,
    )
    seconds = time.process_time() - started_s
    records: dict[str, Any] = {}
    parts = zip(batch.trainings, configs, members, logs, batch.shares, strict=True)
    for number_of_training, config, (prepared, _), log, share in parts:
        results = _facts(run, table, prepared.trainer, batch) | {"processor_seconds": share * seconds}
        records[str(number_of_training)] = run_record(log, results, recorded_config(config, run.settings.space))
    run.add_records(number, batch, records)


def _training(batch: Batch, prepared: Sequence[Prepared], rows: NetworkRows) -> Training:
    if batch.is_stacked:
        return StackTraining(prepared, rows, batch.precisions, batch.evaluation_precisions)
    return LoneTraining(prepared[0], rows)


def _facts(run: GenerationRun, table: TrainingTable, trainer: Trainer, batch: Batch) -> dict[str, Any]:
    """Results that are no metrics: of the network, of the data set, and how it was trained."""
    info = table.dataset.info
    return {
        "model_parameters": sum(weight.numel() for weight in trainer.network.parameters()),
        "OpenML_task_id": table.openml_task_id,
        "test_split": TEST_SHARE,
        "budget": run.settings.n_epochs,
        "seed": run.settings.seed,
        "instances": len(table.dataset),
        "classes": info.n_outputs if info.task.is_classification else 0,
        "features": info.n_numeric + info.n_categorical,
        "trained_in": "stack" if batch.is_stacked else "trainer",
        "stack_size": len(batch.trainings),
        "bfloat16_layers": batch.precisions.count("bfloat16"),
    }


Task = tuple[Callable[..., None], tuple[Any, ...]]
"""A function of this module and its arguments."""
