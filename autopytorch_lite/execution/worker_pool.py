"""Worker processes seen from the search: start, give a task, watch, kill; idle ones stay warm for the next search."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from loky.backend import get_context

from autopytorch_lite.execution.limits import thread_environment, used_memory_mb
from autopytorch_lite.execution.serving import Forget, Load, Started, Task, serve

IDLE_S = 60.0
"""Seconds after which a worker that no search uses is ended."""
_MAX_REPORT_BYTES = 2**16
_MAX_EXIT_S = 0.2


class WorkerProcess:
    """One process that evaluates one task after the other.

    It is started by executing Python anew (never by fork), does not import the caller's main module, and ends when
    its parent does.

    Attributes:
        connection: tasks go out, answers come in.
        digest: of the objective that the process holds; empty if none.
        crash_report: what Python wrote when compiled code crashed; empty if it did not, or still runs.
        parent_pid: of the process that started it.
        idle_since_s: moment, on the monotonic clock, since when no search has used the process.
    """

    def __init__(self, n_threads: int, quiet: bool):
        context = get_context("loky")
        self.connection, theirs = context.Pipe()
        self._crash_report, report_to = context.Pipe(duplex=False)
        self.parent_pid = os.getpid()
        self._process = context.Process(
            target=serve,
            args=(theirs, report_to, os.getpid(), quiet),
            name="autopytorch-lite-worker",
            env=thread_environment(n_threads),
        )
        with _interrupts_blocked():
            self._process.start()
        _STARTED.add(self)
        theirs.close()
        report_to.close()
        self.digest = ""
        self.crash_report = ""
        self.idle_since_s = time.monotonic()

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.is_alive()

    def send(self, task: Task, payload: bytes) -> None:
        """Give a task; the objective goes along only if the worker lacks it.

        Raises:
            OSError: the process is gone.
        """
        known = self.digest == task.digest
        self.connection.send(task if known else replace(task, payload=payload))
        self.digest = task.digest

    def receive(self) -> Started | str | None:
        """The next answer: an evaluation started, or its history line as text; None if there is no answer yet.

        Raises:
            EOFError, OSError: the process is gone and has said all it will.
        """
        if self.connection.poll():
            return self.connection.recv()
        if not self.is_alive() and not self.connection.poll():
            raise EOFError("The worker has ended.")
        return None

    def used_memory_mb(self) -> float:
        """Megabytes the process uses; 0 if it is gone."""
        try:
            return used_memory_mb(psutil.Process(self.pid))
        except psutil.Error:
            return 0.0

    def forget(self) -> None:
        """Let the process free the objective and what it holds."""
        self.digest = ""
        self.idle_since_s = time.monotonic()
        self.connection.send(Forget())

    def kill(self) -> None:
        """End the process and those it started, without waiting for it to agree."""
        if self._process.exitcode is not None:
            return
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            for victim in [*process.children(recursive=True), process]:
                with contextlib.suppress(psutil.Error):
                    victim.kill()

    def end(self) -> int | None:
        """Make sure that the process is gone; its exit status, negative for a signal. `crash_report` is set."""
        deadline_s = time.monotonic() + _MAX_EXIT_S
        while self._process.exitcode is None and time.monotonic() < deadline_s:
            time.sleep(0.005)
        self.kill()
        self._process.join()
        if not self._crash_report.closed:
            self.crash_report = self._read_crash_report()
        self.connection.close()
        return self._process.exitcode

    def _read_crash_report(self) -> str:
        with self._crash_report:
            if os.name != "posix" or not self._crash_report.poll():
                return ""
            return os.read(self._crash_report.fileno(), _MAX_REPORT_BYTES).decode(errors="replace")


class _WarmWorkers:
    """Idle workers by what they were started with; only workers of this process, and none older than `IDLE_S`."""

    def __init__(self) -> None:
        self._idle: dict[tuple[Any, ...], list[WorkerProcess]] = {}
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    def take(self, n_threads: int, quiet: bool) -> WorkerProcess:
        """An idle worker if there is one, otherwise a new one."""
        with self._lock:
            idle = self._idle.get(_circumstances(n_threads, quiet), [])
            while idle:
                worker = idle.pop()
                if worker.is_alive():
                    return worker
                worker.end()
        return WorkerProcess(n_threads, quiet)

    def start(self, n_threads: int, quiet: bool, modules: tuple[str, ...]) -> None:
        """Start a worker that imports modules while nobody needs it yet, unless one is idle already."""
        with self._lock:
            if any(worker.is_alive() for worker in self._idle.get(_circumstances(n_threads, quiet), [])):
                return
            worker = WorkerProcess(n_threads, quiet)
            worker.connection.send(Load(modules))
            self._idle.setdefault(_circumstances(n_threads, quiet), []).append(worker)
            self._schedule_sweep()

    def give_back(self, worker: WorkerProcess, n_threads: int, quiet: bool) -> None:
        """Keep a worker that has nothing to do for the next search."""
        try:
            worker.forget()
        except OSError:
            worker.end()
            return
        with self._lock:
            self._idle.setdefault(_circumstances(n_threads, quiet), []).append(worker)
            self._schedule_sweep()

    def end_idle(self, min_idle_s: float = 0.0) -> None:
        """End the workers that were idle for so many seconds."""
        with self._lock:
            latest_s = time.monotonic() - min_idle_s
            for key, workers in list(self._idle.items()):
                ended = (
                    [worker for worker in workers if worker.idle_since_s <= latest_s] if key[0] == os.getpid() else []
                )
                self._idle[key] = [worker for worker in workers if worker not in ended]
                for worker in ended:
                    worker.kill()
                for worker in ended:
                    worker.end()
            self._timer = None
            if any(self._idle.values()):
                self._schedule_sweep()

    def _schedule_sweep(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(IDLE_S, self.end_idle, args=(IDLE_S,))
            self._timer.daemon = True
            self._timer.start()


def _circumstances(n_threads: int, quiet: bool) -> tuple[Any, ...]:
    """What a worker takes over from its parent when it starts; a worker is only reused where all of it is the same."""
    return os.getpid(), n_threads, quiet, str(Path.cwd()), tuple(sys.path)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a process start that Ctrl-C in the terminal does not reach: it takes over the blocked signal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _end_all() -> None:
    """End every worker of this process, also those of executors that nobody closed: Python would wait for them."""
    for worker in [worker for worker in _STARTED if worker.parent_pid == os.getpid()]:
        worker.kill()


WARM = _WarmWorkers()
_STARTED: weakref.WeakSet[WorkerProcess] = weakref.WeakSet()
atexit.register(_end_all)
