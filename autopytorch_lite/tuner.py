"""The loop that joins searcher, executor and history: ask, append, execute, append, tell."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.execution.base import Executor, Objective
from autopytorch_lite.execution.workers import SerialExecutor
from autopytorch_lite.history.events import Callback, Event, EventKind
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.frame import history_frame
from autopytorch_lite.history.identity import claim
from autopytorch_lite.history.interrupts import Interrupts, deferred_interrupts
from autopytorch_lite.history.lines import lines_equal
from autopytorch_lite.history.store import HistoryStore, MemoryStore, RunDirectory, Store, write_json_atomic
from autopytorch_lite.history.summary import Incumbent, elapsed_s, incumbent, open_proposals
from autopytorch_lite.history.trial import Done, Finished, Line, Proposal, Proposed, TrialKey, Wait
from autopytorch_lite.search.base import AsksWithin, KnowsContinuable, Searcher
from autopytorch_lite.stopping import (
    POLL_S,
    AnyOf,
    MaxEvaluations,
    Standing,
    Stop,
    StoppingRule,
    TimeLimit,
    TrialStopping,
    as_rules,
)

_NOTHING_MORE = "the searcher has nothing more to propose"
_NO_TIME = "nothing more would end within the time limit"


@dataclass(frozen=True)
class TuneResult:
    """What a search found.

    Attributes:
        lines: the whole history, earlier sittings included.
        seconds: search time summed over sittings.
        interrupted: whether Ctrl-C ended this sitting.
        reason: why this sitting ended, a phrase for people.
    """

    lines: tuple[Line, ...]
    seconds: float
    interrupted: bool = False
    reason: str = ""

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
    trial_time_limit: float | None = None,
    leave_s: Callable[[], float] = lambda: 0.0,
    n_trials: int | None = None,
    stop: Stop | None = None,
    stop_trials: TrialStopping | None = None,
    warm_start: Sequence[Line] = (),
    callbacks: Sequence[Callback] = (),
) -> TuneResult:
    """Evaluate what a searcher proposes until a limit is reached or it has nothing more to propose.

    A run directory that has a history is continued: the history is told to the searcher, trials that were interrupted
    are repeated, and `n_trials` counts what is there. When a rule or Ctrl-C ends the search, running evaluations
    are cancelled and repeated when the run is continued; Ctrl-C returns normally with what is there.

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
            Short for ``stop=TimeLimit(...)`` counted from now.
        trial_time_limit: seconds one evaluation may take, where the executor can end it; None: its own limit, if any.
            A searcher that knows what evaluations take (`AsksWithin`) proposes none that would be ended.
        leave_s: seconds before the time limit that are needed for something else, asked before every proposal. What
            runs is not ended for it, but a searcher that knows what evaluations take proposes none that would last
            into them.
        n_trials: evaluations finished in total, cancelled ones aside. Short for ``stop=MaxEvaluations(...)``.
        stop: a rule of `autopytorch_lite.stopping`, a function of the `Standing`, or several of them: the first one
            that says so ends the search.
        stop_trials: ends single trials early by their learning curves, for example `PercentileStopping()`. Objectives
            take part by asking `checkpoint.should_stop(curve)`.
        warm_start: lines of an earlier run of the same problem, for example `EarlierRun.load(...).observations()`. They
            become the first lines of a new history and count as evaluations; ignored where there is a history.
        callbacks: called with an `Event` whenever something happens, in this process.

    Returns:
        The whole history and what follows from it.

    Raises:
        HistoryError: the directory is in use, damaged, or belongs to another search.
        BudgetError: a limit is negative.
        TypeError: neither or both of `objective` and `executor` are given, or `stop` is no rule.
    """
    _check_who_evaluates(objective, executor)
    rules = as_rules(stop) + (() if n_trials is None else (MaxEvaluations(n_trials),))
    limit = None if time_limit is None else TimeLimit(time_limit)
    with contextlib.ExitStack() as stack:
        directory = _directory(run_dir, stack)
        store = _opened(_default_store(run_dir) if store is None else store, stack)
        if run_dir is not None:
            claim(directory, space=_space_of(searcher), searcher=_settings_of(searcher))
        if executor is None:
            executor = _default_executor(objective, directory.files, stack)
        loop = _Loop(
            searcher, executor, store, TrialFiles(directory.files), callbacks, stop_trials, trial_time_limit, leave_s
        )
        _begin_with(store, warm_start)
        loop.replay()
        if limit is not None:
            rules += (replace(limit, since_s=loop.elapsed_s()),)
        directory.ended.unlink(missing_ok=True)
        result = loop.run(AnyOf(rules))
        if run_dir is not None:
            _note_end(directory, result)
        return result


def _check_who_evaluates(objective: Objective | None, executor: Executor | None) -> None:
    if objective is None and executor is None:
        raise TypeError("tune() needs an objective, or an executor that has one; it got neither.")
    if objective is not None and executor is not None:
        raise TypeError("Give tune() an objective or an executor that has one, not both.")


def _begin_with(store: Store, lines: Sequence[Line]) -> None:
    """Make `lines` the first ones of the history, also if a crash came between them. A longer history stays."""
    present = store.read() if lines else []
    if len(present) < len(lines) and lines_equal(present, lines[: len(present)]):
        for line in lines[len(present) :]:
            store.append(line)


class _Loop:
    """State of one sitting. The lines are the only state that outlives it."""

    def __init__(
        self,
        searcher: Searcher,
        executor: Executor,
        store: Store,
        files: TrialFiles,
        callbacks: Sequence[Callback],
        stop_trials: TrialStopping | None,
        trial_limit_s: float | None,
        leave_s: Callable[[], float],
    ):
        self._searcher = searcher
        self._executor = executor
        self._store = store
        self._files = files
        self._callbacks = callbacks
        self._rule: StoppingRule = AnyOf(())
        self._standing = Standing(_max_budget_of(searcher))
        self._trial_limit_s = trial_limit_s
        self._leave_s = leave_s
        self._trial_limits = None if stop_trials is None else stop_trials.begin()
        self._again: list[Proposal] = []
        self._running: dict[TrialKey, float] = {}
        self._checkpoints: set[TrialKey] = set()
        self._continuable = searcher.continuable if isinstance(searcher, KnowsContinuable) else None
        self._offset_s = 0.0
        self._start_s = executor.now()

    def replay(self) -> None:
        """Bring the searcher to where the history ends.

        Raises:
            HistoryError: the searcher does not accept the history; it was made by another one.
        """
        lines = self._store.read()
        for number, line in enumerate(lines, start=1):
            try:
                self._tell(line)
            except ValueError as error:
                raise HistoryError(
                    "A run is continued with the searcher that began it, but line "
                    f"{number} of its history does not fit: {error}"
                ) from error
        self._files.discard_all()
        self._again = open_proposals(lines)
        self._offset_s = elapsed_s(lines)

    def run(self, rule: StoppingRule) -> TuneResult:
        """Search until the rule, the searcher, or Ctrl-C ends it."""
        self._rule = rule
        reason = None
        with deferred_interrupts() as interrupts:
            try:
                self._emit(EventKind.START)
                while not interrupts.requested and reason is None:
                    reason = self._rule.reason(self._now()) or self._step(interrupts)
            except KeyboardInterrupt:
                interrupts.requested = True
            finally:
                self._take_in(self._executor.cancel_all())
            if interrupts.requested or reason is None:
                reason = "interrupted"
            self._emit(EventKind.END, facts={"interrupted": interrupts.requested, "reason": reason})
        return TuneResult(tuple(self._standing.lines), self.elapsed_s(), interrupts.requested, reason)

    def _step(self, interrupts: Interrupts) -> str | None:
        """Keep the workers busy and take in what ends; a reason to end if nothing runs and nothing more is proposed."""
        self._fill()
        if not self._running:
            return _NOTHING_MORE if isinstance(self._searcher.ask(), Done) else _NO_TIME
        with interrupts.allowed():
            ended = self._executor.wait(self._timeout_s())
        self._take_in(ended)
        return None

    def _fill(self) -> None:
        while self._executor.n_free() > 0 and len(self._running) < self._rule.n_useful(self._standing):
            proposal = self._next_proposal()
            if proposal is None:
                return
            self._submit(proposal)

    def _next_proposal(self) -> Proposal | None:
        """An interrupted trial to repeat or, when there is none, what the searcher proposes; None: nothing now."""
        if self._again:
            return self._again.pop(0)
        answer = self._ask()
        if isinstance(answer, Done):
            return None
        if isinstance(answer, Wait):
            if not self._running:
                raise RuntimeError("A searcher may only wait for running trials, but it waits while none is running.")
            return None
        if self._trial_limits is not None:
            answer = replace(answer, stop_above=self._trial_limits.stop_above(answer))
        self._append(Proposed(answer))
        return answer

    def _ask(self) -> Proposal | Wait | Done:
        """What the searcher proposes, if it can within the time that is left and that an evaluation may take."""
        remaining_s = self._remaining_s()
        left_s = None if remaining_s is None else max(remaining_s - self._leave_s(), 0.0)
        limits = [limit for limit in (left_s, self._trial_limit_s) if limit is not None]
        if limits and isinstance(self._searcher, AsksWithin):
            return self._searcher.ask_within(min(limits))
        return self._searcher.ask()

    def _submit(self, proposal: Proposal) -> None:
        self._running[proposal.key] = self.elapsed_s()
        self._executor.submit(proposal, self._trial_limit_s)
        self._emit(EventKind.EVALUATION_START, proposal)
        if proposal.resume_from is not None:
            self._emit(EventKind.PROMOTION, proposal)

    def _take_in(self, ended: Sequence[Finished]) -> None:
        """Keep all outcomes before anyone hears of the first, so that a callback's error loses none."""
        for line, is_better in [self._keep(line) for line in ended]:
            proposal = self._standing.proposal(line.key)
            self._emit(EventKind.EVALUATION_END, proposal, line)
            if is_better:
                self._emit(EventKind.NEW_INCUMBENT, proposal, line)

    def _keep(self, line: Finished) -> tuple[Finished, bool]:
        """The line with its times, now in the history, and whether it is the new incumbent."""
        before = self._standing.incumbent
        line = replace(line, started_s=self._running.pop(line.key), finished_s=self.elapsed_s())
        self._append(line)
        self._drop_checkpoints()
        return line, self._standing.incumbent is not before

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
        self._tell(line)

    def _tell(self, line: Line) -> None:
        """Let everyone know who keeps a fold over the history."""
        self._searcher.tell(line)
        self._standing.tell(line)
        if self._trial_limits is not None:
            self._trial_limits.tell(line)
        if isinstance(line, Finished) and line.ok and self._files.has_checkpoint(line.key):
            self._checkpoints.add(line.key)

    def elapsed_s(self) -> float:
        """Search time now, in seconds, summed over sittings."""
        return self._offset_s + self._executor.now() - self._start_s

    def _now(self) -> Standing:
        """Where the search stands now."""
        self._standing.elapsed_s = self.elapsed_s()
        return self._standing

    def _remaining_s(self) -> float | None:
        """Seconds until the rule ends the search even if no evaluation ends before; None: never."""
        standing = self._now()
        remaining_s = self._rule.deadline_s(standing) - standing.elapsed_s
        return None if math.isinf(remaining_s) else max(0.0, remaining_s)

    def _n_left(self) -> int | None:
        n_useful = self._rule.n_useful(self._standing)
        return None if math.isinf(n_useful) else max(0, int(n_useful))

    def _timeout_s(self) -> float | None:
        """How long to wait for an evaluation before the rule is asked again."""
        remaining_s = self._remaining_s()
        if not self._rule.must_be_polled:
            return remaining_s
        return POLL_S if remaining_s is None else min(remaining_s, POLL_S)

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
            elapsed_s=self.elapsed_s(),
            remaining_s=self._remaining_s(),
            n_finished=self._standing.n_finished,
            n_running=len(self._running),
            proposal=proposal,
            finished=finished,
            facts=facts or {},
            n_left=self._n_left(),
        )
        for callback in self._callbacks:
            callback(event)


