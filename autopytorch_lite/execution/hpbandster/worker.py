"""A HpBandSter worker that evaluates one trial after the other, each in a process of its own with limits."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import Pyro4
from hpbandster.core.worker import Worker

from autopytorch_lite.execution.evaluate import failed
from autopytorch_lite.execution.hpbandster.objectives import ObjectiveReference
from autopytorch_lite.execution.workers import ProcessExecutor
from autopytorch_lite.history.lines import dump_line, load_line
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status

LOGGER = logging.getLogger(__name__)
_CANCEL_POLL_S = 0.1
_HEARTBEAT_S = 5.0
_START_POLL_S = 0.1


class SearchWorker(Worker):
    """Evaluates for an `HpBandSterExecutor`.

    A limit on time or memory, or a crash in compiled code, ends the process that evaluates; this one stays.

    Args:
        objective: a file that ends in ".pkl", or "module:name".
        run_id: of the search.
        nameserver: host and port of the name server.
        host: address of this machine on which the search reaches the worker.
        n_threads: threads of numeric libraries.
        memory_limit_mb: megabytes one evaluation may take; None: no limit.
        files_root: the run's folder `files/` as this machine sees it; None: the path that the search names.
        patience_s: seconds to wait for a name server that does not answer, before the search and during it.
        quiet: discard what evaluations print and warn.
    """

    def __init__(
        self,
        objective: str,
        run_id: str,
        nameserver: tuple[str, int],
        *,
        host: str = "127.0.0.1",
        n_threads: int = 1,
        memory_limit_mb: float | None = None,
        files_root: str | None = None,
        patience_s: float = 60.0,
        quiet: bool = True,
    ):
        super().__init__(run_id, nameserver=nameserver[0], nameserver_port=nameserver[1], host=host, logger=LOGGER)
        self._settings = {"n_threads": n_threads, "memory_limit_mb": memory_limit_mb, "quiet": quiet}
        self._objective = ObjectiveReference(objective)
        self._files_root = files_root
        self._patience_s = patience_s
        self._executor: tuple[str, ProcessExecutor] | None = None
        self._cancelled: set[int] = set()

    def run(self, background: bool = False) -> None:
        """Serve until the search ends the worker, or its name server is gone for longer than the patience.

        Raises:
            RuntimeError: no name server answers in time.
        """
        self._wait_for_nameserver()
        threading.Thread(target=self._keep_registered, name="heartbeat", daemon=True).start()
        try:
            super().run(background)
        finally:
            if self._executor is not None:
                self._executor[1].close()

    def compute(self, config_id: tuple[int, int, int], config: Any, budget: float, **job: Any) -> dict[str, Any]:
        """Evaluate one trial.

        Args:
            config_id: HpBandSter's id; its last number is that of the submission.
            config: configuration, for HpBandSter.
            budget: epochs, for HpBandSter.
            job: the folder `working_directory`; the line `proposal` as text; `time_limit_s` or None.

        Returns:
            The loss, and under "info" the history line as text.
        """
        proposed = load_line(job["proposal"])
        assert isinstance(proposed, Proposed), "a search sends proposals"
        line = self._evaluate(config_id[2], proposed.proposal, job)
        return {"loss": line.loss if line.ok else float("inf"), "info": dump_line(line)}

    @Pyro4.expose
    def cancel(self, number: int) -> None:
        """End the trial of a submission now; its line says cancelled."""
        self._cancelled.add(number)

    def _evaluate(self, number: int, proposal: Proposal, job: Mapping[str, Any]) -> Finished:
        executor = self._executor_for(self._files_root or job["working_directory"])
        if number in self._cancelled:
            return failed(proposal, Status.CANCELLED, "Cancelled.")
        executor.submit(proposal, job["time_limit_s"])
        lines: list[Finished] = []
        while not lines:
            lines = executor.cancel_all() if number in self._cancelled else executor.wait(_CANCEL_POLL_S)
        return lines[0]

    def _executor_for(self, files_root: str) -> ProcessExecutor:
        """The executor for a run's files; a worker can serve one search after another."""
        if self._executor is None or self._executor[0] != files_root:
            if self._executor is not None:
                self._executor[1].close()
            settings: dict[str, Any] = self._settings
            made = ProcessExecutor(self._objective, n_workers=1, files_root=files_root, **settings)
            self._executor = files_root, made
        return self._executor[1]

    def _wait_for_nameserver(self) -> None:
        deadline_s = time.monotonic() + self._patience_s
        while True:
            try:
                self._registered()
                return
            except Pyro4.errors.PyroError as error:
                if time.monotonic() > deadline_s:
                    raise RuntimeError(
                        f"No name server answered at {self.nameserver}:{self.nameserver_port}"
                        f" within {self._patience_s:g} seconds: {error}"
                    ) from error
            time.sleep(_START_POLL_S)

    def _registered(self) -> bool:
        """Whether the name server lists this worker.

        Raises:
            PyroError: it does not answer.
        """
        with Pyro4.locateNS(host=self.nameserver, port=self.nameserver_port) as names:
            return self.worker_id in names.list(prefix=self.worker_id)

    def _keep_registered(self) -> None:
        """Register again if the name server forgot this worker; end the worker when it is gone for good."""
        daemon = self._daemon()
        answered_s = time.monotonic()
        while True:
            try:
                if not self._registered():
                    with Pyro4.locateNS(host=self.nameserver, port=self.nameserver_port) as names:
                        names.register(self.worker_id, daemon.uriFor(self.worker_id))
                answered_s = time.monotonic()
            except Pyro4.errors.PyroError:
                if time.monotonic() - answered_s > self._patience_s:
                    LOGGER.error("The name server is gone; this worker ends.")
                    os._exit(1)
            time.sleep(_HEARTBEAT_S)

    def _daemon(self) -> Any:
        """The Pyro daemon of this worker, once it serves."""
        while getattr(self, "pyro_daemon", None) is None or self.worker_id not in self.pyro_daemon.objectsById:
            time.sleep(_START_POLL_S)
        return self.pyro_daemon
