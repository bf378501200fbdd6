"""The epoch loop: fit -> epoch -> step, on tensors in memory."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from autopytorch_lite.errors import DivergedError, HistoryError
from autopytorch_lite.networks.annealing import set_progress
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training.averaging import WeightAverage
from autopytorch_lite.training.checkpoint import TrainingState
from autopytorch_lite.training.crossfit import CrossFit, parts_of
from autopytorch_lite.training.device import computing_in, resolve_device, resolve_precision
from autopytorch_lite.training.evaluation import evaluation_outputs
from autopytorch_lite.training.losses import RowLoss
from autopytorch_lite.training.optimizers import OptimizerFactory, optimizer_of
from autopytorch_lite.training.regularization import BatchTechnique, Standard, weighted_losses
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.training.schedules import ScheduleFactory, constant
from autopytorch_lite.training.stopping import EarlyStopping
from autopytorch_lite.training.uncompiled import plain_step, without_compiler
from autopytorch_lite.types import Array, FloatArray, IntArray

CURVES = ("val_score", "val_loss", "train_score", "train_loss", "learning_rate", "seconds")
MAX_SCORED_TRAIN_ROWS = 10_000
MIN_SCORED_TRAIN_ROWS = 500

Score: TypeAlias = Callable[..., float]
"""(predictions, targets) -> number, lower is better; called with the weights, too, if the rows have any."""
Predict: TypeAlias = Callable[[Tensor], Tensor]
"""Outputs (n, n_outputs) -> predictions, for example `evaluation.class_probabilities`."""


@dataclass(frozen=True)
class TrainingPlan:
    """How to train.

    Attributes:
        optimizer: parameters -> optimiser; see `optimizers`.
        loss: losses per row; see `losses`.
        schedule: (optimiser, max_epochs) -> schedule; see `schedules`.
        batch_technique: `Standard()` or `Mixup(alpha)`.
        batch_size: rows per step; at most the number of training rows is used.
        early_stopping: when to stop, or None to train all epochs and predict with the last one's weights.
        max_epochs: the most epochs this training may ever be granted, for which the schedule is laid out.
        gradient_clip: largest Euclidean norm of the whole gradient, or None.
        average_half_life: epochs after which a step counts half in the average of the weights that is scored and that
            predicts; None for the weights themselves.
    """

    optimizer: OptimizerFactory
    loss: RowLoss
    schedule: ScheduleFactory = field(default_factory=constant)
    batch_technique: BatchTechnique = field(default_factory=Standard)
    batch_size: int = 128
    early_stopping: EarlyStopping | None = None
    max_epochs: int = 50
    gradient_clip: float | None = None
    average_half_life: float | None = None


@dataclass(frozen=True)
class TrainingRecord:
    """What happened so far.

    Attributes:
        curves: one number per epoch, from epoch 1: "val_score", "val_loss", "train_score", "train_loss", all in
            evaluation mode
            after the epoch; "learning_rate" of the first parameter group at the epoch's beginning; "seconds" of the
            epoch.
        n_epochs: epochs trained.
        stopped_early: whether early stopping ended the training.
        kept_epoch: the one whose weights predict, counted from 1: with early stopping the best, else the last.
        val_predictions: of the validation rows, each by an epoch that it had no part in choosing, shape (n_rows,
            n_outputs); None where no epoch is chosen. See `crossfit`.
    """

    curves: dict[str, list[float]]
    n_epochs: int
    stopped_early: bool
    kept_epoch: int
    val_predictions: FloatArray | None = None


@dataclass(frozen=True)
class _Scored:
    """Predictions of rows, and what they are compared with."""

    predictions: FloatArray
    targets: Array
    weights: FloatArray | None
    metric: Score

    def score(self, at: IntArray) -> float:
        """Of the rows at some positions."""
        weights = [] if self.weights is None else [self.weights[at]]
        return float(self.metric(self.predictions[at], self.targets[at], *weights))


class Trainer:
    """Trains a network, can be stopped after any epoch, and continues exactly where it was.

    Epoch e draws its row order, mixup partners, dropout masks and shake coefficients from generators seeded with (seed,
    e). Therefore no random state is carried along, and torch's global one is the same before and after. The row order
    is drawn on the CPU, so it is the same on every device.

    Args:
        network: trained in place; moved to the device.
        plan: how to train.
        score: what curves and early stopping look at.
        predict: makes predictions for `score` out of the network's outputs.
        seed: non-negative; all randomness of training. The starting weights are the caller's.
        device: "cpu", "cuda", "cuda:1", or "auto".
        precision: "float32", "bfloat16", or "auto".

    Attributes:
        optimizer: of torch, made by the plan.
        schedule: sets the optimiser's learning rate.
    """

    def __init__(
        self,
        network: TabularNetwork,
        plan: TrainingPlan,
        *,
        score: Score,
        predict: Predict,
        seed: int,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ):
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.network = network.to(self.device)
        self.plan = plan
        self.seed = seed
        self._score = score
        self._predict = predict
        self._loss = plan.loss.to(self.device) if isinstance(plan.loss, nn.Module) else plan.loss
        self._weights = [weight for weight in network.parameters() if weight.requires_grad]
        self.optimizer = optimizer_of(network, plan.optimizer)
        self._step = plain_step(self.optimizer)
        self.schedule = plan.schedule(self.optimizer, plan.max_epochs)
        self._curves: dict[str, list[float]] = {name: [] for name in CURVES}
        self._best_weights: dict[str, Tensor] | None = None
        self._crossfit = None if plan.early_stopping is None else CrossFit()
        half_life = plan.average_half_life
        self._average = None if half_life is None else WeightAverage(self.network, half_life)

    @property
    def n_epochs(self) -> int:
        """Epochs trained so far."""
        return len(self._curves["val_score"])

    @property
    def stopped_early(self) -> bool:
        """Whether early stopping has ended the training for good."""
        stopping = self.plan.early_stopping
        return stopping is not None and stopping.should_stop(self._curves["val_score"])

    @property
    def record(self) -> TrainingRecord:
        """A copy of what happened so far."""
        curves = {name: list(values) for name, values in self._curves.items()}
        unseen = None if self._crossfit is None else copy.copy(self._crossfit.predictions)
        return TrainingRecord(curves, self.n_epochs, self.stopped_early, self._kept_epoch(), unseen)

    def fit(
        self,
        train: TensorRows,
        val: TensorRows,
        n_epochs: int,
        *,
        should_stop: Callable[[Sequence[float]], bool] = lambda scores: False,
    ) -> TrainingRecord:
        """Train until `n_epochs` epochs are done in total, or early stopping or `should_stop` ends it.

        After each epoch loss and score are computed in evaluation mode, on all validation rows and on a fixed, seeded
        subset of the training rows: a tenth of them, but at least 500 and at most 10,000. That keeps evaluation a
        small share of the time.

        Args:
            train: rows to learn from; the same at every call. The last, incomplete batch of an epoch is left out.
            val: rows to score.
            n_epochs: in total, and not in addition to those already done.
            should_stop: asked before every epoch with the validation scores so far; true ends the training.

        Raises:
            DivergedError: a loss or a weight is no longer finite; the message names the epoch.
        """
        train, val = train.to(self.device).with_unit_mean_weights(), val.to(self.device).with_unit_mean_weights()
        scored_train = train.take(self._scored_train_rows(len(train)))
        parts = parts_of(val.targets.cpu().numpy(), self.seed)
        while self.n_epochs < n_epochs and not self.stopped_early and not should_stop(self._curves["val_score"]):
            self._run_epoch(train, scored_train, val, parts)
        return self.record

    def end_epoch(self, **values: float) -> None:
        """An epoch was trained, by `fit` or in a stack: append a value to every one of `CURVES`, step the schedule."""
        for name in CURVES:
            self._curves[name].append(values[name])
        self.schedule.step(values["val_score"])
        self._keep_if_best()

    def predict_outputs(self, dense: Tensor, codes: Tensor) -> Tensor:
        """Outputs of the prediction network in evaluation mode on the CPU; see `evaluation.evaluation_outputs`."""
        return evaluation_outputs(self.prediction_network(), dense, codes, self.precision).cpu()

    def prediction_network(self) -> TabularNetwork:
        """A copy of the scored network in evaluation mode, with early stopping at its best epoch, else at the last."""
        network = copy.deepcopy(self._scored_network)
        if self._best_weights is not None:
            network.load_state_dict(self._best_weights)
        return network.eval()

    def save_checkpoint(self, folder: Path) -> None:
        """Write all that continuing needs into `folder`, see `checkpoint.TrainingState`."""
        with without_compiler():
            optimizer = self.optimizer.state_dict()
        TrainingState(
            network=self.network.state_dict(),
            best=self._best_weights,
            optimizer=optimizer,
            schedule=self.schedule.state_dict(),
            curves=self._curves,
            average=None if self._average is None else self._average.state_dict(),
            crossfit=self._crossfit,
        ).save(folder)

    def load_checkpoint(self, folder: Path) -> None:
        """Take up a saved state; network and plan must be built as they were for the saved training.

        Raises:
            HistoryError: there is no readable checkpoint, or it belongs to another network or optimiser.
        """
        state = TrainingState.load(folder)
        try:
            self.network.load_state_dict(state.network)
            with without_compiler():
                self.optimizer.load_state_dict(state.optimizer)
            if self._average is not None:
                self._average.load_state_dict(state.average or {})
        except (RuntimeError, ValueError) as error:
            raise HistoryError(f"Checkpoint {folder} does not fit this network and optimiser: {error}") from error
        self.schedule.load_state_dict(state.schedule)
        self._curves = state.curves
        self._best_weights = state.best
        if state.crossfit is not None:
            self._crossfit = state.crossfit

    def _run_epoch(
        self, train: TensorRows, scored_train: TensorRows, val: TensorRows, parts: Sequence[IntArray]
    ) -> None:
        started_s = time.perf_counter()
        learning_rate = self.optimizer.param_groups[0]["lr"]
        self._train_epoch(train)
        train_loss, train_score, _ = self._evaluate(scored_train)
        val_loss, val_score, scored = self._evaluate(val)
        if self._crossfit is not None:
            self._crossfit.tell(scored.predictions, parts, scored.score, val_score)
        seconds = time.perf_counter() - started_s
        self.end_epoch(
            val_score=val_score,
            val_loss=val_loss,
            train_score=train_score,
            train_loss=train_loss,
            learning_rate=learning_rate,
            seconds=seconds,
        )

    def _train_epoch(self, train: TensorRows) -> None:
        """One pass over the rows in random order."""
        epoch = self.n_epochs + 1
        rng = np.random.default_rng([self.seed, epoch])
        total = torch.zeros((), device=self.device)
        batches = self._batches(len(train), rng)
        self.network.train()
        set_progress(self.network, self.n_epochs / self.plan.max_epochs)
        with seeded_rng(self.seed, epoch, device=self.device):
            for position, index in enumerate(batches):
                self.schedule.begin_step(position / len(batches))
                total += self._train_step(train.take(index), rng)
                if self._average is not None:
                    n_steps = self.n_epochs * len(batches) + position + 1
                    self._average.update(self.network, n_steps, len(batches))
        self._require_finite("loss of training batches", math.isfinite(total.item()))
        self._require_finite("weights", all(bool(weight.isfinite().all()) for weight in self.network.parameters()))

    def _batches(self, n_rows: int, rng: np.random.Generator) -> list[Tensor]:
        """Row positions of each batch of an epoch, all of one size."""
        size = min(self.plan.batch_size, n_rows)
        order = torch.from_numpy(rng.permutation(n_rows)).to(self.device)
        return list(order[: n_rows - n_rows % size].split(size))

    def _train_step(self, batch: TensorRows, rng: np.random.Generator) -> Tensor:
        """One update of the weights; the loss before it."""
        with computing_in(self.precision, self.device):
            loss = self.plan.batch_technique(self.network, batch, self._loss, rng).mean()
        for weight in self._weights:  # what `zero_grad` does, without its bookkeeping: noticeable in small batches
            weight.grad = None
        loss.backward()
        if self.plan.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._weights, self.plan.gradient_clip)
        self._step()
        return loss.detach()

    def _evaluate(self, rows: TensorRows) -> tuple[float, float, _Scored]:
        """Loss and score of rows in evaluation mode; a score is only asked for finite outputs."""
        outputs = evaluation_outputs(self._scored_network, rows.dense, rows.codes, self.precision)
        loss = weighted_losses(outputs, rows.targets, rows.weights, self._loss).double().mean().item()
        self._require_finite("loss in evaluation", math.isfinite(loss))
        weights = None if rows.weights is None else rows.weights.cpu().numpy()
        scored = _Scored(self._predict(outputs).cpu().numpy(), rows.targets.cpu().numpy(), weights, self._score)
        return loss, scored.score(np.arange(len(rows))), scored

    @property
    def _scored_network(self) -> TabularNetwork:
        """What is evaluated after each epoch, and predicts at the end."""
        return self.network if self._average is None else self._average.network

    def _scored_train_rows(self, n_rows: int) -> Tensor:
        n_scored = min(n_rows, MAX_SCORED_TRAIN_ROWS, max(MIN_SCORED_TRAIN_ROWS, n_rows // 10))
        rng = np.random.default_rng([self.seed, 0])
        chosen = np.sort(rng.choice(n_rows, size=n_scored, replace=False))
        return torch.from_numpy(chosen).to(self.device)

    def _require_finite(self, what: str, is_finite: bool) -> None:
        if not is_finite:
            epoch = self.n_epochs + 1
            raise DivergedError(
                f"The {what} must stay finite; not so in epoch {epoch}. A lower learning rate may help."
            )

    def _kept_epoch(self) -> int:
        stopping = self.plan.early_stopping
        return self.n_epochs if stopping is None else stopping.best_epoch(self._curves["val_score"])

    def _keep_if_best(self) -> None:
        if self.plan.early_stopping is not None and self._kept_epoch() == self.n_epochs:
            self._best_weights = {name: value.clone() for name, value in self._scored_network.state_dict().items()}
