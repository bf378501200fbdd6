"""The neural learner: preprocessing, a network, its training, and predictions in the user's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.metrics import Metric
from autopytorch_lite.networks.embeddings import EntityEmbedding
from autopytorch_lite.networks.initialization import start_from_rows, starts_from_rows
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.pipeline.components.backbones import BackboneFactory, new_backbone, new_head
from autopytorch_lite.pipeline.components.embedding import EmbeddedColumns
from autopytorch_lite.pipeline.components.initialization import Initialization
from autopytorch_lite.pipeline.components.losses import LossFactory
from autopytorch_lite.pipeline.components.numeric_embedding import NumericEmbeddingFactory
from autopytorch_lite.pipeline.learner import (
    BEGAN_ANEW,
    FitOutcome,
    FitSettings,
    Learner,
    Rows,
    check_budget,
    not_fitted,
)
from autopytorch_lite.pipeline.preprocessor import PreprocessingSteps, TabularPreprocessor
from autopytorch_lite.pipeline.serialize import read_json, write_json
from autopytorch_lite.pipeline.target_scale import TargetScale
from autopytorch_lite.training.evaluation import class_probabilities, evaluation_outputs, target_values
from autopytorch_lite.training.loop import Trainer, TrainingPlan, TrainingRecord
from autopytorch_lite.training.optimizers import OptimizerFactory
from autopytorch_lite.training.regularization import BatchTechnique
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.training.schedules import ScheduleFactory, Whole
from autopytorch_lite.training.stopping import EarlyStopping
from autopytorch_lite.types import Array, FloatArray, IntArray

PREPROCESSOR_FILE = "preprocessor.skops"
FACTS_FILE = "network.json"
WEIGHTS_FILE = "network.safetensors"

MAX_START_ROWS = 10_000
"""Training rows that a network sees before its training, to set scales and bins."""

UNCHOSEN_HALF_LIFE = 2.0
"""Epochs after which a step counts half in the average of the weights, where no validation rows choose the epoch whose
weights predict, as they did when the configuration was found: weights of single epochs differ by much."""


@dataclass(frozen=True)
class NeuralSteps:
    """What the children of the node "neural" built."""

    batch_size: int
    preprocessing: PreprocessingSteps
    numeric_embedding: NumericEmbeddingFactory | None
    backbone: BackboneFactory
    initialization: Initialization
    optimizer: OptimizerFactory
    schedule: ScheduleFactory
    loss: LossFactory
    batch_technique: BatchTechnique
    early_stopping: EarlyStopping | None
    gradient_clip: float | None
    average_half_life: float | None


def assemble_neural(parts: dict[str, Any]) -> NeuralLearner:
    """The learner made of the built children; what does not apply to the data or other choices is absent."""
    preprocessing = PreprocessingSteps(
        imputer=parts["imputation"],
        encoding=parts.get("encoding"),
        scaler=parts["scaling"],
        features=parts["preprocessing"],
        embedded=parts.get("embedding", EmbeddedColumns()),
    )
    return NeuralLearner(
        NeuralSteps(
            batch_size=parts["batching"],
            preprocessing=preprocessing,
            numeric_embedding=parts.get("numeric_embedding"),
            backbone=parts["backbone"],
            initialization=parts["initialization"],
            optimizer=parts["optimizer"],
            schedule=parts["lr_schedule"],
            loss=parts["loss"],
            batch_technique=parts["batch_technique"],
            early_stopping=parts["early_stopping"],
            gradient_clip=parts.get("gradient_clipping"),
            average_half_life=parts.get("weight_averaging"),
        )
    )


@dataclass(frozen=True)
class _Fitted:
    """What predicting needs.

    Attributes:
        preprocessor: fitted.
        targets: scale of regression targets; None for classes.
        network: in evaluation mode.
        seed: under which the network was made.
        precision: in which it runs.
    """

    preprocessor: TabularPreprocessor
    targets: TargetScale | None
    network: TabularNetwork
    seed: int
    precision: str = "float32"


@dataclass(frozen=True)
class Prepared:
    """A training that has not begun.

    Attributes:
        trainer: with the untrained network.
        preprocessor: fitted on the training rows.
        targets: scale of regression targets; None for classes.
    """

    trainer: Trainer
    preprocessor: TabularPreprocessor
    targets: TargetScale | None

    def tensor_rows(self, rows: Rows) -> TensorRows:
        """Rows as the network reads them."""
        return _tensor_rows(rows, self.preprocessor.transform(rows.table), self.targets)

    def training_rows(self, train: Rows) -> TensorRows:
        """The very rows of the fit, as the network learns from them; see `TabularPreprocessor.training`."""
        return _tensor_rows(train, self.preprocessor.training(train.table, train.y), self.targets)

    def predictions(self, outputs: Tensor) -> Tensor:
        """What `Learner.predict` returns for rows with these outputs of the network."""
        return _predictions(outputs, self.targets)


class NeuralLearner(Learner):
    """A network trained on preprocessed rows.

    Random states of torch, numpy and Python are the same before and after a fit. Regression targets are standardised,
    and predictions kept within the training range and half of it on either side: a network that extrapolates without
    bounds ruins the average of an ensemble.
    """

    def __init__(self, steps: NeuralSteps):
        self._steps = steps
        self._fitted: _Fitted | None = None
        self._trainer: Trainer | None = None

    def fit(
        self, train: Rows, val: Rows, *, budget: int, settings: FitSettings, resume_from: Path | None = None
    ) -> FitOutcome:
        """See `Learner.fit`; what preprocessing learned is read back from the checkpoint, not fitted again.

        A `Whole` schedule is laid out for the budget, and the network begins anew.
        """
        check_budget(budget, settings)
        if self._begins_anew:
            settings = replace(settings, max_budget=budget)
        with _limited_threads(settings.n_threads):
            if resume_from is None:
                preprocessor = self.fit_preprocessor(train, settings.seed)
            else:
                preprocessor = self._new_preprocessor().load(resume_from / PREPROCESSOR_FILE)
            prepared = self.prepare(train, settings, preprocessor)
            train_rows, val_rows = prepared.training_rows(train), prepared.tensor_rows(val)
            trainer = prepared.trainer
            if resume_from is not None and not self._begins_anew:
                trainer.load_checkpoint(resume_from)
            n_epochs = settings.n_epochs(budget)
            record = trainer.fit(train_rows, val_rows, n_epochs, should_stop=settings.should_stop)
        network = trainer.prediction_network()
        self._fitted = _Fitted(prepared.preprocessor, prepared.targets, network, settings.seed, trainer.precision)
        self._trainer = trainer
        return _outcome(record, network, self._begins_anew)

    def fit_preprocessor(self, train: Rows, seed: int) -> TabularPreprocessor:
        """The configuration's preprocessing, fitted on rows; configurations that agree on it can share it."""
        return self._new_preprocessor().fit(train.table, train.y, seed=seed)

    def prepare(self, train: Rows, settings: FitSettings, preprocessor: TabularPreprocessor) -> Prepared:
        """The training that `fit` runs, for those who run many together.

        Args:
            train: rows to learn from.
            settings: what the trials of a run share.
            preprocessor: with this configuration's steps, fitted on the same rows.
        """
        targets = None if self.dataset_info.task.is_classification else TargetScale.of(train.y)
        network = self._new_network(preprocessor, settings.seed)
        _start(network, train, preprocessor, settings.seed)
        trainer = self._new_trainer(network, train.y, _Score(settings.metric, targets), settings)
        return Prepared(trainer, preprocessor, targets)

    def predict(self, table: EncodedTable) -> FloatArray:
        """See `Learner.predict`."""
        fitted = self._require_fitted()
        dense, codes = map(torch.from_numpy, fitted.preprocessor.transform(table))
        outputs = evaluation_outputs(fitted.network, dense, codes, fitted.precision)
        return _predictions(outputs.cpu(), fitted.targets).numpy()

    def save_model(self, folder: Path) -> None:
        """See `Learner.save_model`."""
        fitted = self._require_fitted()
        fitted.preprocessor.save(folder / PREPROCESSOR_FILE)
        targets = None if fitted.targets is None else fitted.targets.to_json()
        write_json(folder / FACTS_FILE, {"seed": fitted.seed, "targets": targets})
        weights = {name: value.cpu().contiguous() for name, value in fitted.network.state_dict().items()}
        safetensors.torch.save_file(weights, folder / WEIGHTS_FILE)

    def load_model(self, folder: Path) -> None:
        """See `Learner.load_model`; the network lies on the CPU."""
        facts = read_json(folder / FACTS_FILE)
        targets = None if facts["targets"] is None else TargetScale.from_json(facts["targets"])
        preprocessor = self._new_preprocessor().load(folder / PREPROCESSOR_FILE)
        network = self._new_network(preprocessor, facts["seed"])
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS_FILE))
        self._fitted = _Fitted(preprocessor, targets, network.eval(), facts["seed"])
        self._trainer = None

    def save_checkpoint(self, folder: Path) -> None:
        """What preprocessing learned, and the state of the training if that is continued."""
        if self._trainer is None:
            raise not_fitted(self)
        self._require_fitted().preprocessor.save(folder / PREPROCESSOR_FILE)
        if not self._begins_anew:
            self._trainer.save_checkpoint(folder)

    @property
    def _begins_anew(self) -> bool:
        return isinstance(self._steps.schedule, Whole)

    def _require_fitted(self) -> _Fitted:
        if self._fitted is None:
            raise not_fitted(self)
        return self._fitted

    def _new_preprocessor(self) -> TabularPreprocessor:
        return TabularPreprocessor(self._steps.preprocessing, self.dataset_info.cardinalities)

    def _new_network(self, preprocessor: TabularPreprocessor, seed: int) -> TabularNetwork:
        """The untrained network; the same seed gives the same weights."""
        embedded, info = self._steps.preprocessing.embedded, self.dataset_info
        with seeded_rng(seed, 0):
            cardinalities = [info.cardinalities[column] for column in embedded.columns]
            embedding = EntityEmbedding(cardinalities, embedded.dims) if embedded.columns else None
            numeric = None if self._steps.numeric_embedding is None else self._steps.numeric_embedding()
            dense = preprocessor.widths
            widths = dense if numeric is None else numeric.widths + dense[numeric.n_columns :]
            backbone = new_backbone(self._steps.backbone, widths + embedded.dims)
            head = new_head(backbone, info.n_outputs)
            network = TabularNetwork(embedding, backbone, head, numeric)
            self._steps.initialization(network)
        return network

    def _new_trainer(self, network: TabularNetwork, y: Array, score: _Score, settings: FitSettings) -> Trainer:
        steps = self._steps
        early_stopping, half_life = steps.early_stopping, steps.average_half_life
        if settings.keep_epoch is not None and early_stopping is not None:
            early_stopping, half_life = None, half_life or UNCHOSEN_HALF_LIFE
        plan = TrainingPlan(
            optimizer=steps.optimizer,
            loss=steps.loss(y),
            schedule=steps.schedule,
            batch_technique=steps.batch_technique,
            batch_size=steps.batch_size,
            early_stopping=early_stopping,
            max_epochs=settings.max_budget,
            gradient_clip=steps.gradient_clip,
            average_half_life=half_life,
        )
        return Trainer(
            network,
            plan,
            score=score,
            predict=lambda outputs: _predictions(outputs, score.scale),
            seed=settings.seed,
            device=settings.device,
            precision=settings.precision,
        )


