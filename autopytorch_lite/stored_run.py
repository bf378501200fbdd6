"""What a run on one table is, and where it lies on disk: what was asked, the data, the history, files of trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.data.dataset import Dataset
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.execution.tabular import validation_rows
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.store import HistoryStore, RunDirectory, read_json, write_json_atomic
from autopytorch_lite.history.trial import Line
from autopytorch_lite.metrics import Metric
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.space.installed import require_installed
from autopytorch_lite.types import Config

VERSIONED = ("autopytorch-lite", "torch", "scikit-learn", "numpy", "pandas", "ConfigSpace", "skops")

_LIMITS = ("is_time_aware", "max_predict_ms_per_row", "refit")
"""What may change from sitting to sitting of a run."""


@dataclass(frozen=True)
class RunRequest:
    """What was asked of a run, resolved: names are looked up, defaults filled in. Plain data, stored in `run.json`.

    Attributes:
        metric: scikit-learn scorer name.
        ranges: ranges file of the joint space.
        portfolio: configurations to evaluate first.
        min_budget: epochs of the lowest rung.
        max_budget: epochs of the highest rung.
        eta: share kept at every promotion is 1 / eta.
        ensemble_size: steps of the greedy selection.
        device: "cpu", "cuda" or "cuda:i".
        precision: "float32" or "bfloat16".
        seed: of everything random in the run.
        is_time_aware: whether what is proposed depends on how long evaluations took. A run that a number of
            evaluations ends is not, so that it can be repeated.
        max_predict_ms_per_row: milliseconds that the ensemble may take for one row; None: as many as it takes. The
            search does not depend on it.
        refit: whether members of the ensemble are trained on all rows at the end, where there is a holdout.
    """

    metric: str
    ranges: Mapping[str, Any]
    portfolio: tuple[Config, ...]
    min_budget: int
    max_budget: int
    eta: int
    ensemble_size: int
    device: str
    precision: str
    seed: int
    is_time_aware: bool
    max_predict_ms_per_row: float | None = None
    refit: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunRequest:
        """Inverse of `dataclasses.asdict`."""
        return cls(**{**data, "portfolio": tuple(data["portfolio"])})

    def differences(self, other: RunRequest) -> list[str]:
        """Names of the attributes in which two requests differ; limits are not among them, they may change."""
        mine, theirs = json.loads(json.dumps(asdict(self))), json.loads(json.dumps(asdict(other)))
        return [name for name in mine if mine[name] != theirs[name] and name not in _LIMITS]


@dataclass
class StoredRun:
    """A run directory with its data set; create it, or open one that exists."""

    directory: RunDirectory
    dataset: Dataset
    request: RunRequest

    @classmethod
    def create(
        cls,
        folder: Path,
        dataset: Dataset,
        request: RunRequest,
        *,
        arguments: Mapping[str, Any],
        resampling: str,
        space: ConfigurationSpace | None = None,
    ) -> Self:
        """Write what was asked, then the data, into a directory that holds no run; `data/schema.json` is the last.

        Args:
            folder: made if absent.
            dataset: validated table with its folds.
            request: what was asked, resolved.
            arguments: what was typed, plain data, for people and for `resume`.
            resampling: how validation rows were chosen, in words.
            space: of `request` and `dataset`, where it has been compiled already, which takes tenths of a second.
        """
        run = cls(RunDirectory(folder), dataset, request)
        if space is not None:
            run.space = space
        run.directory.files.mkdir(parents=True, exist_ok=True)
        write_json_atomic(run.directory.run, run._description(arguments, resampling))
        rows = validation_rows(dataset)
        np.save(run.directory.files / "validation_targets.npy", dataset.y[rows])
        if dataset.sample_weight is not None:
            np.save(run.directory.files / "validation_weights.npy", dataset.sample_weight[rows])
        dataset.save(data_folder(run.directory))
        return run

    @classmethod
    def is_half_made(cls, folder: Path) -> bool:
        """Whether `create` was killed before it had stored the data, so that nothing has been evaluated yet."""
        directory = RunDirectory(folder)
        is_ours = directory.run.exists() and "request" in read_json(directory.run)
        return is_ours and not (data_folder(directory) / "schema.json").exists()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read a run directory back.

        Raises:
            HistoryError: it is not a run directory on a table, holds only a saved model, or nothing but its beginnings.
        """
        directory = RunDirectory(folder)
        if cls.is_half_made(folder):
            raise HistoryError(f"{folder} was stopped before its data was stored; start it again with fit.")
        description = read_json(directory.run)
        if "request" not in description or not (data_folder(directory) / "y.npy").exists():
            raise HistoryError(f"{folder} holds no table to search on; it is not the run directory of an estimator.")
        dataset = Dataset.load(data_folder(directory), mmap=True)
        return cls(directory, dataset, RunRequest.from_json(description["request"]))

    def check_same(self, dataset: Dataset, request: RunRequest) -> None:
        """Raise `HistoryError`, naming what differs, unless this run is on the same data and asks for the same.

        Raises:
            MissingExtraError: the space of this run needs packages that are not installed.
        """
        require_installed(self.space, default_graph())
        if self.dataset.fingerprint != dataset.fingerprint:
            raise HistoryError(
                f"Run directory {self.directory.path} belongs to another data set (fingerprint "
                f"{self.dataset.fingerprint[:12]}, this one is {dataset.fingerprint[:12]}); choose an empty directory."
            )
        differences = self.request.differences(request)
        if differences:
            raise HistoryError(
                f"Run directory {self.directory.path} was started with other settings of {', '.join(differences)}; "
                "use the same ones to continue it, or choose an empty directory."
            )

    @property
    def metric(self) -> Metric:
        """What the run minimises."""
        info = self.dataset.info
        return Metric(self.request.metric, info.task, info.n_outputs)

    @property
    def files(self) -> TrialFiles:
        """Predictions, models and checkpoints by trial."""
        return TrialFiles(self.directory.files)

    @cached_property
    def space(self) -> ConfigurationSpace:
        """The joint ConfigurationSpace of this data set."""
        return compile_space(default_graph(), self.request.ranges, self.dataset.info, seed=self.request.seed)

    def lines(self) -> list[Line]:
        """The history so far."""
        return HistoryStore(self.directory.path).read()

    def _description(self, arguments: Mapping[str, Any], resampling: str) -> dict[str, Any]:
        target = self.dataset.target
        return {
            "format": 1,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "task": target.task.value,
            "metric": self.metric.label,
            "seed": self.request.seed,
            "arguments": dict(arguments),
            "request": asdict(self.request),
            "versions": {name: version(name) for name in VERSIONED},
            "dataset": {
                "fingerprint": self.dataset.fingerprint,
                "n_rows": self.dataset.info.n_rows,
                "n_columns": len(self.dataset.schema.columns),
                "n_missing": self.dataset.table.n_missing,
                "columns": [{"name": str(c.name), "kind": str(c.kind)} for c in self.dataset.schema.columns],
                "classes": [str(c) for c in target.classes] if target.task.is_classification else None,
                "target_names": [str(name) for name in target.target_names],
                "resampling": resampling,
                "n_folds": len(self.dataset.folds),
            },
        }


def data_folder(directory: RunDirectory) -> Path:
    """Where the encoded table of a run lies."""
    return directory.path / "data"
