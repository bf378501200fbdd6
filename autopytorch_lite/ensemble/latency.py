"""What is known of how long one row takes, under a limit on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from autopytorch_lite.history.trial import TrialKey


@dataclass(frozen=True)
class Timing:
    """How long a predictor takes for one row, medians of repeated calls.

    Attributes:
        total_ms: from a raw row to the prediction.
        member_ms: of its members' models alone.
    """

    total_ms: float
    member_ms: Mapping[TrialKey, float]

    @property
    def fixed_ms(self) -> float:
        """What is not the members': reading the row, averaging."""
        return max(self.total_ms - sum(self.member_ms.values()), 0.0)


@dataclass
class Latency:
    """A limit, and what has been measured so far.

    Trials record the least that they took where they were trained, beside other workers. Members of a loaded predictor
    are measured again, alone; how the two relate corrects the records of the others.

    Attributes:
        limit_ms: milliseconds that one row may take.
        fixed_ms: milliseconds of a prediction that no member is to blame for.
        factor: measured milliseconds for each recorded one.
        member_ms: milliseconds of the members measured so far.
    """

    limit_ms: float
    fixed_ms: float = 0.0
    factor: float = 1.0
    member_ms: dict[TrialKey, float] = field(default_factory=dict)

    def of(self, key: TrialKey, recorded_ms: float) -> float:
        """Milliseconds that a trial takes for one row, measured or expected."""
        return self.member_ms.get(key, self.factor * recorded_ms)

    def learn(self, timing: Timing, recorded_ms: Mapping[TrialKey, float]) -> None:
        """Take in the timing of a predictor, and what its members had recorded.

        What is fixed is the same for all predictors, so the least that was ever seen of it counts, and the members are
        charged with the rest.
        """
        self.fixed_ms = min(self.fixed_ms or math.inf, timing.fixed_ms)
        charged_ms, alone_ms = timing.total_ms - self.fixed_ms, sum(timing.member_ms.values())
        self.member_ms.update({key: ms * charged_ms / alone_ms for key, ms in timing.member_ms.items()})
        recorded = sum(recorded_ms[key] for key in timing.member_ms)
        if recorded > 0:
            self.factor = charged_ms / recorded
