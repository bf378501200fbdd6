"""From the files of a run, or of a saved estimator, to an ensemble that predicts."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from autopytorch_lite.data.schema import TableSchema
from autopytorch_lite.data.target import TargetSchema
from autopytorch_lite.ensemble.library import Ensemble
from autopytorch_lite.ensemble.predictor import EnsemblePredictor, FittedMember
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.pipeline.build import default_graph, load_learner

N_TRAININGS = 3
"""A member is trained on all rows so many times at most."""


def load_predictor(
    files: TrialFiles, ensemble: Ensemble, schema: TableSchema, target: TargetSchema
) -> EnsemblePredictor:
    """Load an ensemble's models from the files of a run, or of a saved estimator.

    A member's models of all rows vote instead of those of the search; only one of them where the time of a row is
    limited. Of the members in the ensemble's `voters` only some models vote.

    Raises:
        HistoryError: the model of a member is missing.
    """
    graph = default_graph()
    members = []
    for key, weight in ensemble.members:
        learners = (load_learner(folder, graph) for folder in _voting_folders(files, key, ensemble))
        members.append(FittedMember(key, weight, tuple(learners)))
    return EnsemblePredictor(schema, target, tuple(members), ensemble.calibration)


def refitted_files(files: TrialFiles, number: int) -> TrialFiles:
    """Models of members that were trained on all rows for the first time (number 0), a second time (1) and so on."""
    first = files.root / "refitted"
    return TrialFiles(first / f"again{number}" if number else first)


def _voting_folders(files: TrialFiles, key: TrialKey, ensemble: Ensemble) -> list[Path]:
    folders = _model_folders(files, key, ensemble)
    positions = ensemble.voters.get(key, range(len(folders)))
    if not positions or not set(positions) <= set(range(len(folders))):
        raise HistoryError(f"The model of trial {key} is missing at {files.folder(key)}.")
    return [folders[i] for i in positions]


def _model_folders(files: TrialFiles, key: TrialKey, ensemble: Ensemble) -> list[Path]:
    searched = _fold_folders(files.folder(key))
    if not searched:
        raise HistoryError(f"The model of trial {key} is missing at {files.folder(key)}.")
    n_trainings = N_TRAININGS if ensemble.predict_ms is None else 1
    of_all_rows = [_fold_folders(refitted_files(files, number).folder(key)) for number in range(n_trainings)]
    return list(chain.from_iterable(of_all_rows)) or searched


def _fold_folders(parent: Path) -> list[Path]:
    return sorted(parent.glob("fold*"), key=lambda path: int(path.name.removeprefix("fold")))
