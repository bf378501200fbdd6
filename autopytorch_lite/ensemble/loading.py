"""From the files of a run, or of a saved estimator, to an ensemble that predicts."""

from __future__ import annotations

from pathlib import Path

from autopytorch_lite.data.schema import TableSchema
from autopytorch_lite.data.target import TargetSchema
from autopytorch_lite.ensemble.library import Ensemble
from autopytorch_lite.ensemble.predictor import EnsemblePredictor, FittedMember
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.pipeline.build import default_graph, load_learner


def load_predictor(
    files: TrialFiles, ensemble: Ensemble, schema: TableSchema, target: TargetSchema
) -> EnsemblePredictor:
    """Load an ensemble's models from the files of a run, or of a saved estimator.

    A member's model of all rows votes beside those of the search; instead of them where the time of a row is limited.
    Of the members in the ensemble's `voters` only some models vote.

    Raises:
        HistoryError: the model of a member is missing.
    """
    graph = default_graph()
    members = []
    for key, weight in ensemble.members:
        learners = (load_learner(folder, graph) for folder in _voting_folders(files, key, ensemble))
        members.append(FittedMember(key, weight, tuple(learners)))
    return EnsemblePredictor(schema, target, tuple(members), ensemble.calibration)


def refitted_files(files: TrialFiles) -> TrialFiles:
    """Models of members that were trained on all rows, beside those of the trials of a run."""
    return TrialFiles(files.root / "refitted")


def _voting_folders(files: TrialFiles, key: TrialKey, ensemble: Ensemble) -> list[Path]:
    folders = _model_folders(files, key, ensemble)
    positions = ensemble.voters.get(key, range(len(folders)))
    if not positions or not set(positions) <= set(range(len(folders))):
        raise HistoryError(f"The model of trial {key} is missing at {files.folder(key)}.")
    return [folders[i] for i in positions]


def _model_folders(files: TrialFiles, key: TrialKey, ensemble: Ensemble) -> list[Path]:
    searched, of_all_rows = (_fold_folders(where.folder(key)) for where in (files, refitted_files(files)))
    if not searched:
        raise HistoryError(f"The model of trial {key} is missing at {files.folder(key)}.")
    is_limited = ensemble.predict_ms is not None
    return of_all_rows if of_all_rows and is_limited else searched + of_all_rows


def _fold_folders(parent: Path) -> list[Path]:
    return sorted(parent.glob("fold*"), key=lambda path: int(path.name.removeprefix("fold")))
