from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from hypothesis import given
from hypothesis import strategies as st

from autopytorch_lite.errors import BudgetError, UnknownNameError
from autopytorch_lite.execution.base import Checkpoint, Result
from autopytorch_lite.execution.simulated import SimulatedCurve, SimulatedExecutor
from autopytorch_lite.history.events import Event
from autopytorch_lite.history.limits import epoch_above
from autopytorch_lite.history.lines import dump_line, lines_equal, load_line
from autopytorch_lite.history.store import HistoryStore, MemoryStore, RunDirectory
from autopytorch_lite.history.summary import closed
from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.search import BOHB, Hyperband, RandomSearch
from autopytorch_lite.stopping import (
    AnyOf,
    FunctionRule,
    MaxEvaluations,
    NoImprovement,
    PercentileStopping,
    Standing,
    TargetLoss,
    TimeLimit,
    as_rules,
)
from autopytorch_lite.tuner import TuneResult, tune
from autopytorch_lite.types import Config

SPACE = ConfigurationSpace({"x": (0.0, 1.0)})


def flat(config: Config, budget: int) -> SimulatedCurve:
    """Loss x at every epoch; one second an epoch."""
    return SimulatedCurve(np.full(budget, float(config["x"])), np.arange(1.0, budget + 1))


def falling(config: Config, budget: int) -> SimulatedCurve:
    epochs = np.arange(1.0, budget + 1)
    return SimulatedCurve(float(config["x"]) + 1 / epochs, epochs)


def random_search(**settings: Any) -> RandomSearch:
    return RandomSearch(SPACE, **{"max_budget": 10, "seed": 0, **settings})


def run(searcher: Any = None, *, n_workers: int = 1, curves: Any = flat, **settings: Any) -> TuneResult:
    return tune(searcher or random_search(), executor=SimulatedExecutor(curves, n_workers), **settings)


def standing_after(*losses: float | None, budget: int = 10, max_budget: int | None = None) -> Standing:
    """Trials of one budget that end every ten seconds; None: failed."""
    standing = Standing(max_budget)
    for n, loss in enumerate(losses):
        standing.tell(Proposed(Proposal(n, {"x": 0.5}, budget)))
        status = Status.CRASHED if loss is None else Status.OK
        standing.tell(Finished(TrialKey(n, budget), status, loss, finished_s=10.0 * (n + 1)))
        standing.elapsed_s = 10.0 * (n + 1)
    return standing


def test_time_limit_counts_all_sittings() -> None:
    standing = standing_after(0.5, 0.4)
    assert TimeLimit(21).reason(standing) is None
    assert TimeLimit(20).reason(standing) == "time limit of 20 seconds"
    assert TimeLimit(20).deadline_s(standing) == 20
    store = MemoryStore()
    assert run(store=store, stop=TimeLimit(35)).seconds == 35
    assert run(store=store, stop=TimeLimit(35)).seconds <= 35, "nothing is left for a second sitting"
    assert run(store=store, stop=TimeLimit(55)).seconds == 55
    assert run(store=store, time_limit=5).seconds == 60


def test_number_of_evaluations_is_kept_exactly_by_many_workers() -> None:
    result = run(n_workers=4, stop=MaxEvaluations(6))
    assert len(closed(result.lines)) == 6
    assert len(result.lines) == 12
    assert result.reason == "limit of 6 evaluations"


def test_target_loss_counts_at_the_largest_budget_only() -> None:
    rule = TargetLoss(0.2)
    assert rule.reason(standing_after(0.3, 0.2)) == "target loss of 0.2 reached"
    assert rule.reason(standing_after(0.3, None)) is None
    assert rule.reason(standing_after(0.1, budget=2, max_budget=10)) is None
    assert TargetLoss(0.2, budget=2).reason(standing_after(0.1, budget=2, max_budget=10)) is not None
    result = run(Hyperband(SPACE, min_budget=1, max_budget=9, seed=0), stop=TargetLoss(0.2))
    assert result.incumbent is not None
    assert result.incumbent.budget == 9
    assert result.incumbent.loss <= 0.2
    low = [line.loss for line in closed(result.lines) if line.key.budget < 9 and line.loss is not None]
    assert min(low) <= 0.2, "smaller budgets reached it before"


