"""What one data set recorded under one tag, as arrays: configurations, losses by epoch, seconds by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from autopytorch_lite.errors import BudgetError, DataError
from autopytorch_lite.types import Array, Config, FloatArray, IntArray
from lcbench.benchmark import Benchmark, is_loss

DEFAULT_TAG = "Train/val_accuracy"
_TIME = "time"


@dataclass(frozen=True, eq=False)
class CurveTable:
    """The runs of one data set, seen through one tag.

    Attributes:
        dataset_name: which data set.
        tag: what was measured.
        configs: one per run; constants included.
        epochs: ascending, one per column; a single one where the tag has one value per run.
        losses: float64, shape (n_runs, n_epochs), lower is better: scores are negated. What is missing or not finite
            has the worst value of its epoch, as a run that diverged.
        is_missing: which values those are, bool, shape (n_runs, n_epochs).
    """

    dataset_name: str
    tag: str
    configs: tuple[Config, ...]
    epochs: tuple[int, ...]
    losses: FloatArray
    is_missing: Array

    @property
    def is_loss(self) -> bool:
        """Whether `losses` are the recorded values themselves, and not negated scores."""
        return is_loss(self.tag)

    @property
    def final(self) -> FloatArray:
        """Losses at the last epoch, float64, shape (n_runs,)."""
        return self.losses[:, -1]

    def at(self, epoch: int) -> FloatArray:
        """Losses at one epoch, float64, shape (n_runs,).

        Raises:
            BudgetError: the epoch is not recorded.
        """
        if epoch not in self.epochs:
            raise BudgetError(
                f"Epochs must be between {self.epochs[0]} and {self.epochs[-1]}, which are recorded of {self.tag!r} on "
                f"{self.dataset_name!r}, got {epoch}."
            )
        return self.losses[:, self.epochs.index(epoch)]

    def in_units(self, losses: FloatArray) -> FloatArray:
        """Losses as values of the tag, or the other way round: scores change their sign."""
        return losses if self.is_loss else -losses


def read_curves(benchmark: Benchmark, dataset_name: str, tag: str) -> CurveTable:
    """The learning curves of all runs of a data set.

    A curve has one value before training, one per epoch, and one of a final evaluation; the first and the last are
    left out. A run that is shorter than others lacks its last epochs. A tag with one value per run, such as
    "final_val_accuracy", gives a table of one column, at the epoch that the runs note as their "budget".

    Raises:
        UnknownNameError: the data set or the tag does not exist.
        DataError: the tag is not a number, or an epoch has no finite value at all.
    """
    values = benchmark.query_all(dataset_name, tag)
    if values.dtype == object:
        raise DataError(f"Runs are compared by a tag with numbers; {tag!r} of {dataset_name!r} has none.")
    ids = benchmark.get_config_ids(dataset_name)
    if values.ndim == 2:
        epochs, recorded = _per_epoch(values, tag)
    else:
        epochs, recorded = (_budget(benchmark, dataset_name, ids[0]),), values[:, None]
    losses = recorded if is_loss(tag) else -recorded
    configs = tuple(benchmark.get_config(dataset_name, config_id) for config_id in ids)
    is_missing = ~np.isfinite(losses)
    return CurveTable(dataset_name, tag, configs, epochs, _filled(losses, epochs, dataset_name, tag), is_missing)


@dataclass(frozen=True, eq=False)
class Recording:
    """Learning curves and when each epoch ended: what can be searched, or predicted.

    Attributes:
        table: the curves, of at least two epochs.
        seconds: cumulative, float64, shape (n_runs, n_epochs), never falling.
    """

    table: CurveTable
    seconds: FloatArray

    @property
    def mean_s(self) -> float:
        """Mean seconds of a full training."""
        return float(self.seconds[:, -1].mean())

    def part(self, rows: Sequence[int] | IntArray) -> Recording:
        """The runs with these numbers."""
        table = replace(
            self.table,
            configs=tuple(self.table.configs[row] for row in rows),
            losses=self.table.losses[rows],
            is_missing=self.table.is_missing[rows],
        )
        return Recording(table, self.seconds[rows])


def read_recording(benchmark: Benchmark, dataset_name: str, tag: str) -> Recording:
    """Curves and times of all runs of a data set.

    Raises:
        UnknownNameError: the data set or the tag does not exist.
        DataError: the tag has no curves of two epochs, "time" is absent, or a time is missing.
    """
    table = read_curves(benchmark, dataset_name, tag)
    if len(table.epochs) < 2:
        raise DataError(f"Learning curves of at least two epochs are needed, but {tag!r} of {dataset_name!r} has none.")
    first_id = benchmark.get_config_ids(dataset_name)[0]
    if _TIME not in benchmark.get_queriable_tags(dataset_name, first_id):
        raise DataError(f"The tag {_TIME!r} must say when each epoch ended; {dataset_name!r} has none.")
    _, seconds = _per_epoch(benchmark.query_all(dataset_name, _TIME), _TIME)
    if not np.isfinite(seconds).all() or seconds.shape[1] < len(table.epochs):
        raise DataError(f"The tag {_TIME!r} must say when each epoch ended; on {dataset_name!r} a time is missing.")
    return Recording(table, np.maximum.accumulate(seconds[:, : len(table.epochs)], axis=1))


def ranks(losses: FloatArray) -> FloatArray:
    """Ranks scaled to [0, 1], 0 is best, equal losses have their mean rank; float64, shape (n_runs,)."""
    return (rankdata(losses) - 1) / max(1, len(losses) - 1)


def _per_epoch(values: FloatArray, tag: str) -> tuple[tuple[int, ...], FloatArray]:
    n_epochs = values.shape[1] - 2
    if n_epochs < 1:
        raise DataError(f"A learning curve has at least one epoch, but {tag!r} has none.")
    return tuple(range(1, n_epochs + 1)), values[:, 1:-1]


def _budget(benchmark: Benchmark, dataset_name: str, config_id: str) -> int:
    tags = benchmark.get_queriable_tags(dataset_name, config_id)
    return int(benchmark.query(dataset_name, "budget", config_id)) if "budget" in tags else 1


def _filled(losses: FloatArray, epochs: Sequence[int], dataset_name: str, tag: str) -> FloatArray:
    finite = np.isfinite(losses)
    if not finite.any(axis=0).all():
        epoch = epochs[int(np.argmin(finite.any(axis=0)))]
        raise DataError(f"No run has a finite {tag!r} on {dataset_name!r} at epoch {epoch}.")
    worst = np.where(finite, losses, -np.inf).max(axis=0)
    return np.where(finite, losses, worst)
