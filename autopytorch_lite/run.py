"""One run on one table: what was asked, where it lies on disk, the search over it, and what can be loaded from it.

The estimator, the command line and the loader all work through `TableRun`, so a run is the same thing to each of them.
"""

from __future__ import annotations

import json
import math
import shutil
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np

from autopytorch_lite.data.dataset import Dataset
from autopytorch_lite.ensemble.latency import Latency
from autopytorch_lite.ensemble.library import Ensemble, Library, Member
from autopytorch_lite.ensemble.limit import Served, select_under_limit
from autopytorch_lite.ensemble.loading import load_predictor, refitted_files
from autopytorch_lite.ensemble.predictor import EnsemblePredictor
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.execution.base import Executor
from autopytorch_lite.execution.baseline import BASELINE_KEY, fit_baseline
from autopytorch_lite.execution.costs import EvaluationCosts, load_prior
from autopytorch_lite.execution.head_start import HeadStart
from autopytorch_lite.execution.refit import (
    RefitObjective,
    RefitPlanner,
    affordable,
    run_refits,
    seconds_needed,
)
from autopytorch_lite.execution.tabular import TabularObjective, forget_rows, validation_rows
from autopytorch_lite.execution.work import Sizes
from autopytorch_lite.execution.worker_pool import WARM
from autopytorch_lite.execution.workers import ProcessExecutor, SerialExecutor
from autopytorch_lite.history.events import Callback, Event, EventKind
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.store import HistoryStore, RunDirectory, read_json, write_json_atomic
from autopytorch_lite.history.trial import Line, Proposed, TrialKey
from autopytorch_lite.metrics import Metric
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.search.base import Searcher
from autopytorch_lite.search.freeze_thaw import FreezeThaw
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.space.installed import require_installed
from autopytorch_lite.stopping import Stop, TrialStopping
from autopytorch_lite.tuner import TuneResult, tune
from autopytorch_lite.types import Config

VERSIONED = ("autopytorch-lite", "torch", "scikit-learn", "numpy", "pandas", "ConfigSpace", "skops")

_LIMITS = ("is_time_aware", "max_predict_ms_per_row", "refit")
"""What may change from sitting to sitting of a run."""

COST_EXPONENT = 0.3
"""How much time counts in what is proposed, in runs that a time limit ends."""

MIN_TRIAL_LIMIT_S = 30.0
"""One evaluation may take a quarter of the time limit, or so many seconds if that is more."""

MAX_REFIT_SHARE = 0.1
"""So much of a time limit may be kept from the search, to train members on all rows with."""

MIN_REFIT_WEIGHT = 0.5
"""That is done only if it is enough for members of so much weight; otherwise the search makes more of the time."""

HEAD_START_S = 5.0
"""The first evaluation is done in this process, where no limit can be enforced, if it is sure to take less. That is
about what a worker needs to load its libraries."""

NEEDED_BY_WORKERS = ("autopytorch_lite.execution.tabular", "autopytorch_lite.pipeline.build")
"""Modules that a worker imports for its first evaluation."""


