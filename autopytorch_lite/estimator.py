"""The two estimators people use, and `load`: one engine, the task as a value."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from ConfigSpace import ConfigurationSpace
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer
from sklearn.utils.validation import check_is_fitted

from autopytorch_lite import persistence
from autopytorch_lite.data.dataset import Dataset, TableSchema, TargetSchema, make_dataset
from autopytorch_lite.ensemble.library import Ensemble
from autopytorch_lite.ensemble.predictor import EnsemblePredictor
from autopytorch_lite.errors import HistoryError, NothingTrainedError
from autopytorch_lite.execution.limits import resolve_n_jobs
from autopytorch_lite.history.events import Callback
from autopytorch_lite.history.frame import history_frame
from autopytorch_lite.history.store import RunDirectory, read_json
from autopytorch_lite.history.summary import closed, failure_summary
from autopytorch_lite.history.trial import Line, Status
from autopytorch_lite.report.page import write_report
from autopytorch_lite.report.progress import progress_callbacks
from autopytorch_lite.report.tables import leaderboard
from autopytorch_lite.report.words import counted
from autopytorch_lite.run import TableRun, start_first_worker
from autopytorch_lite.settings import check_arguments, resolve_request, resolve_seed
from autopytorch_lite.stopping import Stop, TrialStopping, as_trial_stopping
from autopytorch_lite.stored_run import RunRequest
from autopytorch_lite.types import Array, Config, FloatArray

if TYPE_CHECKING:
    import pandas as pd

CELLS_FOR_FOLDS_PER_S = 30_000
"""Small tables are cross-validated only where the time limit allows it: at most so many cells (rows x columns x
classes) for each second. Gradient boosting in 5 folds then takes about a tenth of the time."""

MIN_ROWS_TO_REFIT_FOLDS = 1_000
"""After cross-validation, members are trained again on all rows from so many rows on. Below, models that have seen
different rows are worth more together; above, one of all rows is worth about as much as those of five folds."""

N_THREADS = 1
"""Of a training: two trainings side by side beat two threads on one."""


class _AutoTabular(BaseEstimator):
    """What both estimators share."""

    _kind: ClassVar[str]

    def __init__(
        self,
        *,
        time_limit: float | None = 300,
        n_trials: int | None = None,
        stop: Stop | None = None,
        stop_trials: TrialStopping | Mapping[str, Any] | None = None,
        metric: str | None = None,
        search_space: str | Path | Mapping[str, Any] = "default",
        portfolio: str | Path | Sequence[Config] | None = "default",
        min_budget: int | None = None,
        max_budget: int | None = None,
        eta: int | None = None,
        resampling: Any = "auto",
        refit: bool | str = "auto",
        ensemble_size: int = 50,
        max_predict_ms_per_row: float | None = None,
        learners: str | Sequence[str] = "all",
        n_jobs: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        memory_limit_mb: float | None = None,
        column_kinds: Mapping[str, str] | None = None,
        run_dir: str | Path | None = None,
        random_state: Any = None,
        verbose: int = 1,
        callbacks: Iterable[Callback] = (),
    ):
        self.time_limit = time_limit
        self.n_trials = n_trials
        self.stop = stop
        self.stop_trials = stop_trials
        self.metric = metric
        self.search_space = search_space
        self.portfolio = portfolio
        self.min_budget = min_budget
        self.max_budget = max_budget
        self.eta = eta
        self.resampling = resampling
        self.refit = refit
        self.ensemble_size = ensemble_size
        self.max_predict_ms_per_row = max_predict_ms_per_row
        self.learners = learners
        self.n_jobs = n_jobs
        self.device = device
        self.precision = precision
        self.memory_limit_mb = memory_limit_mb
        self.column_kinds = column_kinds
        self.run_dir = run_dir
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Search for the best ensemble on a table within the limits.

        Args:
            X: pandas frame, numpy array, list of lists or scipy sparse matrix, shape (n_rows, n_columns): numbers,
                strings, categories, booleans, dates and missing values in any mix.
            y: labels of any type, shape (n_rows,); for the regressor numbers, shape (n_rows,) or (n_rows, n_targets).
            sample_weight: non-negative, shape (n_rows,): counts in training losses and in validation metrics.
            groups: shape (n_rows,): rows of one group never lie on both sides of a split.
            X_val: rows to validate on instead of a split of X, with `y_val`.
            y_val: their answers.

        Returns:
            The estimator.

        Raises:
            DataError: the data cannot be used; the message names the column, value or argument.
            SpaceError, UnknownNameError, BudgetError: an argument does not fit.
            HistoryError: `run_dir` holds a run on other data or with other settings.
            NothingTrainedError: no evaluation succeeded; the message counts the failures and shows the first ones.
        """
        start = time.monotonic()
        arguments = self.get_params(deep=False)
        check_arguments(arguments)
        start_first_worker(N_THREADS)
        seed = self._seed()
        dataset = make_dataset(
            X,
            y,
            kind=self._kind,
            sample_weight=sample_weight,
            groups=groups,
            X_val=X_val,
            y_val=y_val,
            resampling=self.resampling,
            column_kinds=self.column_kinds,
            seed=seed,
            max_cells_for_folds=None if self.time_limit is None else CELLS_FOR_FOLDS_PER_S * self.time_limit,
        )
        has_own_split = X_val is None and isinstance(self.resampling, str | float | int)
        pays = len(dataset.folds) == 1 or len(dataset) >= MIN_ROWS_TO_REFIT_FOLDS
        request, space = resolve_request({**arguments, "random_state": seed}, dataset.info)
        request = replace(request, refit=self._wants_refit(has_own_split and pays))
        self._run = self._open_or_create(dataset, request, space)
        self._learn_input(self._run.dataset.schema, self._run.dataset.target)
        if self.verbose:
            print(_described(self._run.dataset, in_full=self.verbose > 1), file=sys.stderr)
        return self._search(start, self.time_limit, self.n_trials)

    def refit_more(self, time_limit: float | None = None, n_trials: int | None = None) -> Self:
        """Continue the same search for `time_limit` seconds, or until it has `n_trials` evaluations in all."""
        check_is_fitted(self, "predictor_")
        if getattr(self, "_run", None) is None:
            raise HistoryError(
                "This estimator was loaded or unpickled without its run directory, so it cannot search on."
            )
        start = time.monotonic()
        check_arguments({**self.get_params(deep=False), "time_limit": time_limit, "n_trials": n_trials})
        return self._search(start, time_limit, n_trials)

    @classmethod
    def resume(
        cls, run_dir: str | Path, time_limit: float | None = None, n_trials: int | None = None, **changes: Any
    ) -> Self:
        """Continue a run from its directory, interrupted or finished; the data is read from there.

        Args:
            run_dir: directory of the run.
            time_limit: seconds for this sitting; by default what the run was started with.
            n_trials: evaluations in all, earlier sittings included; by default what the run was started with.
            **changes: other constructor arguments that do not change the search, such as n_jobs, verbose, callbacks and
                max_predict_ms_per_row.

        Raises:
            HistoryError: not a run directory, a damaged one, or one of the other estimator.
        """
        start = time.monotonic()
        run = TableRun.open(Path(run_dir))
        if run.dataset.info.task.is_classification != (cls._kind == "classification"):
            raise HistoryError(
                f"{run_dir} holds a {run.dataset.info.task.value} run; {cls.__name__} cannot continue it."
            )
        stored = persistence.stored_arguments(read_json(run.directory.run))
        estimator = cls(**{**stored, **changes, "run_dir": str(run_dir)})
        if time_limit is None and n_trials is None:
            time_limit, n_trials = estimator.time_limit, estimator.n_trials
        estimator._run = run
        estimator._learn_input(run.dataset.schema, run.dataset.target)
        return estimator._search(start, time_limit, n_trials)

    def predict(self, X: Any) -> Array:
        """Labels as they came in, shape (n_rows,); or values, shape (n_rows,) or (n_rows, n_targets)."""
        check_is_fitted(self, "predictor_")
        return self.predictor_.predict_labels(X, owner=type(self).__name__)

    def leaderboard(self) -> pd.DataFrame:
        """Every evaluation, best first: configuration, budget, loss, weight in the ensemble, seconds, status."""
        check_is_fitted(self, "predictor_")
        return leaderboard(self._lines, self._ensemble.to_json())

    @property
    def ensemble_(self) -> pd.DataFrame:
        """Members of the ensemble, heaviest first: config_id, budget, weight."""
        import pandas as pd

        check_is_fitted(self, "predictor_")
        return pd.DataFrame([{**key._asdict(), "weight": weight} for key, weight in self._ensemble.members])

    @property
    def history_(self) -> pd.DataFrame:
        """The run history, one row per evaluation, learning curves included."""
        check_is_fitted(self, "predictor_")
        return history_frame(self._lines)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report, one self-contained HTML page; by default `report.html` in the run directory."""
        check_is_fitted(self, "predictor_")
        if getattr(self, "_run", None) is None:
            raise HistoryError(
                "The report is made from the run directory, which a loaded or unpickled estimator lacks."
            )
        return write_report(self._run.directory.path, Path(path) if path is not None else self._run.directory.report)

    def save(self, folder: str | Path) -> Path:
        """Write the fitted estimator, members of the ensemble only, as tensors and JSON; `load` reads it back."""
        check_is_fitted(self, "predictor_")
        return persistence.save(Path(folder), self._description, self._lines, self._ensemble, self.predictor_)

    def _seed(self) -> int:
        """The seed of this run; a run that is continued without a `random_state` keeps its own."""
        if self.random_state is None and self.run_dir is not None and RunDirectory(Path(self.run_dir)).run.exists():
            return int(read_json(RunDirectory(Path(self.run_dir)).run).get("seed", 0))
        return resolve_seed(self.random_state)

    def _open_or_create(self, dataset: Dataset, request: RunRequest, space: ConfigurationSpace) -> TableRun:
        if self.run_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="autopytorch_lite_")
            folder = Path(self._temporary.name)
        else:
            folder = Path(self.run_dir)
        is_half_made = TableRun.is_half_made(folder)
        if RunDirectory(folder).run.exists() and not is_half_made:
            run = TableRun.open(folder)
            run.check_same(dataset, request)
            return run
        if folder.exists() and any(folder.iterdir()) and not is_half_made:
            raise HistoryError(f"Run directory {folder} is not empty and holds no run; choose an empty one.")
        arguments = persistence.storable_arguments(self.get_params(deep=False))
        resampling = dataset.describe_folds()
        return TableRun.create(folder, dataset, request, arguments=arguments, resampling=resampling, space=space)

    def _learn_input(self, schema: TableSchema, target: TargetSchema) -> None:
        """The attributes that scikit-learn expects of anything fitted on a table."""
        names = [column.name for column in schema.columns]
        self.n_features_in_ = len(names)
        if schema.named:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if target.task.is_classification:
            self.classes_ = target.classes

    def _search(self, start: float, time_limit: float | None, n_trials: int | None) -> Self:
        """Run the search for what is left of the time, then select and load the ensemble."""
        n_workers = resolve_n_jobs(self.n_jobs)
        limit_ms = self.max_predict_ms_per_row
        refit = self._wants_refit(self._run.request.refit)
        self._run.request = replace(self._run.request, max_predict_ms_per_row=limit_ms, refit=refit)  # may have changed
        result = self._run.search(
            time_limit_s=None
            if time_limit is None
            else _search_seconds(time_limit, time.monotonic() - start, limit_ms),
            n_trials=n_trials,
            n_workers=n_workers,
            n_threads=N_THREADS,
            memory_limit_mb=self.memory_limit_mb,
            stop=self.stop,
            stop_trials=as_trial_stopping(self.stop_trials),
            callbacks=(*progress_callbacks(self.verbose), *self.callbacks),
        )
        self._lines: list[Line] = self._run.lines()
        serving = time.monotonic()
        of_run = self._run.ensemble
        served = of_run.serve(of_run.library(self._lines), max_seconds=_selection_seconds(time_limit))
        if served is None:
            baseline = self._baseline()
            served = baseline, of_run.predictor(baseline)
        ensemble, predictor = served
        if not result.interrupted:
            now = time.monotonic()
            to_load_s = max(now - serving, 0.2)
            left_s = None if time_limit is None else max(time_limit - (now - start) - to_load_s, 0.0)
            predictor = self._refitted(ensemble, predictor, left_s, n_workers)
            ensemble, predictor = of_run.thinned(ensemble, predictor)
        self._adopt(read_json(self._run.directory.run), ensemble, predictor)
        of_run.write(ensemble)
        if not result.interrupted:
            self._run.directory.done.touch()
        return self

    def _wants_refit(self, otherwise: bool) -> bool:
        """What was said about `refit`; `otherwise` under "auto"."""
        return otherwise if isinstance(self.refit, str) else self.refit

    def _refitted(
        self, ensemble: Ensemble, predictor: EnsemblePredictor, time_limit_s: float | None, n_workers: int
    ) -> EnsemblePredictor:
        """The predictor, its members trained on all rows as far as that was asked for and there is time."""
        start = time.monotonic()
        n_refitted = self._run.refit(
            ensemble,
            time_limit_s=time_limit_s,
            n_workers=n_workers,
            n_threads=N_THREADS,
            memory_limit_mb=self.memory_limit_mb,
        )
        if not n_refitted:
            return predictor
        if self.verbose:
            n_rows, seconds = len(self._run.dataset), time.monotonic() - start
            of = f"{n_refitted} of {counted(len(ensemble.members), 'model')}"
            print(f"Trained {of} again on all {n_rows:,} rows in {seconds:.1f} s.", file=sys.stderr)
        return self._run.ensemble.predictor(ensemble)

    def _baseline(self) -> Ensemble:
        """What to predict with when nothing succeeded: a baseline if time was too short, an error if all failed."""
        statuses = {line.status for line in closed(self._lines)}
        if statuses - {Status.TIMEOUT}:
            raise NothingTrainedError(f"No evaluation succeeded, so there is no model.\n{failure_summary(self._lines)}")
        warnings.warn(
            "The search stopped before its first evaluation ended, so the model is a small baseline; give more time.",
            stacklevel=4,
        )
        return self._run.ensemble.baseline()

    def _adopt(self, description: Mapping[str, Any], ensemble: Ensemble, predictor: EnsemblePredictor) -> None:
        self._description = description
        self._ensemble = ensemble
        self.predictor_ = predictor

    def __getstate__(self) -> dict[str, Any]:
        state = cast(dict[str, Any], super().__getstate__())
        return {name: value for name, value in state.items() if name not in ("_run", "_temporary")}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = True
        return tags


class AutoTabularClassifier(ClassifierMixin, _AutoTabular):
    """Classifier: searches networks, boosting and preprocessing together, and predicts with an ensemble of the best.

    Args:
        time_limit: seconds of wall clock for the whole fit, ensemble included, or None for no limit.
        n_trials: number of evaluations; the search ends at whichever of the two comes first. With `n_trials`,
            `n_jobs=1` and a `random_state`, a fit that its time limit does not cut off is exactly reproducible.
        stop: further rules that end the search, of `autopytorch_lite.stopping`, such as ``NoImprovement(50)``.
        stop_trials: a rule that ends single trainings early by their learning curves, such as
            ``PercentileStopping()``; None: every training gets its whole budget.
        metric: any scikit-learn scorer name (also short: "log_loss", "auc"); None: log loss.
        search_space: name of a file in `search_spaces`, a path to one, or a mapping of edits of the default, such as
            ``{"optimizer:__choice__": ["adamw"], "backbone:shaped_mlp:num_layers": {"low": 2, "high": 4}}``.
        portfolio: name, path or list of configurations that are evaluated first, in order; None: none.
        min_budget: least epochs of the lowest rung; None: a ninth of `max_budget`, or what the search space says.
        max_budget: epochs of a full training, for which learning-rate schedules are laid out; None: by the number of
            rows (81 up to 4,000, 54 up to 15,000, else 27), or what the search space says.
        eta: a rung has `eta` times the epochs of the one before; about one of `eta` configurations is promoted to it.
            None: 2 up to 15,000 rows, else 3, as every further rung costs those that begin anew a whole training.
        resampling: "auto", a holdout fraction, a number of folds, a scikit-learn splitter, or index pairs.
        refit: whether, at the end, models of the ensemble are trained again on all rows, those held out for validation
            included, and vote instead of those of the search; as far as time goes, of which some seconds are kept for
            it. Under a time limit those that decide most are trained up to three times, and all of them vote.
            "auto": unless you have said which rows validate, or there are folds of fewer than 1,000 rows, whose models
            are better together than one of all rows.
        ensemble_size: steps of greedy ensemble selection; 1 keeps the single best model.
        max_predict_ms_per_row: milliseconds that predicting a single row may take, the median of repeated calls; the
            ensemble is selected among members that keep to it, and measured. In a table of many rows each takes far
            less. None: no limit. The ensemble then depends on measured times, the search does not.
        learners: "all", "neural", "traditional", or names such as ["shaped_mlp", "hist_gradient_boosting"].
        n_jobs: worker processes, one thread each; None: as many as there are cores this process may use.
        device: "auto", "cpu", "cuda" or "cuda:0" and so on; small tables stay on the CPU under "auto".
        precision: "auto", "float32" or "bfloat16".
        memory_limit_mb: megabytes that one evaluation may take above its worker's baseline; None: no limit.
        column_kinds: column name -> "numeric", "categorical" or "datetime", where inference errs.
        run_dir: directory of the run, continued if it holds the same search; None: a temporary one.
        random_state: None, an integer, or a NumPy random state.
        verbose: 0: silent; 1: progress; 2: also the kind of every column, on standard error.
        callbacks: functions that are given every `autopytorch_lite.history.events.Event`.

    Attributes:
        classes_: labels, shape (n_classes,), in the order of the columns of `predict_proba`.
        ensemble_: members and weights.
        history_: the run history.
        n_features_in_: number of columns seen.
        feature_names_in_: their names, if they had any.
    """

    _kind = "classification"

    def predict_proba(self, X: Any) -> FloatArray:
        """Probabilities, float64, shape (n_rows, n_classes); rows sum to one, columns in the order of `classes_`."""
        check_is_fitted(self, "predictor_")
        return self.predictor_.predict(X, owner=type(self).__name__)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The metric's scikit-learn score (higher is better); accuracy if no metric was given."""
        return _score(self, X, y, sample_weight, default="accuracy")


