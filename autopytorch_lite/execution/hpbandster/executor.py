"""An executor that runs evaluations through HpBandSter's NameServer, Master and Workers."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
import Pyro4
from hpbandster.core.dispatcher import Job
from hpbandster.core.nameserver import NameServer

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.execution.base import Objective
from autopytorch_lite.execution.evaluate import failed
from autopytorch_lite.execution.hpbandster.master import SearchMaster
from autopytorch_lite.execution.hpbandster.objectives import save_objective
from autopytorch_lite.execution.limits import thread_environment
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.hpbandster_logs import error_of
from autopytorch_lite.history.lines import dump_line, load_line
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status
from autopytorch_lite.space.domains import to_builtin

_PING_S = 1
_DISCOVER_S = 0.1
_MAX_CANCEL_S = 5.0
_MAX_STARTS_IN_VAIN = 3
_T = TypeVar("_T")


@dataclass
class _Running:
    """One submission."""

    proposal: Proposal
    submitted_s: float
    time_limit_s: float | None


class HpBandSterExecutor:
    """Evaluates proposals on HpBandSter's workers, through its name server and its Master.

    With an objective, `n_workers` worker processes are started on this machine. Without one, workers are started by
    you, here or elsewhere, with `worker_command`; they share the folder `files_root`. Evaluations run in processes of
    their own with limits, as with `ProcessExecutor`. A worker that vanishes costs its trial (status crashed); workers
    started here are replaced.

    Connections are neither encrypted nor authenticated: HpBandSter is for networks you trust.

    Args:
        objective: what to evaluate, picklable; None: workers are started elsewhere with an objective of their own.
        n_workers: workers to start, or to expect. More that join are used as well.
        files_root: the run's folder `files/`.
        n_threads: threads of numeric libraries in each worker started here.
        memory_limit_mb: megabytes one evaluation may take in workers started here; None: no limit.
        trial_time_limit_s: seconds one evaluation may take; None: no limit.
        nameserver: ``"host:port"`` of a name server that runs already; None: one is started here.
        host: address of this machine at which workers reach it.
        port: of the name server started here; 0: any free one.
        run_id: identity of the search among those of a name server; None: a new one.
        quiet: discard what workers started here print and warn.

    Raises:
        TypeError: the objective cannot be pickled.
        BudgetError: there is no worker.
        ConnectionError: no name server answers at `nameserver`.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        *,
        n_workers: int,
        files_root: str | os.PathLike[str],
        n_threads: int = 1,
        memory_limit_mb: float | None = None,
        trial_time_limit_s: float | None = None,
        nameserver: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        run_id: str | None = None,
        quiet: bool = True,
    ):
        if n_workers < 1:
            raise BudgetError(f"There must be at least one worker, got {n_workers=}.")
        self.run_id = uuid.uuid4().hex[:12] if run_id is None else run_id
        self._n_workers = n_workers
        self._host = host
        self._trial_time_limit_s = trial_time_limit_s
        self._files = TrialFiles(files_root)
        self._running: dict[int, _Running] = {}
        self._numbers: dict[str, int] = {}
        self._n_submitted = 0
        self._is_closed = False
        self._has_worked = False
        self._n_starts_in_vain = 0
        self._local = None if objective is None else _LocalWorkers(objective, n_workers, n_threads)
        self._names: NameServer | None = None
        try:
            self._address = self._start_nameserver(port) if nameserver is None else _found(nameserver)
            self._master = in_daemon_thread(self._make_master)
        except BaseException:
            self._close_rest()
            raise
        self._worker_settings = ["--threads", str(n_threads), "--host", host]
        if memory_limit_mb is not None:
            self._worker_settings += ["--memory-limit-mb", str(memory_limit_mb)]
        if not quiet:
            self._worker_settings.append("--verbose")
        _OPEN.add(self)
        if self._local is not None:
            self._local.keep_up(self._worker_arguments)

    @property
    def nameserver(self) -> str:
        """Where the name server listens, ``"host:port"``."""
        return f"{self._address[0]}:{self._address[1]}"

    @property
    def worker_command(self) -> str:
        """The command that starts a worker for this search on any machine that sees `files_root`."""
        return (
            "python -m autopytorch_lite.execution.hpbandster worker"
            f" --nameserver {self.nameserver} --run-id {self.run_id} --objective MODULE:NAME --host THIS_MACHINE"
        )

    @property
    def n_workers(self) -> int:
        """Workers that are here, at least as many as expected."""
        return max(self._n_workers, len(self._master.dispatcher.workers()))

    def n_free(self) -> int:
        """How many more proposals can be submitted; those that find no worker yet wait for one."""
        return 0 if self._is_closed else max(0, self.n_workers - len(self._running))

    def submit(self, proposal: Proposal, time_limit_s: float | None = None) -> None:
        """Queue an evaluation for the next idle worker."""
        if self.n_free() == 0:
            raise RuntimeError(f"No worker is free for trial {proposal.key}.")
        limit_s = self._trial_time_limit_s if time_limit_s is None else time_limit_s
        self._send(_Running(proposal, time.monotonic(), limit_s))

    def wait(self, timeout_s: float | None = None) -> list[Finished]:
        """Wait until something has ended, replacing workers that have died meanwhile."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while self._running:
            remaining_s = _DISCOVER_S if deadline_s is None else min(_DISCOVER_S, deadline_s - time.monotonic())
            finished = self._collect(max(remaining_s, 0.0))
            if finished or remaining_s <= 0:
                return finished
            self._look_after_workers()
        return []

    def cancel_all(self) -> list[Finished]:
        """End everything that runs or waits; workers stay."""
        finished = self._collect(0.0)
        for number in list(self._running):
            if self._master.drop(number):
                finished.append(failed(self._running.pop(number).proposal, Status.CANCELLED, "Cancelled."))
        for name, number in self._master.dispatcher.assignments().items():
            if number in self._running:
                self._master.dispatcher.cancel(name, number)
        deadline_s = time.monotonic() + _MAX_CANCEL_S
        while self._running and time.monotonic() < deadline_s:
            finished += self._collect(_DISCOVER_S)
            self._look_after_workers()
        return finished + [self._given_up(number) for number in list(self._running)]

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def close(self) -> None:
        """Cancel what runs and end the search. Workers end with it, unless the name server goes on without us."""
        if self._is_closed:
            return
        self.cancel_all()
        self._is_closed = True
        _OPEN.discard(self)
        self._master.stop(end_workers=self._local is not None or self._names is not None)
        self._close_rest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_master(self) -> SearchMaster:
        return SearchMaster(
            self.run_id,
            str(self._files.root),
            nameserver=self._address[0],
            nameserver_port=self._address[1],
            host=self._host,
            ping_interval=_PING_S,
        )

    def _start_nameserver(self, port: int) -> tuple[str, int]:
        self._names = NameServer(run_id=self.run_id, host=self._host, port=port)
        return in_daemon_thread(self._names.start)

    def _worker_arguments(self, objective: str) -> list[str]:
        where = ["--nameserver", self.nameserver, "--run-id", self.run_id, "--objective", objective]
        return [*where, *self._worker_settings]

    def _send(self, running: _Running) -> None:
        self._n_submitted += 1
        proposal = running.proposal
        config = {name: to_builtin(value) for name, value in proposal.config.items()}
        extras = {
            "proposal": dump_line(Proposed(replace(proposal, config=config))),
            "time_limit_s": running.time_limit_s,
        }
        self._running[self._n_submitted] = running
        self._master.submit(self._n_submitted, config, int(proposal.budget), extras)

    def _collect(self, timeout_s: float) -> list[Finished]:
        """What has ended; waits for the first."""
        finished: list[Finished] = []
        with contextlib.suppress(queue.Empty):
            while self._running:
                job = self._master.results.get(timeout=0.0 if finished else timeout_s)
                line = self._answered(job)
                finished += [] if line is None else [line]
        return finished

    def _answered(self, job: Job) -> Finished | None:
        """The line of a job; None if it was given up before, or is repeated because its worker never had it."""
        running = self._running.pop(job.id[2], None)
        if running is None:
            return None
        worker = self._number_of(job.worker_name)
        self._has_worked = True
        if self._master.dispatcher.was_undelivered(job.id):  # the worker died while idle: not the fault of this trial
            self._send(running)
            return None
        if job.result is None:
            return self._failed(running, job, worker)
        line = load_line(job.result["info"])
        assert isinstance(line, Finished), "workers answer with finished evaluations"
        return replace(line, worker=worker)

    def _failed(self, running: _Running, job: Job, worker: int) -> Finished:
        """The line of a trial that came back without a result: its worker died, or could not work at all."""
        self._files.discard(running.proposal.key)
        seconds = time.monotonic() - running.submitted_s
        text = str(job.exception).strip()
        line = failed(running.proposal, Status.CRASHED, error_of(text), seconds=seconds, worker=worker)
        return replace(line, traceback=text if "\n" in text else "")

    def _given_up(self, number: int) -> Finished:
        """The line of a cancelled trial whose worker did not answer."""
        proposal = self._running.pop(number).proposal
        if self._local is not None:
            self._local.kill_all()
        self._files.discard(proposal.key)
        return failed(proposal, Status.CANCELLED, "Cancelled.")

    def _number_of(self, name: str) -> int:
        """A small number for a worker; those of vanished ones are given again."""
        alive = {*self._master.dispatcher.workers(), name}
        self._numbers = {known: number for known, number in self._numbers.items() if known in alive}
        taken = set(self._numbers.values())
        free = next(number for number in range(len(taken) + 1) if number not in taken)
        return self._numbers.setdefault(name, free)

    def _look_after_workers(self) -> None:
        """Replace dead workers of ours; have the dispatcher look for workers if some are missing or dead."""
        n_died = 0 if self._local is None else self._local.keep_up(self._worker_arguments)
        self._n_starts_in_vain = 0 if self._has_worked else self._n_starts_in_vain + n_died
        if self._n_starts_in_vain > _MAX_STARTS_IN_VAIN:
            raise RuntimeError(
                "HpBandSter's workers end before they have evaluated anything; the reason is on the standard error."
            )
        if n_died > 0 or len(self._master.dispatcher.workers()) < self._n_workers:
            self._master.dispatcher.trigger_discover_worker()

    def _close_rest(self, patience_s: float = 2.0) -> None:
        if self._local is not None:
            self._local.close(patience_s)
        if self._names is not None:
            self._names.shutdown()


class _LocalWorkers:
    """Worker processes on this machine, started with the documented command."""

    def __init__(self, objective: Objective, n_workers: int, n_threads: int):
        self._folder = Path(tempfile.mkdtemp(prefix="autopytorch_lite_"))  # only this user can read it
        try:
            self._objective = save_objective(objective, self._folder / "objective.pkl")
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        self._environment = {**os.environ, **thread_environment(n_threads)}
        self._environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * n_workers
        self._started_s = [0.0] * n_workers
        self._is_closed = False

    def keep_up(self, arguments: Callable[[str], list[str]]) -> int:
        """Start what does not run; how many that was."""
        dead = [n for n, process in enumerate(self._processes) if process is None or process.poll() is not None]
        for n in dead:
            self._processes[n] = self._start(arguments(str(self._objective)))
        return len(dead)

    def kill_all(self) -> None:
        """End the processes and those they started, without waiting for them to agree."""
        for process in self._processes:
            if process is not None and process.poll() is None:
                _kill_tree(process.pid)
                process.wait()

    def close(self, patience_s: float) -> None:
        """Let the processes end, then make sure that they have."""
        deadline_s = time.monotonic() + patience_s
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if process is not None:
                    process.wait(max(0.0, deadline_s - time.monotonic()))
        self.kill_all()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "autopytorch_lite.execution.hpbandster", "worker", *arguments]
        return subprocess.Popen(
            [*command, "--parent-pid", str(os.getpid())],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for the search
        )


def in_daemon_thread(make: Callable[[], _T]) -> _T:
    """Call a function in a thread whose threads do not keep the process from ending; its result or its error.

    HpBandSter starts threads without saying so, and a thread takes this over from the one that starts it.
    """
    answers: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((make(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, name="hpbandster-start", daemon=True).start()
    made, error = answers.get()
    if error is not None:
        raise error
    return made  # type: ignore[return-value]


def _found(nameserver: str) -> tuple[str, int]:
    """Host and port of a name server that answers."""
    host, _, port = nameserver.rpartition(":")
    try:
        Pyro4.locateNS(host=host, port=int(port))._pyroRelease()
    except (Pyro4.errors.PyroError, ValueError, OSError) as error:
        raise ConnectionError(f"A name server must answer at {nameserver!r} (host:port): {error}") from error
    return host, int(port)


def _kill_tree(pid: int) -> None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for victim in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.Error):
                victim.kill()


def _end_all() -> None:
    """End the workers of executors that nobody closed."""
    for executor in list(_OPEN):
        executor._close_rest(patience_s=0.0)


_OPEN: weakref.WeakSet[Any] = weakref.WeakSet()
atexit.register(_end_all)
