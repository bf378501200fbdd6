"""What each family of learners did in a run: trials, time, best loss, weight, and what the ensemble would miss."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from autopytorch_lite.ensemble.library import Ensemble, Library
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.summary import proposals
from autopytorch_lite.history.trial import Finished, TrialKey
from autopytorch_lite.metrics import Metric
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.report.record import RunRecord
from autopytorch_lite.report.tables import ensemble_weights, evaluations
from autopytorch_lite.types import Array, FloatArray

MAX_SELECTION_S = 3.0
"""One selection without a family may take so long; its path ends there."""


@dataclass(frozen=True)
class Family:
    """One family: all configurations of a learner, networks by their backbone.

    Attributes:
        learner: its name, as `learner_of` has it.
        ok: its evaluations with a result, in the order of their ends.
        n_trials: all of its evaluations, failed ones too.
        seconds: what they took together.
        weight: of its members in the ensemble.
        loss_without: of the ensemble selected again from all others; None where that is not known.
    """

    learner: str
    ok: tuple[Finished, ...]
    n_trials: int
    seconds: float
    weight: float
    loss_without: float | None

    @property
    def name(self) -> str:
        """For people: "hist gradient boosting", "tabm"."""
        return self.learner.removeprefix("neural: ").replace("_", " ")

    @property
    def best(self) -> Finished | None:
        """Its best evaluation, whatever its budget."""
        return min(self.ok, key=lambda line: line.loss or 0.0, default=None)


@dataclass(frozen=True)
class Families:
    """All families of a run.

    Attributes:
        families: best validation loss first, those without a result last.
        loss: of the ensemble selected from all, to compare `Family.loss_without` with; None where that is not known.
    """

    families: tuple[Family, ...]
    loss: float | None


def families(run: RunRecord) -> Families:
    """What each family did; nothing where configurations name no learner."""
    proposed = proposals(run.lines)
    of_learner: dict[str, list[Finished]] = defaultdict(list)
    for line in evaluations(run.lines):
        if line.key in proposed:
            of_learner[learner_of(proposed[line.key].config)].append(line)
    of_learner.pop("", None)
    weights = ensemble_weights(run.ensemble) or {}
    weight_of = {name: sum(weights.get(line.key, 0.0) for line in lines) for name, lines in of_learner.items()}
    loss, losses_without = _selected_again(run, [name for name, weight in weight_of.items() if weight > 0])
    found = [
        _family(name, lines, weight_of[name], losses_without.get(name, loss)) for name, lines in of_learner.items()
    ]
    return Families(tuple(sorted(found, key=_best_loss)), loss)


def error_correlations(run: RunRecord, keys: Sequence[TrialKey]) -> FloatArray | None:
    """Correlations of the errors of trials on validation rows, shape (n, n); None where their files are gone.

    The error of a row is what its true class lacks to probability one, or the distance from the target, signed, summed
    over targets in units of each target's spread.
    """
    try:
        targets = _validation_array(run, "targets")
        files = TrialFiles(run.path / "files")
        errors = [_errors(files.validation_predictions(key), targets) for key in keys]
    except (OSError, HistoryError):
        return None
    with np.errstate(all="ignore"):  # errors that never vary correlate with nothing
        return np.nan_to_num(np.corrcoef(errors)).reshape(len(keys), len(keys))


def _errors(predictions: FloatArray, targets: Array) -> FloatArray:
    if targets.ndim == 1:
        return 1 - predictions[np.arange(len(targets)), targets]
    spread = targets.std(axis=0)
    return ((predictions - targets) / np.where(spread > 0, spread, 1.0)).sum(axis=1)


def _family(learner: str, lines: Iterable[Finished], weight: float, loss_without: float | None) -> Family:
    lines = tuple(lines)
    ok = tuple(line for line in lines if line.ok and line.loss is not None)
    return Family(learner, ok, len(lines), sum(line.seconds for line in lines), weight, loss_without)


def _best_loss(family: Family) -> float:
    return float("inf") if family.best is None or family.best.loss is None else family.best.loss


def _selected_again(run: RunRecord, learners: Iterable[str]) -> tuple[float | None, dict[str, float]]:
    """Loss of the ensemble selected as the run did, and without each learner; nothing where files are gone."""
    try:
        library = _library(run)
        whole = _selection(run, library)
        without = {learner: _selection(run, library, {learner}) for learner in learners}
    except (OSError, HistoryError):
        return None, {}
    losses = {learner: ensemble.loss for learner, ensemble in without.items() if ensemble is not None}
    return (None if whole is None else whole.loss), losses


def _library(run: RunRecord) -> Library:
    targets, weight = _validation_array(run, "targets"), None
    if (run.path / "files" / "validation_weights.npy").exists():
        weight = _validation_array(run, "weights")
    assert run.task is not None
    n_outputs = len(run.classes) if run.task.is_classification else targets.shape[1]
    files = TrialFiles(run.path / "files")
    metric, n_folds = Metric(run.metric, run.task, n_outputs), run.about.get("dataset", {}).get("n_folds", 1)
    library = Library(files.validation_predictions, targets, metric, weight, n_folds)
    library.extend(run.lines)
    return library


def _selection(run: RunRecord, library: Library, without: Collection[str] = ()) -> Ensemble | None:
    asked = run.about.get("request", {})
    limit_ms = asked.get("max_predict_ms_per_row")
    end = time.monotonic() + MAX_SELECTION_S
    return library.build(
        size=asked.get("ensemble_size", len(library) or 1),
        seed=asked.get("seed", 0),
        out_of_time=lambda: time.monotonic() > end,
        latency=None if limit_ms is None else library.latency(limit_ms),
        without=without,
    )


def _validation_array(run: RunRecord, name: str) -> Array:
    return np.load(run.path / "files" / f"validation_{name}.npy", allow_pickle=False)
