"""What is known of how long one row takes, under a limit on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autopytorch_lite.history.trial import TrialKey

SLOW = 0.95
"""Quantile of the moments seen that counts as slow: where cores are shared, some are half as fast as others."""

FAST = 0.1
"""Quantile that counts as fast."""

SLOW_OVER_FAST = 1.5
"""How much longer slow moments take than fast ones at least, even where a search has met none."""


@dataclass(frozen=True)
class Timing:
    """How long a predictor takes for one row, as multiples of what reading the row takes at the same moment.

    Machines are faster at one moment than at another; these multiples are much the same at all of them.

    Attributes:
        read_ms: milliseconds of reading a row, at several moments.
        total: from a raw row to the prediction.
        members: its members' models alone.
    """

    read_ms: Sequence[float]
    total: float
    members: Mapping[TrialKey, float]

    @property
    def fixed(self) -> float:
        """What is not the members': reading the row, averaging."""
        return max(self.total - sum(self.members.values()), 0.0)

    @property
    def member_ms(self) -> dict[TrialKey, float]:
        """Milliseconds of each member's models at a moment of median speed."""
        read_ms = float(np.median(self.read_ms))
        return {key: multiple * read_ms for key, multiple in self.members.items()}


class Latency:
    """A limit, and what is known so far of the time that one row takes.

    Trials record it where they were trained, beside other workers. Members of a loaded predictor are measured again,
    alone; how the two relate corrects the records of the others. All milliseconds are those of slow moments, as trials
    and measurements have met them.

    Attributes:
        limit_ms: milliseconds that one row may take.
    """

    def __init__(self, limit_ms: float, recorded: Mapping[TrialKey, float], read_ms: Iterable[float]):
        """Nothing measured yet.

        Args:
            limit_ms: milliseconds that one row may take.
            recorded: what one row takes each trial, as a multiple of reading it; NaN where that is unknown.
            read_ms: what reading a row took while the search went on.
        """
        self.limit_ms = limit_ms
        self._recorded = recorded
        self._read_ms = list(read_ms)
        self._fixed = 0.0
        self._measured: dict[TrialKey, float] = {}
        self._correction = 1.0

    @property
    def fixed_ms(self) -> float:
        """Milliseconds of a prediction that no member is to blame for; none before anything was measured."""
        return self._ms(self._fixed)

    def of(self, key: TrialKey) -> float:
        """Milliseconds that a trial takes for one row, measured or expected; the limit where nothing is known."""
        multiple = self._measured.get(key, self._correction * self._recorded[key])
        return self._ms(multiple) if math.isfinite(multiple) else self.limit_ms

    def total_ms(self, timing: Timing) -> float:
        """Milliseconds that a measured predictor takes for one row."""
        return self._ms(timing.total)

    def learn(self, timing: Timing) -> None:
        """Take in the timing of a predictor.

        What is fixed is the same for all predictors, so the least that was ever seen of it counts, and the members are
        charged with the rest.
        """
        self._fixed = min(self._fixed, timing.fixed) if self._measured else timing.fixed
        self._read_ms.extend(timing.read_ms)
        charged, alone = timing.total - self._fixed, sum(timing.members.values())
        self._measured.update({key: multiple * charged / alone for key, multiple in timing.members.items()})
        recorded = sum(self._recorded[key] for key in timing.members)
        if math.isfinite(recorded):
            self._correction = charged / recorded

    def _ms(self, multiple: float) -> float:
        if not self._read_ms:
            return 0.0
        fast_ms, slow_ms = np.quantile(self._read_ms, [FAST, SLOW])
        return multiple * float(max(slow_ms, SLOW_OVER_FAST * fast_ms))