def test_no_improvement_counts_failures_and_starts_anew_at_each_improvement() -> None:
    rule = NoImprovement(n_evaluations=3)
    assert rule.reason(standing_after(0.5, 0.5, 0.6)) is None
    assert rule.reason(standing_after(0.5, 0.5, 0.6, None)) == "no improvement in 3 evaluations"
    assert rule.reason(standing_after(0.5, 0.5, 0.6, 0.4)) is None
    assert rule.reason(standing_after(0.5, 0.6, 0.6, 0.6, budget=2, max_budget=10)) is None
    assert rule.reason(Standing()) is None


def test_no_improvement_for_some_time_is_a_deadline() -> None:
    rule = NoImprovement(seconds=25)
    assert rule.deadline_s(standing_after(0.5, 0.6)) == 35
    assert rule.reason(standing_after(0.5, 0.6, 0.7)) is None
    assert rule.reason(standing_after(0.5, 0.6, 0.7, 0.8)) == "no improvement in 25 seconds"
    assert math.isinf(rule.deadline_s(Standing()))


def test_the_first_of_several_rules_ends_the_search() -> None:
    result = run(stop=[TargetLoss(-1), MaxEvaluations(8)], time_limit=35)
    assert result.reason == "time limit of 35 seconds"
    assert run(stop=[TargetLoss(-1), MaxEvaluations(2)], time_limit=35).reason == "limit of 2 evaluations"
    assert run(stop=(), n_trials=3).reason == "limit of 3 evaluations"


def test_functions_are_rules() -> None:
    def enough(standing: Standing) -> bool:
        return standing.n_finished >= 4

    assert run(stop=enough).reason == "enough said so"
    assert run(stop=lambda standing: "time to go" if standing.elapsed_s >= 12 else "").reason == "time to go"
    result = run(stop=lambda standing: standing.elapsed_s >= 12.3)
    assert result.seconds == 12.5, "asked twice a second while a trial runs"
    assert all(event.remaining_s is None for event in events_of(stop=enough)), "asking often is no time limit"


def events_of(**settings: Any) -> list[Event]:
    events: list[Event] = []
    run(callbacks=[events.append], **settings)
    return events


def test_the_end_says_why(tmp_path: Path) -> None:
    events: list[Event] = []

    def running(event: Event) -> None:
        assert not RunDirectory(tmp_path).ended.exists(), "absent while the search runs"
        events.append(event)

    result = run(run_dir=tmp_path, n_trials=2, callbacks=[running])
    assert result.reason == events[-1].facts["reason"] == "limit of 2 evaluations"
    note = json.loads(RunDirectory(tmp_path).ended.read_text())
    assert note == {"reason": "limit of 2 evaluations", "interrupted": False, "seconds": 20.0}
    result = run(random_search(n_configurations=3), run_dir=tmp_path)
    assert result.reason == "the searcher has nothing more to propose"
    assert len(closed(result.lines)) == 3


@pytest.mark.parametrize("stop", [TimeLimit(66), MaxEvaluations(7), TargetLoss(0.1), NoImprovement(4)])
@pytest.mark.parametrize("cut", [1, 4, 9, 12])
def test_a_continued_run_stops_where_the_uninterrupted_one_does(stop: Any, cut: int) -> None:
    whole = run(stop=stop)
    store = MemoryStore().open()
    for line in whole.lines[:cut]:
        store.append(line)
    continued = run(store=store, stop=stop)
    assert lines_equal(whole.lines, continued.lines)
    assert whole.reason == continued.reason


