import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.report.record import read_run
from autopytorch_lite.report.tables import (
    evaluations,
    failures,
    incumbents,
    leaderboard,
    print_table,
    to_text,
    without_repeats,
)
from autopytorch_lite.types import Task

NEURAL = {"learner:__choice__": "neural", "backbone:__choice__": "shaped_resnet"}
BOOSTING = {"learner:__choice__": "hist_gradient_boosting"}


def proposed(config_id: int, budget: int, config: dict[str, str] = NEURAL) -> Proposed:
    return Proposed(Proposal(config_id, dict(config), budget))


def finished(
    config_id: int, budget: int, loss: float | None, at: float, status: Status = Status.OK, **more
) -> Finished:
    return Finished(TrialKey(config_id, budget), status, loss, 1.0, finished_s=at, **more)


LINES = [
    proposed(0, 5),
    finished(0, 5, 0.5, 1.0, metrics={"accuracy": 0.7, "neg_log_loss": 0.5}),
    proposed(1, 5, BOOSTING),
    finished(1, 5, 0.3, 2.0, metrics={"accuracy": 0.8, "neg_log_loss": 0.3}),
    proposed(2, 5),
    finished(2, 5, None, 3.0, Status.TIMEOUT, error="took too long"),
    proposed(0, 15),
    finished(0, 15, 0.4, 4.0, metrics={"accuracy": 0.75, "neg_log_loss": 0.4}),
    proposed(1, 15, BOOSTING),
]
ENSEMBLE = {"members": [{"config_id": 1, "budget": 5, "weight": 0.75}, {"config_id": 0, "budget": 15, "weight": 0.25}]}


def test_the_leaderboard_is_sorted_by_loss_with_failures_last():
    frame = leaderboard(LINES, ENSEMBLE)
    assert list(frame["config_id"]) == [1, 0, 0, 2]
    assert list(frame["budget"]) == [5, 15, 5, 5]
    assert frame["rank"].tolist()[:3] == [1, 2, 3]
    assert frame["rank"].isna().tolist() == [False, False, False, True]
    assert frame["learner"].tolist()[:2] == ["hist_gradient_boosting", "neural: shaped_resnet"]
    assert frame["weight"].tolist() == [0.75, 0.25, 0.0, 0.0]
    assert frame["accuracy"].tolist()[:3] == [0.8, 0.75, 0.7]
    assert frame["status"].tolist()[-1] == "timeout"


def test_without_an_ensemble_weights_are_missing_and_without_lines_the_frame_is_empty():
    assert leaderboard(LINES)["weight"].isna().all()
    empty = leaderboard([])
    assert len(empty) == 0
    assert {"rank", "config_id", "budget", "learner", "loss", "weight", "seconds", "status", "origin"} <= set(empty)


def test_an_evaluation_cancelled_and_repeated_counts_once():
    lines = [proposed(0, 5), finished(0, 5, None, 1.0, Status.CANCELLED), finished(0, 5, 0.2, 3.0)]
    assert [line.loss for line in evaluations(lines)] == [0.2]
    assert len(leaderboard(lines[:2])) == 0


def test_the_incumbent_is_of_the_largest_budget_so_its_loss_may_rise():
    steps = incumbents(LINES)
    assert [(step.seconds, step.key, step.loss) for step in steps] == [
        (1.0, TrialKey(0, 5), 0.5),
        (2.0, TrialKey(1, 5), 0.3),
        (4.0, TrialKey(0, 15), 0.4),
    ]


def test_failures_are_counted_by_kind_with_the_first_traceback_there_is():
    lines = [
        *LINES,
        proposed(3, 5),
        finished(3, 5, None, 5.0, Status.CRASHED, error="first"),
        proposed(4, 5),
        finished(4, 5, None, 6.0, Status.CRASHED, error="second", traceback="Traceback ..."),
    ]
    table = failures(lines)
    assert table[["kind", "n"]].values.tolist() == [["crashed", 2], ["timeout", 1]]
    assert table.loc[0, "first error"] == "second"
    assert table.loc[0, "first traceback"] == "Traceback ..."
    assert failures(LINES[:2]).empty


def test_plain_text_is_aligned_and_repeats_nothing():
    text = to_text(without_repeats(leaderboard(LINES, ENSEMBLE), "neg_log_loss"))
    header, *rows = text.splitlines()
    assert "log loss" not in header
    assert header.index("learner") == rows[0].index("hist_gradient_boosting")
    assert {row[: header.index("learner")].count("  ") > 0 for row in rows} == {True}
    assert "0.7500" in rows[1] and "–" in rows[-1]
    assert "accuracy" in to_text(without_repeats(leaderboard(LINES), "accuracy"))


def test_large_losses_keep_their_digits():
    frame = pd.DataFrame({"loss": [57.3149, 161.1, np.nan]})
    assert to_text(frame).split() == ["loss", "57.31", "161.10", "–"]


def test_a_file_gets_plain_text_and_a_terminal_a_table():
    plain, terminal = io.StringIO(), io.StringIO()
    print_table(leaderboard(LINES), title="Board", stream=plain)
    assert plain.getvalue().startswith("Board\nrank")
    assert "\x1b" not in plain.getvalue()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    print_table(leaderboard(LINES, ENSEMBLE), title="Board", stream=terminal)
    assert "\x1b[1m" in terminal.getvalue()


@pytest.mark.parametrize("task", list(Task))
def test_the_leaderboard_of_a_real_run_agrees_with_its_history(finished_runs: dict[Task, Path], task: Task):
    run = read_run(finished_runs[task])
    frame = leaderboard(run.lines, run.ensemble)
    ok = frame[frame["status"] == "ok"]
    assert len(frame) == sum(isinstance(line, Finished) for line in run.lines)
    assert ok["loss"].is_monotonic_increasing
    assert frame["weight"].sum() == pytest.approx(1.0)
