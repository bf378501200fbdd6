"""What happens during a search, as records for callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from autopytorch_lite.history.trial import Finished, Proposal


class EventKind(StrEnum):
    """What happened."""

    START = "start"
    EVALUATION_START = "evaluation_start"
    EVALUATION_END = "evaluation_end"
    NEW_INCUMBENT = "new_incumbent"
    PROMOTION = "promotion"
    ENSEMBLE = "ensemble"
    END = "end"


@dataclass(frozen=True)
class Event:
    """One moment of a search.

    Attributes:
        kind: what happened; compares equal to its text.
        elapsed_s: seconds of search time, summed over sittings.
        remaining_s: seconds until a rule ends the search even if no evaluation ends before; None without such a rule.
        n_finished: evaluations finished so far, whatever their status, cancelled ones aside.
        n_running: evaluations running now.
        n_left: evaluations until a limit on their number is reached, running ones included; None without one.
        proposal: the trial concerned, for the kinds evaluation_start, evaluation_end, new_incumbent and promotion.
        finished: its outcome, for the kinds evaluation_end and new_incumbent.
        facts: anything else, by name; for the kind ensemble "loss" and "n_members", for the kind end "interrupted"
            and "reason" (a phrase).
    """

    kind: EventKind
    elapsed_s: float
    remaining_s: float | None = None
    n_finished: int = 0
    n_running: int = 0
    proposal: Proposal | None = None
    finished: Finished | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    n_left: int | None = None


Callback: TypeAlias = Callable[[Event], None]
"""Called in the process of the search, between evaluations; an exception it raises ends the search."""
