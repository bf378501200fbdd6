"""Progress of a search for people, on standard error, so that standard output holds results only.

In a terminal one line is redrawn in place; elsewhere plain lines are written, rarely. Python's logging is not used,
so no logger of the caller is touched.
"""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from autopytorch_lite.history.events import Callback, Event, EventKind
from autopytorch_lite.history.trial import Proposal, TrialKey
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.report.words import counted, duration, measured

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class SearchState:
    """What is known of a search from its events so far; `after` takes in the next one.

    Attributes:
        elapsed_s: seconds of search time.
        remaining_s: seconds left; None without a time limit.
        n_finished: evaluations that ended.
        n_failed: those of this sitting among them that failed.
        n_left: evaluations left; None without a limit on their number.
        running: trials running now, by key.
        incumbent: the best trial of the largest budget, as (key, loss, learner).
        ensemble: loss and number of models of the current ensemble.
        is_over: whether the search ended.
        is_interrupted: whether Ctrl-C ended it.
        reason: why it ended.
    """

    elapsed_s: float = 0.0
    remaining_s: float | None = None
    n_finished: int = 0
    n_failed: int = 0
    n_running: int = 0
    n_left: int | None = None
    running: tuple[Proposal, ...] = ()
    incumbent: tuple[TrialKey, float, str] | None = None
    ensemble: tuple[float, int] | None = None
    is_over: bool = False
    is_interrupted: bool = False
    reason: str = ""

    @property
    def share(self) -> float | None:
        """How much of the search is over, from 0 to 1, by the limit that comes first; None without limits."""
        shares = []
        if self.remaining_s is not None:
            shares.append(self.elapsed_s / max(self.elapsed_s + max(self.remaining_s, 0.0), 1e-9))
        if self.n_left is not None:
            shares.append(self.n_finished / max(self.n_finished + self.n_left, 1))
        return max(shares, default=None)

    def after(self, event: Event) -> SearchState:
        """The state once `event` has happened."""
        state = replace(
            self,
            elapsed_s=event.elapsed_s,
            remaining_s=event.remaining_s,
            n_finished=event.n_finished,
            n_running=event.n_running,
            n_left=event.n_left,
        )
        return _CHANGES.get(event.kind, lambda state, event: state)(state, event)


def _evaluation_started(state: SearchState, event: Event) -> SearchState:
    return replace(state, running=(*state.running, event.proposal)) if event.proposal else state


def _evaluation_ended(state: SearchState, event: Event) -> SearchState:
    line = event.finished
    if line is None:
        return state
    running = tuple(proposal for proposal in state.running if proposal.key != line.key)
    is_failure = line.failed
    return replace(state, running=running, n_failed=state.n_failed + is_failure)


def _incumbent_found(state: SearchState, event: Event) -> SearchState:
    line, proposal = event.finished, event.proposal
    if line is None or line.loss is None:
        return state
    return replace(state, incumbent=(line.key, line.loss, learner_of(proposal.config) if proposal else ""))


def _ensemble_selected(state: SearchState, event: Event) -> SearchState:
    return replace(state, ensemble=(float(event.facts["loss"]), int(event.facts["n_members"])))


def _ended(state: SearchState, event: Event) -> SearchState:
    interrupted, reason = bool(event.facts.get("interrupted")), str(event.facts.get("reason", ""))
    return replace(state, is_over=True, is_interrupted=interrupted, reason=reason, running=())


_CHANGES: dict[EventKind, Callable[[SearchState, Event], SearchState]] = {
    EventKind.EVALUATION_START: _evaluation_started,
    EventKind.EVALUATION_END: _evaluation_ended,
    EventKind.NEW_INCUMBENT: _incumbent_found,
    EventKind.ENSEMBLE: _ensemble_selected,
    EventKind.END: _ended,
}


def state_words(state: SearchState) -> str:
    """One line about a search: evaluations, what runs, incumbent, ensemble, seconds left."""
    parts = [_evaluation_words(state)]
    if state.running:
        parts.append(f"at {_rung_words(state.running)}")
    if state.incumbent:
        key, loss, _ = state.incumbent
        parts.append(f"best {measured(loss)} ({key.config_id} @ {key.budget})")
    if state.ensemble:
        parts.append(f"ensemble {measured(state.ensemble[0])}")
    if state.remaining_s is not None and not state.is_over:
        parts.append(f"{duration(max(state.remaining_s, 0.0))} left")
    return " | ".join(parts)


def _evaluation_words(state: SearchState) -> str:
    failed = f" ({state.n_failed} failed)" if state.n_failed else ""
    running = f", {state.n_running} running" if state.n_running else ""
    total = "" if state.n_left is None else f" of {state.n_finished + state.n_left}"
    return f"{state.n_finished}{total} done{failed}{running}"


def _rung_words(running: tuple[Proposal, ...]) -> str:
    """Budgets of the running trials, the rung of a lone one: "rung 2, 50 epochs", "5 and 15 epochs"."""
    budgets = sorted({proposal.budget for proposal in running})
    epochs = " and ".join(str(budget) for budget in budgets) + (" epoch" if budgets == [1] else " epochs")
    rungs = {proposal.rung for proposal in running if proposal.rung is not None}
    return f"rung {rungs.pop()}, {epochs}" if len(rungs) == 1 else epochs