class AutoTabularRegressor(RegressorMixin, _AutoTabular):
    """Regressor for one or several targets; arguments and attributes are those of `AutoTabularClassifier`.

    The default metric is the root mean squared error, the default `score` is R2.
    """

    _kind = "regression"

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The metric's scikit-learn score (higher is better); R2 if no metric was given."""
        return _score(self, X, y, sample_weight, default="r2")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def load(folder: str | Path) -> AutoTabularClassifier | AutoTabularRegressor:
    """The estimator in a folder: one that `save` wrote, or a run directory, finished, interrupted or still running.

    Nothing in the folder is run as code. From a run directory the estimator votes with what has finished so far.

    Raises:
        HistoryError: the folder holds neither, or it was written by another major version.
        NothingTrainedError: no evaluation of the run has succeeded yet.
    """
    folder = Path(folder)
    description = read_json(RunDirectory(folder).run)
    if "task" not in description:
        raise HistoryError(f"{folder} holds a search over a function and no model; `tune` continues it.")
    is_classification = description["task"] != "regression"
    cls: type[_AutoTabular] = AutoTabularClassifier if is_classification else AutoTabularRegressor
    estimator = cls(**persistence.stored_arguments(description))
    loaded = persistence.load(folder, description)
    estimator._lines = loaded.lines
    estimator._learn_input(loaded.predictor.schema, loaded.predictor.target)
    estimator._adopt(description, loaded.ensemble, loaded.predictor)
    return cast("AutoTabularClassifier | AutoTabularRegressor", estimator)


