"""What runs inside a worker process: receive a task, evaluate it, answer with a history line."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import signal
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cloudpickle
import psutil

from autopytorch_lite.execution.base import Checkpoint, Objective
from autopytorch_lite.execution.evaluate import run_objective
from autopytorch_lite.execution.limits import used_memory_mb
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.lines import dump_line
from autopytorch_lite.history.trial import Proposal
from autopytorch_lite.types import Config

EXIT_MEMORY = 173
"""Exit status of a worker that took more memory than it may."""
_PARENT_POLL_S = 0.5


@dataclass(frozen=True)
class Task:
    """One evaluation on its way to a worker.

    Attributes:
        proposal: what to evaluate.
        digest: identity of the objective.
        payload: the objective in pickled form; None if the worker has it already.
        files_root: the run's folder `files/`.
        worker: number of the worker, for the record.
        memory_limit_mb: megabytes above what the worker uses when the evaluation starts.
    """

    proposal: Proposal
    digest: str
    payload: bytes | None
    files_root: Path
    worker: int = 0
    memory_limit_mb: float | None = None


@dataclass(frozen=True)
class Started:
    """Answer of a worker that begins an evaluation, with the megabytes it uses."""

    memory_mb: float


@dataclass(frozen=True)
class Forget:
    """Order to let go of the objective and all it holds."""


@dataclass(frozen=True)
class Load:
    """Order to import modules that a task is going to need; those that cannot be imported are left to the task."""

    modules: tuple[str, ...]


class _ObjectiveCache:
    """The objective of the current search, unpickled when it is first needed."""

    def __init__(self) -> None:
        self._payload: bytes | None = None
        self._objective: Objective | None = None

    def forget(self) -> None:
        self._payload, self._objective = None, None

    def load(self, task: Task) -> Objective:
        """The objective; if it cannot be unpickled, a function that raises the reason when it is called."""
        if task.payload is not None:
            self._payload, self._objective = task.payload, None
        if self._objective is None:
            assert self._payload is not None, "the parent sends the objective before it refers to it"
            try:
                self._objective, self._payload = cloudpickle.loads(self._payload), None
            except (Exception, SystemExit) as error:
                return _raising(error)
        return self._objective


def serve(connection: Connection, crash_report: Connection, parent_pid: int, quiet: bool) -> None:
    """Main function of a worker process; returns when the connection is closed.

    Args:
        connection: tasks come in, answers go out.
        crash_report: where Python writes its stack when compiled code crashes.
        parent_pid: the process ends when this one does.
        quiet: discard what is printed.
    """
    _ignore_interrupts()
    if os.name == "posix":
        faulthandler.enable(crash_report.fileno(), all_threads=False)
    end_with_parent(parent_pid)
    if quiet:
        _silence()
    cache, garbage = _ObjectiveCache(), Garbage()
    with contextlib.suppress(EOFError, OSError):
        while True:
            order = connection.recv()
            if isinstance(order, Task):
                _answer(connection, order, cache)
            elif isinstance(order, Load):
                _load(order)
            else:
                cache.forget()
            garbage.release()


def _answer(connection: Connection, task: Task, cache: _ObjectiveCache) -> None:
    objective = cache.load(task)
    connection.send(Started(used_memory_mb(psutil.Process())))
    line = run_objective(
        objective,
        task.proposal,
        TrialFiles(task.files_root),
        worker=task.worker,
        memory_limit_mb=task.memory_limit_mb,
        on_memory_exceeded=_exit_for_memory,
    )
    connection.send(dump_line(line))


def _load(order: Load) -> None:
    for module in order.modules:
        with contextlib.suppress(Exception):
            importlib.import_module(module)


def _raising(error: BaseException) -> Objective:
    def objective(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        raise error

    return objective


def _exit_for_memory() -> None:
    os._exit(EXIT_MEMORY)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent, which started this process with the signal blocked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class Garbage:
    """What evaluations leave behind."""

    def __init__(self) -> None:
        self._n_modules = 0

    def release(self) -> None:
        """Let other workers have what the last evaluation took, on the device too.

        Modules stay for good. They are hundreds of thousands of objects, and looking through them all after each
        evaluation took ten times as long as training a small model; so what is there after an import is set aside.
        """
        gc.collect()
        if len(sys.modules) > self._n_modules:
            self._n_modules = len(sys.modules)
            gc.freeze()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def end_with_parent(parent_pid: int) -> None:
    """End this process when its parent has died, so that a killed search leaves no workers behind."""
    threading.Thread(target=_watch_parent, args=(parent_pid,), name="parent-watch", daemon=True).start()


def _watch_parent(parent_pid: int) -> None:
    while _is_parent(parent_pid):
        time.sleep(_PARENT_POLL_S)
    os._exit(1)


def _is_parent(parent_pid: int) -> bool:
    if os.name == "posix":
        return os.getppid() == parent_pid
    return psutil.pid_exists(parent_pid)


def _silence() -> None:
    """Send whatever libraries print, also from compiled code, to nowhere."""
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