@dataclass
class PlainProgress:
    """Writes a line at the start and end and for each new incumbent, otherwise at most one every few seconds.

    Attributes:
        stream: where to; standard error, looked up when a line is written, if None.
        clock: seconds, for the pauses between lines.
        seconds_between_lines: pause after a line before an ordinary one may follow.
    """

    stream: IO[str] | None = None
    clock: Callable[[], float] = time.monotonic
    seconds_between_lines: float = SECONDS_BETWEEN_LINES
    state: SearchState = field(default_factory=SearchState)
    _last_s: float | None = None

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        self.state = self.state.after(event)
        if event.kind == EventKind.START:
            self._write(_start_sentence(self.state))
        elif event.kind == EventKind.NEW_INCUMBENT and self.state.incumbent:
            self._write(_incumbent_sentence(self.state))
        elif event.kind == EventKind.END:
            self._write(_end_sentence(self.state))
        elif event.kind == EventKind.EVALUATION_START and self._may_write():  # all workers are busy again
            self._write(state_words(self.state))

    def _may_write(self) -> bool:
        return self._last_s is None or self.clock() - self._last_s >= self.seconds_between_lines

    def _write(self, text: str) -> None:
        self._last_s = self.clock()
        stream = self.stream or sys.stderr
        stream.write(f"[{self.state.elapsed_s:6.1f} s] {text}\n")
        stream.flush()


def _start_sentence(state: SearchState) -> str:
    sentence = "search started" if not state.n_finished else f"search continues after {state.n_finished} evaluations"
    return sentence if state.remaining_s is None else f"{sentence}, {duration(state.remaining_s)} left"


def _incumbent_sentence(state: SearchState) -> str:
    assert state.incumbent is not None
    key, loss, learner = state.incumbent
    of_learner = f", {learner}" if learner else ""
    sentence = (
        f"new best: loss {measured(loss)}, configuration {key.config_id} at {counted(key.budget, 'epoch')}{of_learner}"
    )
    return f"{sentence} | {_evaluation_words(replace(state, n_running=0))}"


def _end_sentence(state: SearchState) -> str:
    ended = "interrupted" if state.is_interrupted else "ended"
    sentence = f"search {ended}: {counted(state.n_finished, 'evaluation')}"
    if state.n_failed:
        sentence += f", {state.n_failed} failed"
    if state.incumbent:
        sentence += f", best loss {measured(state.incumbent[1])}"
    if state.ensemble:
        sentence += f", ensemble {measured(state.ensemble[0])}"
    return f"{sentence} ({state.reason})" if state.reason and not state.is_interrupted else sentence


class LiveProgress:
    """Redraws a bar and one line in a terminal, several times a second, while the search runs.

    Args:
        console: a rich console that writes to a terminal.
    """

    def __init__(self, console: Console):
        self.state = SearchState()
        self._console = console
        self._live: Live | None = None
        self._heard_s = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Take in an event; the first one starts drawing, the end stops it."""
        self.state = self.state.after(event)
        self._heard_s = time.monotonic()
        if event.kind == EventKind.END:
            self.stop()
            self._console.print(_end_sentence(self.state), style="dim", highlight=False)
        elif self._live is None:
            self._start()

    def stop(self) -> None:
        """Stop drawing and give the cursor back. Stopping twice does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            atexit.unregister(self.stop)

    def _start(self) -> None:
        from rich.live import Live

        self._live = Live(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,  # workers may be forked while a redirected stream is locked
            redirect_stderr=False,
        )
        self._live.start()
        atexit.register(self.stop)

    def render(self) -> RenderableType:
        """The bar and its line, the clock running on since the last event."""
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

        state = self._now()
        line = Table.grid(padding=(0, 1))
        line.add_column(width=24)
        line.add_column(no_wrap=True, overflow="ellipsis")
        share = state.share
        bar = Bar(total=1.0, completed=share or 0.0, width=24, pulse=share is None)
        line.add_row(bar, Text(state_words(state)))
        return line

    def _now(self) -> SearchState:
        since = time.monotonic() - self._heard_s
        remaining = None if self.state.remaining_s is None else self.state.remaining_s - since
        return replace(self.state, elapsed_s=self.state.elapsed_s + since, remaining_s=remaining)


def progress_callbacks(verbose: int, *, stream: IO[str] | None = None) -> tuple[Callback, ...]:
    """The callbacks that show progress.

    Args:
        verbose: 0: nothing at all; 1 or more: a live line in a terminal, plain lines elsewhere.
        stream: where to; standard error if None.
    """
    return (ProgressBar(stream),) if verbose > 0 else ()


class ProgressBar:
    """Callback that shows a search: a bar in a terminal, plain lines elsewhere. One serves any number of searches.

    Args:
        stream: where to; standard error if None.
    """

    def __init__(self, stream: IO[str] | None = None):
        self._stream = stream
        self._shown: Callback | None = None

    def __call__(self, event: Event) -> None:
        """Take in an event; a search's first one chooses the form."""
        if self._shown is None or event.kind is EventKind.START:
            self._shown = self._new()
        self._shown(event)

    def _new(self) -> Callback:
        from rich.console import Console

        console = Console(file=self._stream, stderr=self._stream is None)
        if console.is_terminal and not console.is_dumb_terminal:
            return LiveProgress(console)
        return PlainProgress(self._stream)
