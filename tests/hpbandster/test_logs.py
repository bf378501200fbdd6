"""Histories as HpBandSter's logs and back, without the package."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import ConfigSpace as cs
import pytest

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.execution.base import Checkpoint
from autopytorch_lite.history.hpbandster_logs import error_of, export_hpbandster, import_hpbandster
from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.search import BOHB
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config

REAL = Path(__file__).parents[1] / "golden" / "hpbandster"
"""Written by HpBandSter 0.7.4's `json_result_logger` during a BOHB run; file names in tracebacks are shortened."""

OK = Finished(
    TrialKey(0, 3),
    loss=0.25,
    seconds=1.1,
    curve=(0.5, float("inf"), 0.25),
    curves={"lr": (1.0, 0.5, 0.1)},
    metrics={"auc": 0.9},
    info={"device": "cpu", "n_parameters": 3},
    started_s=0.3,
    finished_s=1.7,
    worker=1,
)
CRASHED = Finished(
    TrialKey(1, 3),
    Status.CRASHED,
    error="ValueError: a: b",
    traceback="Traceback (most recent call last):\nValueError: a: b\n",
    info={"peak_memory_mb": 2.5},
    started_s=0.3,
    finished_s=1.7,
)
TIMEOUT = Finished(TrialKey(2, 3), Status.TIMEOUT, error="Took more than the limit of 1 seconds.", finished_s=1.7)

STOPPED = Finished(TrialKey(3, 3), Status.STOPPED, loss=0.75, curve=(0.75, 0.8), error="Stopped.", finished_s=1.8)


def lines() -> list[Line]:
    """All kinds of endings, some at the same moment, a promotion, and a proposal that still runs."""
    return [
        Proposed(Proposal(0, {"x": 0.5, "c": "a"}, 3, bracket=4, rung=0)),
        Proposed(Proposal(1, {"x": 0.25, "c": "b"}, 3, origin="model", bracket=4, rung=0)),
        Proposed(Proposal(2, {"x": 0.125, "c": "b"}, 3, origin="portfolio", bracket=7, rung=0)),
        OK,
        Proposed(Proposal(0, {"x": 0.5, "c": "a"}, 9, resume_from=3, bracket=4, rung=1)),
        CRASHED,
        TIMEOUT,
        replace(OK, key=TrialKey(0, 9), loss=0.1, started_s=1.7, finished_s=1.7, seconds=0.0),
        Proposed(Proposal(3, {"x": 0.0, "c": "a"}, 3, stop_above=(None, 0.5))),
        STOPPED,
        Proposed(Proposal(4, {"x": 0.0, "c": "a"}, 3)),
    ]


def read(path: Path) -> list[Any]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_what_is_exported_comes_back_as_it_was(tmp_path: Path) -> None:
    assert import_hpbandster(export_hpbandster(lines(), tmp_path)) == lines()


def test_form_of_the_files(tmp_path: Path) -> None:
    export_hpbandster(lines(), tmp_path)
    configs, results = read(tmp_path / "configs.json"), read(tmp_path / "results.json")
    assert [line[0] for line in configs] == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [2, 0, 0], [2, 0, 1]], (
        "brackets have no gaps"
    )
    assert configs[1][1] == {"x": 0.25, "c": "b"}
    assert [line[2]["model_based_pick"] for line in configs] == [False, True, False, False, False]
    assert [[*line[0], line[1]] for line in results] == [
        [0, 0, 0, 3.0],
        [0, 0, 1, 3.0],
        [1, 0, 0, 3.0],
        [0, 0, 0, 9.0],
        [2, 0, 0, 3.0],
    ]
    assert results[0][2] == {"submitted": 0.3, "started": pytest.approx(0.6), "finished": 1.7}
    assert results[0][3]["loss"] == 0.25
    assert results[0][3]["info"]["metrics"] == {"auc": 0.9}
    assert results[0][4] is None
    assert results[1][3] is None
    assert results[1][4].startswith("crashed: ValueError: a: b\nTraceback")
    assert results[4][3] is None, "the loss of a stopped trial is not one of its budget"


def test_cancelled_evaluations_are_left_out_and_their_repetition_is_there(tmp_path: Path) -> None:
    cancelled = Finished(TrialKey(0, 3), Status.CANCELLED, error="Cancelled.")
    history = [lines()[0], cancelled, OK]
    assert import_hpbandster(export_hpbandster(history, tmp_path)) == [lines()[0], OK]


def objective(config: Config, budget: int, checkpoint: Checkpoint) -> float:
    if config["x"] > 1.9:
        raise ValueError("too large")
    return (config["x"] - 1) ** 2 + 1 / budget


