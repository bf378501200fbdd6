import io
import logging
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from autopytorch_lite.history.events import Event, EventKind
from autopytorch_lite.history.trial import Finished, Proposal, Status, TrialKey
from autopytorch_lite.report.progress import (
    LiveProgress,
    PlainProgress,
    SearchState,
    progress_callbacks,
    state_words,
)
from autopytorch_lite.tuner import tune

CONFIG = {"learner:__choice__": "neural", "backbone:__choice__": "shaped_mlp"}


def proposal(config_id: int, budget: int = 5, rung: int | None = 0) -> Proposal:
    return Proposal(config_id, dict(CONFIG), budget, rung=rung)


def event(kind: EventKind, elapsed_s: float = 1.0, **more: Any) -> Event:
    return Event(kind, elapsed_s, remaining_s=60 - elapsed_s, **more)


def ended(config_id: int, loss: float | None, status: Status = Status.OK, elapsed_s: float = 1.0, **more: Any) -> Event:
    line = Finished(TrialKey(config_id, 5), status, loss)
    return event(EventKind.EVALUATION_END, elapsed_s, proposal=proposal(config_id), finished=line, **more)


def incumbent(config_id: int, loss: float, elapsed_s: float = 1.0) -> Event:
    return replace(ended(config_id, loss, elapsed_s=elapsed_s), kind=EventKind.NEW_INCUMBENT)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_state_says_what_is_done_what_runs_and_what_is_best():
    state = SearchState()
    for moment in (
        event(EventKind.START),
        event(EventKind.EVALUATION_START, proposal=proposal(0), n_running=1),
        event(EventKind.EVALUATION_START, proposal=proposal(1), n_running=2),
        ended(0, 0.25, n_finished=1, n_running=1),
        incumbent(0, 0.25),
        ended(1, None, Status.CRASHED, n_finished=2),
        event(EventKind.ENSEMBLE, facts={"loss": 0.2, "n_members": 3}, n_finished=2, elapsed_s=10.0),
        event(EventKind.EVALUATION_START, 10.0, proposal=proposal(0, 15, rung=1), n_finished=2, n_running=1),
    ):
        state = state.after(moment)
    assert state_words(state) == (
        "2 done (1 failed), 1 running | at rung 1, 15 epochs | best 0.2500 (0 @ 5) | ensemble 0.2000 | 50 s left"
    )


def test_a_cancelled_evaluation_is_no_failure():
    assert SearchState().after(ended(0, None, Status.CANCELLED)).n_failed == 0


def test_plain_lines_are_rare_but_each_new_incumbent_and_the_end_are_told():
    clock, stream = Clock(), io.StringIO()
    progress = PlainProgress(stream, clock=clock, seconds_between_lines=5.0)
    for i in range(100):
        clock.now_s = i * 0.1
        progress(event(EventKind.EVALUATION_START, clock.now_s, proposal=proposal(i), n_finished=i, n_running=2))
        progress(ended(i, 1.0, elapsed_s=clock.now_s, n_finished=i + 1, n_running=1))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all("2 running" in line for line in lines)  # told once freed workers are busy again
    progress(incumbent(3, 0.5, elapsed_s=10.0))
    progress(event(EventKind.END, 11.0, n_finished=100))
    told = stream.getvalue().splitlines()[2:]
    assert told[0].startswith("[  10.0 s] new best: loss 0.5000, configuration 3 at 5 epochs, neural: shaped_mlp")
    assert told[1] == "[  11.0 s] search ended: 100 evaluations, best loss 0.5000"


def test_an_interrupted_search_says_so():
    stream = io.StringIO()
    PlainProgress(stream)(event(EventKind.END, 11.0, n_finished=1, facts={"interrupted": True}))
    assert "search interrupted: 1 evaluation" in stream.getvalue()


def test_a_terminal_gets_a_line_redrawn_in_place_that_is_gone_at_the_end():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=110, color_system=None)
    progress = LiveProgress(console)
    progress(event(EventKind.START))
    progress(ended(0, 0.5, n_finished=1))
    progress(incumbent(0, 0.5))
    console.print(progress.render())
    assert re.search(r"best 0.5000 \(0 @ 5\) \| (59|58|1 min).* left", stream.getvalue())
    progress(event(EventKind.END, 2.0, n_finished=1))
    assert progress._live is None
    assert stream.getvalue().rstrip().endswith("search ended: 1 evaluation, best loss 0.5000")
    progress.stop()


def test_a_line_longer_than_the_terminal_is_cut_and_not_wrapped():
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    progress = LiveProgress(console)
    progress.state = SearchState(
        n_finished=3, n_running=2, incumbent=(TrialKey(12, 50), 0.123456, "neural: shaped_resnet")
    )
    console.print(progress.render())
    assert len(console.file.getvalue().splitlines()) == 1  # type: ignore[attr-defined]


def test_verbosity_zero_has_no_callbacks_and_the_stream_decides_which_kind():
    assert progress_callbacks(0) == ()
    file, terminal = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    for stream in (file, terminal):
        (progress,) = progress_callbacks(1, stream=stream)
        for _ in range(2):  # one bar serves one search after another
            progress(event(EventKind.START, 0.0))
            progress(event(EventKind.END, 2.0, n_finished=1, facts={"reason": "limit of 1 evaluation"}))
    assert file.getvalue().count("search started") == 2
    assert "\x1b" not in file.getvalue()
    assert "\x1b" in terminal.getvalue()
    assert file.getvalue().endswith("search ended: 1 evaluation (limit of 1 evaluation)\n")


def test_the_bar_goes_by_the_limit_that_comes_first():
    assert SearchState().share is None
    assert SearchState(elapsed_s=15, remaining_s=45).share == 0.25
    assert SearchState(n_finished=3, n_left=1).share == 0.75
    assert SearchState(elapsed_s=15, remaining_s=45, n_finished=3, n_left=1).share == 0.75
    assert state_words(SearchState(n_finished=3, n_left=1)) == "3 of 4 done"


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_real_search_writes_to_standard_error_only_and_leaves_loggers_alone(
    verbose: int, capfd: pytest.CaptureFixture[str]
):
    from ConfigSpace import ConfigurationSpace

    from autopytorch_lite.search.random_search import RandomSearch

    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    searcher = RandomSearch(ConfigurationSpace({"x": (0.0, 1.0)}, seed=0), max_budget=2, seed=0)
    tune(searcher, lambda config, budget, checkpoint: config["x"], n_trials=6, callbacks=progress_callbacks(verbose))
    out, err = capfd.readouterr()
    assert out == ""
    assert ("search ended: 6 evaluations" in err) == bool(verbose)
    assert ("search started" in err and "new best" in err) == bool(verbose)
    assert err == "" or verbose
    assert (root.level, list(root.handlers)) == before
