"""What the pool's trainings say, read back: predictions, losses and seconds, table by table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from autopytorch_lite.data.splits import MAX_VALIDATION_ROWS
from autopytorch_lite.ensemble.selection import select, weighted_average
from autopytorch_lite.metrics import Metric
from autopytorch_lite.portfolio.anytime import NOTHING, AnytimeTask
from autopytorch_lite.settings import resolve_budgets
from autopytorch_lite.types import Array, DatasetInfo, FloatArray
from benchmarks.portfolio.cells import PoolFolder, seconds_of
from benchmarks.portfolio.pool import Candidate
from benchmarks.portfolio.tasks import PoolTask

LARGE_ROWS = 120_000
"""Rows of the larger table that every table is imagined as: above the limit of forests and support vectors."""

ENSEMBLE_SIZE = 25
"""Steps of ensemble selection."""

USUAL = 0.75
"""Quantile of the losses of single candidates that counts as no better than nothing."""

SHARES = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Of a candidate in the mixture with what is there already."""


@dataclass(frozen=True, eq=False)
class TaskRecord:
    """All candidates on one table.

    Attributes:
        name: of the table.
        metric: losses are of this.
        validation_targets, unseen_targets: of both kinds of rows.
        validation, unseen: predictions by candidate, shapes (n_rows, n_outputs); None where a training failed.
        seconds: CPU seconds of the trainings, shape (n,); NaN where a candidate does not apply.
        large_seconds: the same, expected with `LARGE_ROWS` rows.
    """

    name: str
    metric: Metric
    validation_targets: Array
    unseen_targets: Array
    validation: Sequence[FloatArray | None]
    unseen: Sequence[FloatArray | None]
    seconds: FloatArray
    large_seconds: FloatArray
    _mixtures: dict[tuple[int, ...], _Mixture] = field(default_factory=dict)

    @cached_property
    def single_losses(self) -> FloatArray:
        """Losses of the candidates on unseen rows, shape (n,); NaN where a training failed."""
        return np.array([np.nan if own is None else self.unseen_loss(own) for own in self.unseen])

    @cached_property
    def scale(self) -> tuple[float, float]:
        """The losses that count as 0, that of an ensemble of all or the best single one, and as `NOTHING`."""
        everything = self.ensemble_loss([i for i, own in enumerate(self.unseen) if own is not None])
        usual = float(np.nanquantile(self.single_losses, USUAL))
        best = min(everything, float(np.nanmin(self.single_losses)))
        return best, max(usual, best + 1e-12)

    def validation_loss(self, predictions: FloatArray) -> float:
        """Loss on the rows that select ensembles."""
        return self.metric.loss(self.validation_targets, predictions)

    def unseen_loss(self, predictions: FloatArray) -> float:
        """Loss on the rows that judge."""
        return self.metric.loss(self.unseen_targets, predictions)

    def normalised(self, loss: float) -> float:
        """A loss on unseen rows on the table's `scale`; all that is worse than nothing is as good as nothing."""
        best, usual = self.scale
        return min((loss - best) / (usual - best), 1.0) * NOTHING

    def ensemble_loss(self, numbers: Sequence[int]) -> float:
        """Loss on unseen rows of the ensemble that the validation rows select from these candidates."""
        members = [(self.validation[i], self.unseen[i]) for i in numbers]
        validation, unseen = zip(*[pair for pair in members if pair[0] is not None], strict=True)
        selection = select(validation, self.validation_targets, metric=self.metric, size=ENSEMBLE_SIZE)
        return self.unseen_loss(weighted_average(unseen, selection.weights))

    def restricted(self, numbers: Sequence[int]) -> AnytimeTask:
        """The table as `anytime_order` sees it, with these candidates only, numbered anew."""
        start = self._mixtures.setdefault(tuple(numbers), _Mixture(self, tuple(numbers)))
        return AnytimeTask(start, np.stack([self.seconds, self.large_seconds])[:, list(numbers)])

    def judged(self) -> AnytimeTask:
        """The table as an order of candidates is judged on it: by ensembles selected anew after every entry."""
        return AnytimeTask(_Selected(self), self.seconds[None])


