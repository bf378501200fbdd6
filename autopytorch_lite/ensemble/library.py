"""The library that ensembles are selected from: validation predictions of finished trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from autopytorch_lite.ensemble.calibration import UNCHANGED, Calibration, calibration_of
from autopytorch_lite.ensemble.latency import Latency
from autopytorch_lite.ensemble.selection import hedged, select, select_within, shrunk, weighted_average
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.trial import Line, Proposed, TrialKey
from autopytorch_lite.metrics import Metric
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.pipeline.latency import PREDICT_MS, READ_MS
from autopytorch_lite.types import Array, FloatArray

N_CANDIDATES = 50
"""Only so many trials are candidates: it bounds memory and the time of a selection, and rarely drops a member."""

N_OF_LEARNER = 3
"""So many best trials of each learner are candidates whatever the others do: members help by differing, too."""


class Member(NamedTuple):
    """One trial in an ensemble and its share of the vote."""

    key: TrialKey
    weight: float


@dataclass(frozen=True)
class Ensemble:
    """A selected ensemble; `to_json` is the content of `ensemble.json`.

    Attributes:
        metric: name of the metric it was selected by.
        loss: on the out-of-fold rows, lower is better.
        members: trials with positive weights that sum to one, heaviest first.
        n_candidates: how many trials it was selected from.
        best_single: the best candidate alone.
        best_single_loss: its loss on the same rows.
        predict_ms: milliseconds that the ensemble takes for one row in slow moments, where there is a limit on it:
            expected, then measured. It has one model of all rows a member then.
        calibration: of the mean of the members.
        voters: which of a member's models vote, by position; all of those of members that are not named.
    """

    metric: str
    loss: float
    members: tuple[Member, ...]
    n_candidates: int
    best_single: TrialKey
    best_single_loss: float
    predict_ms: float | None = None
    calibration: Calibration = UNCHANGED
    voters: Mapping[TrialKey, tuple[int, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        best = {"config_id": self.best_single.config_id, "budget": self.best_single.budget}
        return {
            "format": 1,
            "metric": self.metric,
            "loss": self.loss,
            "members": [self._described(member) for member in self.members],
            "n_candidates": self.n_candidates,
            "best_single": {**best, "loss": self.best_single_loss},
            "predict_ms": self.predict_ms,
            **asdict(self.calibration),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Ensemble:
        """Inverse of `to_json`; further entries are ignored."""
        best = data["best_single"]
        voters = {TrialKey(m["config_id"], m["budget"]): tuple(m["models"]) for m in data["members"] if "models" in m}
        return cls(
            metric=data["metric"],
            loss=data["loss"],
            members=tuple(Member(TrialKey(m["config_id"], m["budget"]), m["weight"]) for m in data["members"]),
            n_candidates=data["n_candidates"],
            best_single=TrialKey(best["config_id"], best["budget"]),
            best_single_loss=best["loss"],
            predict_ms=data.get("predict_ms"),
            calibration=Calibration.from_json(data),
            voters=voters,
        )

    def _described(self, member: Member) -> dict[str, Any]:
        """An entry of `ensemble.json`; "models" says which of them vote, where some do not."""
        models = {"models": list(self.voters[member.key])} if member.key in self.voters else {}
        return {**member.key._asdict(), "weight": member.weight, **models}


def reweighted(members: Iterable[Member]) -> tuple[Member, ...]:
    """Some members of an ensemble, with weights in the same proportions that sum to one."""
    kept = tuple(members)
    total = sum(member.weight for member in kept)
    return tuple(Member(key, weight / total) for key, weight in kept)


class _Candidate(NamedTuple):
    """What is known of a candidate.

    Attributes:
        loss: on the out-of-fold rows.
        row_time: what one row takes where it was trained, as a multiple of reading it; NaN where that was not recorded.
    """

    loss: float
    row_time: float


@dataclass
class Library:
    """Candidates of the ensemble: finished trials, at whatever budget, the best of all and the best of each learner.

    A configuration whose larger budget predicts the same is a candidate once: linear models, neighbours and support
    vectors do not depend on it, and would take several places. Once a trial is no candidate, it never is again.

    Attributes:
        read_predictions: trial key -> its predictions, float array, shape (n_rows, n_outputs).
        targets: class codes (n_rows,) or values (n_rows, n_targets) of the same rows.
        metric: what the ensemble minimises.
        sample_weight: float array, shape (n_rows,), or None.
        n_folds: models of a trial, each of which predicted its own part of the rows.
        n_candidates: how many trials are kept.
        n_of_learner: how many of each learner are among them for certain, its best; they may be more than
            `n_candidates` then.
        on_drop: called with a trial that is no candidate any more.
    """

    read_predictions: Callable[[TrialKey], FloatArray]
    targets: Array
    metric: Metric
    sample_weight: FloatArray | None = None
    n_folds: int = 1
    n_candidates: int = N_CANDIDATES
    n_of_learner: int = N_OF_LEARNER
    on_drop: Callable[[TrialKey], None] = lambda key: None
    _candidates: dict[TrialKey, _Candidate] = field(default_factory=dict)
    _learners: dict[int, str] = field(default_factory=dict)
    _predictions: dict[TrialKey, FloatArray] = field(default_factory=dict)
    _read_ms: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._candidates)

    def add(self, line: Line) -> bool:
        """Take in a history line; returns whether it became a candidate."""
        if isinstance(line, Proposed):
            self._learners[line.key.config_id] = learner_of(line.proposal.config)
            return False
        if not line.ok or line.loss is None:
            return False
        read_ms = float(line.info.get(READ_MS, np.nan))
        if np.isfinite(read_ms):
            self._read_ms.append(read_ms)
        self._candidates[line.key] = _Candidate(line.loss, float(line.info.get(PREDICT_MS, np.nan)) / read_ms)
        self._drop(self._repeated(line.key))
        self._drop(self._surplus())
        return line.key in self._candidates

    def extend(self, lines: Iterable[Line]) -> None:
        """Take in many history lines."""
        for line in lines:
            self.add(line)

    def build(
        self,
        *,
        size: int,
        seed: int,
        out_of_time: Callable[[], bool] = lambda: False,
        latency: Latency | None = None,
        without: Collection[str] = (),
    ) -> Ensemble | None:
        """Select an ensemble from the candidates; None while there is none.

        Args:
            size: steps of the greedy path; 1 for the best candidate alone.
            seed: breaks ties.
            out_of_time: asked after every step; the path ends early when it says so.
            latency: the limit on the time that a row takes, and what is known of that time. Where no candidate keeps
                it, the ensemble is the one that comes nearest.
            without: learners whose trials are left out.
        """
        keys = [key for key in self.ranked() if self.learner(key) not in without]
        if not keys:
            return None
        options: dict[str, Any] = {
            "metric": self.metric,
            "size": size,
            "sample_weight": self.sample_weight,
            "seed": seed,
        }
        if latency is None:
            selection = select(self._stacked(keys), self.targets, out_of_time=out_of_time, **options)
            return self._ensemble(keys, selection.weights if size == 1 else self._trusted(keys, selection.weights))
        costs = np.array([latency.of(key) for key in keys])
        left_ms = max(latency.limit_ms - latency.fixed_ms, costs.min())
        selection = select_within(
            self._stacked(keys), self.targets, costs=costs, max_cost=left_ms, out_of_time=out_of_time, **options
        )
        weights = selection.weights if size == 1 else self._hedged(keys, selection.weights)
        if costs[np.flatnonzero(weights)].sum() > left_ms:
            weights = selection.weights
        expected_ms = latency.fixed_ms + float(costs[np.flatnonzero(weights)].sum())
        return replace(self._ensemble(keys, weights), predict_ms=expected_ms)

    def ranked(self) -> list[TrialKey]:
        """The candidates, best first; ties in the order of their keys."""
        return sorted(self._candidates, key=lambda key: (self._candidates[key].loss, key))

    def learner(self, key: TrialKey) -> str:
        """The learner of a trial; "" where its configuration names none."""
        return self._learners.get(key.config_id, "")

    def loss(self, members: Sequence[Member], calibration: Calibration = UNCHANGED) -> float:
        """Loss of candidates that vote with these weights, which sum to one."""
        return self.metric.loss(self.targets, calibration(self._vote(members)), self.sample_weight)

    def latency(self, limit_ms: float) -> Latency:
        """A limit on the time of one row, and what the trials have recorded of it."""
        row_times = {key: candidate.row_time for key, candidate in self._candidates.items()}
        return Latency(limit_ms, row_times, self._read_ms)

    def _trusted(self, keys: list[TrialKey], weights: FloatArray) -> FloatArray:
        """Weights that rely less on what these rows chose."""
        losses = np.array([self._candidates[key].loss for key in keys])
        learners = [self.learner(key) for key in keys]
        return self._hedged(keys, shrunk(weights, losses, learners, len(self.targets)))

    def _hedged(self, keys: list[TrialKey], weights: FloatArray) -> FloatArray:
        is_log_loss = self.metric.name == "neg_log_loss"
        return hedged(weights, [key.config_id for key in keys]) if is_log_loss else weights

    def _ensemble(self, keys: list[TrialKey], weights: FloatArray) -> Ensemble:
        chosen = sorted(np.flatnonzero(weights), key=lambda i: (-weights[i], i))
        members = tuple(Member(keys[i], float(weights[i])) for i in chosen)
        best = self._candidates[keys[0]].loss
        return self.of_members(members, Ensemble(self.metric.name, best, (), len(keys), keys[0], best))

    def of_members(self, members: Sequence[Member], ensemble: Ensemble) -> Ensemble:
        """The ensemble with other members, and the loss and calibration that these have."""
        calibration = calibration_of(
            self.metric, self.targets, self._vote(members), self.sample_weight, n_folds=self.n_folds
        )
        loss = self.loss(members, calibration)
        return replace(ensemble, members=tuple(members), loss=loss, calibration=calibration)

    def _vote(self, members: Sequence[Member]) -> FloatArray:
        return weighted_average([self._read(m.key) for m in members], [m.weight for m in members])

    def _repeated(self, key: TrialKey) -> TrialKey | None:
        """Of two budgets of one configuration that predict the same, the larger; one whose files are gone before that.

        Files that are gone are those of a trial that was dropped in an earlier sitting.
        """
        for other, candidate in self._candidates.items():
            if other.config_id != key.config_id or other == key or candidate.loss != self._candidates[key].loss:
                continue
            gone = [trial for trial in (key, other) if self._read_if_there(trial) is None]
            if gone or np.array_equal(self._read(key), self._read(other)):
                return max(gone or (key, other))
        return None

    def _surplus(self) -> TrialKey | None:
        """The worst candidate beyond the number kept that is not among the best of its learner."""
        if len(self._candidates) <= self.n_candidates:
            return None
        n_better: Counter[str] = Counter()
        spare = []
        for key in self.ranked():
            n_better[self.learner(key)] += 1
            if n_better[self.learner(key)] > self.n_of_learner:
                spare.append(key)
        return spare[-1] if spare else None

    def _drop(self, key: TrialKey | None) -> None:
        if key is None:
            return
        del self._candidates[key]
        self._predictions.pop(key, None)
        self.on_drop(key)

    def _stacked(self, keys: list[TrialKey]) -> FloatArray:
        return np.stack([self._read(key) for key in keys])

    def _read_if_there(self, key: TrialKey) -> FloatArray | None:
        try:
            return self._read(key)
        except HistoryError:
            return None

    def _read(self, key: TrialKey) -> FloatArray:
        if key not in self._predictions:
            self._predictions[key] = self.read_predictions(key)
        return self._predictions[key]