def start_first_worker(n_threads: int) -> None:
    """Let a worker load its libraries, which takes seconds, while the data is looked at."""
    WARM.start(n_threads, quiet=True, modules=NEEDED_BY_WORKERS)


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
class TableRun:
    """A run directory with its data set; create it, or open one that exists."""

    directory: RunDirectory
    dataset: Dataset
    request: RunRequest
    trajectory: list[dict[str, float]] = field(default_factory=list)
    refitted: list[TrialKey] = field(default_factory=list)

    @classmethod
    def create(
        cls, folder: Path, dataset: Dataset, request: RunRequest, *, arguments: Mapping[str, Any], resampling: str
    ) -> TableRun:
        """Write what was asked, then the data, into a directory that holds no run; `data/schema.json` is the last.

        Args:
            folder: made if absent.
            dataset: validated table with its folds.
            request: what was asked, resolved.
            arguments: what was typed, plain data, for people and for `resume`.
            resampling: how validation rows were chosen, in words.
        """
        run = cls(RunDirectory(folder), dataset, request)
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
    def open(cls, folder: Path) -> TableRun:
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
        written = read_json(directory.ensemble) if directory.ensemble.exists() else {}
        trajectory = list(written.get("trajectory", ()))
        refitted = [TrialKey(**key) for key in written.get("refitted", ())]
        return cls(directory, dataset, RunRequest.from_json(description["request"]), trajectory, refitted)

    def check_same(self, dataset: Dataset, request: RunRequest) -> None:
        """Raise `HistoryError`, naming what differs, unless this run is on the same data and asks for the same.

        Raises:
            MissingExtraError: the space of this run needs packages that are not installed.
        """
        require_installed(self.space(), default_graph())
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

    def space(self) -> Any:
        """The joint ConfigurationSpace of this data set."""
        return compile_space(default_graph(), self.request.ranges, self.dataset.info, seed=self.request.seed)

    def lines(self) -> list[Line]:
        """The history so far."""
        return HistoryStore(self.directory.path).read()

    def search(
        self,
        *,
        time_limit_s: float | None,
        n_trials: int | None,
        n_workers: int,
        n_threads: int,
        memory_limit_mb: float | None,
        stop: Stop | None = None,
        stop_trials: TrialStopping | None = None,
        callbacks: Iterable[Callback] = (),
    ) -> TuneResult:
        """Search until a limit is reached, continuing what the directory holds; the ensemble is updated meanwhile.

        Raises:
            MissingExtraError: the run was begun where more packages were installed, and its space needs them.
        """
        space = self.space()
        require_installed(space, default_graph())
        self.directory.done.unlink(missing_ok=True)
        costs = self._costs() if self.request.is_time_aware else None
        executor: Executor = ProcessExecutor(
            self._objective(n_threads),
            n_workers=n_workers,
            n_threads=n_threads,
            memory_limit_mb=memory_limit_mb,
            files_root=self.directory.files,
        )
        if costs is not None and memory_limit_mb is None:
            executor = self._with_head_start(executor, costs, n_threads, time_limit_s)
        watchers = tuple(callbacks)
        updater = EnsembleUpdater(self, watchers)
        most_s = MAX_REFIT_SHARE * time_limit_s if self._has_refits and time_limit_s is not None else 0.0
        try:
            return tune(
                self.searcher(space, costs),
                executor=executor,
                run_dir=self.directory.path,
                time_limit=time_limit_s,
                leave_s=lambda: updater.refits_need_s(most_s, n_workers),
                trial_time_limit=None if time_limit_s is None else max(time_limit_s / 4, MIN_TRIAL_LIMIT_S),
                n_trials=n_trials,
                stop=stop,
                stop_trials=stop_trials,
                callbacks=(updater.catch_up, *watchers, updater),
            )
        finally:
            executor.close()
            forget_rows()

    @property
    def _has_refits(self) -> bool:
        """Whether members are trained on all rows: those of several folds are, together, already."""
        return self.request.refit and len(self.dataset.folds) == 1

    def refit_planner(self) -> RefitPlanner:
        """Tells what training members on all rows takes; it has to be told the history."""
        return RefitPlanner(len(self.dataset) / len(self.dataset.folds[0].train_idx))

    def refit(
        self,
        ensemble: Ensemble,
        *,
        time_limit_s: float | None,
        n_workers: int,
        n_threads: int,
        memory_limit_mb: float | None,
    ) -> int:
        """Train members of an ensemble on all rows, if that was asked for and as far as time goes.

        `predictor` loads these models too; see `load_predictor`. One that fails changes nothing.

        Returns:
            How many members have such a model now.
        """
        if not self._has_refits:
            return 0
        planner = self.refit_planner()
        planner.extend(self.lines())
        files = refitted_files(self.files)
        weights = {member.key: member.weight for member in ensemble.members}
        refits = [refit for refit in planner.plan(weights) if files.existing(refit.key) is None]
        executor = ProcessExecutor(
            RefitObjective(self._objective(n_threads), {refit.key: refit.n_epochs for refit in refits}),
            n_workers=n_workers,
            n_threads=n_threads,
            memory_limit_mb=memory_limit_mb,
            files_root=files.root,
        )
        try:
            run_refits(refits, executor, time_limit_s)
        finally:
            executor.close()
        kept = {files.folder(key) for key in weights}
        for folder in set(files.root.glob("*_*")) - kept:  # of an earlier sitting's ensemble
            shutil.rmtree(folder, ignore_errors=True)
        self.refitted = [key for key in weights if files.existing(key) is not None]
        return len(self.refitted)

    def searcher(self, space: Any, costs: EvaluationCosts | None) -> Searcher:
        """What decides which configuration of the space is evaluated next; `costs` predicts what that takes."""
        return FreezeThaw(
            space,
            min_budget=self.request.min_budget,
            max_budget=self.request.max_budget,
            eta=self.request.eta,
            portfolio=self.request.portfolio,
            seed=self.request.seed,
            cost_exponent=COST_EXPONENT if self.request.is_time_aware else 0,
            costs=costs,
        )

    def library(self, lines: Iterable[Line]) -> Library:
        """The candidates of the ensemble among history lines."""
        rows = validation_rows(self.dataset)
        weight = None if self.dataset.sample_weight is None else np.asarray(self.dataset.sample_weight[rows])
        library = Library(self.files.validation_predictions, np.asarray(self.dataset.y[rows]), self.metric, weight)
        library.extend(lines)
        return library

    def select_ensemble(
        self, library: Library, *, max_seconds: float | None = None, latency: Latency | None = None
    ) -> Ensemble | None:
        """The ensemble of the candidates; None while there is none.

        Args:
            library: the candidates.
            max_seconds: after which the selection ends early.
            latency: what is known of the time for one row; None: what the candidates have recorded.
        """
        start = time.monotonic()
        if latency is None and self.request.max_predict_ms_per_row is not None:
            latency = Latency(self.request.max_predict_ms_per_row)
        return library.build(
            size=self.request.ensemble_size,
            seed=self.request.seed,
            out_of_time=lambda: max_seconds is not None and time.monotonic() - start > max_seconds,
            latency=latency,
        )

    def serve(self, library: Library, *, max_seconds: float | None = None) -> tuple[Ensemble, EnsemblePredictor] | None:
        """The final ensemble and its models, within the limit on the time for one row if there is one; None: no trial.

        A limit that no model keeps is told by a warning.

        Args:
            library: the candidates.
            max_seconds: after which a selection ends early. Under a limit, ensembles are loaded and measured for about
                twice as long besides.
        """
        limit_ms = self.request.max_predict_ms_per_row
        if limit_ms is None or not len(library):
            ensemble = self.select_ensemble(library, max_seconds=max_seconds)
            return None if ensemble is None else (ensemble, self.predictor(ensemble))
        end = math.inf if max_seconds is None else time.monotonic() + 2 * max_seconds
        served = select_under_limit(
            library,
            Latency(limit_ms),
            select=lambda latency: cast(
                Ensemble, self.select_ensemble(library, max_seconds=max_seconds, latency=latency)
            ),
            load=self.predictor,
            rows=self._raw_rows(),
            out_of_time=lambda: time.monotonic() > end,
        )
        self._warn_above(limit_ms, served)
        return served.ensemble, served.predictor

    def _raw_rows(self) -> list[Any]:
        """Rows as they are predicted, one a table, to measure with."""
        at = np.linspace(0, len(self.dataset) - 1, min(10, len(self.dataset))).astype(int)
        table = self.dataset.schema.decode(self.dataset.table.take(at))
        return [table[i : i + 1] for i in range(len(at))]

    def _warn_above(self, limit_ms: float, served: Served) -> None:
        if served.timing.total_ms <= limit_ms:
            return
        key = served.ensemble.members[0].key
        learner = served.predictor.members[0].learners[0].config
        warnings.warn(
            f"max_predict_ms_per_row={limit_ms:g} cannot be kept: the fastest model, configuration {key.config_id} "
            f"({learner_of(learner)}), takes {served.timing.total_ms:.3g} ms for one row, {served.timing.fixed_ms:.3g} "
            "of them for reading it. It is the whole ensemble now.",
            stacklevel=5,
        )

    def baseline_ensemble(self) -> Ensemble:
        """An ensemble of one quick model that the search knows nothing of, for a search that had no time for any."""
        loss = fit_baseline(self.dataset, self.metric, self.request.seed, self.files.folder(BASELINE_KEY))
        return Ensemble(self.metric.name, loss, (Member(BASELINE_KEY, 1.0),), 1, BASELINE_KEY, loss)

    def write_ensemble(self, ensemble: Ensemble) -> None:
        """Replace `ensemble.json` in one step."""
        refitted = [key._asdict() for key in self.refitted if key in dict(ensemble.members)]
        write_json_atomic(
            self.directory.ensemble, {**ensemble.to_json(), "refitted": refitted, "trajectory": self.trajectory}
        )

    def predictor(self, ensemble: Ensemble) -> EnsemblePredictor:
        """Load the ensemble's models."""
        return load_predictor(self.files, ensemble, self.dataset.schema, self.dataset.target)

    def _with_head_start(
        self, workers: Executor, costs: EvaluationCosts, n_threads: int, time_limit_s: float | None
    ) -> HeadStart:
        """Workers whose first evaluation is done in this process if it is sure to be short."""
        limit_s = HEAD_START_S if time_limit_s is None else min(HEAD_START_S, time_limit_s / 2)
        here = SerialExecutor(self._objective(n_threads), files_root=self.directory.files)
        return HeadStart(workers, here, lambda p: costs.safe_s(p.config, p.budget) <= limit_s, n_threads)

    def _costs(self) -> EvaluationCosts:
        return EvaluationCosts(Sizes.of(self.dataset, self.request.max_budget), load_prior())

    def _objective(self, n_threads: int) -> TabularObjective:
        return TabularObjective(
            data_folder=str(data_folder(self.directory).resolve()),
            fingerprint=self.dataset.fingerprint,
            graph=default_graph(),
            metric=self.metric,
            seed=self.request.seed,
            max_budget=self.request.max_budget,
            device=self.request.device,
            precision=self.request.precision,
            n_threads=n_threads,
        )

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
            },
        }


