"""HpBandSter's Master and Dispatcher, driven by submissions, and safe against workers that vanish.

HpBandSter decides what to run inside its Master: iterations sample configurations and promote them. Here a searcher
decides, so the Master gets one iteration that runs what is submitted and ends when the search does. Scheduling on
workers, their discovery and the collection of results are HpBandSter's own. What is changed, and why:

- A worker that vanishes makes calls to it fail. HpBandSter lets these errors end the thread that made the call, with
  its lock held, and everything waits forever. Here they mean that the worker is gone, and its trial fails.
- A worker that has a trial counts as busy until the trial's result is here. HpBandSter asks the worker instead, which
  may be between two states; a second trial could then be sent and the first be forgotten.
- A worker that has a trial but says for ten seconds that it is idle has lost the result; its trial fails.
- While the name server is not reachable, discovery pauses.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import Pyro4
from hpbandster.core.base_config_generator import base_config_generator
from hpbandster.core.base_iteration import BaseIteration
from hpbandster.core.dispatcher import Dispatcher, Job
from hpbandster.core.dispatcher import Worker as WorkerHandle
from hpbandster.core.master import Master

LOGGER = logging.getLogger(__name__)
_CALL_TIMEOUT_S = 20.0
_MAX_CONTRADICTION_S = 10.0
_UNREACHABLE = (Pyro4.errors.PyroError, OSError)


class Trials(BaseIteration):
    """An iteration of HpBandSter that runs what is submitted.

    Args:
        on_result: called with every finished job, in a thread of HpBandSter.
    """

    def __init__(self, on_result: Callable[[Job], None]):
        super().__init__(HPB_iter=0, num_configs=[0], budgets=[0.0], config_sampler=None, logger=LOGGER)
        self._on_result = on_result
        self._submitted: deque[tuple[int, Mapping[str, Any], float]] = deque()

    def add(self, number: int, config: Mapping[str, Any], budget: int) -> None:
        """Queue a trial."""
        self._submitted.append((number, config, float(budget)))

    def drop(self, number: int) -> None:
        """Forget a queued trial; does nothing if it is not queued."""
        self._submitted = deque(trial for trial in self._submitted if trial[0] != number)

    def get_next_run(self) -> tuple[tuple[int, int, int], Mapping[str, Any], float] | None:
        """The next trial to run, as HpBandSter's Master asks for it; None: nothing now."""
        if not self._submitted:
            return None
        number, config, budget = self._submitted.popleft()
        return (0, 0, number), config, budget

    def register_result(self, job: Job, skip_sanity_checks: bool = False) -> None:
        """Pass a finished job on."""
        self._on_result(job)


class _Generator(base_config_generator):
    """Samples nothing: the searcher does."""

    def new_result(self, job: Job, update_model: bool = True) -> None:
        """Nothing to learn or to log; failures are history lines."""


class SearchMaster(Master):
    """HpBandSter's Master for trials that a searcher decides on.

    Attributes:
        results: finished jobs, to be taken by the search.

    Args:
        run_id: identifies this search among those of a name server.
        files_root: the run's folder `files/`, told to the workers.
        settings: further arguments of HpBandSter's Master: addresses and intervals.
    """

    def __init__(self, run_id: str, files_root: str, **settings: Any):
        self.results: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._trials = Trials(self.results.put)
        self._extras: dict[int, Mapping[str, Any]] = {}
        super().__init__(run_id, _Generator(logger=LOGGER), logger=LOGGER, **settings)
        self.working_directory = files_root
        self._loop = threading.Thread(target=self.run, args=(1, 0), name="hpbandster-master", daemon=True)
        self._loop.start()

    @property
    def dispatcher(self) -> SafeDispatcher:
        """Assigns trials to workers."""
        return self._dispatcher

    @dispatcher.setter
    def dispatcher(self, made: Dispatcher) -> None:
        """HpBandSter's Master makes its own dispatcher; take ours with the same settings before it is started."""
        self._dispatcher = SafeDispatcher(
            made.new_result_callback,
            run_id=made.run_id,
            ping_interval=made.ping_interval,
            nameserver=made.nameserver,
            nameserver_port=made.nameserver_port,
            host=made.host,
            queue_callback=made.queue_callback,
            logger=LOGGER,
        )

    def get_next_iteration(self, iteration: int, iteration_kwargs: Mapping[str, Any]) -> Trials:
        """The only iteration there is."""
        return self._trials

    def submit(self, number: int, config: Mapping[str, Any], budget: int, extras: Mapping[str, Any]) -> None:
        """Queue a trial; its job appears in `results`.

        Args:
            number: identity of the submission.
            config: plain values only.
            budget: epochs.
            extras: further arguments for the worker's `compute`.
        """
        with self.thread_cond:
            self._extras[number] = extras
            self._trials.add(number, config, budget)
            self.thread_cond.notify_all()

    def drop(self, number: int) -> bool:
        """Forget a trial that no worker has yet; False if one has it."""
        with self.thread_cond:
            if self._extras.pop(number, None) is not None:
                self._trials.drop(number)
                return True
            if self.dispatcher.drop((0, 0, number)):
                self.num_running_jobs -= 1
                self.thread_cond.notify_all()
                return True
            return False

    def stop(self, end_workers: bool) -> None:
        """End the threads; `end_workers`: and the workers."""
        with self.thread_cond:
            self._trials.is_finished = True
            self.job_queue_sizes = (0, 1)  # ends waiting for workers
            self.num_running_jobs = 0
            self.thread_cond.notify_all()
        self.dispatcher.wait_until_running()
        self.shutdown(end_workers)

    def job_callback(self, job: Job) -> None:
        """HpBandSter's book keeping."""
        with self.thread_cond:
            super().job_callback(job)
            self.thread_cond.notify_all()

    def _submit_job(self, config_id: tuple[int, int, int], config: Mapping[str, Any], budget: float) -> None:
        """As in HpBandSter, with further arguments for the worker."""
        with self.thread_cond:
            self.dispatcher.submit_job(
                config_id,
                config=config,
                budget=budget,
                working_directory=self.working_directory,
                **self._extras.pop(config_id[2]),
            )
            self.num_running_jobs += 1