def _score(estimator: _AutoTabular, X: Any, y: Any, sample_weight: Any, *, default: str) -> float:
    check_is_fitted(estimator, "predictor_")
    name = default if estimator.metric is None else estimator._description["request"]["metric"]
    kwargs = {} if sample_weight is None else {"sample_weight": sample_weight}
    return float(get_scorer(name)(estimator, X, y, **kwargs))


def _described(dataset: Dataset, *, in_full: bool) -> str:
    """What was understood of a table, for people: kinds of columns, what is left out, how rows are divided."""
    counts = Counter(column.kind.value for column in dataset.schema.columns if not column.dropped)
    kinds = ", ".join(f"{n} {kind}" for kind, n in counts.most_common())
    left_out = [f"Left out: column {name!r}, {reason}" for name, reason in dataset.schema.dropped.items()]
    lines = [f"Data: {len(dataset):,} rows; columns: {kinds}; {dataset.describe_folds()}", *left_out]
    return "\n".join([*lines, dataset.schema.summary()] if in_full else lines)


def _search_seconds(time_limit: float, spent_s: float, limit_ms: float | None) -> float:
    """What the search may take of a time limit: the rest, less what selecting and loading the ensemble takes.

    Under a limit on the time for one row that is more, as several ensembles are loaded and measured.
    """
    to_finish_s = min(0.4 + 0.02 * time_limit, 8.0)
    if limit_ms is not None:
        to_finish_s += min(2.0 + 0.03 * time_limit, 10.0)
    return max(time_limit - spent_s - to_finish_s, 0.1)


def _selection_seconds(time_limit: float | None) -> float | None:
    """How long the final ensemble selection may take; unlimited, hence reproducible, where there is no time limit."""
    return None if time_limit is None else max(1.0, 0.02 * time_limit)
