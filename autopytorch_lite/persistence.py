"""The folder of a saved estimator: a run directory without the data and without trials outside of the ensemble.

Tensors are safetensors, everything else is JSON, NumPy arrays without objects, and skops files whose types are checked
before anything is made of them: loading never runs code from the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from autopytorch_lite.data.dataset import load_schemas, save_schemas
from autopytorch_lite.ensemble.library import Ensemble
from autopytorch_lite.ensemble.loading import load_predictor
from autopytorch_lite.ensemble.predictor import EnsemblePredictor
from autopytorch_lite.errors import HistoryError, NothingTrainedError
from autopytorch_lite.execution.tabular import fold_folder
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.store import HistoryStore, RunDirectory, read_json, write_json_atomic
from autopytorch_lite.history.summary import failure_summary
from autopytorch_lite.history.trial import Line
from autopytorch_lite.run_ensemble import RunEnsemble
from autopytorch_lite.stopping import to_plain
from autopytorch_lite.stored_run import StoredRun, data_folder


@dataclass(frozen=True)
class Saved:
    """What a folder holds, read back."""

    lines: list[Line]
    ensemble: Ensemble
    predictor: EnsemblePredictor


def save(
    folder: Path, description: Mapping[str, Any], lines: list[Line], ensemble: Ensemble, predictor: EnsemblePredictor
) -> Path:
    """Write a fitted estimator into an empty folder and return the folder.

    Raises:
        HistoryError: the folder exists and is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise HistoryError(f"A model is saved into an empty folder, but {folder} holds files; choose another one.")
    directory = RunDirectory(folder)
    files = TrialFiles(directory.files)
    predictor.save_members(lambda key, fold: fold_folder(files.folder(key), fold))
    save_schemas(data_folder(directory), predictor.schema, predictor.target)
    write_json_atomic(directory.run, description)
    write_json_atomic(directory.ensemble, replace(ensemble, voters={}).to_json())  # only voters were saved
    with HistoryStore(folder) as store:
        for line in lines:
            store.append(line)
    directory.lock.unlink(missing_ok=True)
    directory.done.touch()
    return folder


def load(folder: Path, description: Mapping[str, Any]) -> Saved:
    """Read a saved estimator, or a run directory at whatever moment.

    Raises:
        HistoryError: a part is missing or was written by another major version.
        NothingTrainedError: the run has no usable model yet.
    """
    _check_version(folder, description)
    directory = RunDirectory(folder)
    lines = HistoryStore(folder).read()
    ensemble = _read_or_select_ensemble(directory, lines)
    schema, target = load_schemas(data_folder(directory))
    predictor = load_predictor(TrialFiles(directory.files), ensemble, schema, target)
    return Saved(lines, ensemble, predictor)


def storable_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor arguments that are plain data; objects such as splitters and callbacks are left out."""
    plain = {name: to_plain(value) for name, value in arguments.items() if name != "callbacks"}
    return {name: value for name, value in plain.items() if _is_plain(value)}


def stored_arguments(description: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor arguments of a run, with its seed in place of whatever random state was given."""
    return {**description["arguments"], "random_state": description["seed"]}


def _is_plain(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value) or isinstance(value, tuple)
    except (TypeError, ValueError):
        return False


def _read_or_select_ensemble(directory: RunDirectory, lines: list[Line]) -> Ensemble:
    """The stored ensemble; of a run that has not written one yet, an ensemble of what has finished."""
    if directory.ensemble.exists():
        return Ensemble.from_json(dict(read_json(directory.ensemble)))
    of_run = RunEnsemble(StoredRun.open(directory.path))
    ensemble = of_run.select(of_run.library(lines))
    if ensemble is None:
        raise NothingTrainedError(
            f"No evaluation of {directory.path} has succeeded yet.\n{failure_summary(lines)}".strip()
        )
    return ensemble


def _check_version(folder: Path, description: Mapping[str, Any]) -> None:
    written = str(description.get("versions", {}).get("autopytorch-lite", "0"))
    if written.split(".")[0] != version("autopytorch-lite").split(".")[0]:
        raise HistoryError(
            f"{folder} was written by autopytorch-lite {written}, this is {version('autopytorch-lite')}; "
            "a model is read by versions with the same first number."
        )
