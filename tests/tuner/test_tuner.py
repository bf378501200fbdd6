from __future__ import annotations

import doctest
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from ConfigSpace import ConfigurationSpace

from autopytorch_lite import tuner
from autopytorch_lite.errors import BudgetError, HistoryError
from autopytorch_lite.execution.base import Checkpoint
from autopytorch_lite.execution.evaluate import failed
from autopytorch_lite.execution.workers import ProcessExecutor, SerialExecutor
from autopytorch_lite.history.events import Event, EventKind
from autopytorch_lite.history.lines import lines_equal
from autopytorch_lite.history.store import HistoryStore, MemoryStore, RunDirectory
from autopytorch_lite.history.summary import closed, open_proposals
from autopytorch_lite.history.trial import Done, Finished, Line, Proposal, Proposed, Status, TrialKey, Wait
from autopytorch_lite.search import BOHB, Hyperband, RandomSearch
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config
from tests.searchers import Counting

cloudpickle.register_pickle_by_value(sys.modules[__name__])
SPACE = ConfigurationSpace({"x": (-2.0, 2.0)})


def hyperband(**settings: Any) -> Hyperband:
    return Hyperband(SPACE, **{"min_budget": 1, "max_budget": 9, "eta": 3, "seed": 0, "max_brackets": 2, **settings})


def quadratic(config: Config, budget: int, checkpoint: Checkpoint) -> float:
    return (float(config["x"]) - 1) ** 2 + 1 / budget


def continuing(config: Config, budget: int, checkpoint: Checkpoint) -> float:
    """Says how many epochs it did itself, as training that goes on from a checkpoint would."""
    previous = checkpoint.previous_state()
    n_done = 0 if previous is None else int((previous / "epochs").read_text())
    (checkpoint.state_folder() / "epochs").write_text(str(budget))
    (checkpoint.folder / "model").write_text("weights")
    return budget - n_done


class SimulatedExecutor:
    """Two workers on a simulated clock; an evaluation takes as many seconds as it has epochs."""

    n_workers = 2

    def __init__(self) -> None:
        self.clock_s = 1000.0
        self.running: dict[TrialKey, tuple[float, Proposal]] = {}

    def n_free(self) -> int:
        return self.n_workers - len(self.running)

    def submit(self, proposal: Proposal, time_limit_s: float | None = None) -> None:
        self.running[proposal.key] = (self.clock_s + proposal.budget, proposal)

    def wait(self, timeout_s: float | None = None) -> list[Finished]:
        end_s, proposal = min(self.running.values(), key=lambda item: item[0])
        if timeout_s is not None and end_s > self.clock_s + timeout_s:
            self.clock_s += timeout_s
            return []
        self.clock_s = end_s
        del self.running[proposal.key]
        return [Finished(proposal.key, loss=float(proposal.config["x"]), seconds=proposal.budget)]

    def cancel_all(self) -> list[Finished]:
        lines = [failed(proposal, Status.CANCELLED, "Cancelled.") for _, proposal in self.running.values()]
        self.running.clear()
        return lines

    def now(self) -> float:
        return self.clock_s

    def close(self) -> None:
        pass


def test_loop_ends_when_the_searcher_is_done() -> None:
    searcher = hyperband()
    result = tune(searcher, quadratic)
    assert isinstance(searcher.ask(), Done)
    assert open_proposals(result.lines) == []
    assert result.incumbent is not None
    assert result.incumbent.budget == 9
    assert result.incumbent.loss == min(line.loss or 9 for line in closed(result.lines) if line.key.budget == 9)
    assert result.frame()["status"].eq("ok").all()
    assert not result.interrupted


def test_proposal_is_recorded_before_its_result_and_the_searcher_is_told_the_same() -> None:
    told: list[Line] = []

    class Listening(Hyperband):
        def tell(self, line: Proposed | Finished) -> None:
            told.append(line)
            super().tell(line)

    result = tune(Listening(SPACE, max_budget=3, seed=0), quadratic, n_trials=6)
    assert told == list(result.lines)
    assert [type(line) for line in told] == [Proposed, Finished] * 6


