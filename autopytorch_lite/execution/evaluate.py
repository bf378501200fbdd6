"""One evaluation: call the objective, and turn whatever happens into one history line."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

from autopytorch_lite.errors import DivergedError
from autopytorch_lite.execution.base import Checkpoint, Objective, Result
from autopytorch_lite.execution.limits import MemoryWatch
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.limits import epoch_above
from autopytorch_lite.history.lines import to_plain
from autopytorch_lite.history.trial import Finished, Proposal, Status, TrialKey

_TORCH_ALLOCATION_FAILURES = ("DefaultCPUAllocator", "not enough memory")


def run_objective(
    objective: Objective,
    proposal: Proposal,
    files: TrialFiles,
    *,
    worker: int = 0,
    memory_limit_mb: float | None = None,
    on_memory_exceeded: Callable[[], None] | None = None,
) -> Finished:
    """Evaluate one proposal. Only KeyboardInterrupt comes out of it; everything else is a status.

    Args:
        objective: called as `objective(config, budget, checkpoint)`.
        proposal: what to evaluate.
        files: where the trial's files go when it succeeds.
        worker: number of the worker, for the record.
        memory_limit_mb: megabytes above what the process uses now.
        on_memory_exceeded: called from another thread when there is more; it must end the process to enforce the limit.

    Returns:
        The history line, with seconds and info["peak_memory_mb"], the peak above the memory in use at the start. Its
        status: ok; stopped (the curve ends early, where it is above the trial's limit); diverged (the loss is not
        finite, or `DivergedError`); memory (an allocation failed); crashed.
    """
    start_s = time.monotonic()
    with MemoryWatch(memory_limit_mb, on_memory_exceeded) as watch:
        try:
            outcome = _evaluate(objective, proposal, files)
        except _StoppedEarlyError as stopped:
            outcome = stopped.outcome
        except (Exception, SystemExit) as error:
            outcome = failure(error)
    info = {**outcome.pop("info", {}), "peak_memory_mb": round(watch.peak_mb, 1)}
    return Finished(key=proposal.key, seconds=time.monotonic() - start_s, worker=worker, info=info, **outcome)


def failed(proposal: Proposal, status: Status, error: str, *, seconds: float = 0.0, worker: int = 0) -> Finished:
    """The line of an evaluation that ended from outside."""
    return Finished(key=proposal.key, status=status, error=error, seconds=seconds, worker=worker)


def _evaluate(objective: Objective, proposal: Proposal, files: TrialFiles) -> dict[str, Any]:
    previous = None
    if proposal.resume_from is not None:
        previous = files.existing(TrialKey(proposal.config_id, proposal.resume_from))
    with files.staging(proposal.key) as folder:
        checkpoint = Checkpoint(folder, previous, proposal.config_id, proposal.stop_above)
        outcome = _success(_as_result(objective(dict(proposal.config), proposal.budget, checkpoint)))
        early = stopped_early(proposal, outcome["curve"])
        if early:
            raise _StoppedEarlyError(outcome | early)
        return outcome


class _StoppedEarlyError(Exception):
    """Leaves the staging folder of a trial that was stopped early, so that its files are dropped."""

    def __init__(self, outcome: dict[str, Any]):
        super().__init__()
        self.outcome = outcome


def stopped_early(proposal: Proposal, curve: Sequence[float]) -> dict[str, Any]:
    """Status and error of a curve that ends before the budget, where it is above its limit; otherwise nothing."""
    epoch = epoch_above(curve, proposal.stop_above)
    if epoch is None or epoch != len(curve) or epoch >= proposal.budget:
        return {}
    best, limit = min(curve), proposal.stop_above[epoch - 1]
    error = f"Stopped after epoch {epoch} of {proposal.budget}: its best loss so far, {best:.5g}, is above {limit:.5g}."
    return {"status": Status.STOPPED, "error": error}


def _as_result(returned: Any) -> Result:
    if isinstance(returned, Result):
        return returned
    if isinstance(returned, SupportsFloat):
        return Result(loss=float(returned))
    raise TypeError(
        f"An objective must return a Result or a number (the loss), got {type(returned).__name__}: {returned!r:.200}"
    )


def _success(result: Result) -> dict[str, Any]:
    loss = float(result.loss)
    if not math.isfinite(loss):
        raise DivergedError(f"The loss must be finite, got {loss}.")
    return {
        "status": Status.OK,
        "loss": loss,
        "curve": _floats(result.curve),
        "curves": {str(name): _floats(values) for name, values in result.curves.items()},
        "metrics": {str(name): float(value) for name, value in result.metrics.items()},
        "info": _checked(result.info),
    }


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _checked(info: Mapping[str, Any]) -> dict[str, Any]:
    """The facts, after making sure that the history can hold them."""
    to_plain(info)
    return dict(info)


def failure(error: BaseException) -> dict[str, Any]:
    """Status, error and traceback of the line of an evaluation that raised."""
    return {
        "status": _status_of(error),
        "error": _one_line(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _one_line(error: BaseException) -> str:
    """Class and first line of the message, at most 500 characters of it."""
    try:
        text = str(error).strip().partition("\n")[0][:500]
    except Exception:
        text = "(the exception has no printable message)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _status_of(error: BaseException) -> Status:
    if isinstance(error, DivergedError):
        return Status.DIVERGED
    if (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    ):  # the second is torch's, for devices
        return Status.MEMORY
    if isinstance(error, RuntimeError) and any(text in str(error) for text in _TORCH_ALLOCATION_FAILURES):
        return Status.MEMORY
    return Status.CRASHED
