from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopytorch_lite.execution.base import Checkpoint, Result
from autopytorch_lite.execution.evaluate import failed, run_objective
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.trial import Proposal, Status, TrialKey
from autopytorch_lite.types import Config


def staged(config: Config, budget: int, checkpoint: Checkpoint) -> float:
    previous = checkpoint.previous_state()
    n_done = 0 if previous is None else int((previous / "epochs").read_text())
    (checkpoint.state_folder() / "epochs").write_text(str(budget))
    (checkpoint.folder / "model").write_text(str(config["x"]))
    if config["x"] == "fail":
        raise ValueError
    return budget - n_done


def test_files_of_a_success_are_there_and_the_next_budget_continues_them(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    first = run_objective(staged, Proposal(4, {"x": 1}, 3), files)
    second = run_objective(staged, Proposal(4, {"x": 1}, 9, resume_from=3), files)
    assert (first.loss, second.loss) == (3, 6)
    assert (files.folder(TrialKey(4, 3)) / "checkpoint" / "epochs").read_text() == "3"
    assert (files.folder(TrialKey(4, 9)) / "model").read_text() == "1"


def test_without_files_of_the_smaller_budget_it_starts_from_scratch(tmp_path: Path) -> None:
    assert run_objective(staged, Proposal(4, {"x": 1}, 9, resume_from=3), TrialFiles(tmp_path)).loss == 9


def test_failure_leaves_no_files(tmp_path: Path) -> None:
    line = run_objective(staged, Proposal(0, {"x": "fail"}, 3), TrialFiles(tmp_path))
    assert line.status is Status.CRASHED
    assert line.error == "ValueError"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_objective_gets_the_identity_and_cannot_change_the_proposal(tmp_path: Path) -> None:
    proposal = Proposal(7, {"x": 1}, 5)

    def objective(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        assert (dict(config), budget, checkpoint.config_id, checkpoint.previous) == ({"x": 1}, 5, 7, None)
        config["x"] = 2
        return 0.0

    assert run_objective(objective, proposal, TrialFiles(tmp_path), worker=3).worker == 3
    assert proposal.config == {"x": 1}


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), 0.5, np.int64(0), True])
def test_anything_that_is_a_number_is_a_loss(tmp_path: Path, value: Any) -> None:
    line = run_objective(lambda *_: value, Proposal(0, {}, 1), TrialFiles(tmp_path))
    assert line.loss == float(value)
    assert type(line.loss) is float


def test_arrays_in_a_result_become_plain_numbers(tmp_path: Path) -> None:
    result = Result(np.float64(1), np.array([2.0, 1.0]), {"lr": np.ones(2)}, {"auc": np.float32(0.5)})  # type: ignore
    line = run_objective(lambda *_: result, Proposal(0, {}, 2), TrialFiles(tmp_path))
    assert (line.curve, dict(line.curves), dict(line.metrics)) == ((2.0, 1.0), {"lr": (1.0, 1.0)}, {"auc": 0.5})


class OutOfMemoryError(RuntimeError):
    """Named like torch's error for devices."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (OutOfMemoryError("CUDA out of memory."), Status.MEMORY, "OutOfMemoryError: CUDA out of memory."),
        (
            RuntimeError("[enforce fail at alloc.cpp] DefaultCPUAllocator: can't allocate"),
            Status.MEMORY,
            "RuntimeError",
        ),
        (RuntimeError("shapes differ"), Status.CRASHED, "RuntimeError: shapes differ"),
        (RecursionError(), Status.CRASHED, "RecursionError"),
        (Unprintable(), Status.CRASHED, "Unprintable: (the exception has no printable message)"),
        (ValueError("x" * 10_000), Status.CRASHED, "ValueError: " + "x" * 500),
    ],
)
def test_errors_become_statuses(tmp_path: Path, error: Exception, status: Status, text: str) -> None:
    def objective(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        raise error

    line = run_objective(objective, Proposal(0, {}, 1), TrialFiles(tmp_path))
    assert line.status is status
    assert line.error.startswith(text)
    assert len(line.error) < 600


def test_real_torch_allocation_failure_is_a_memory_failure(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    line = run_objective(lambda *_: torch.empty(2**60, dtype=torch.uint8), Proposal(0, {}, 1), TrialFiles(tmp_path))
    assert line.status is Status.MEMORY


def test_interrupt_comes_out_and_leaves_no_files(tmp_path: Path) -> None:
    def objective(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        (checkpoint.folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_objective(objective, Proposal(0, {}, 1), TrialFiles(tmp_path))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_peak_memory_is_what_the_evaluation_took(tmp_path: Path) -> None:
    def objective(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        return float(np.ones(int(config["mb"]) * 2**17).sum() > 0) + float(np.ones(2**17).sum() > 0)

    def peak(mb: int) -> float:
        line = run_objective(objective, Proposal(0, {"mb": mb}, 1), TrialFiles(tmp_path))
        return float(line.info["peak_memory_mb"])

    assert peak(400) > 200
    assert peak(1) < 100


def test_line_of_an_evaluation_ended_from_outside() -> None:
    line = failed(Proposal(1, {}, 2), Status.TIMEOUT, "late", seconds=3.0, worker=4)
    assert (line.key, line.status, line.error, line.seconds, line.worker) == ((1, 2), "timeout", "late", 3.0, 4)
