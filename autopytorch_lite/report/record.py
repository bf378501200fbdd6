"""A run directory as one value: what was asked, the history, the ensemble, validation predictions. Reads files only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autopytorch_lite.ensemble.calibration import Calibration
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.store import HistoryStore
from autopytorch_lite.history.trial import Line, TrialKey
from autopytorch_lite.metrics import ALIASES
from autopytorch_lite.report.tables import ensemble_weights, incumbents
from autopytorch_lite.report.words import loss_words
from autopytorch_lite.types import Array, FloatArray, Task


@dataclass(frozen=True)
class Validation:
    """What the ensemble (or, without one, the best model) says about rows it was not trained on.

    Attributes:
        targets: class codes (n_rows,) or values (n_rows, n_targets).
        predictions: class probabilities (n_rows, n_classes) or values (n_rows, n_targets).
        source: whose predictions they are, in words.
    """

    targets: Array
    predictions: FloatArray
    source: str


@dataclass(frozen=True)
class RunRecord:
    """Everything a report shows of a run.

    Attributes:
        path: the run directory.
        about: content of run.json.
        lines: the history, in file order.
        ensemble: content of ensemble.json; None while there is none.
        holdout: content of holdout.json; None where no rows were kept aside.
        is_done: whether the run ended and said so.
        space: content of space.json; None where the searcher shows no space.
        ended: content of ended.json: why the search ended; None while it runs and after it was killed.
    """

    path: Path
    about: dict[str, Any]
    lines: list[Line]
    ensemble: dict[str, Any] | None
    holdout: dict[str, Any] | None
    is_done: bool
    space: dict[str, Any] | None = None
    ended: dict[str, Any] | None = None

    @property
    def task(self) -> Task | None:
        """What is predicted; None for a search over a function, which predicts nothing."""
        return Task(self.about["task"]) if "task" in self.about else None

    @property
    def metric(self) -> str:
        """Scikit-learn's name of the optimised metric; those of errors start with "neg_". Empty for a function."""
        name = str(self.about.get("request", {}).get("metric", self.about.get("metric", "")))
        return ALIASES.get(name, name)

    @property
    def loss_label(self) -> str:
        """What the losses of the history are, in words."""
        return f"validation {loss_words(self.metric)}" if self.metric else "loss"

    @property
    def dataset(self) -> dict[str, Any]:
        """Facts about the table; empty for a search over a function."""
        return dict(self.about.get("dataset", {}))

    @property
    def classes(self) -> list[str]:
        """Labels of the classes as text, in the order of their codes; empty for regression."""
        return [str(label) for label in self.dataset.get("classes") or ()]

    @property
    def target_names(self) -> list[str]:
        """Names of the target columns."""
        return [str(name) for name in self.dataset.get("target_names") or ()]

    @cached_property
    def validation(self) -> Validation | None:
        """Predictions for validation rows; None before the first model, or where the files are gone."""
        targets_file = self.path / "files" / "validation_targets.npy"
        weights = self._shown_weights()
        if self.task is None or not weights or not targets_file.exists():
            return None
        files = TrialFiles(self.path / "files")
        try:
            parts = [weight * files.validation_predictions(key) for key, weight in weights.items()]
        except (OSError, HistoryError):
            return None
        total = sum(weights.values())
        source = "the ensemble" if self.ensemble else "the best model so far"
        predictions = self.calibration(np.sum(parts, axis=0) / total)
        return Validation(np.load(targets_file, allow_pickle=False), predictions, source)

    @property
    def calibration(self) -> Calibration:
        """Of the ensemble's probabilities."""
        return Calibration.from_json(self.ensemble or {})

    def _shown_weights(self) -> dict[TrialKey, float]:
        weights = ensemble_weights(self.ensemble)
        if weights:
            return weights
        found = incumbents(self.lines)
        return {found[-1].key: 1.0} if found else {}


def read_run(run_dir: str | Path) -> RunRecord:
    """Read a run directory, finished or not; nothing is locked, written or trained.

    Raises:
        HistoryError: the folder is no run directory, or its history is damaged.
    """
    path = Path(run_dir)
    about = _read_json(path / "run.json")
    if about is None:
        raise HistoryError(f"A run directory holds run.json; {str(path)!r} does not.")
    ended = _read_json(path / "ended.json")
    return RunRecord(
        path=path,
        about=about,
        lines=HistoryStore(path).read(),
        ensemble=_read_json(path / "ensemble.json"),
        holdout=_read_json(path / "holdout.json"),
        is_done=(path / "DONE").exists() or ("task" not in about and _ended_well(ended)),
        space=_read_json(path / "space.json"),
        ended=ended,
    )


def _ended_well(ended: dict[str, Any] | None) -> bool:
    return ended is not None and not ended.get("interrupted")


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise HistoryError(f"{path.name} in {str(path.parent)!r} must be a JSON object: {error}.") from error
