"""The ensemble of a run: candidates, selection while the search goes on and at the end, its file, its models."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from autopytorch_lite.ensemble.latency import Latency
from autopytorch_lite.ensemble.library import Ensemble, Library, Member
from autopytorch_lite.ensemble.limit import Served, select_under_limit
from autopytorch_lite.ensemble.loading import load_predictor
from autopytorch_lite.ensemble.predictor import EnsemblePredictor
from autopytorch_lite.ensemble.thinning import (
    MANY_ROWS,
    MAX_GROWTH,
    MAX_GROWTH_OF_FOLDS,
    choose_voters,
    worthwhile,
)
from autopytorch_lite.execution.baseline import BASELINE_KEY, fit_baseline
from autopytorch_lite.execution.tabular import validation_rows
from autopytorch_lite.history.events import Callback, Event, EventKind
from autopytorch_lite.history.store import read_json, write_json_atomic
from autopytorch_lite.history.trial import Line, Proposed, TrialKey
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.pipeline.latency import raw_rows
from autopytorch_lite.stored_run import StoredRun

N_TIMED_ROWS = 1_000
"""Rows that a model predicts to see how long it takes."""


class RunEnsemble:
    """Selects, loads and writes the ensemble of a run.

    Attributes:
        run: whose it is.
        trajectory: of its file: seconds, loss and number of members at every selection.
        refitted: members whose models are of all rows.
    """

    def __init__(self, run: StoredRun):
        self.run = run
        path = run.directory.ensemble
        written = read_json(path) if path.exists() else {}
        self.trajectory: list[dict[str, float]] = list(written.get("trajectory", ()))
        self.refitted = [TrialKey(**key) for key in written.get("refitted", ())]

    def library(self, lines: Iterable[Line]) -> Library:
        """The candidates of the ensemble among history lines."""
        run, data = self.run, self.run.dataset
        rows = validation_rows(data)
        weight = None if data.sample_weight is None else np.asarray(data.sample_weight[rows])
        targets, n_folds = np.asarray(data.y[rows]), len(data.folds)
        library = Library(run.files.validation_predictions, targets, run.metric, weight, n_folds)
        library.extend(lines)
        return library

    def select(
        self, library: Library, *, max_seconds: float | None = None, latency: Latency | None = None
    ) -> Ensemble | None:
        """The ensemble of the candidates; None while there is none.

        Args:
            library: the candidates.
            max_seconds: after which the selection ends early.
            latency: what is known of the time for one row; None: what the candidates have recorded.
        """
        start = time.monotonic()
        asked = self.run.request
        if latency is None and asked.max_predict_ms_per_row is not None:
            latency = library.latency(asked.max_predict_ms_per_row)
        return library.build(
            size=asked.ensemble_size,
            seed=asked.seed,
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
        limit_ms = self.run.request.max_predict_ms_per_row
        if limit_ms is None or not len(library):
            ensemble = self.select(library, max_seconds=max_seconds)
            return None if ensemble is None else self._lighter(library, ensemble, self.predictor(ensemble))
        end = math.inf if max_seconds is None else time.monotonic() + 2 * max_seconds
        latency = library.latency(limit_ms)
        served = select_under_limit(
            library,
            latency,
            select=lambda latency: cast(Ensemble, self.select(library, max_seconds=max_seconds, latency=latency)),
            load=self.predictor,
            rows=self._raw_rows(),
            out_of_time=lambda: time.monotonic() > end,
        )
        self._warn_above(latency, served)
        return served.ensemble, served.predictor

    def thinned(self, ensemble: Ensemble, predictor: EnsemblePredictor) -> tuple[Ensemble, EnsemblePredictor]:
        """Both without the models that are not worth their time, where many rows would take long; see `thinning`.

        As it depends on measured times, a run that is to be repeated exactly keeps all members and models. So does one
        with a limit on the time for one row, whose members were chosen by what all their models take.
        """
        if not self._may_be_thinned:
            return ensemble, predictor
        max_growth = MAX_GROWTH if self.refitted else MAX_GROWTH_OF_FOLDS
        voters = choose_voters(predictor, self._model_seconds(predictor), max_growth=max_growth)
        return replace(ensemble, voters=voters), predictor.with_voters(voters)

    def _lighter(
        self, library: Library, ensemble: Ensemble, predictor: EnsemblePredictor
    ) -> tuple[Ensemble, EnsemblePredictor]:
        """Both without the members that are not worth their time, where many rows would take long; see `thinned`."""
        if not self._may_be_thinned:
            return ensemble, predictor
        of_model = self._model_seconds(predictor)
        seconds = {member.key: len(member.learners) * of_model[member.key] for member in predictor.members}
        members = worthwhile(
            ensemble.members,
            seconds,
            lambda some: library.loss(some, ensemble.calibration),
            n_folds=len(self.run.dataset.folds),
        )
        if len(members) == len(ensemble.members):
            return ensemble, predictor
        return library.of_members(members, ensemble), predictor.with_weights(dict(members))

    @property
    def _may_be_thinned(self) -> bool:
        return self.run.request.is_time_aware and self.run.request.max_predict_ms_per_row is None

    def _model_seconds(self, predictor: EnsemblePredictor) -> dict[TrialKey, float]:
        """Processor seconds that one model of each member takes for `MANY_ROWS`."""
        data = self.run.dataset
        rows = data.table.take(np.resize(np.arange(len(data)), N_TIMED_ROWS))
        return {key: s * MANY_ROWS / N_TIMED_ROWS for key, s in predictor.model_seconds(rows).items()}

    def _raw_rows(self) -> list[Any]:
        """Rows as they are predicted, one a table, to measure with."""
        data = self.run.dataset
        at = np.linspace(0, len(data) - 1, min(10, len(data))).astype(int)
        return raw_rows(data.schema, data.table.take(at))

    def _warn_above(self, latency: Latency, served: Served) -> None:
        takes_ms = latency.total_ms(served.timing)
        if takes_ms <= latency.limit_ms:
            return
        key = served.ensemble.members[0].key
        learner = served.predictor.members[0].learners[0].config
        warnings.warn(
            f"max_predict_ms_per_row={latency.limit_ms:g} cannot be kept: the fastest model, configuration "
            f"{key.config_id} ({learner_of(learner)}), takes up to {takes_ms:.3g} ms for one row, "
            f"{latency.fixed_ms:.3g} of them for reading it. It is the whole ensemble now.",
            stacklevel=5,
        )

    def baseline(self) -> Ensemble:
        """An ensemble of one quick model that the search knows nothing of, for a search that had no time for any."""
        run = self.run
        loss = fit_baseline(run.dataset, run.metric, run.request.seed, run.files.folder(BASELINE_KEY))
        return Ensemble(run.metric.name, loss, (Member(BASELINE_KEY, 1.0),), 1, BASELINE_KEY, loss)

    def write(self, ensemble: Ensemble) -> None:
        """Replace `ensemble.json` in one step."""
        refitted = [key._asdict() for key in self.refitted if key in dict(ensemble.members)]
        write_json_atomic(
            self.run.directory.ensemble, {**ensemble.to_json(), "refitted": refitted, "trajectory": self.trajectory}
        )

    def predictor(self, ensemble: Ensemble) -> EnsemblePredictor:
        """Load the ensemble's models."""
        data = self.run.dataset
        return load_predictor(self.run.files, ensemble, data.schema, data.target)


