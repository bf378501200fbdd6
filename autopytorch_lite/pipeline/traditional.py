"""What learners beside the networks share: budgets, curves, classes, weights and files around a library's model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.pipeline.hyperparameters import Categorical, Hyperparameter
from autopytorch_lite.pipeline.learner import (
    BEGAN_ANEW,
    FULL_COST,
    FitOutcome,
    FitSettings,
    Learner,
    Rows,
    check_budget,
    not_fitted,
)
from autopytorch_lite.pipeline.models import Booster, ConstantModel, Growth, Model
from autopytorch_lite.pipeline.preprocessor import quiet
from autopytorch_lite.pipeline.rounds import curve_epochs, rounds_at
from autopytorch_lite.pipeline.serialize import read_json, write_json
from autopytorch_lite.pipeline.target_scale import TargetScale
from autopytorch_lite.pipeline.traditional_inputs import ColumnInputs, Inputs, dense_inputs, split_dense
from autopytorch_lite.training.stopping import best_epoch
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray, IntArray

FACTS_FILE = "traditional.json"
CLASS_WEIGHT = "class_weight"
MIN_ROWS_TO_CHOOSE = 1_000
"""Validation rows from which on they choose the rounds of a booster. Fewer choose by chance, and are mostly folds:
what one model learned too well, the mean of five has not, and more rounds are better."""

# Targets --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Classes:
    """The classes that training rows have; others get no probability.

    Attributes:
        present: their codes, ascending.
        n_outputs: classes of the whole data set.
    """

    present: tuple[int, ...]
    n_outputs: int

    @classmethod
    def of(cls, y: Array, n_outputs: int) -> _Classes:
        return cls(tuple(np.unique(y).tolist()), n_outputs)

    @property
    def n_classes(self) -> int:
        return len(self.present)

    def columns(self, y: Array) -> list[IntArray]:
        """What the one model learns: positions in `present`, shape (n,)."""
        return [np.searchsorted(self.present, y)]

    def predictions(self, outputs: Sequence[FloatArray]) -> FloatArray:
        """Probabilities of all classes, float64, shape (n, n_outputs); rows sum to one."""
        of_present = np.asarray(outputs[0], dtype=np.float64)
        probabilities = np.zeros((len(of_present), self.n_outputs))
        probabilities[:, self.present] = of_present
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def to_json(self) -> dict[str, Any]:
        return {"present": list(self.present), "n_outputs": self.n_outputs}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _Classes:
        return cls(tuple(data["present"]), data["n_outputs"])


@dataclass(frozen=True)
class _Values:
    """Regression targets, each with a model of its own that sees it standardised."""

    scale: TargetScale
    n_classes: ClassVar[int] = 0

    def columns(self, y: Array) -> list[FloatArray]:
        """What each model learns, shape (n,)."""
        return list(self.scale.standardize(y).T)

    def predictions(self, outputs: Sequence[FloatArray]) -> FloatArray:
        """Original units, float64, shape (n, n_targets), within the training range and a margin."""
        return self.scale.predictions(np.column_stack(outputs))

    def to_json(self) -> dict[str, Any]:
        return self.scale.to_json()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _Values:
        return cls(TargetScale.from_json(data))


# The learner ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fitted:
    """What predicting and growing on need.

    Attributes:
        inputs: fitted.
        targets: what the models' outputs mean.
        models: one for classes, or one per regression target.
        n_rounds: rounds that the models have.
    """

    inputs: Inputs
    targets: _Classes | _Values
    models: list[Model]
    n_rounds: int = 0

    def first(self, n_rounds: int) -> _Fitted:
        """To predict with: boosters with so many rounds, other models as they are."""
        models = [model.first(n_rounds) if isinstance(model, Booster) else model for model in self.models]
        return replace(self, models=models, n_rounds=n_rounds)

    @property
    def is_boosted(self) -> bool:
        """Whether fewer rounds may be better."""
        return any(isinstance(model, Booster) for model in self.models)


@dataclass(frozen=True)
class TraditionalSteps:
    """What a component makes a learner of.

    Attributes:
        new_inputs: makes unfitted inputs.
        new_model: makes an unfitted model.
        n_rounds: rounds of a full training; 1 for a model that is fitted in a single step.
        class_weight: "none", or "balanced": all classes count the same in training.
    """

    new_inputs: Callable[[], Inputs]
    new_model: Callable[[], Model]
    n_rounds: int = 1
    class_weight: str = "none"


class TraditionalLearner(Learner):
    """One model for classes, or one per regression target, with as many rounds as its budget has.

    Boosters are trained anew at each budget, and predict with as many rounds as were best on the validation rows, where
    these are many; see `Booster`. Others are grown on. A model with a single round costs the same at every budget: its
    curve is flat, and continuing it copies it.

    Values are learned standardised, and predicted within the training range and half of it on either side, as networks
    do. Rows of weight zero are left out.
    """

    def __init__(self, steps: TraditionalSteps, info: DatasetInfo):
        self._steps = steps
        self._info = info
        self._fitted: _Fitted | None = None

    def fit(
        self, train: Rows, val: Rows, *, budget: int, settings: FitSettings, resume_from: Path | None = None
    ) -> FitOutcome:
        """See `Learner.fit`; "val_score" is read at a few epochs and carried forward between them."""
        check_budget(budget, settings)
        train = _counting(train)
        with threadpool_limits(limits=settings.n_threads), quiet():
            fitted = self._resumed(resume_from) if resume_from else self._started(train, settings.seed)
            grown = self._grown(fitted, train, budget, settings)
            n_epochs = settings.n_epochs(budget)
            curve = self._curve(grown, val, n_epochs, settings)
            chooses = settings.keep_epoch is None and grown.is_boosted and len(val) >= MIN_ROWS_TO_CHOOSE
            kept = best_epoch(curve) if chooses else n_epochs
            self._fitted = grown if kept == n_epochs else grown.first(self._rounds_at(kept, settings))
        info = {
            "n_rounds": self._fitted.n_rounds,
            "kept_epoch": kept,
            BEGAN_ANEW: grown.is_boosted,
            FULL_COST: self._steps.n_rounds / self._rounds_at(budget, settings),
        }
        return FitOutcome(n_epochs, curve, {"val_score": curve}, info)

    def predict(self, table: EncodedTable) -> FloatArray:
        """See `Learner.predict`."""
        fitted = self._require_fitted()
        with quiet():
            X = fitted.inputs.transform(table)
            return fitted.targets.predictions([model.predict(X) for model in fitted.models])

    def save_model(self, folder: Path) -> None:
        """See `Learner.save_model`."""
        self._write(folder, lambda model: model.save)

    def load_model(self, folder: Path) -> None:
        """See `Learner.load_model`."""
        self._fitted = self._read(folder, lambda model: model.load)

    def save_checkpoint(self, folder: Path) -> None:
        """See `Learner.save_checkpoint`."""
        self._write(folder, lambda model: model.save_state)

    def _require_fitted(self) -> _Fitted:
        if self._fitted is None:
            raise not_fitted(self)
        return self._fitted

    def _rounds_at(self, epoch: int, settings: FitSettings) -> int:
        return rounds_at(epoch, settings.max_budget, self._steps.n_rounds)

    def _resumed(self, folder: Path) -> _Fitted:
        return self._read(folder, lambda model: model.load_state)

    def _started(self, train: Rows, seed: int) -> _Fitted:
        """Fitted inputs, and models that have not learned yet."""
        inputs = self._steps.new_inputs()
        inputs.fit(train, seed)
        targets: _Classes | _Values
        if self._info.task.is_classification:
            targets = _Classes.of(train.y, self._info.n_outputs)
        else:
            targets = _Values(TargetScale.of(train.y))
        varies = _varies(train.table)
        models = [
            self._steps.new_model() if varies and len(np.unique(y)) > 1 else ConstantModel()
            for y in targets.columns(train.y)
        ]
        return _Fitted(inputs, targets, models)

    def _grown(self, fitted: _Fitted, train: Rows, budget: int, settings: FitSettings) -> _Fitted:
        stop = self._rounds_at(settings.n_epochs(budget), settings)
        start = 0 if fitted.is_boosted else fitted.n_rounds
        if stop == start:
            return fitted
        X = fitted.inputs.training(train)
        weight = self._weight(train)
        growth = Growth(
            start,
            stop,
            n_planned=self._rounds_at(budget, settings),
            n_all=self._steps.n_rounds,
            n_classes=fitted.targets.n_classes,
            seed=settings.seed % 2**31,
            n_threads=settings.n_threads,
        )
        for model, y in zip(fitted.models, fitted.targets.columns(train.y), strict=True):
            model.grow(X, y, weight, growth)
        return replace(fitted, n_rounds=stop)

    def _weight(self, train: Rows) -> FloatArray | None:
        """Weights of the training rows, mean 1."""
        weight = train.sample_weight
        if self._steps.class_weight == "balanced":
            weight = np.ones(len(train)) if weight is None else weight
            of_class = np.bincount(train.y, weights=weight, minlength=self._info.n_outputs)
            weight = weight / of_class[train.y]
        return None if weight is None else weight / weight.mean()

    def _curve(self, fitted: _Fitted, val: Rows, budget: int, settings: FitSettings) -> tuple[float, ...]:
        """Loss per epoch, read at the epochs of `curve_epochs` and carried forward between them."""
        epochs = curve_epochs(budget, settings.max_budget)
        rounds_of = {epoch: self._rounds_at(epoch, settings) for epoch in epochs}
        rounds = sorted(set(rounds_of.values()))
        X = fitted.inputs.transform(val.table)
        stages = zip(*(model.stages(X, rounds) for model in fitted.models), strict=True)
        losses = {
            n_rounds: settings.metric.loss(val.y, fitted.targets.predictions(outputs), val.sample_weight)
            for n_rounds, outputs in zip(rounds, stages, strict=True)
        }
        return tuple(losses[rounds_of[max(e for e in epochs if e <= epoch)]] for epoch in range(1, budget + 1))

    def _write(self, folder: Path, method: Callable[[Model], Callable[[Path], None]]) -> None:
        fitted = self._require_fitted()
        is_constant = [isinstance(model, ConstantModel) for model in fitted.models]
        facts = {"n_rounds": fitted.n_rounds, "targets": fitted.targets.to_json(), "is_constant": is_constant}
        write_json(folder / FACTS_FILE, facts)
        fitted.inputs.save(folder)
        for i, model in enumerate(fitted.models):
            own = _model_folder(folder, i)
            own.mkdir(exist_ok=True)
            method(model)(own)

    def _read(self, folder: Path, method: Callable[[Model], Callable[[Path], None]]) -> _Fitted:
        facts = read_json(folder / FACTS_FILE)
        inputs = self._steps.new_inputs()
        inputs.load(folder)
        kind = _Classes if self._info.task.is_classification else _Values
        models = [ConstantModel() if constant else self._steps.new_model() for constant in facts["is_constant"]]
        for i, model in enumerate(models):
            method(model)(_model_folder(folder, i))
        return _Fitted(inputs, kind.from_json(facts["targets"]), models, facts["n_rounds"])


def column_learner(
    values: Mapping[str, ConfigValue],
    info: DatasetInfo,
    *,
    model: Callable[[dict[str, Any], DatasetInfo], Model],
    rounds: str,
    with_statistics: bool = False,
) -> TraditionalLearner:
    """A learner of trees, which take columns as they are.

    Args:
        values: local hyperparameter name -> value.
        info: facts about the data.
        model: makes an unfitted model of the values that remain.
        rounds: name of the value that says how many rounds a full training has.
        with_statistics: see `ColumnInputs`.
    """
    others = dict(values)
    n_rounds, class_weight = int(others.pop(rounds)), str(others.pop(CLASS_WEIGHT, "none"))
    new_inputs = partial(ColumnInputs, info, with_statistics=with_statistics)
    return TraditionalLearner(TraditionalSteps(new_inputs, partial(model, others, info), n_rounds, class_weight), info)


def dense_learner(
    values: Mapping[str, ConfigValue], info: DatasetInfo, *, model: Callable[[dict[str, Any], DatasetInfo], Model]
) -> TraditionalLearner:
    """A learner of numbers, fitted in a single step; `values` has those of `dense_hyperparameters` too."""
    dense, others = split_dense(values)
    class_weight = str(others.pop(CLASS_WEIGHT, "none"))
    new_inputs = partial(dense_inputs, dense, info)
    return TraditionalLearner(TraditionalSteps(new_inputs, partial(model, others, info), 1, class_weight), info)


def class_weights(info: DatasetInfo) -> tuple[Hyperparameter, ...]:
    """The hyperparameter that becomes `TraditionalSteps.class_weight`, for classification."""
    return (Categorical(CLASS_WEIGHT, ("none", "balanced")),) if info.task.is_classification else ()


def _model_folder(folder: Path, i: int) -> Path:
    return folder / f"model{i}"


def _counting(rows: Rows) -> Rows:
    """The rows with a positive weight; if there are none, all rows, unweighted."""
    if rows.sample_weight is None:
        return rows
    counts = rows.sample_weight > 0
    if not counts.any():
        return replace(rows, sample_weight=None)
    if counts.all():
        return rows
    return Rows(rows.table.take(np.flatnonzero(counts)), rows.y[counts], rows.sample_weight[counts])


def _varies(table: EncodedTable) -> bool:
    """Whether any column has two different cells, missing ones being a cell of their own."""
    first, numeric = table.numeric[:1], table.numeric
    same = (numeric == first) | (np.isnan(numeric) & np.isnan(first))
    return not same.all() or bool((table.categorical != table.categorical[:1]).any())