def test_a_run_directory_comes_back_as_it_was(tmp_path: Path) -> None:
    space = cs.ConfigurationSpace({"x": (-2.0, 2.0), "n": (1, 9), "c": ["a", "b"]})
    result = tune(BOHB(space, min_budget=1, max_budget=9, seed=0), objective, run_dir=tmp_path / "run", n_trials=60)
    assert {line.status for line in result.lines if isinstance(line, Finished)} == {Status.OK, Status.CRASHED}
    assert import_hpbandster(export_hpbandster(tmp_path / "run", tmp_path / "logs")) == list(result.lines)


def test_logs_of_the_real_logger() -> None:
    imported = import_hpbandster(REAL)
    proposed = [line.proposal for line in imported if isinstance(line, Proposed)]
    finished = [line for line in imported if isinstance(line, Finished)]
    assert len(proposed) == len(finished) == 33
    assert len({proposal.config_id for proposal in proposed}) == 24
    assert {proposal.budget for proposal in proposed} == {1, 3, 9}
    assert {proposal.origin for proposal in proposed} == {"random", "model"}
    assert {proposal.bracket for proposal in proposed} == {0, 1, 2, 3}
    assert all(proposal.resume_from is None for proposal in proposed), "there are no checkpoints"
    assert {line.error for line in finished if line.status is Status.CRASHED} == {"ValueError: seven"}
    assert {line.status for line in finished} == {Status.OK, Status.CRASHED, Status.DIVERGED}
    assert min(line.started_s for line in finished) == 0.0
    assert all(line.finished_s >= line.started_s + line.seconds - 1e-9 for line in finished)
    assert all(set(line.info) == {"k", "l"} for line in finished if line.ok)
    opened: set[TrialKey] = set()
    for line in imported:
        assert (line.key in opened) == isinstance(line, Finished), "a trial is proposed before it ends"
        opened.add(line.key)


def test_imported_logs_can_be_exported_again(tmp_path: Path) -> None:
    imported = import_hpbandster(REAL)
    assert import_hpbandster(export_hpbandster(imported, tmp_path)) == imported


def test_budgets_are_scaled_to_whole_epochs(tmp_path: Path) -> None:
    shutil.copytree(REAL, tmp_path, dirs_exist_ok=True)
    assert {line.key.budget for line in import_hpbandster(tmp_path, budget_scale=50 / 9)} == {6, 17, 50}
    with pytest.raises(HistoryError, match="budget_scale"):
        import_hpbandster(tmp_path, budget_scale=0.2)


def test_facts_that_the_logger_did_not_write_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "configs.json").write_text('[[0, 0, 0], {"x": 1}]\n[[0, 0, 1], {"x": 2}, "N/A"]\n')
    (tmp_path / "results.json").write_text(
        '[[0, 0, 0], 1.0, {"submitted": 5, "started": 6, "finished": 8}, {"loss": 2, "info": [1, Infinity]}, null]\n'
        '[[0, 0, 1], 1.0, {"submitted": 5, "started": 5, "finished": 5}, null, "Worker died unexpectedly."]\n'
    )
    assert import_hpbandster(tmp_path) == [
        Proposed(Proposal(0, {"x": 1}, 1, bracket=0, rung=0)),
        Proposed(Proposal(1, {"x": 2}, 1, bracket=0, rung=0)),
        Finished(TrialKey(1, 1), Status.CRASHED, error="Worker died unexpectedly."),
        Finished(TrialKey(0, 1), loss=2.0, seconds=2.0, finished_s=3.0, info={"info": [1, float("inf")]}),
    ]


def test_error_of_a_traceback_is_its_first_line_after_the_last_frame() -> None:
    text = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    raise E\nE: first\nsecond\n'
    assert error_of(text) == "E: first"
    assert error_of("Worker died unexpectedly.") == "Worker died unexpectedly."
    assert error_of("") == ""


def test_files_are_not_overwritten_by_accident(tmp_path: Path) -> None:
    export_hpbandster(lines(), tmp_path)
    with pytest.raises(FileExistsError, match=r"configs\.json"):
        export_hpbandster(lines(), tmp_path)
    export_hpbandster([lines()[0], OK], tmp_path, overwrite=True)
    assert len(read(tmp_path / "results.json")) == 1


def test_a_history_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="at least one finished"):
        export_hpbandster([lines()[0]], tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("configs.json", "[[0, 0], {}]\n", "A line of configs.json is"),
        ("configs.json", "[[0, 0, 0], \n", "line 1 is damaged"),
        ("results.json", "[[0, 0, 0], 1.0]\n", "A line of results.json is"),
        ("results.json", '[[9, 0, 0], 1.0, {"submitted": 0}, null, ""]\n', "lacks"),
        ("results.json", None, "does not exist"),
    ],
)
def test_damaged_logs_are_refused(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    shutil.copytree(REAL, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(HistoryError, match=message):
        import_hpbandster(tmp_path)