def test_wrong_rules_are_refused() -> None:
    with pytest.raises(BudgetError, match="n_evaluations, seconds, or both"):
        NoImprovement()
    with pytest.raises(BudgetError, match="at least 1, got 0"):
        NoImprovement(0)
    with pytest.raises(BudgetError, match="seconds"):
        TimeLimit(-1)
    with pytest.raises(BudgetError, match="evaluations"):
        MaxEvaluations(-1)
    with pytest.raises(BudgetError, match="percentile"):
        PercentileStopping(percentile=100)
    with pytest.raises(BudgetError, match="min_trials"):
        PercentileStopping(min_trials=0)
    for nonsense in (3, [TargetLoss(1), "soon"], TargetLoss):
        with pytest.raises(TypeError, match="stopping rule"):
            as_rules(nonsense)  # type: ignore[arg-type]
    for plain, error, message in [
        ({"rule": "NoImprovemnt"}, UnknownNameError, "did you mean 'NoImprovement'"),
        ({"rule": "NoImprovement", "evaluations": 3}, UnknownNameError, "did you mean 'n_evaluations'"),
        ({"rule": "MaxEvaluations"}, BudgetError, "needs 'n'"),
    ]:
        with pytest.raises(error, match=message):
            as_rules(plain)
    assert AnyOf(as_rules(None)).reason(Standing()) is None
    assert AnyOf((FunctionRule(lambda standing: True),)).must_be_polled


@pytest.mark.parametrize(
    ("curve", "limits", "epoch"),
    [
        ([3, 2, 1], [None, 2.5, 2], None),
        ([3, 2, 1], [None, 1.5, 2], 2),
        ([1, 5, 5], [None, 2, 2], None),
        ([math.nan, 2], [1], 1),
        ([math.nan, 2], [None, 2], None),
        ([2, 2], [2, 2], None),
        ([2, 2, 2, 2], [None], None),
        ([], [1], None),
    ],
)
def test_a_curve_is_above_its_limit_by_its_best_loss_so_far(curve: Any, limits: Any, epoch: int | None) -> None:
    assert epoch_above(curve, limits) == epoch


def limits_after(rule: PercentileStopping, curves: list[list[float]], **proposal: Any) -> tuple[float | None, ...]:
    fold = rule.begin()
    for n, curve in enumerate(curves):
        fold.tell(Proposed(Proposal(n, {"x": 0.5}, len(curve))))
        fold.tell(Finished(TrialKey(n, len(curve)), loss=curve[-1], curve=tuple(curve)))
    return fold.stop_above(Proposal(99, {"x": 0.5}, **{"budget": 5, **proposal}))


@given(st.lists(st.lists(st.floats(-9, 9), min_size=5, max_size=5), min_size=2, max_size=9), st.floats(1, 99))
def test_limits_are_percentiles_of_the_best_losses_so_far(curves: list[list[float]], percentile: float) -> None:
    limits = limits_after(PercentileStopping(percentile, min_trials=2, grace_epochs=1), curves)
    expected = np.percentile(np.minimum.accumulate(np.array(curves), axis=1), percentile, axis=0)
    assert limits[0] is None
    assert limits[1:] == pytest.approx(expected[1:-1].tolist()), "none at the last epoch"


def test_there_is_no_limit_where_it_would_be_unfair_or_useless() -> None:
    curves = [[5.0, 4.0, 3.0], [4.0, 3.0, 2.0], [6.0, 5.0]]
    assert limits_after(PercentileStopping(min_trials=4, grace_epochs=0), curves) == ()
    assert limits_after(PercentileStopping(min_trials=3, grace_epochs=0), curves) == (5.0, 4.0)
    assert limits_after(PercentileStopping(min_trials=2, grace_epochs=0), curves) == (5.0, 4.0, 2.5)
    assert limits_after(PercentileStopping(min_trials=2, grace_epochs=2), curves) == (None, None, 2.5)
    assert limits_after(PercentileStopping(min_trials=2, grace_epochs=0), curves, resume_from=2) == (None, None, 2.5)
    assert limits_after(PercentileStopping(min_trials=2, grace_epochs=0), curves, budget=3) == (5.0, 4.0)
    assert limits_after(PercentileStopping(min_trials=2, grace_epochs=3), curves) == ()


def test_configurations_that_were_ended_keep_counting_and_continued_ones_count_once() -> None:
    fold = PercentileStopping(min_trials=1, grace_epochs=0).begin()
    fold.tell(Finished(TrialKey(0, 2), loss=1.0, curve=(2.0, 1.0)))
    fold.tell(Finished(TrialKey(0, 4), loss=0.5, curve=(2.0, 1.0, 0.5, 0.5)))
    fold.tell(Finished(TrialKey(1, 4), Status.STOPPED, loss=3.0, curve=(4.0, 3.0)))
    fold.tell(Finished(TrialKey(2, 4), Status.CRASHED))
    assert fold.stop_above(Proposal(3, {}, 9)) == (3.0, 2.0, 1.75, 1.75)


