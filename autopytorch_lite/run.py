"""One run on one table: the search over it, and the training of its ensemble's members on all rows.

The estimator, the command line and the loader all work through `TableRun`, so a run is the same thing to each of them.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autopytorch_lite.ensemble.library import Ensemble
from autopytorch_lite.ensemble.loading import N_TRAININGS, refitted_files
from autopytorch_lite.execution.base import Executor
from autopytorch_lite.execution.costs import EvaluationCosts, load_prior
from autopytorch_lite.execution.head_start import HeadStart, is_short
from autopytorch_lite.execution.refit import Refit, RefitObjective, RefitPlanner, run_refits, worth_keeping_s
from autopytorch_lite.execution.tabular import TabularObjective, forget_rows
from autopytorch_lite.execution.work import Sizes
from autopytorch_lite.execution.worker_pool import WARM
from autopytorch_lite.execution.workers import ProcessExecutor, SerialExecutor
from autopytorch_lite.history.events import Callback
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.run_ensemble import EnsembleUpdater, RunEnsemble
from autopytorch_lite.search.base import Searcher
from autopytorch_lite.search.freeze_thaw import FreezeThaw
from autopytorch_lite.space.installed import require_installed
from autopytorch_lite.stopping import Stop, TrialStopping
from autopytorch_lite.stored_run import StoredRun, data_folder
from autopytorch_lite.tuner import TuneResult, tune

COST_EXPONENT = 0.3
"""How much time counts in what is proposed, in runs that a time limit ends."""

MIN_TRIAL_LIMIT_S = 30.0
"""One evaluation may take a quarter of the time limit, or so many seconds if that is more."""

REFIT_SHARES = (0.2, 0.1)
"""So much of a time limit may be kept from the search, to train members on all rows with; see `worth_keeping_s`."""

NEEDED_BY_WORKERS = ("autopytorch_lite.execution.tabular", "autopytorch_lite.pipeline.build")
"""Modules that a worker imports for its first evaluation."""


def start_first_worker(n_threads: int) -> None:
    """Let a worker load its libraries, which takes seconds, while the data is looked at."""
    WARM.start(n_threads, quiet=True, modules=NEEDED_BY_WORKERS)


@dataclass
class TableRun(StoredRun):
    """A run directory with its data set, and what is done in it.

    Attributes:
        ensemble: selects, loads and writes the ensemble.
    """

    def __post_init__(self) -> None:
        self.ensemble = RunEnsemble(self)

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
        require_installed(self.space, default_graph())
        self.directory.done.unlink(missing_ok=True)
        costs = self._costs() if self.request.is_time_aware else None
        workers = ProcessExecutor(
            self._objective(n_threads),
            n_workers=n_workers,
            n_threads=n_threads,
            memory_limit_mb=memory_limit_mb,
            files_root=self.directory.files,
        )
        executor: Executor = workers
        if costs is not None and memory_limit_mb is None:
            executor = self._with_head_start(workers, costs, n_threads, time_limit_s)
        watchers = tuple(callbacks)
        updater = EnsembleUpdater(self.ensemble, watchers)
        planner = self._refit_planner()
        limits_s = [] if time_limit_s is None else [share * time_limit_s for share in REFIT_SHARES]

        def for_refits_s() -> float:
            if not self._has_refits or updater.current is None:
                return 0.0
            refits = self._plan(planner, dict(updater.current.members), min(limits_s, default=None), n_workers)
            return worth_keeping_s(refits, limits_s, n_workers, updater.fall)

        try:
            return tune(
                self.searcher(costs),
                executor=executor,
                run_dir=self.directory.path,
                time_limit=time_limit_s,
                leave_s=for_refits_s,
                trial_time_limit=None if time_limit_s is None else trial_limit_s(time_limit_s),
                n_trials=n_trials,
                stop=stop,
                stop_trials=stop_trials,
                callbacks=(updater.catch_up, *watchers, updater, planner.watch),
            )
        finally:
            executor.close()
            forget_rows()

    @property
    def _has_refits(self) -> bool:
        """Whether members are trained on all rows.

        Not where models of several folds were chosen by the time that all of them take for a row: another would stand
        for them, though there is time for more.
        """
        return self.request.refit and (len(self.dataset.folds) == 1 or self.request.max_predict_ms_per_row is None)

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

        The ensemble's predictor loads these models then; see `load_predictor`. One that fails changes nothing.

        Returns:
            How many members have such a model now.
        """
        if not self._has_refits:
            return 0
        end = math.inf if time_limit_s is None else time.monotonic() + time_limit_s
        weights = {member.key: member.weight for member in ensemble.members}
        refits = self._plan(self._refit_planner(), weights, time_limit_s, n_workers)
        for number in range(N_TRAININGS):
            files = refitted_files(self.files, number)
            for folder in set(files.root.glob("*_*")) - {files.folder(key) for key in weights}:
                shutil.rmtree(folder, ignore_errors=True)  # of an earlier sitting's ensemble
            missing = [refit for refit in refits if refit.number == number and files.existing(refit.key) is None]
            if not missing:
                continue
            executor = ProcessExecutor(
                RefitObjective(self._objective(n_threads), {refit.key: refit for refit in missing}),
                n_workers=n_workers,
                n_threads=n_threads,
                memory_limit_mb=memory_limit_mb,
                files_root=files.root,
            )
            try:
                run_refits(missing, executor, None if time_limit_s is None else max(end - time.monotonic(), 0.0))
            finally:
                executor.close()
        first = refitted_files(self.files, 0)
        self.ensemble.refitted = [key for key in weights if first.existing(key) is not None]
        return len(self.ensemble.refitted)

    def _plan(
        self, planner: RefitPlanner, weights: Mapping[TrialKey, float], seconds: float | None, n_workers: int
    ) -> list[Refit]:
        """Trainings on all rows, given so many seconds; a run that is to be repeated exactly does not look at them.

        Where the time of a row is limited, none is longer than in the search: members were chosen by what they take.
        """
        if self.request.max_predict_ms_per_row is not None:
            seconds = 0.0
        elif seconds is None or not self.request.is_time_aware:
            seconds = math.inf
        return planner.plan(weights, n_trainings=self._n_trainings, seconds=n_workers * seconds)

    @property
    def _n_trainings(self) -> int:
        """How often a member is trained on all rows, as far as time goes.

        Once in a run that is to be repeated exactly, and where members were chosen by the time of one model for a row.
        """
        return N_TRAININGS if self.request.is_time_aware and self.request.max_predict_ms_per_row is None else 1

    def searcher(self, costs: EvaluationCosts | None) -> Searcher:
        """What decides which configuration of the space is evaluated next; `costs` predicts what that takes."""
        return FreezeThaw(
            self.space,
            min_budget=self.request.min_budget,
            max_budget=self.request.max_budget,
            eta=self.request.eta,
            portfolio=self.request.portfolio,
            seed=self.request.seed,
            cost_exponent=COST_EXPONENT if self.request.is_time_aware else 0,
            costs=costs,
        )

    def _with_head_start(
        self, workers: ProcessExecutor, costs: EvaluationCosts, n_threads: int, time_limit_s: float | None
    ) -> HeadStart:
        """Workers whose first evaluation is done in this process if it is short."""

        def tell_busy(n_cores: int) -> None:
            workers.n_busy_elsewhere = n_cores

        here = SerialExecutor(self._objective(n_threads), files_root=self.directory.files)
        return HeadStart(workers, here, lambda first: is_short(first, costs, time_limit_s), n_threads, tell_busy)

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

    def _refit_planner(self) -> RefitPlanner:
        """What training trials of the history on all rows takes."""
        growth = len(self.dataset) / sum(len(fold.train_idx) for fold in self.dataset.folds)
        planner = RefitPlanner(growth, self.request.max_budget)
        planner.extend(self.lines())
        return planner


def trial_limit_s(time_limit_s: float) -> float:
    """What one evaluation of a search may take."""
    return max(time_limit_s / 4, MIN_TRIAL_LIMIT_S)
