"""What every learner of the graph promises: fit to a budget, continue, predict, save, load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.errors import BudgetError, NothingTrainedError
from autopytorch_lite.metrics import Metric
from autopytorch_lite.pipeline.serialize import write_json
from autopytorch_lite.types import Array, Config, DatasetInfo, FloatArray

FORMAT = 1
DESCRIPTION_FILE = "learner.json"
"""Beside a saved model: its configuration and the facts about its data, from which it is built again."""
BEGAN_ANEW = "began_anew"
"""Name of a fact about a fit; see `FitOutcome`."""
FULL_COST = "full_cost"
"""Name of another."""


@dataclass(frozen=True)
class Rows:
    """Rows with their answers.

    Attributes:
        table: encoded inputs, n rows.
        y: class codes, int64, shape (n,); or targets in original units, float64, shape (n, n_outputs).
        sample_weight: float64, shape (n,), or None where all rows count the same.
    """

    table: EncodedTable
    y: Array
    sample_weight: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.y)


def never(curve: Sequence[float]) -> bool:
    """The rule that never ends a fit."""
    return False


@dataclass(frozen=True)
class FitSettings:
    """What a fit is given besides rows, configuration and budget.

    Attributes:
        max_budget: epochs of the largest rung; schedules are laid out for it.
        seed: seed of the trial; the same seed gives the same fit.
        metric: what the learning curve reports, as a loss.
        device: a torch device name.
        precision: "float32" or what the trainer offers besides.
        n_threads: threads that one fit may use.
        keep_epoch: the epoch whose model is kept, where it has been chosen before: a fit to the same budget ends there.
            None: the validation rows choose it, where a learner lets them.
        should_stop: asked after every epoch with the learning curve so far; true ends the fit there. A learner that
            does not train in epochs need not ask.
    """

    max_budget: int
    seed: int
    metric: Metric
    device: str = "cpu"
    precision: str = "float32"
    n_threads: int = 1
    keep_epoch: int | None = None
    should_stop: Callable[[Sequence[float]], bool] = never

    def n_epochs(self, budget: int) -> int:
        """Epochs that a fit to this budget trains at most."""
        return budget if self.keep_epoch is None else min(budget, self.keep_epoch)


@dataclass(frozen=True)
class FitOutcome:
    """What a fit leaves behind besides the fitted learner.

    Attributes:
        n_epochs: epochs trained in total, those of the continued trial included.
        curve: loss of the metric on the validation rows after epochs 1 .. n_epochs, lower is better.
        curves: further curves by name, one value per epoch.
        info: small facts about the fit, plain data; "kept_epoch" is the epoch whose model predicts, `BEGAN_ANEW` says
            whether the fit would have been the same without the trial that it was to continue, `FULL_COST` how many
            times as long one to the largest budget takes, by learners of which that is the one to predict with.
        val_predictions: of the validation rows, shape (n_rows, n_outputs), where they chose what the learner predicts
            with, but each by a model that it had no part in choosing. None: those of `Learner.predict`.
    """

    n_epochs: int
    curve: tuple[float, ...]
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    val_predictions: FloatArray | None = None


class Learner(ABC):
    """A model with everything before and around it: from an encoded table to predictions.

    A learner is made by `build_learner`, which binds the configuration and the facts about the data set to it. It is
    then fitted once, or loaded once from a folder that `save` wrote.
    """

    config: Config
    dataset_info: DatasetInfo

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, which alone refuses the functions that components make on the spot, such as schedules."""
        return _with_state, (type(self), cloudpickle.dumps(self.__dict__))

    def bind(self, config: Mapping[str, Any], info: DatasetInfo) -> None:
        """Remember where this learner came from; `save` writes both down."""
        self.config = dict(config)
        self.dataset_info = info

    @abstractmethod
    def fit(
        self, train: Rows, val: Rows, *, budget: int, settings: FitSettings, resume_from: Path | None = None
    ) -> FitOutcome:
        """Fit on `train` up to `budget` epochs in total; `val` is only scored, never learned from.

        Args:
            train: rows to learn from.
            val: rows to score after every epoch.
            budget: epochs in total, at least 1 and at most `settings.max_budget`.
            settings: what the trials of a run share.
            resume_from: folder that `save_checkpoint` of the same configuration and seed wrote on the same rows at a
                smaller budget. Fitting 5 epochs and continuing to 15 equals fitting 15.

        Raises:
            BudgetError: `budget` is out of range.
            DivergedError: losses or weights are not finite.
        """

    @abstractmethod
    def predict(self, table: EncodedTable) -> FloatArray:
        """Class probabilities whose rows sum to one, or targets in original units; float64, shape (n, n_outputs)."""

    def save(self, folder: Path) -> None:
        """Write what predicting needs into `folder`, without pickle: the description, and what `save_model` adds."""
        folder.mkdir(parents=True, exist_ok=True)
        description = {"format": FORMAT, "config": self.config, "dataset_info": self.dataset_info.to_json()}
        write_json(folder / DESCRIPTION_FILE, description)
        self.save_model(folder)

    def load(self, folder: Path) -> None:
        """Inverse of `save`, on a learner built from the same configuration; `load_learner` does both."""
        self.load_model(folder)

    @abstractmethod
    def save_model(self, folder: Path) -> None:
        """Write what was fitted into `folder`, which exists: safetensors, skops, JSON."""

    @abstractmethod
    def load_model(self, folder: Path) -> None:
        """Inverse of `save_model`; runs no code that a file could bring."""

    @abstractmethod
    def save_checkpoint(self, folder: Path) -> None:
        """Write what continuing the fit at a larger budget needs into `folder`, which exists."""


def _with_state(kind: type[Learner], state: bytes) -> Learner:
    learner = kind.__new__(kind)
    learner.__dict__.update(cloudpickle.loads(state))
    return learner


def check_budget(budget: int, settings: FitSettings) -> None:
    """Raise `BudgetError` unless 1 <= budget <= max_budget."""
    if not 1 <= budget <= settings.max_budget:
        raise BudgetError(f"A budget must be within 1 and max_budget={settings.max_budget} epochs, got {budget}.")


def not_fitted(learner: Learner) -> NothingTrainedError:
    """The error for using a learner before `fit` or `load`."""
    return NothingTrainedError(f"{type(learner).__name__} must be fitted or loaded before it predicts or is saved.")
