"""The library that ensembles are selected from: validation predictions of finished trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from autopytorch_lite.ensemble.selection import select
from autopytorch_lite.history.trial import Finished, Line, TrialKey
from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Array, FloatArray

N_CANDIDATES = 50
"""Only so many best trials are candidates: it bounds memory and the time of a selection, and rarely drops a member."""


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
    """

    metric: str
    loss: float
    members: tuple[Member, ...]
    n_candidates: int
    best_single: TrialKey
    best_single_loss: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        best = {"config_id": self.best_single.config_id, "budget": self.best_single.budget}
        return {
            "format": 1,
            "metric": self.metric,
            "loss": self.loss,
            "members": [{**m.key._asdict(), "weight": m.weight} for m in self.members],
            "n_candidates": self.n_candidates,
            "best_single": {**best, "loss": self.best_single_loss},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Ensemble:
        """Inverse of `to_json`; further entries are ignored."""
        best = data["best_single"]
        return cls(
            metric=data["metric"],
            loss=data["loss"],
            members=tuple(Member(TrialKey(m["config_id"], m["budget"]), m["weight"]) for m in data["members"]),
            n_candidates=data["n_candidates"],
            best_single=TrialKey(best["config_id"], best["budget"]),
            best_single_loss=best["loss"],
        )


@dataclass
class Library:
    """Candidates of the ensemble: the best finished trials, at whatever budget.

    Attributes:
        read_predictions: trial key -> its predictions, float array, shape (n_rows, n_outputs).
        targets: class codes (n_rows,) or values (n_rows, n_targets) of the same rows.
        metric: what the ensemble minimises.
        sample_weight: float array, shape (n_rows,), or None.
        n_candidates: how many best trials are kept.
        on_drop: called with a trial that is no candidate any more, and never will be again.
    """

    read_predictions: Callable[[TrialKey], FloatArray]
    targets: Array
    metric: Metric
    sample_weight: FloatArray | None = None
    n_candidates: int = N_CANDIDATES
    on_drop: Callable[[TrialKey], None] = lambda key: None
    _losses: dict[TrialKey, float] = field(default_factory=dict)
    _predictions: dict[TrialKey, FloatArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._losses)

    def add(self, line: Line) -> bool:
        """Take in a history line; returns whether it became a candidate."""
        if not isinstance(line, Finished) or not line.ok or line.loss is None:
            return False
        self._losses[line.key] = line.loss
        if len(self._losses) > self.n_candidates:
            worst = max(self._losses, key=lambda key: (self._losses[key], key))
            del self._losses[worst]
            self._predictions.pop(worst, None)
            self.on_drop(worst)
        return line.key in self._losses

    def extend(self, lines: Iterable[Line]) -> None:
        """Take in many history lines."""
        for line in lines:
            self.add(line)

    def build(self, *, size: int, seed: int, out_of_time: Callable[[], bool] = lambda: False) -> Ensemble | None:
        """Select an ensemble from the candidates; None while there is none.

        Args:
            size: steps of the greedy path.
            seed: breaks ties.
            out_of_time: asked after every step; the path ends early when it says so.
        """
        keys = sorted(self._losses, key=lambda key: (self._losses[key], key))
        if not keys:
            return None
        stacked = np.stack([self._read(key) for key in keys])
        selection = select(
            stacked,
            self.targets,
            metric=self.metric,
            size=size,
            sample_weight=self.sample_weight,
            seed=seed,
            out_of_time=out_of_time,
        )
        chosen = sorted(np.flatnonzero(selection.weights), key=lambda i: (-selection.weights[i], i))
        return Ensemble(
            metric=self.metric.name,
            loss=selection.loss,
            members=tuple(Member(keys[i], float(selection.weights[i])) for i in chosen),
            n_candidates=len(keys),
            best_single=keys[0],
            best_single_loss=self._losses[keys[0]],
        )

    def _read(self, key: TrialKey) -> FloatArray:
        if key not in self._predictions:
            self._predictions[key] = self.read_predictions(key)
        return self._predictions[key]