@dataclass(frozen=True)
class _Score:
    """The metric's loss in the user's units, for targets as the network sees them."""

    metric: Metric
    scale: TargetScale | None

    def __call__(self, predictions: Array, targets: Array, weights: Array | None = None) -> float:
        original = targets if self.scale is None else self.scale.restore(targets)
        return self.metric.loss(original, predictions, weights)


def _start(network: TabularNetwork, train: Rows, preprocessor: TabularPreprocessor, seed: int) -> None:
    """Let the network set scales and bins from a sample of the training rows, if it has any."""
    if not starts_from_rows(network):
        return
    with seeded_rng(seed, 0, 1):
        some = torch.randperm(len(train))[:MAX_START_ROWS].numpy()
        dense, codes = preprocessor.training(train.table, train.y)
        start_from_rows(network, torch.from_numpy(dense[some]), torch.from_numpy(codes[some]))


def _tensor_rows(rows: Rows, inputs: tuple[FloatArray, IntArray], targets: TargetScale | None) -> TensorRows:
    dense, codes = inputs
    y = rows.y if targets is None else targets.standardize(rows.y)
    return TensorRows.from_arrays(dense, codes, y, rows.sample_weight)


def _predictions(outputs: Tensor, targets: TargetScale | None) -> Tensor:
    """Class probabilities, or targets in original units, float64 on the CPU."""
    if targets is None:
        return class_probabilities(outputs.cpu())
    return torch.from_numpy(targets.predictions(target_values(outputs.cpu()).numpy()))


def _outcome(record: TrainingRecord, network: TabularNetwork, began_anew: bool) -> FitOutcome:
    info = {
        "n_parameters": sum(weight.numel() for weight in network.parameters()),
        "stopped_early": record.stopped_early,
        "kept_epoch": record.kept_epoch,
        BEGAN_ANEW: began_anew,
    }
    curves = {name: tuple(values) for name, values in record.curves.items()}
    return FitOutcome(record.n_epochs, curves["val_score"], curves, info, record.val_predictions)


@contextmanager
def _limited_threads(n_threads: int) -> Iterator[None]:
    """Torch and the libraries beneath numpy and scikit-learn use `n_threads` inside the block."""
    n_before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with threadpool_limits(limits=n_threads):
            yield
    finally:
        torch.set_num_threads(n_before)