def test_number_of_trials_is_exact_with_several_workers() -> None:
    result = tune(hyperband(), executor=SimulatedExecutor(), n_trials=7)
    assert len(closed(result.lines)) == 7
    assert len(result.lines) == 14


def test_time_is_that_of_the_executor_and_sums_over_sittings() -> None:
    store = MemoryStore()
    first = tune(hyperband(), executor=SimulatedExecutor(), store=store, time_limit=3.5)
    assert first.seconds == 3.5
    assert [line.status for line in first.lines if isinstance(line, Finished)].count(Status.CANCELLED) == 2
    assert all(line.finished_s - line.started_s == line.seconds for line in closed(first.lines))
    second = tune(hyperband(), executor=SimulatedExecutor(), store=store, time_limit=2.5)
    assert second.seconds == 6.0
    assert second.lines[: len(first.lines)] == first.lines
    ends = [line.finished_s for line in second.lines if isinstance(line, Finished)]
    assert ends == sorted(ends)


def test_cancelled_trials_are_repeated_first_and_proposed_once() -> None:
    store = MemoryStore()
    first = tune(hyperband(), executor=SimulatedExecutor(), store=store, time_limit=3.5)
    cancelled = [proposal.key for proposal in open_proposals(first.lines)]
    assert len(cancelled) == 2
    second = tune(hyperband(), executor=SimulatedExecutor(), store=store, n_trials=10)
    new = second.lines[len(first.lines) :]
    assert {line.key for line in new if isinstance(line, Finished)} >= set(cancelled)
    assert [line.key for line in closed(new)][:2] == cancelled
    n_proposed = Counter(line.key for line in second.lines if isinstance(line, Proposed))
    assert set(n_proposed.values()) == {1}
    assert len(closed(second.lines)) == 10, "cancelled ones are not counted"