def data_folder(directory: RunDirectory) -> Path:
    """Where the encoded table of a run lies."""
    return directory.path / "data"


class EnsembleUpdater:
    """Callback that keeps `ensemble.json` current while the search runs, in at most a small share of its time."""

    max_share_of_time = 0.03

    def __init__(self, run: TableRun, watchers: Iterable[Callback]):
        self._run = run
        self._watchers = tuple(watchers)
        self._library: Library | None = None
        self._planner = run.refit_planner()
        self._ensemble: Ensemble | None = None
        self._not_before = 0.0
        self._is_behind = False

    def refits_need_s(self, most_s: float, n_workers: int) -> float:
        """Seconds for training members of the current ensemble on all rows: those that can be trained within `most_s`.

        0 where these are a small part of the ensemble.
        """
        if self._ensemble is None or not most_s:
            return 0.0
        refits = affordable(self._planner.plan(dict(self._ensemble.members)), most_s, n_workers)
        is_worth_it = sum(refit.weight for refit in refits) >= MIN_REFIT_WEIGHT
        return seconds_needed(refits, n_workers) if is_worth_it else 0.0

    def __call__(self, event: Event) -> None:
        """Take in an event of the tuner."""
        if event.kind is EventKind.START:
            lines = self._run.lines()
            self._planner.extend(lines)
            self._library = self._run.library(lines)
            self._library.on_drop = self._run.files.drop_results
        elif event.kind is EventKind.EVALUATION_END and event.finished is not None and self._library is not None:
            if event.proposal is not None:
                self._library.add(Proposed(event.proposal))
                self._planner.tell(Proposed(event.proposal))
            self._planner.tell(event.finished)
            changed = self._library.add(event.finished)
            self._is_behind = self._is_behind or changed
            if self._is_behind and time.monotonic() >= self._not_before:
                self._update(self._library, event)

    def catch_up(self, event: Event) -> None:
        """Before anyone hears of the end, select once more if trials have come since, so that nobody reports less."""
        if event.kind is EventKind.END and self._is_behind and self._library is not None:
            self._update(self._library, event)

    def _update(self, library: Library, event: Event) -> None:
        start = time.monotonic()
        ensemble = self._run.select_ensemble(library, max_seconds=1.0)
        self._is_behind = False
        if ensemble is None:
            return
        self._ensemble = ensemble
        point = {"seconds": event.elapsed_s, "loss": ensemble.loss, "n_members": len(ensemble.members)}
        self._run.trajectory.append(point)
        self._run.write_ensemble(ensemble)
        facts = {"loss": ensemble.loss, "n_members": len(ensemble.members)}
        for watch in self._watchers:
            watch(replace(event, kind=EventKind.ENSEMBLE, proposal=None, finished=None, facts=facts))
        now = time.monotonic()
        self._not_before = now + (now - start) / self.max_share_of_time
