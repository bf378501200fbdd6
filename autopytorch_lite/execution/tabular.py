"""The objective of an estimator: train a configuration on every fold and score its out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from autopytorch_lite.data.dataset import Dataset
from autopytorch_lite.errors import DivergedError
from autopytorch_lite.execution.base import Checkpoint, Result
from autopytorch_lite.history.files import VALIDATION_PREDICTIONS
from autopytorch_lite.history.limits import epoch_above
from autopytorch_lite.metrics import Metric, standard_metrics
from autopytorch_lite.pipeline.build import build_learner
from autopytorch_lite.pipeline.graph import Choice
from autopytorch_lite.pipeline.latency import PREDICT_MS, READ_MS, raw_rows, row_ms
from autopytorch_lite.pipeline.learner import FitOutcome, FitSettings, Learner, Rows
from autopytorch_lite.types import Config, FloatArray, IntArray


@dataclass(frozen=True)
class TabularObjective:
    """Trains and scores configurations on a data set that lies on disk, memory-mapped and shared by all workers.

    Attributes:
        data_folder: where `Dataset.save` put the data.
        fingerprint: of that data set; part of the cache key of a warm worker.
        graph: the component graph that configurations are points of.
        metric: what is minimised (as a loss).
        seed: of the run; each trial draws from ``default_rng([seed, 1, config_id, fold])``, whatever its budget.
        max_budget: epochs that schedules are laid out for.
        device: "cpu", "cuda" or "cuda:i".
        precision: "float32" or "bfloat16".
        n_threads: threads one training may use.
    """

    data_folder: str
    fingerprint: str
    graph: Choice
    metric: Metric
    seed: int
    max_budget: int
    device: str = "cpu"
    precision: str = "float32"
    n_threads: int = 1

    def __call__(self, config: Config, budget: int, checkpoint: Checkpoint) -> Result:
        """Train up to `budget` epochs per fold, keep models and predictions in the checkpoint's folder, score.

        The limits of a trial hold for the mean learning curve of the folds trained so far. When it is above them, the
        trial ends; there are then neither models nor predictions.

        Raises:
            DivergedError: the loss of the out-of-fold predictions is not finite.
        """
        dataset = load_dataset(self.data_folder, self.fingerprint)
        outcomes: list[FitOutcome] = []
        predictions = []
        for fold in range(len(dataset.folds)):
            learner = build_learner(self.graph, config, dataset.info)
            train, val = _fold_rows(self.data_folder, self.fingerprint, fold)
            outcomes.append(self._fit_fold(learner, train, val, fold, budget, checkpoint, outcomes))
            early = _ended_early(outcomes, checkpoint, budget if fold == len(dataset.folds) - 1 else None)
            if early is not None:
                return early
            self._save_fold(learner, fold, budget, checkpoint)
            unseen = outcomes[-1].val_predictions
            predictions.append(learner.predict(val.table) if unseen is None else unseen)
        result = self._score(dataset, np.concatenate(predictions), outcomes, checkpoint.folder)
        read_ms, predict_ms = row_ms(learner, dataset.schema, _few_raw_rows(self.data_folder, self.fingerprint))
        times = {READ_MS: read_ms, PREDICT_MS: len(dataset.folds) * predict_ms}
        return replace(result, info={**result.info, **times})

    def _fit_fold(
        self,
        learner: Learner,
        train: Rows,
        val: Rows,
        fold: int,
        budget: int,
        checkpoint: Checkpoint,
        earlier: Sequence[FitOutcome],
    ) -> FitOutcome:
        seed = int(np.random.default_rng([self.seed, 1, checkpoint.config_id, fold]).integers(2**31))
        curves = [outcome.curve for outcome in earlier]
        settings = FitSettings(
            self.max_budget,
            seed,
            self.metric,
            self.device,
            self.precision,
            self.n_threads,
            should_stop=lambda curve: checkpoint.should_stop(_mean_curve([*curves, curve])),
        )
        state = checkpoint.previous_state()
        resume_from = None if state is None else fold_folder(state, fold)
        return learner.fit(train, val, budget=budget, settings=settings, resume_from=resume_from)

    def _save_fold(self, learner: Learner, fold: int, budget: int, checkpoint: Checkpoint) -> None:
        learner.save(_made(fold_folder(checkpoint.folder, fold)))
        if budget < self.max_budget:  # nothing continues a full training
            learner.save_checkpoint(_made(fold_folder(checkpoint.state_folder(), fold)))

    def _score(self, dataset: Dataset, predictions: FloatArray, outcomes: list[FitOutcome], folder: Path) -> Result:
        rows = validation_rows(dataset)
        targets = dataset.y[rows]
        weight = None if dataset.sample_weight is None else dataset.sample_weight[rows]
        loss = self.metric.loss(targets, predictions, weight)
        if not np.isfinite(loss):
            raise DivergedError(
                f"The validation {self.metric.label} is {loss}: the predictions or the metric are not finite."
            )
        np.save(folder / VALIDATION_PREDICTIONS, predictions)
        recorded = standard_metrics(self.metric.task, self.metric.n_outputs)
        curves = [outcome.curves | {"": outcome.curve} for outcome in outcomes]
        averaged = _average_curves(curves)
        return Result(
            loss=loss,
            curve=averaged.pop("", ()),
            curves=averaged,
            metrics={metric.label: metric.value(targets, predictions, weight) for metric in recorded},
            info=_merged_info(outcomes),
        )


def validation_rows(dataset: Dataset) -> IntArray:
    """Rows of the out-of-fold predictions, in the order in which every trial stores them, shape (n_validation,)."""
    return np.concatenate([fold.val_idx for fold in dataset.folds])


def fold_folder(parent: Path, fold: int) -> Path:
    """Where the model of one fold lies in a trial's folder, and its training state in the checkpoint's."""
    return parent / f"fold{fold}"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def forget_rows() -> None:
    """Let go of the rows that an objective keeps in this process for its next evaluation."""
    load_dataset.cache_clear()
    _fold_rows.cache_clear()
    _few_raw_rows.cache_clear()


@lru_cache(maxsize=1)
def load_dataset(data_folder: str, fingerprint: str) -> Dataset:
    """The data set, once per worker process; the fingerprint keeps two data sets in one folder apart."""
    _fold_rows.cache_clear()
    _few_raw_rows.cache_clear()
    return Dataset.load(Path(data_folder), mmap=True)


@lru_cache(maxsize=16)
def _fold_rows(data_folder: str, fingerprint: str, fold: int) -> tuple[Rows, Rows]:
    dataset = load_dataset(data_folder, fingerprint)
    train_idx, val_idx = dataset.folds[fold].train_idx, dataset.folds[fold].val_idx
    return rows_of(dataset, train_idx), rows_of(dataset, val_idx)


@lru_cache(maxsize=1)
def _few_raw_rows(data_folder: str, fingerprint: str) -> list[Any]:
    """Rows as they are predicted, to time models with."""
    dataset = load_dataset(data_folder, fingerprint)
    return raw_rows(dataset.schema, dataset.table.take(slice(0, 5)))


def rows_of(dataset: Dataset, idx: IntArray) -> Rows:
    """Copies of some rows of a data set, with their answers and weights."""
    weight = None if dataset.sample_weight is None else np.asarray(dataset.sample_weight[idx])
    return Rows(dataset.table.take(idx), np.asarray(dataset.y[idx]), weight)


def _ended_early(outcomes: list[FitOutcome], checkpoint: Checkpoint, budget: int | None) -> Result | None:
    """What is known of a trial that a stopping rule ends now; None: it goes on.

    Args:
        outcomes: of the folds trained so far.
        checkpoint: has the limits.
        budget: after the last fold the trial's epochs: a curve of that length is whole, whatever the limits say. None
            while there are folds to come, which ending early saves.
    """
    curve = _mean_curve([outcome.curve for outcome in outcomes])
    epoch = epoch_above(curve, checkpoint.stop_above)
    if epoch is None or len(curve) == budget:
        return None
    return Result(loss=curve[epoch - 1], curve=curve[:epoch], info={"n_epochs": epoch, "n_folds": len(outcomes)})


def _mean_curve(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Mean over folds, epoch by epoch, as long as the shortest."""
    return tuple(float(np.mean(values)) for values in zip(*curves, strict=False))


def _average_curves(curves: Sequence[Mapping[str, tuple[float, ...]]]) -> dict[str, tuple[float, ...]]:
    """Mean over folds, epoch by epoch, of every curve that all folds have; as long as the shortest."""
    names = [name for name in curves[0] if all(name in curve for curve in curves)]
    return {name: _mean_curve([curve[name] for curve in curves]) for name in names}


def _merged_info(outcomes: list[FitOutcome]) -> dict[str, object]:
    """Facts of the first fold, those of all folds where they are counted, and the mean of the epochs that were kept."""
    n_epochs = max(outcome.n_epochs for outcome in outcomes)
    info = {**outcomes[0].info, "n_epochs": n_epochs, "n_folds": len(outcomes)}
    kept = [int(outcome.info["kept_epoch"]) for outcome in outcomes if "kept_epoch" in outcome.info]
    return {**info, "kept_epoch": round(float(np.mean(kept)))} if kept else info