@pytest.mark.parametrize("searcher", [hyperband, lambda: BOHB(SPACE, max_budget=9, seed=3, min_points_in_model=3)])
def test_history_cut_anywhere_is_continued_to_the_same_end(tmp_path: Path, searcher: Any) -> None:
    whole = tune(searcher(), quadratic, run_dir=tmp_path / "whole", n_trials=20)
    content = RunDirectory(tmp_path / "whole").history.read_bytes()
    for n_bytes in range(0, len(content), len(content) // 12):
        folder = tmp_path / str(n_bytes)
        folder.mkdir()
        RunDirectory(folder).history.write_bytes(content[:n_bytes])
        again = tune(searcher(), quadratic, run_dir=folder, n_trials=20)
        assert lines_equal(again.lines, whole.lines)
        assert lines_equal(HistoryStore(folder).read(), whole.lines)


def test_run_that_is_complete_is_left_as_it_is(tmp_path: Path) -> None:
    first = tune(hyperband(), quadratic, run_dir=tmp_path, n_trials=5)
    content = RunDirectory(tmp_path).history.read_bytes()
    second = tune(hyperband(), quadratic, run_dir=tmp_path, n_trials=5)
    assert second.lines == first.lines
    assert second.incumbent == first.incumbent
    assert RunDirectory(tmp_path).history.read_bytes() == content


def test_continued_trials_find_their_checkpoint_which_then_goes(tmp_path: Path) -> None:
    result = tune(hyperband(), continuing, run_dir=tmp_path)
    continued = {line.key for line in result.lines if isinstance(line, Proposed) and line.proposal.resume_from}
    assert continued
    assert {(line.key.budget, line.loss) for line in closed(result.lines) if line.key in continued} == {(3, 2), (9, 6)}
    for line in closed(result.lines):
        folder = RunDirectory(tmp_path).files / f"{line.key.config_id}_{line.key.budget}"
        assert (folder / "model").exists()
        assert not (folder / "checkpoint").exists(), "every race is over"


def test_checkpoints_are_kept_exactly_as_long_as_somebody_may_continue_them(tmp_path: Path) -> None:
    """Checkpoints of configurations that were never promoted used to stay for ever: a gigabyte in two minutes."""
    seen = []

    def watch(event: Event) -> None:
        if event.kind == "evaluation_end":
            seen.append({path.parent.name for path in tmp_path.glob("files/*/checkpoint")})

    result = tune(hyperband(), continuing, run_dir=tmp_path, n_trials=11, callbacks=[watch])
    rung = [f"{line.key.config_id}_1" for line in closed(result.lines) if line.key.budget == 1][:9]
    assert seen[7] == set(rung[:8])
    assert len(seen[8]) == 3 and seen[8] < set(rung), "only the promoted ones are left"
    assert len(seen[9] & set(rung)) == 2 and len(seen[9] - set(rung)) == 1


def test_remains_of_killed_trials_are_cleared(tmp_path: Path) -> None:
    remains = RunDirectory(tmp_path).files / ".staging" / "5_1"
    remains.mkdir(parents=True)
    tune(hyperband(), quadratic, run_dir=tmp_path, n_trials=1)
    assert not remains.exists()


def test_without_a_directory_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = tune(hyperband(), continuing, n_trials=15)
    assert len(closed(result.lines)) == 15
    assert any(line.loss == 2 for line in closed(result.lines)), "trials were continued"
    assert list(tmp_path.iterdir()) == []


def test_all_failures_are_rows_and_the_search_goes_on() -> None:
    def fails(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        raise ValueError("never works")

    result = tune(RandomSearch(SPACE, max_budget=2, seed=0), fails, n_trials=4)
    assert [line.status for line in closed(result.lines)] == [Status.CRASHED] * 4
    assert result.incumbent is None


def test_worker_processes_run_out_of_time_quickly(tmp_path: Path) -> None:
    def slow(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        time.sleep(0.05 if budget == 1 else 1000)
        return float(config["x"])

    executor = ProcessExecutor(slow, n_workers=2, files_root=tmp_path / "files")
    start = time.monotonic()
    result = tune(hyperband(), executor=executor, run_dir=tmp_path, time_limit=3)
    assert 3 <= time.monotonic() - start < 15
    executor.close()
    statuses = Counter(line.status for line in result.lines if isinstance(line, Finished))
    assert statuses[Status.CANCELLED] >= 1
    assert statuses[Status.OK] == 9
    assert {line.worker for line in closed(result.lines)} == {0, 1}


def test_failing_workers_do_not_stop_the_search(tmp_path: Path) -> None:
    def mixed(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        import os

        if checkpoint.config_id == 1:
            os._exit(3)
        if checkpoint.config_id == 2:
            time.sleep(1000)
        return float(config["x"])

    executor = ProcessExecutor(mixed, n_workers=2, files_root=tmp_path / "files", trial_time_limit_s=0.5)
    result = tune(RandomSearch(SPACE, max_budget=1, seed=0), executor=executor, run_dir=tmp_path, n_trials=6)
    executor.close()
    by_id = {line.key.config_id: line.status for line in closed(result.lines)}
    assert by_id == {0: "ok", 1: "crashed", 2: "timeout", 3: "ok", 4: "ok", 5: "ok"}


def test_stop_is_asked_between_evaluations() -> None:
    answers = iter([False, False, True])
    result = tune(hyperband(), quadratic, stop=lambda standing: next(answers))
    assert len(closed(result.lines)) == 2


def test_events_tell_the_search() -> None:
    events: list[Event] = []
    tune(hyperband(), executor=SimulatedExecutor(), time_limit=19.5, callbacks=[events.append])
    kinds = [event.kind for event in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert kinds.count(EventKind.EVALUATION_START) == kinds.count(EventKind.EVALUATION_END)
    promoted = [event.proposal for event in events if event.kind is EventKind.PROMOTION]
    assert promoted
    assert all(proposal is not None and proposal.resume_from for proposal in promoted)
    assert [event.elapsed_s + (event.remaining_s or 0) for event in events] == [19.5] * len(events)
    assert all(event.n_running <= 2 for event in events)
    best = [event.finished for event in events if event.kind is EventKind.NEW_INCUMBENT]
    ranks = [(-line.key.budget, line.loss) for line in best if line is not None]
    assert ranks == sorted(ranks, reverse=True)
    cancelled = [event for event in events if event.finished and event.finished.status is Status.CANCELLED]
    assert len(cancelled) == 2
    assert events[-1].facts == {"interrupted": False, "reason": "time limit of 19.5 seconds"}


def test_error_of_a_callback_ends_the_search_and_loses_no_result(tmp_path: Path) -> None:
    def callback(event: Event) -> None:
        if event.kind is EventKind.EVALUATION_END and event.n_finished == 3:
            raise RuntimeError("the callback failed")

    with pytest.raises(RuntimeError, match="the callback failed"):
        tune(hyperband(), executor=SimulatedExecutor(), run_dir=tmp_path, callbacks=[callback])
    lines = HistoryStore(tmp_path).read()
    assert len(closed(lines)) == 3
    assert len(closed(tune(hyperband(), quadratic, run_dir=tmp_path, n_trials=5).lines)) == 5, "the lock is free"


def test_other_searches_are_refused(tmp_path: Path) -> None:
    tune(hyperband(), quadratic, run_dir=tmp_path, n_trials=3)
    with pytest.raises(HistoryError, match="seed"):
        tune(hyperband(seed=1), quadratic, run_dir=tmp_path, n_trials=4)
    with pytest.raises(HistoryError, match="name"):
        tune(RandomSearch(SPACE, seed=0), quadratic, run_dir=tmp_path, n_trials=4)
    wider = ConfigurationSpace({"x": (-3.0, 2.0)})
    with pytest.raises(HistoryError, match="x differ"):
        tune(Hyperband(wider, max_budget=9, seed=0), quadratic, run_dir=tmp_path, n_trials=4)
    assert len(closed(tune(hyperband(), quadratic, run_dir=tmp_path, n_trials=4).lines)) == 4


def test_history_that_the_searcher_does_not_accept_is_an_error() -> None:
    store = MemoryStore().open()
    store.append(Finished(TrialKey(5, 1), loss=0.5))
    with pytest.raises(HistoryError, match="line 1 of its history does not fit"):
        tune(hyperband(), quadratic, store=store)


def test_second_tuner_in_a_directory_is_refused(tmp_path: Path) -> None:
    def nested(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        with pytest.raises(HistoryError, match="another one is writing"):
            tune(hyperband(), quadratic, run_dir=tmp_path)
        return 0.5

    result = tune(hyperband(), nested, run_dir=tmp_path, n_trials=1)
    assert [line.status for line in closed(result.lines)] == [Status.OK]


def test_example_in_the_documentation_works() -> None:
    assert doctest.testmod(tuner).failed == 0
    assert doctest.testmod(tuner).attempted > 3


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="time_limit"):
        tune(hyperband(), quadratic, time_limit=-1)
    with pytest.raises(BudgetError, match="n_trials"):
        tune(hyperband(), quadratic, n_trials=-1)
    with pytest.raises(TypeError, match="neither"):
        tune(hyperband(), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists(), "used to be made and claimed before"
    with pytest.raises(TypeError, match="not both"):
        tune(hyperband(), quadratic, executor=SerialExecutor(quadratic, files_root=tmp_path))


def test_searcher_that_waits_for_nothing_is_an_error_and_not_a_hang() -> None:
    class Waiting:
        def ask(self) -> Wait:
            return Wait()

        def tell(self, line: Line) -> None: ...

    with pytest.raises(RuntimeError, match="waits while none is running"):
        tune(Waiting(), quadratic)


def test_tuning_outside_of_the_main_thread() -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(tune(hyperband(), quadratic, n_trials=3)))
    thread.start()
    thread.join()
    assert len(closed(results[0].lines)) == 3


@pytest.mark.no_cover
def test_ten_thousand_simulated_evaluations_take_seconds() -> None:
    start = time.process_time()
    assert len(tune(Counting(), executor=SimulatedExecutor(), n_trials=10_000).lines) == 20_000
    assert time.process_time() - start < 20  # about 1 s