def test_trials_above_the_median_are_ended_and_say_so() -> None:
    rule = PercentileStopping(50, min_trials=5, grace_epochs=2)
    result = run(random_search(), stop_trials=rule, n_trials=40)
    stopped = [line for line in closed(result.lines) if line.status is Status.STOPPED]
    assert 12 <= len(stopped) <= 25
    for line in stopped:
        assert line.seconds == len(line.curve) == 3, "the first epoch after the grace"
        assert line.loss == line.curve[-1]
        assert line.error.startswith("Stopped after epoch 3 of 10: its best loss so far, 0.")
        assert not line.failed
    assert all(line.ok for line in closed(result.lines)[:5])
    assert result.incumbent == run(random_search(), n_trials=40).incumbent, "the best is not ended"
    assert result.seconds < 0.75 * run(random_search(), n_trials=40).seconds
    assert list(result.frame()["status"]).count("stopped") == len(stopped)


@pytest.mark.parametrize("make", [RandomSearch, Hyperband, BOHB])
def test_ended_trials_are_not_promoted_and_replay_ends_the_same_ones(make: Any) -> None:
    def searcher() -> Any:
        return make(SPACE, max_budget=27, seed=3)

    rule = PercentileStopping(30, min_trials=3, grace_epochs=1)
    whole = run(searcher(), curves=falling, stop_trials=rule, n_trials=60)
    stopped = {line.key.config_id: line.key.budget for line in closed(whole.lines) if line.status is Status.STOPPED}
    assert stopped
    for line in whole.lines:
        assert line.key.budget <= stopped.get(line.key.config_id, 99)
    for cut in (10, 41, 77):
        store = MemoryStore().open()
        for line in whole.lines[:cut]:
            store.append(load_line(dump_line(line)))
        assert lines_equal(
            whole.lines, run(searcher(), curves=falling, store=store, stop_trials=rule, n_trials=60).lines
        )


def training(config: Config, budget: int, checkpoint: Checkpoint) -> Result:
    """A plain objective that takes part."""
    curve: list[float] = []
    (checkpoint.folder / "model").write_text("weights")
    while len(curve) < budget and not checkpoint.should_stop(curve):
        curve.append(float(config["x"]))
    return Result(curve[-1], tuple(curve))


def test_a_plain_objective_takes_part_by_asking(tmp_path: Path) -> None:
    rule = PercentileStopping(min_trials=3, grace_epochs=2)
    result = tune(random_search(), training, run_dir=tmp_path, stop_trials=rule, n_trials=20)
    simulated = run(random_search(), stop_trials=rule, n_trials=20)
    assert [line.status for line in closed(result.lines)] == [line.status for line in closed(simulated.lines)]
    assert [line.error for line in closed(result.lines)] == [line.error for line in closed(simulated.lines)]
    assert lines_equal(HistoryStore(tmp_path).read(), result.lines)
    for line in closed(result.lines):
        folder = RunDirectory(tmp_path).files / f"{line.key.config_id}_{line.key.budget}"
        assert folder.exists() == line.ok, "a trial that was ended keeps no files"


def test_an_objective_that_does_not_ask_is_not_ended() -> None:
    def deaf(config: Config, budget: int, checkpoint: Checkpoint) -> Result:
        return Result(float(config["x"]), tuple([float(config["x"])] * budget))

    result = tune(random_search(), deaf, stop_trials=PercentileStopping(min_trials=3, grace_epochs=0), n_trials=15)
    assert all(line.ok for line in closed(result.lines))


def test_lines_without_limits_are_written_as_before() -> None:
    plain: Line = Proposed(Proposal(0, {"x": 0.5}, 3))
    assert "stop_above" not in dump_line(plain)
    limited: Line = Proposed(Proposal(0, {"x": 0.5}, 3, stop_above=(None, 0.25)))
    assert load_line(dump_line(limited)) == limited
