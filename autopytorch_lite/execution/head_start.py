"""A first result early: this process evaluates the first proposal while the workers load their libraries."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from threadpoolctl import threadpool_limits

from autopytorch_lite.execution.base import Executor
from autopytorch_lite.execution.costs import EvaluationCosts
from autopytorch_lite.history.trial import Finished, Proposal

HEAD_START_S = 5.0
"""Here no limit can be enforced on an evaluation. So it has to be expected to take less. It is about what a
worker needs to load its libraries."""
SURE_S = 12.5
"""And it has to be sure to take less than this."""


def is_short(first: Proposal, costs: EvaluationCosts, time_limit_s: float | None = None) -> bool:
    """Whether the first proposal may be evaluated in the process of the search.

    Args:
        first: the proposal.
        costs: what evaluations take.
        time_limit_s: of the search, seconds; the evaluation has to be sure to take less than half of it.
    """
    most_s = SURE_S if time_limit_s is None else min(SURE_S, time_limit_s / 2)
    asked = first.config, first.budget
    return costs.expected_s(*asked) <= HEAD_START_S and costs.safe_s(*asked) <= most_s


class HeadStart:
    """An executor whose first evaluation may be done elsewhere, at once.

    Workers need seconds to import what the process of the search has imported already. The others are started before
    the first one is evaluated, which happens inside `wait`. No limits are enforced on it, so it should be short.

    Args:
        workers: evaluates all others.
        here: evaluates the first, in this process.
        is_short: whether a proposal may be evaluated here; if the first may not, none is.
        n_threads: threads of numeric libraries here meanwhile: as many as a worker has.
        tell_busy: is told how many cores this process evaluates on, when that changes.
    """

    def __init__(
        self,
        workers: Executor,
        here: Executor,
        is_short: Callable[[Proposal], bool],
        n_threads: int = 1,
        tell_busy: Callable[[int], None] = lambda n_cores: None,
    ):
        self._workers = workers
        self._here = here
        self._is_short = is_short
        self._n_threads = n_threads
        self._tell_busy = tell_busy
        self._is_first = True

    @property
    def n_workers(self) -> int:
        """Evaluations at once, the first one aside."""
        return self._workers.n_workers

    def n_free(self) -> int:
        """How many more proposals can be submitted now."""
        return self._workers.n_free() + int(self._is_first)

    def submit(self, proposal: Proposal, time_limit_s: float | None = None) -> None:
        """Start an evaluation; the first one begins with `wait` if it is short."""
        is_first, self._is_first = self._is_first, False
        is_here = is_first and self._is_short(proposal)
        if is_here:
            self._tell_busy(self._n_threads)
        (self._here if is_here else self._workers).submit(proposal, time_limit_s)

    def wait(self, timeout_s: float | None = None) -> list[Finished]:
        """Wait until something has ended; the evaluation that was kept here is done first, however long it takes."""
        with warnings.catch_warnings(), threadpool_limits(limits=self._n_threads):
            warnings.simplefilter("ignore")
            ended = self._here.wait()
        self._tell_busy(0)
        return ended or self._workers.wait(timeout_s)

    def cancel_all(self) -> list[Finished]:
        """End all running evaluations now."""
        return self._here.cancel_all() + self._workers.cancel_all()

    def now(self) -> float:
        """Seconds on the workers' clock."""
        return self._workers.now()

    def close(self) -> None:
        """Close both."""
        self._is_first = False
        self._here.close()
        self._workers.close()
