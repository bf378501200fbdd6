"""The loop that joins searcher, executor and history: ask, append, execute, append, tell."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from autopytorch_lite.errors import BudgetError, HistoryError
from autopytorch_lite.execution.base import Executor, Objective
from autopytorch_lite.execution.workers import SerialExecutor
from autopytorch_lite.history.events import Callback, Event, EventKind
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.frame import history_frame
from autopytorch_lite.history.identity import claim
from autopytorch_lite.history.interrupts import Interrupts, deferred_interrupts
from autopytorch_lite.history.store import HistoryStore, MemoryStore, RunDirectory, Store
from autopytorch_lite.history.summary import Incumbent, closed, elapsed_s, incumbent, open_proposals, proposals
from autopytorch_lite.history.trial import Done, Finished, Line, Proposal, Proposed, Status, TrialKey, Wait
from autopytorch_lite.search.base import KnowsContinuable, Searcher

_STOP_POLL_S = 0.5


@dataclass(frozen=True)
class TuneResult:
    """What a search found.

    Attributes:
        lines: the whole history, earlier sittings included.
        seconds: search time summed over sittings.
        interrupted: whether Ctrl-C ended this sitting.
    """

    lines: tuple[Line, ...]
    seconds: float
    interrupted: bool = False

    @property
    def incumbent(self) -> Incumbent | None:
        """The best trial on the largest budget evaluated; None if nothing succeeded."""
        return incumbent(self.lines)

    def frame(self) -> pd.DataFrame:
        """One row per evaluation; see `history_frame`."""
        return history_frame(self.lines)


def tune(
    searcher: Searcher,
    objective: Objective | None = None,
    *,
    executor: Executor | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    store: Store | None = None,
    time_limit: float | None = None,
    n_trials: int | None = None,
    stop: Callable[[], bool] | None = None,
    callbacks: Sequence[Callback] = (),
) -> TuneResult:
    """Evaluate what a searcher proposes until a limit is reached or it has nothing more to propose.

    A run directory that has a history is continued: the history is told to the searcher, trials that were interrupted
    are repeated, and `n_trials` counts what is there. At the time limit and after Ctrl-C, running evaluations are
    cancelled and repeated when the run is continued; Ctrl-C returns normally with what is there.

        >>> from ConfigSpace import ConfigurationSpace
        >>> from autopytorch_lite.search import RandomSearch
        >>> space = ConfigurationSpace({"x": (-2.0, 2.0)})
        >>> def objective(config, budget, checkpoint):
        ...     return (config["x"] - 1) ** 2 + 1 / budget
        >>> result = tune(RandomSearch(space, max_budget=3, seed=0), objective, n_trials=5)
        >>> result.incumbent.budget
        3

    Args:
        searcher: decides what to evaluate.
        objective: `objective(config, budget, checkpoint)` returns the loss or a `Result`; it is evaluated in this
            process, one proposal at a time.
        executor: evaluates instead of `objective`, for example a `ProcessExecutor`. Not closed here, and its files
            belong into ``RunDirectory(run_dir).files``.
        run_dir: where history and files are kept; None keeps the history in memory and removes the files at the end.
        store: where the history is kept instead of in `run_dir`.
        time_limit: seconds this call may take, on the executor's clock. Evaluations in this process are not cut short.
        n_trials: evaluations finished in total, cancelled ones aside.
        stop: asked between evaluations and about twice a second; True ends the search.
        callbacks: called with an `Event` whenever something happens, in this process.

    Returns:
        The whole history and what follows from it.

    Raises:
        HistoryError: the directory is in use, damaged, or belongs to another search.
        BudgetError: a limit is negative.
        TypeError: neither or both of `objective` and `executor` are given.
    """
    _check_limits(time_limit, n_trials)
    with contextlib.ExitStack() as stack:
        directory = _directory(run_dir, stack)
        if store is None:
            store = MemoryStore() if run_dir is None else HistoryStore(directory.path)
        store.open()
        stack.callback(store.close)
        if run_dir is not None:
            claim(directory, space=_space_of(searcher), searcher=_settings_of(searcher))
        if executor is None:
            executor = _default_executor(objective, directory.files)
            stack.callback(executor.close)
        elif objective is not None:
            raise TypeError("Give tune() an objective or an executor that has one, not both.")
        loop = _Loop(searcher, executor, store, TrialFiles(directory.files), callbacks)
        loop.replay()
        return loop.run(_Limits(time_limit, n_trials, stop))


@dataclass(frozen=True)
class _Limits:
    """When to stop."""

    time_limit: float | None
    n_trials: int | None
    stop: Callable[[], bool] | None


class _Loop:
    """State of one sitting. The lines are the only state that outlives it."""

    def __init__(
        self,
        searcher: Searcher,
        executor: Executor,
        store: Store,
        files: TrialFiles,
        callbacks: Sequence[Callback],
    ):
        self._searcher = searcher
        self._executor = executor
        self._store = store
        self._files = files
        self._callbacks = callbacks
        self._lines: list[Line] = []
        self._again: list[Proposal] = []
        self._running: dict[TrialKey, float] = {}
        self._proposals: dict[TrialKey, Proposal] = {}
        self._checkpoints: set[TrialKey] = set()
        self._continuable = searcher.continuable if isinstance(searcher, KnowsContinuable) else None
        self._n_finished = 0
        self._incumbent: Incumbent | None = None
        self._offset_s = 0.0
        self._start_s = executor.now()
        self._deadline_s: float | None = None

    def replay(self) -> None:
        """Bring the searcher to where the history ends.

        Raises:
            HistoryError: the searcher does not accept the history; it was made by another one.
        """
        self._lines = self._store.read()
        for number, line in enumerate(self._lines, start=1):
            try:
                self._searcher.tell(line)
                self._note_checkpoint(line)
            except ValueError as error:
                raise HistoryError(
                    "A run is continued with the searcher that began it, but line "
                    f"{number} of its history does not fit: {error}"
                ) from error
        self._files.discard_all()
        self._proposals = proposals(self._lines)
        self._again = open_proposals(self._lines)
        self._n_finished = len(closed(self._lines))
        self._incumbent = incumbent(self._lines)
        self._offset_s = elapsed_s(self._lines)

    def run(self, limits: _Limits) -> TuneResult:
        """Search until a limit, the searcher, or Ctrl-C ends it."""
        if limits.time_limit is not None:
            self._deadline_s = self._start_s + limits.time_limit
        with deferred_interrupts() as interrupts:
            try:
                self._emit(EventKind.START)
                while not interrupts.requested and not self._reached(limits) and self._step(limits, interrupts):
                    pass
            except KeyboardInterrupt:
                interrupts.requested = True
            finally:
                self._take_in(self._executor.cancel_all())
            self._emit(EventKind.END, facts={"interrupted": interrupts.requested})
        return TuneResult(tuple(self._lines), self._elapsed_s(), interrupts.requested)

    def _reached(self, limits: _Limits) -> bool:
        if self._deadline_s is not None and self._executor.now() >= self._deadline_s:
            return True
        if limits.n_trials is not None and self._n_finished >= limits.n_trials:
            return True
        return limits.stop is not None and limits.stop()

    def _step(self, limits: _Limits, interrupts: Interrupts) -> bool:
        """Keep the workers busy and take in what ends; False if nothing runs and nothing more is proposed."""
        self._fill(limits)
        if not self._running:
            return False
        with interrupts.allowed():
            ended = self._executor.wait(self._timeout_s(limits))
        self._take_in(ended)
        return True

    def _fill(self, limits: _Limits) -> None:
        while self._executor.n_free() > 0 and not self._is_enough(limits):
            proposal = self._next_proposal()
            if proposal is None:
                return
            self._submit(proposal)

    def _is_enough(self, limits: _Limits) -> bool:
        """Whether what runs completes the number of trials asked for."""
        return limits.n_trials is not None and self._n_finished + len(self._running) >= limits.n_trials

    def _next_proposal(self) -> Proposal | None:
        """An interrupted trial to repeat or, when there is none, what the searcher proposes; None: nothing now."""
        if self._again:
            return self._again.pop(0)
        answer = self._searcher.ask()
        if isinstance(answer, Done):
            return None
        if isinstance(answer, Wait):
            if not self._running:
                raise RuntimeError("A searcher may only wait for running trials, but it waits while none is running.")
            return None
        self._append(Proposed(answer))
        self._proposals[answer.key] = answer
        return answer

    def _submit(self, proposal: Proposal) -> None:
        self._running[proposal.key] = self._elapsed_s()
        self._executor.submit(proposal)
        self._emit(EventKind.EVALUATION_START, proposal)
        if proposal.resume_from is not None:
            self._emit(EventKind.PROMOTION, proposal)

    def _take_in(self, ended: Sequence[Finished]) -> None:
        """Keep all outcomes before anyone hears of the first, so that a callback's error loses none."""
        for line in [self._keep(line) for line in ended]:
            self._emit(EventKind.EVALUATION_END, self._proposals[line.key], line)
            self._update_incumbent(self._proposals[line.key], line)

    def _keep(self, line: Finished) -> Finished:
        line = replace(line, started_s=self._running.pop(line.key), finished_s=self._elapsed_s())
        self._append(line)
        self._drop_checkpoints()
        self._n_finished += line.status is not Status.CANCELLED
        return line

    def _drop_checkpoints(self) -> None:
        """Drop the checkpoints that no proposal can continue any more; they are the largest files of a run."""
        if self._continuable is None or not self._checkpoints:
            return
        needed = self._continuable()
        for key in [key for key in self._checkpoints if key not in needed]:
            self._files.drop_checkpoint(key)
            self._checkpoints.remove(key)

    def _append(self, line: Line) -> None:
        self._store.append(line)
        self._lines.append(line)
        self._searcher.tell(line)
        self._note_checkpoint(line)

    def _note_checkpoint(self, line: Line) -> None:
        if isinstance(line, Finished) and line.ok and self._files.has_checkpoint(line.key):
            self._checkpoints.add(line.key)

    def _update_incumbent(self, proposal: Proposal, line: Finished) -> None:
        if line.loss is None:
            return
        candidate = Incumbent(proposal.config_id, proposal.config, proposal.budget, line.loss)
        if self._incumbent is None or candidate.rank < self._incumbent.rank:
            self._incumbent = candidate
            self._emit(EventKind.NEW_INCUMBENT, proposal, line)

    def _elapsed_s(self) -> float:
        return self._offset_s + self._executor.now() - self._start_s

    def _remaining_s(self) -> float | None:
        return None if self._deadline_s is None else max(0.0, self._deadline_s - self._executor.now())

    def _timeout_s(self, limits: _Limits) -> float | None:
        waits_s = [
            seconds for seconds in (self._remaining_s(), _STOP_POLL_S if limits.stop else None) if seconds is not None
        ]
        return min(waits_s, default=None)

    def _emit(
        self,
        kind: EventKind,
        proposal: Proposal | None = None,
        finished: Finished | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if not self._callbacks:
            return
        event = Event(
            kind,
            elapsed_s=self._elapsed_s(),
            remaining_s=self._remaining_s(),
            n_finished=self._n_finished,
            n_running=len(self._running),
            proposal=proposal,
            finished=finished,
            facts=facts or {},
        )
        for callback in self._callbacks:
            callback(event)


def _check_limits(time_limit: float | None, n_trials: int | None) -> None:
    if time_limit is not None and not time_limit >= 0:
        raise BudgetError(f"time_limit must be None or a number of seconds, at least 0, got {time_limit!r}.")
    if n_trials is not None and n_trials < 0:
        raise BudgetError(f"n_trials must be None or a number of evaluations, at least 0, got {n_trials!r}.")


def _directory(run_dir: str | os.PathLike[str] | None, stack: contextlib.ExitStack) -> RunDirectory:
    """The run directory, or a temporary one that vanishes with the stack."""
    if run_dir is None:
        run_dir = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="autopytorch_lite_", ignore_cleanup_errors=True)
        )
    return RunDirectory(Path(run_dir))


def _default_executor(objective: Objective | None, files_root: Path) -> Executor:
    if objective is None:
        raise TypeError("tune() needs an objective, or an executor that has one; it got neither.")
    return SerialExecutor(objective, files_root=files_root)


def _space_of(searcher: Searcher) -> Mapping[str, Any] | None:
    """The space of a searcher that shows it as `space`, in ConfigSpace's own JSON form."""
    space = getattr(searcher, "space", None)
    return None if space is None else space.to_serialized_dict()


def _settings_of(searcher: Searcher) -> Mapping[str, Any]:
    """What identifies a searcher: its class and, if it shows them as `settings`, its arguments."""
    return {"name": type(searcher).__name__, **getattr(searcher, "settings", {})}
