"""An executor on a simulated clock: learning curves are looked up instead of trained, and nobody waits."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

import numpy as np

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.execution.evaluate import failed, failure, stopped_early
from autopytorch_lite.history.limits import epoch_above
from autopytorch_lite.history.trial import Finished, Proposal, Status
from autopytorch_lite.types import Config, FloatArray


@dataclass(frozen=True)
class SimulatedCurve:
    """What training one configuration from scratch would give.

    Attributes:
        losses: validation loss after each epoch, float array, shape (budget,). From a NaN on, the training has
            diverged: the evaluation ends there, as a real one does.
        seconds: cumulative seconds after each epoch, counted from scratch, float array, shape (budget,).
        curves: further values per epoch by name, each of length budget.
        metrics: final values of metrics.
        info: further facts.
    """

    losses: FloatArray
    seconds: FloatArray
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    def diverging_at(self, epoch: int) -> Self:
        """The same training, but its loss is NaN from this epoch on (counted from 1)."""
        losses = np.array(self.losses, dtype=float)
        losses[epoch - 1 :] = math.nan
        return replace(self, losses=losses)


Curves: TypeAlias = Callable[[Config, int], SimulatedCurve]
"""`curves(config, budget)`: the training of a configuration up to `budget` epochs, or raise to simulate a failure."""


class SimulatedFailure(Exception):
    """Raised by a curve function for an evaluation that fails after some time.

    Args:
        message: the reason, one line.
        seconds: simulated seconds until it fails.
        status: how it ends.
    """

    def __init__(self, message: str, *, seconds: float = 0.0, status: Status = Status.CRASHED):
        super().__init__(message)
        self.seconds = seconds
        self.status = status


class SimulatedExecutor:
    """Evaluates by looking up learning curves. Waiting moves the clock forward and takes no time.

    A trial that continues another one takes the additional seconds only. What ends at the same moment ends in the order
    submitted. Nothing is written. An exception of `curves` is a crashed evaluation; one that is not a
    `SimulatedFailure` takes no time.

    Args:
        curves: gives the curve of a configuration; called once per evaluation, when it is submitted.
        n_workers: evaluations at once.
        trial_time_limit_s: simulated seconds one evaluation may take; None: no limit.

    Raises:
        BudgetError: there is no worker.
    """

    def __init__(self, curves: Curves, n_workers: int = 1, *, trial_time_limit_s: float | None = None):
        if n_workers < 1:
            raise BudgetError(f"There must be at least one worker, got {n_workers=}.")
        self._curves = curves
        self._n_workers = n_workers
        self._trial_time_limit_s = trial_time_limit_s
        self._clock_s = 0.0
        self._n_submitted = 0
        self._idle = list(range(n_workers))  # a heap of worker numbers
        self._running: list[tuple[float, int, Proposal, Finished]] = []  # a heap by end and order of submission
        self._closed = False

    @property
    def n_workers(self) -> int:
        """Evaluations at once."""
        return self._n_workers

    def n_free(self) -> int:
        """Workers without a task; 0 once closed."""
        return 0 if self._closed else len(self._idle)

    def submit(self, proposal: Proposal, time_limit_s: float | None = None) -> None:
        """Look up how the evaluation will go and when it will end.

        Args:
            proposal: what to evaluate.
            time_limit_s: simulated seconds after which it ends with status timeout.

        Raises:
            RuntimeError: no worker is free, or the executor is closed.
        """
        if self.n_free() == 0:
            raise RuntimeError(f"No worker is free for trial {proposal.key}.")
        limit_s = self._trial_time_limit_s if time_limit_s is None else time_limit_s
        line = _within(limit_s, proposal, _evaluate(self._curves, proposal))
        line = replace(line, worker=heapq.heappop(self._idle))
        heapq.heappush(self._running, (self._clock_s + line.seconds, self._n_submitted, proposal, line))
        self._n_submitted += 1

    def wait(self, timeout_s: float | None = None) -> list[Finished]:
        """Move the clock to the next end, or by `timeout_s` if nothing ends before.

        Returns:
            All evaluations that end at that moment, in the order submitted.
        """
        if not self._running:
            return []
        next_end_s = self._running[0][0]
        if timeout_s is not None and next_end_s > self._clock_s + timeout_s:
            if timeout_s > 0:  # the clock moves even by what is too little for its digits
                self._clock_s = max(self._clock_s + timeout_s, math.nextafter(self._clock_s, math.inf))
            return []
        self._clock_s = max(self._clock_s, next_end_s)
        return self._collect()

    def cancel_all(self) -> list[Finished]:
        """Give up everything that runs, in the order submitted; what ends at this very moment has ended."""
        lines = self._collect()
        for end_s, _, proposal, line in sorted(self._running, key=lambda entry: entry[1]):
            seconds = max(0.0, line.seconds - (end_s - self._clock_s))
            lines.append(failed(proposal, Status.CANCELLED, "Cancelled.", seconds=seconds, worker=line.worker))
            heapq.heappush(self._idle, line.worker)
        self._running = []
        return lines

    def now(self) -> float:
        """Simulated seconds since the executor was made."""
        return self._clock_s

    def close(self) -> None:
        """Cancel what runs and accept nothing more."""
        self.cancel_all()
        self._closed = True

    def _collect(self) -> list[Finished]:
        lines = []
        while self._running and self._running[0][0] <= self._clock_s:
            line = heapq.heappop(self._running)[-1]
            heapq.heappush(self._idle, line.worker)
            lines.append(line)
        return lines


def _evaluate(curves: Curves, proposal: Proposal) -> Finished:
    """The line of an evaluation that nobody interrupts."""
    try:
        return _line_of(_checked(curves(dict(proposal.config), proposal.budget), proposal.budget), proposal)
    except SimulatedFailure as error:
        reason = {**failure(error), "status": error.status, "error": str(error)}
        return Finished(key=proposal.key, seconds=error.seconds, **reason)
    except (Exception, SystemExit) as error:
        return Finished(key=proposal.key, **failure(error))


def _checked(curve: Any, budget: int) -> SimulatedCurve:
    """The curve with float arrays of the right length.

    Raises:
        TypeError: it is none.
        ValueError: its length is not the budget, or time runs backwards.
    """
    if not isinstance(curve, SimulatedCurve):
        raise TypeError(f"curves() must return a SimulatedCurve, got {type(curve).__name__}: {curve!r:.200}")
    losses, seconds = np.asarray(curve.losses, dtype=float), np.asarray(curve.seconds, dtype=float)
    if losses.shape != (budget,) or seconds.shape != (budget,):
        raise ValueError(
            f"A SimulatedCurve must have one loss and one time per epoch, here {budget}; got losses of shape "
            f"{losses.shape} and seconds of shape {seconds.shape}."
        )
    if not (np.isfinite(seconds).all() and seconds[0] >= 0 and (np.diff(seconds) >= 0).all()):
        raise ValueError("The seconds of a SimulatedCurve are cumulative: finite, from 0 on, never falling.")
    return replace(curve, losses=losses, seconds=seconds)


def _line_of(curve: SimulatedCurve, proposal: Proposal) -> Finished:
    n_epochs = min(_n_epochs_until_divergence(curve.losses), _n_epochs_until_stop(curve.losses, proposal))
    seconds = _additional_s(curve.seconds, proposal.resume_from or 0, n_epochs)
    loss = float(curve.losses[n_epochs - 1])
    if not math.isfinite(loss):
        error = f"DivergedError: The loss must be finite, got {loss}. It was so in epoch {n_epochs}."
        raise SimulatedFailure(error, seconds=seconds, status=Status.DIVERGED)
    losses = tuple(curve.losses[:n_epochs].tolist())
    line = Finished(key=proposal.key, loss=loss, seconds=seconds, curve=losses, curves=curve.curves, info=curve.info)
    if n_epochs == proposal.budget:
        return replace(line, metrics=curve.metrics)
    shortened = {name: values[:n_epochs] for name, values in curve.curves.items()}
    return replace(line, curves=shortened, **stopped_early(proposal, losses))


def _n_epochs_until_stop(losses: FloatArray, proposal: Proposal) -> int:
    """Epochs until a stopping rule ends the trial; all if none does."""
    epoch = epoch_above(losses.tolist(), proposal.stop_above) if proposal.stop_above else None
    return len(losses) if epoch is None else epoch


def _n_epochs_until_divergence(losses: FloatArray) -> int:
    """Epochs until the first NaN, included; all if there is none."""
    is_nan = np.isnan(losses)
    return int(is_nan.argmax()) + 1 if is_nan.any() else len(losses)


def _additional_s(seconds: FloatArray, n_done: int, n_epochs: int) -> float:
    """Seconds from epoch `n_done`, which a smaller budget has paid for, to epoch `n_epochs`."""
    already_s = float(seconds[n_done - 1]) if n_done else 0.0
    return max(0.0, float(seconds[n_epochs - 1]) - already_s)


def _within(limit_s: float | None, proposal: Proposal, line: Finished) -> Finished:
    if limit_s is None or line.seconds <= limit_s:
        return line
    return failed(proposal, Status.TIMEOUT, f"Took more than the limit of {limit_s:g} seconds.", seconds=limit_s)
