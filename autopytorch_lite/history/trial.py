"""The records of a run: proposals and finished evaluations. Each is one line of `history.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from autopytorch_lite.types import Config

EARLIER_RUN = "earlier_run"
"""Origin of trials taken over from another run: nobody here has their checkpoints, so they are never continued."""


class TrialKey(NamedTuple):
    """Identity of a trial: one configuration at one budget (epochs, total and not additional)."""

    config_id: int
    budget: int

    def __str__(self) -> str:
        return f"{self.config_id}@{self.budget}"


class Status(StrEnum):
    """How an evaluation ended. Everything but OK has a reason; STOPPED is no failure, and CANCELLED no end."""

    OK = "ok"
    DIVERGED = "diverged"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    STOPPED = "stopped"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Proposal:
    """What a searcher asks to be evaluated.

    Attributes:
        config_id: number of the configuration in this run, from 0 in the order proposed.
        config: the configuration, inactive names absent.
        budget: epochs in total.
        resume_from: budget (epochs) of the finished trial of the same configuration to continue, if any.
        origin: where the configuration came from: "portfolio", "model", "random", "user" or "earlier_run".
        bracket: number of the successive-halving race, from 0; None outside of brackets.
        rung: number of the budget level inside the bracket, from 0.
        stop_above: for each epoch from 1 on the loss above which the trial is ended early; None, or beyond the end: no
            limit at that epoch. Compared with the best loss so far.
    """

    config_id: int
    config: Config
    budget: int
    resume_from: int | None = None
    origin: str = "random"
    bracket: int | None = None
    rung: int | None = None
    stop_above: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop_above", tuple(self.stop_above))

    @property
    def key(self) -> TrialKey:
        """Identity of the trial."""
        return TrialKey(self.config_id, self.budget)


@dataclass(frozen=True)
class Wait:
    """Nothing can be proposed until a running trial ends."""


@dataclass(frozen=True)
class Done:
    """The searcher has nothing more to propose."""


@dataclass(frozen=True)
class Proposed:
    """History line: this proposal was accepted and will be evaluated."""

    proposal: Proposal

    @property
    def key(self) -> TrialKey:
        """Identity of the trial."""
        return self.proposal.key

    def to_json(self) -> dict[str, Any]:
        """Plain data for one history line."""
        data = asdict(self.proposal)
        if not self.proposal.stop_above:
            del data["stop_above"]
        return {"type": "proposed", **data}


@dataclass(frozen=True)
class Finished:
    """History line: one evaluation ended, well or badly.

    Attributes:
        key: identity of the trial.
        status: how it ended.
        loss: the objective, lower is better; None unless status is ok or stopped. That of a stopped trial is from the
            epoch where it ended, and must not be compared with those of its budget.
        seconds: wall clock of the evaluation, only the part done in this trial.
        curve: validation loss (the objective) after each epoch, from epoch 1 to the budget, continued trials included.
        curves: further per-epoch values by name, for example "train_loss", "learning_rate".
        metrics: final value of every standard metric on validation rows, in the metric's own direction.
        info: facts such as n_parameters, peak_memory_mb, device, n_epochs.
        error: one line, why it failed or was stopped; empty if ok.
        traceback: text of the exception, if there was one.
        started_s: seconds of search time (summed over sittings) at which the evaluation started.
        finished_s: same, at which it ended.
        worker: which worker did it.
    """

    key: TrialKey
    status: Status = Status.OK
    loss: float | None = None
    seconds: float = 0.0
    curve: tuple[float, ...] = ()
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    traceback: str = ""
    started_s: float = 0.0
    finished_s: float = 0.0
    worker: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", TrialKey(*self.key))
        object.__setattr__(self, "status", Status(self.status))
        object.__setattr__(self, "curve", tuple(self.curve))
        object.__setattr__(self, "curves", {name: tuple(values) for name, values in self.curves.items()})

    @property
    def ok(self) -> bool:
        """Whether the evaluation has a usable result."""
        return self.status is Status.OK

    @property
    def failed(self) -> bool:
        """Whether something went wrong: neither ok, nor ended early by a rule, nor cancelled."""
        return self.status not in (Status.OK, Status.STOPPED, Status.CANCELLED)

    def to_json(self) -> dict[str, Any]:
        """Plain data for one history line."""
        data = asdict(self)
        data["key"] = list(self.key)
        data["status"] = self.status.value
        return {"type": "finished", **data}


Line = Proposed | Finished


def line_from_json(data: Mapping[str, Any]) -> Line:
    """Inverse of `to_json` of both records.

    Raises:
        KeyError, TypeError, ValueError: the mapping is not a history line.
    """
    fields = {name: value for name, value in data.items() if name != "type"}
    if data["type"] == "proposed":
        return Proposed(Proposal(**fields))
    if data["type"] == "finished":
        return Finished(**fields)
    raise ValueError(f"A history line has type 'proposed' or 'finished', got {data['type']!r}.")