def _note_end(directory: RunDirectory, result: TuneResult) -> None:
    """Write why the search ended; a search that was killed has no such note."""
    note = {"reason": result.reason, "interrupted": result.interrupted, "seconds": result.seconds}
    write_json_atomic(directory.ended, note)


def _directory(run_dir: str | os.PathLike[str] | None, stack: contextlib.ExitStack) -> RunDirectory:
    """The run directory, or a temporary one that vanishes with the stack."""
    if run_dir is None:
        run_dir = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="autopytorch_lite_", ignore_cleanup_errors=True)
        )
    return RunDirectory(Path(run_dir))


def _default_store(run_dir: str | os.PathLike[str] | None) -> Store:
    return MemoryStore() if run_dir is None else HistoryStore(run_dir)


def _opened(store: Store, stack: contextlib.ExitStack) -> Store:
    """The store, closed with the stack."""
    store.open()
    stack.callback(store.close)
    return store


def _default_executor(objective: Objective | None, files_root: Path, stack: contextlib.ExitStack) -> Executor:
    """Evaluates in this process; closed with the stack."""
    assert objective is not None
    executor = SerialExecutor(objective, files_root=files_root)
    stack.callback(executor.close)
    return executor


def _space_of(searcher: Searcher) -> Mapping[str, Any] | None:
    """The space of a searcher that shows it as `space`, in ConfigSpace's own JSON form."""
    space = getattr(searcher, "space", None)
    return None if space is None else space.to_serialized_dict()


def _settings_of(searcher: Searcher) -> Mapping[str, Any]:
    """What identifies a searcher: its class and, if it shows them as `settings`, its arguments."""
    return {"name": type(searcher).__name__, **getattr(searcher, "settings", {})}


def _max_budget_of(searcher: Searcher) -> int | None:
    """The largest budget of a searcher whose settings show its budgets."""
    settings = getattr(searcher, "settings", {})
    budgets = settings.get("budgets") or [settings.get("max_budget")]
    return None if budgets[-1] is None else int(budgets[-1])