class SafeDispatcher(Dispatcher):
    """HpBandSter's dispatcher; see the module for what is safer."""

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.worker_pool = _Pool()
        self._undelivered: set[tuple[int, int, int]] = set()

    def note_undelivered(self, job_id: tuple[int, int, int]) -> None:
        """Remember that a worker was gone before it had this job."""
        self._undelivered.add(job_id)

    def was_undelivered(self, job_id: tuple[int, int, int]) -> bool:
        """Whether the worker was gone before it had this job."""
        return job_id in self._undelivered

    def wait_until_running(self, timeout_s: float = 10.0) -> None:
        """Wait until it answers; only then it can be shut down."""
        pause = threading.Event()
        for _ in range(int(timeout_s / 0.01)):
            if getattr(self, "pyro_daemon", None) is not None:
                return
            pause.wait(0.01)

    def run(self) -> None:
        """Serve until `shutdown`."""
        with contextlib.suppress(*_UNREACHABLE):  # a name server that is gone need not forget this search
            super().run()

    @Pyro4.expose
    @Pyro4.callback
    @Pyro4.oneway
    def register_result(self, id: Any = None, result: Any = None) -> None:
        """Take a result; one whose trial was given up is ignored."""
        with contextlib.suppress(KeyError):
            super().register_result(id, result)

    def discover_workers(self) -> None:
        """Look for workers until the end of the search, also after the name server was not reachable for a while."""
        while not self.shutdown_all_threads:
            try:
                super().discover_workers()
            except _UNREACHABLE as error:  # raised by the name server alone; the lock is held
                LOGGER.warning("The name server at %s does not answer: %s", self.nameserver, error)
                self.discover_cond.wait(self.ping_interval)
                self.discover_cond.release()

    def drop(self, job_id: tuple[int, int, int]) -> bool:
        """Take back a job that waits for a worker; False if none waits under this id."""
        with self.runner_cond:
            waiting = self.waiting_jobs.queue
            found = [job for job in waiting if job.id == job_id]
            for job in found:
                waiting.remove(job)
            return bool(found)

    def workers(self) -> list[str]:
        """Names of the workers that can be reached."""
        return list(self.worker_pool)

    def assignments(self) -> dict[str, int]:
        """Number of the submission that each busy worker has, by the worker's name."""
        with self.discover_cond:
            return {name: handle.runs_job[2] for name, handle in self.worker_pool.items() if handle.runs_job}

    def cancel(self, name: str, number: int) -> None:
        """Ask a worker to end a trial now; nothing happens if it is gone."""
        handle = self.worker_pool.get(name)
        if handle is not None:
            with contextlib.suppress(*_UNREACHABLE), Pyro4.Proxy(handle.proxy._pyroUri) as proxy:
                proxy._pyroTimeout = _CALL_TIMEOUT_S
                proxy.cancel(number)


class _Pool(dict[str, Any]):
    """The dispatcher's workers; a handle that HpBandSter adds is replaced by a safe one."""

    def __setitem__(self, name: str, handle: WorkerHandle) -> None:
        super().__setitem__(name, _SafeHandle(name, handle.proxy._pyroUri))


class _SafeHandle(WorkerHandle):
    """The dispatcher's view of one worker. No method raises because the worker is gone."""

    def __init__(self, name: str, uri: Any):
        super().__init__(name, uri)
        self.proxy = _SafeProxy(uri)
        self.proxy._pyroTimeout = _CALL_TIMEOUT_S
        self._agreed_s = time.monotonic()

    def is_alive(self) -> bool:
        """Whether it answers, and has not lost a result."""
        if self.runs_job is not None and time.monotonic() - self._agreed_s > _MAX_CONTRADICTION_S:
            return False
        try:
            return super().is_alive()
        except _UNREACHABLE:
            return False

    def is_busy(self) -> bool:
        """Whether it has a trial, from the dispatcher's point of view; True as well if it does not answer."""
        try:
            says_busy = super().is_busy()
        except _UNREACHABLE:
            return True
        if says_busy or self.runs_job is None:
            self._agreed_s = time.monotonic()
        return says_busy or self.runs_job is not None

    def shutdown(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(*_UNREACHABLE):
            super().shutdown()


class _SafeProxy(Pyro4.Proxy):
    """Calls to a worker."""

    def start_computation(self, dispatcher: SafeDispatcher, job_id: tuple[int, int, int], **job: Any) -> None:
        """Send a trial. If the worker is gone, the next look at the workers finds that out and the trial fails."""
        try:
            self._pyroReconnect(1)  # a write to a connection whose other end is gone may succeed
            self._pyroInvoke("start_computation", (dispatcher, job_id), job)
        except _UNREACHABLE:
            dispatcher.note_undelivered(job_id)