@dataclass(frozen=True, eq=False)
class _Mixture:
    """An ensemble that grows by mixing in one candidate at a time: what selection of ensembles comes to, but cheap.

    What follows an ensemble is remembered, as portfolios of nearly the same tables begin alike; predictions are made
    only for those that are extended.
    """

    record: TaskRecord
    numbers: Sequence[int]
    before: _Mixture | None = None
    added: int = -1
    share: float = 1.0
    validation_loss: float = np.inf
    loss: float = NOTHING
    _followers: dict[int, _Mixture] = field(default_factory=dict)

    def after(self, number: int) -> _Mixture:
        """With the share of the candidate that is best on the validation rows, if any is better than none."""
        if number not in self._followers:
            self._followers[number] = self._with(self.numbers[number])
        return self._followers[number]

    @cached_property
    def validation(self) -> FloatArray | None:
        """Predictions of the validation rows."""
        return None if self.before is None else _mixed(self.before.validation, self.record.validation, self)

    @cached_property
    def unseen(self) -> FloatArray | None:
        """Predictions of the unseen rows."""
        return None if self.before is None else _mixed(self.before.unseen, self.record.unseen, self)

    def _with(self, added: int) -> _Mixture:
        if self.record.validation[added] is None:
            return self
        shares = SHARES if self.before is not None else (1.0,)
        mixtures = [_Mixture(self.record, self.numbers, self, added, share) for share in shares]
        losses = [self.record.validation_loss(_present(mixture.validation)) for mixture in mixtures]
        best = int(np.argmin(losses))
        if not losses[best] < self.validation_loss:
            return self
        loss = self.record.normalised(self.record.unseen_loss(_present(mixtures[best].unseen)))
        return _Mixture(self.record, self.numbers, self, added, shares[best], losses[best], loss)


def _mixed(before: FloatArray | None, own: Sequence[FloatArray | None], mixture: _Mixture) -> FloatArray:
    added = _present(own[mixture.added])
    return added if before is None else (1 - mixture.share) * before + mixture.share * added


def _present(predictions: FloatArray | None) -> FloatArray:
    assert predictions is not None, "candidates that failed are not mixed in"
    return predictions


@dataclass(frozen=True, eq=False)
class _Selected:
    """The ensemble that is selected from all candidates so far."""

    record: TaskRecord
    members: tuple[int, ...] = ()
    loss: float = NOTHING

    def after(self, number: int) -> _Selected:
        """With one candidate more, if its training succeeded."""
        if self.record.validation[number] is None:
            return self
        members = (*self.members, number)
        return _Selected(self.record, members, self.record.normalised(self.record.ensemble_loss(members)))


def read_records(
    pool: PoolFolder, tasks: Sequence[PoolTask], candidates: Sequence[Candidate]
) -> tuple[list[TaskRecord], list[Candidate]]:
    """The tables on which something succeeded, and the candidates that have a row on each of all tables."""
    rows = {(task.name, c.name): pool.row(task.name, c) for task in tasks for c in candidates}
    whole = [c for c in candidates if all(rows[task.name, c.name] is not None for task in tasks)]
    records = [_read(pool, task, whole) for task in tasks]
    return [record for record in records if any(own is not None for own in record.unseen)], whole


def _read(pool: PoolFolder, task: PoolTask, candidates: Sequence[Candidate]) -> TaskRecord:
    rows = {c.name: pool.row(task.name, c) or {} for c in candidates}
    pairs = [pool.predictions(task, c.name) if rows[c.name]["status"] == "ok" else (None, None) for c in candidates]
    seconds = np.array([seconds_of(rows[c.name]) for c in candidates])
    return TaskRecord(
        task.name,
        task.metric,
        task.validation_targets,
        task.unseen[1],
        [validation for validation, _ in pairs],
        [unseen for _, unseen in pairs],
        seconds,
        seconds * np.array([growth(task, c) for c in candidates]),
    )


def growth(task: PoolTask, candidate: Candidate) -> float:
    """How many times as long a training takes with `LARGE_ROWS` rows, in proportion to rows read; NaN: not offered.

    Networks read their rows as often as they have epochs, of which large tables get fewer.
    """
    info = _enlarged(task.info)
    if candidate.fitted(info) is None:
        return np.nan
    n_read = sum(len(fold.train_idx) for fold in task.dataset.folds)
    n_large = LARGE_ROWS - MAX_VALIDATION_ROWS
    if candidate.is_neural:
        n_read *= task.max_budget
        n_large *= resolve_budgets({"min_budget": None, "max_budget": None}, {}, info)[1]
    return n_large / n_read


def _enlarged(info: DatasetInfo) -> DatasetInfo:
    counts = tuple(round(count * LARGE_ROWS / info.n_rows) for count in info.class_counts)
    return replace(info, n_rows=LARGE_ROWS, class_counts=counts)
