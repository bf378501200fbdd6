"""Executors: in this process, and in worker processes with hard limits."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as wait_for_connections

import cloudpickle

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.execution.base import Objective
from autopytorch_lite.execution.evaluate import failed, run_objective
from autopytorch_lite.execution.limits import available_cores
from autopytorch_lite.execution.serving import EXIT_MEMORY, Started, Task
from autopytorch_lite.execution.worker_pool import WARM, WorkerProcess
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.lines import load_line
from autopytorch_lite.history.trial import Finished, Proposal, Status

_MAX_START_S = 300.0
_POLL_S = 0.2
_MEMORY_POLL_S = 0.05


class SerialExecutor:
    """Evaluates one proposal at a time in this process, inside `wait`. No limit on time or memory is enforced.

    Args:
        objective: what to evaluate; see `Objective`.
        files_root: the run's folder `files/`.
    """

    def __init__(self, objective: Objective, *, files_root: str | os.PathLike[str]):
        self._objective = objective
        self._files = TrialFiles(files_root)
        self._submitted: Proposal | None = None
        self._closed = False

    @property
    def n_workers(self) -> int:
        """Always 1."""
        return 1

    def n_free(self) -> int:
        """1 until something is submitted, then 0 until it has been waited for."""
        return int(self._submitted is None and not self._closed)

    def submit(self, proposal: Proposal, time_limit_s: float | None = None) -> None:
        """Take the proposal; `time_limit_s` cannot be enforced here and is ignored."""
        if self.n_free() == 0:
            raise RuntimeError(f"No worker is free for trial {proposal.key}.")
        self._submitted = proposal

    def wait(self, timeout_s: float | None = None) -> list[Finished]:
        """Evaluate what was submitted, however long it takes."""
        if self._submitted is None:
            return []
        line = run_objective(self._objective, self._submitted, self._files)
        self._submitted = None
        return [line]

    def cancel_all(self) -> list[Finished]:
        """Forget what was submitted and not finished."""
        if self._submitted is None:
            return []
        cancelled, self._submitted = failed(self._submitted, Status.CANCELLED, "Cancelled."), None
        return [cancelled]

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def close(self) -> None:
        """Accept nothing more."""
        self.cancel_all()
        self._closed = True


@dataclass
class _Running:
    """One evaluation on a worker process; `is_deferred` until its task has been sent."""

    proposal: Proposal
    number: int
    process: WorkerProcess
    time_limit_s: float | None
    submitted_s: float
    started_s: float | None = None
    baseline_mb: float = 0.0
    is_second_try: bool = False
    is_deferred: bool = False

    def seconds(self) -> float:
        return 0.0 if self.started_s is None else time.monotonic() - self.started_s

    def is_late(self) -> bool:
        if self.started_s is None:
            return time.monotonic() - self.submitted_s > _MAX_START_S
        return self.time_limit_s is not None and self.seconds() > self.time_limit_s

    def used_mb(self) -> float:
        return 0.0 if self.started_s is None else self.process.used_memory_mb() - self.baseline_mb


class ProcessExecutor:
    """Evaluates proposals in worker processes. Time and memory limits end the process; the search goes on with another.

    Works from scripts without an ``if __name__ == "__main__"`` guard, from notebooks and from standard input: workers
    never import the main module; what the objective needs from it travels with it. Workers are started when they are
    first needed, and stay warm for the next executor for a minute. As many new workers load the objective at once as
    there are cores that nothing is evaluated on: more would only make each other late, and the first result.

    Args:
        objective: what to evaluate; it is pickled once (with cloudpickle) and unpickled once per worker.
        n_workers: evaluations at once.
        n_threads: threads of numeric libraries in each worker.
        memory_limit_mb: megabytes one evaluation may take above what its worker uses when it starts; None: no limit.
        trial_time_limit_s: seconds one evaluation may take; None: no limit.
        files_root: the run's folder `files/`.
        quiet: discard what workers print and warn.

    Attributes:
        n_busy_elsewhere: cores on which something is evaluated beside the workers; whoever does it says so.

    Raises:
        TypeError: the objective cannot be pickled.
        BudgetError: there is no worker.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        n_workers: int,
        files_root: str | os.PathLike[str],
        n_threads: int = 1,
        memory_limit_mb: float | None = None,
        trial_time_limit_s: float | None = None,
        quiet: bool = True,
    ):
        if n_workers < 1:
            raise BudgetError(f"There must be at least one worker, got {n_workers=}.")
        self._payload = _pickled(objective)
        self._digest = hashlib.sha256(self._payload).hexdigest()
        self._files_root = TrialFiles(files_root).root
        self._n_threads = n_threads
        self._memory_limit_mb = memory_limit_mb
        self._trial_time_limit_s = trial_time_limit_s
        self._quiet = quiet
        self._idle: dict[int, WorkerProcess | None] = dict.fromkeys(range(n_workers))
        self._running: dict[int, _Running] = {}
        self._n_workers = n_workers
        self.n_busy_elsewhere = 0

    @property
    def n_workers(self) -> int:
        """Evaluations at once."""
        return self._n_workers

    def n_free(self) -> int:
        """Workers without a task."""
        return len(self._idle)

    def submit(self, proposal: Proposal, time_limit_s: float | None = None) -> None:
        """Start an evaluation on a free worker, which is started first if need be."""
        if not self._idle:
            raise RuntimeError(f"No worker is free for trial {proposal.key}.")
        number = min(self._idle, key=lambda number: (self._idle[number] is None, number))
        process = self._idle.pop(number)
        if process is None or not process.is_alive():
            process = self._replace(process)
        limit_s = self._trial_time_limit_s if time_limit_s is None else time_limit_s
        running = _Running(proposal, number, process, limit_s, time.monotonic())
        running.is_deferred = process.digest != self._digest and not self._may_load()
        self._running[number] = running
        if not running.is_deferred:
            self._send_task(running)

    def wait(self, timeout_s: float | None = None) -> list[Finished]:
        """Wait until something has ended, enforcing the limits meanwhile."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            finished = self._collect()
            remaining_s = None if deadline_s is None else deadline_s - time.monotonic()
            if finished or not self._running or (remaining_s is not None and remaining_s <= 0):
                return finished
            self._sleep(remaining_s)

    def cancel_all(self) -> list[Finished]:
        """Kill every worker that evaluates something."""
        finished = self._collect()
        for running in self._running.values():
            running.process.kill()
        cancelled = [self._lost(running, Status.CANCELLED, "Cancelled.") for running in list(self._running.values())]
        return finished + cancelled

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def close(self) -> None:
        """Cancel what runs, and keep the idle workers warm for the next executor."""
        self.cancel_all()
        for process in self._idle.values():
            if process is not None:
                WARM.give_back(process, self._n_threads, self._quiet)
        self._idle = {}

    def _may_load(self) -> bool:
        """Whether another worker may load the objective, which takes a core for seconds; one always may."""
        sent = [running for running in self._running.values() if not running.is_deferred]
        n_loading = sum(running.started_s is None for running in sent)
        n_busy = (len(sent) - n_loading) * self._n_threads + self.n_busy_elsewhere
        return n_loading < max(1, available_cores() - n_busy)

    def _send_task(self, running: _Running) -> None:
        """Send the task to its worker; one that died while idle is replaced."""
        running.is_deferred = False
        running.submitted_s = time.monotonic()
        task = Task(running.proposal, self._digest, None, self._files_root, running.number, self._memory_limit_mb)
        try:
            running.process.send(task, self._payload)
        except OSError:
            running.process = self._replace(running.process)
            with contextlib.suppress(OSError):  # `wait` finds it dead and says so
                running.process.send(task, self._payload)

    def _send_deferred(self) -> None:
        """Send the tasks that were held back, as cores for loading become free."""
        for running in [running for running in self._running.values() if running.is_deferred]:
            if self._may_load():
                self._send_task(running)

    def _replace(self, process: WorkerProcess | None) -> WorkerProcess:
        if process is not None:
            process.end()
        return WARM.take(self._n_threads, self._quiet)

    def _collect(self) -> list[Finished]:
        """What has ended, limits enforced."""
        ended = [self._inspect(running) for running in list(self._running.values())]
        self._send_deferred()
        return [line for line in ended if line is not None]

    def _inspect(self, running: _Running) -> Finished | None:
        try:
            answer = running.process.receive()
            if isinstance(answer, Started):
                running.started_s, running.baseline_mb = time.monotonic(), answer.memory_mb
                answer = running.process.receive()
        except (EOFError, OSError):
            return self._died(running)
        if isinstance(answer, str):
            return self._answered(running, answer)
        if running.is_late():
            return self._timed_out(running)
        if self._memory_limit_mb is not None and running.used_mb() > self._memory_limit_mb:
            return self._lost(running, Status.MEMORY, self._memory_text())
        return None

    def _answered(self, running: _Running, text: str) -> Finished:
        self._idle[running.number] = self._running.pop(running.number).process
        line = load_line(text)
        assert isinstance(line, Finished), "workers answer with finished evaluations"
        return line

    def _died(self, running: _Running) -> Finished | None:
        exit_status = running.process.end()
        if running.started_s is None and not running.is_second_try:  # killed while idle: not the fault of this trial
            running.process = self._replace(None)
            running.is_second_try = True
            self._send_task(running)
            return None
        if exit_status == EXIT_MEMORY:
            return self._lost(running, Status.MEMORY, self._memory_text())
        line = self._lost(running, Status.CRASHED, _describe_exit(exit_status, running.started_s is not None))
        return replace(line, traceback=running.process.crash_report)

    def _timed_out(self, running: _Running) -> Finished:
        if running.started_s is None:
            return self._lost(running, Status.CRASHED, f"The worker did not start within {_MAX_START_S:.0f} seconds.")
        return self._lost(running, Status.TIMEOUT, f"Took more than the limit of {running.time_limit_s:g} seconds.")

    def _lost(self, running: _Running, status: Status, error: str) -> Finished:
        """End the worker of an evaluation and clear away what it wrote."""
        seconds = running.seconds()
        running.process.kill()
        running.process.end()
        TrialFiles(self._files_root).discard(running.proposal.key)
        del self._running[running.number]
        self._idle[running.number] = None
        return failed(running.proposal, status, error, seconds=seconds, worker=running.number)

    def _memory_text(self) -> str:
        return f"Took more memory than the limit of {self._memory_limit_mb:g} MB."

    def _sleep(self, remaining_s: float | None) -> None:
        """Wait for an answer, but not longer than until the next look at the limits."""
        poll_s = _POLL_S if self._memory_limit_mb is None else _MEMORY_POLL_S
        limits_s = [
            running.time_limit_s - running.seconds() for running in self._running.values() if running.time_limit_s
        ]
        timeout_s = min([poll_s, *limits_s] if remaining_s is None else [poll_s, remaining_s, *limits_s])
        connections = [running.process.connection for running in self._running.values()]
        wait_for_connections(connections, max(timeout_s, 0.001))


def _pickled(objective: Objective) -> bytes:
    try:
        return cloudpickle.dumps(objective)
    except Exception as error:
        raise TypeError(
            f"An objective for worker processes must be picklable, {objective!r} is not: {error}"
        ) from error


def _describe_exit(exit_status: int | None, has_started: bool) -> str:
    when = "before it returned a result" if has_started else "while it started"
    if exit_status is not None and exit_status < 0:
        name = _signal_name(-exit_status)
        hint = " (the system may have run out of memory)" if name == "SIGKILL" else ""
        return f"The worker was ended by signal {name} {when}{hint}."
    return f"The worker ended with exit status {exit_status} {when}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