class EnsembleUpdater:
    """Callback that keeps `ensemble.json` current while the search runs, in at most a small share of its time.

    Attributes:
        current: what was selected last; None: nothing yet.
    """

    max_share_of_time = 0.03

    def __init__(self, ensemble: RunEnsemble, watchers: Iterable[Callback]):
        self.current: Ensemble | None = None
        self._elapsed_s = 0.0
        self._ensemble = ensemble
        self._watchers = tuple(watchers)
        self._library: Library | None = None
        self._not_before = 0.0
        self._is_behind = False

    def __call__(self, event: Event) -> None:
        """Take in an event of the tuner."""
        self._elapsed_s = event.elapsed_s
        if event.kind is EventKind.START:
            self._library = self._ensemble.library(self._ensemble.run.lines())
            self._library.on_drop = self._ensemble.run.files.drop_results
        elif event.kind is EventKind.EVALUATION_END and event.finished is not None and self._library is not None:
            if event.proposal is not None:
                self._library.add(Proposed(event.proposal))
            changed = self._library.add(event.finished)
            self._is_behind = self._is_behind or changed
            if self._is_behind and time.monotonic() >= self._not_before:
                self._update(self._library, event)

    def fall(self, seconds: float) -> float:
        """By which share the ensemble's loss has fallen in the last so many seconds; infinite if it is younger."""
        begin_s = self._elapsed_s - seconds
        losses = [entry["loss"] for entry in self._ensemble.trajectory if entry["seconds"] <= begin_s]
        if self.current is None or not losses:
            return math.inf
        return (losses[-1] - self.current.loss) / max(abs(losses[-1]), 1e-12)

    def catch_up(self, event: Event) -> None:
        """Before anyone hears of the end, select once more if trials have come since, so that nobody reports less."""
        if event.kind is EventKind.END and self._is_behind and self._library is not None:
            self._update(self._library, event)

    def _update(self, library: Library, event: Event) -> None:
        start = time.monotonic()
        ensemble = self._ensemble.select(library, max_seconds=1.0)
        self._is_behind = False
        if ensemble is None:
            return
        self.current = ensemble
        facts = {"loss": ensemble.loss, "n_members": len(ensemble.members)}
        self._ensemble.trajectory.append({"seconds": event.elapsed_s, **facts})
        self._ensemble.write(ensemble)
        for watch in self._watchers:
            watch(replace(event, kind=EventKind.ENSEMBLE, proposal=None, finished=None, facts=facts))
        now = time.monotonic()
        self._not_before = now + (now - start) / self.max_share_of_time
