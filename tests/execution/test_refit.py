"""What training members of an ensemble on all rows takes, which of them fit into a time, and that it is done."""

from dataclasses import replace

import pytest

from autopytorch_lite.execution.base import Result
from autopytorch_lite.execution.refit import (
    LATENCY_S,
    SAFETY,
    Refit,
    RefitPlanner,
    affordable,
    run_refits,
    seconds_needed,
    worth_keeping_s,
)
from autopytorch_lite.execution.workers import SerialExecutor
from autopytorch_lite.history.events import Event, EventKind
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.pipeline.learner import BEGAN_ANEW, FULL_COST

STOPS_EARLY = {"x": 1.0}
LASTS = {"x": 2.0}


def history():
    """Configuration 0 stops early and has two rungs, 1 has one, 2 failed."""
    for config_id, config, budget, seconds, info in (
        (0, STOPS_EARLY, 3, 2.0, {"kept_epoch": 3}),
        (0, STOPS_EARLY, 9, 4.0, {"kept_epoch": 7}),
        (1, LASTS, 9, 1.0, {}),
    ):
        yield Proposed(Proposal(config_id, config, budget, origin="random"))
        yield Finished(TrialKey(config_id, budget), Status.OK, loss=0.5, seconds=seconds, info=info)
    yield Proposed(Proposal(2, LASTS, 3, origin="random"))
    yield Finished(TrialKey(2, 3), Status.CRASHED, error="no", seconds=1.0)


def planned(weights):
    planner = RefitPlanner(growth=1.25, max_budget=27)
    planner.extend(history())
    return planner.plan(weights)


def test_a_plan_has_seconds_of_all_rungs_on_all_rows_and_most_weight_per_second_first():
    slow, fast = TrialKey(0, 9), TrialKey(1, 9)
    refits = planned({slow: 0.6, fast: 0.4})
    assert [(refit.key, refit.seconds) for refit in refits] == [(fast, 1.25), (slow, 7.5)]
    assert planned({TrialKey(0, 3): 1.0})[0].seconds == 2.5


def test_a_training_that_began_anew_at_each_rung_takes_the_seconds_of_its_own():
    planner = RefitPlanner(growth=1.25, max_budget=27)
    for line in history():
        planner.tell(replace(line, info=line.info | {BEGAN_ANEW: True}) if isinstance(line, Finished) else line)
    assert [refit.seconds for refit in planner.plan({TrialKey(0, 9): 1.0})] == [5.0]


def test_a_training_of_which_an_early_epoch_was_kept_takes_the_seconds_until_there():
    planner = RefitPlanner(growth=1.25, max_budget=27)
    for line in history():
        planner.tell(replace(line, curve=(0.5,) * line.key.budget) if isinstance(line, Finished) else line)
    whole, early = TrialKey(1, 9), TrialKey(0, 9)
    seconds = {refit.key: refit.seconds for refit in planner.plan({whole: 0.5, early: 0.5})}
    assert seconds == {whole: 1.25, early: pytest.approx(7 / 9 * 7.5)}


def test_members_of_hardly_any_weight_are_left_as_they_are():
    assert [refit.key for refit in planned({TrialKey(0, 9): 0.985, TrialKey(1, 9): 0.015})] == [TrialKey(0, 9)]


def test_a_search_that_is_watched_is_known_like_its_history():
    planner = RefitPlanner(growth=1.25, max_budget=27)
    proposals = {}
    for line in history():
        if isinstance(line, Proposed):
            proposals[line.key] = line.proposal
            planner.watch(Event(EventKind.EVALUATION_START, 0.0, proposal=line.proposal))
        else:
            planner.watch(Event(EventKind.EVALUATION_END, 0.0, proposal=proposals[line.key], finished=line))
    weights = {TrialKey(0, 9): 0.5, TrialKey(1, 9): 0.5, TrialKey(2, 3): 0.0}
    assert planner.plan(weights) == planned(weights)
    assert len(planner.plan(weights)) == 2


def test_as_many_epochs_are_trained_as_validation_rows_chose():
    (refit,) = planned({TrialKey(0, 9): 1.0})
    assert (refit.n_epochs, refit.config) == (7, STOPS_EARLY)
    assert refit.proposal.key == TrialKey(0, 9)


def test_where_nothing_was_chosen_the_whole_budget_is_trained():
    assert planned({TrialKey(1, 9): 1.0})[0].n_epochs == 9


def test_members_of_some_weight_are_trained_again_after_all_others():
    planner = RefitPlanner(growth=1.25, max_budget=27)
    planner.extend(history())
    heavy, light = TrialKey(0, 9), TrialKey(1, 9)
    refits = planner.plan({heavy: 0.95, light: 0.05}, n_trainings=3)
    assert [(refit.key, refit.number) for refit in refits] == [(heavy, 0), (light, 0), (heavy, 1), (heavy, 2)]
    assert len({refit.seconds for refit in refits if refit.key == heavy}) == 1


def trees(budget, *, loss=0.5, boosted=True, cost=3.0):
    """A trial of trees, of which an epoch of three was chosen at a budget of nine, and so on."""
    yield Proposed(Proposal(7, LASTS, budget, origin="random"))
    info = {BEGAN_ANEW: boosted, FULL_COST: cost, "kept_epoch": budget // 3}
    yield Finished(TrialKey(7, budget), Status.OK, loss=loss, seconds=float(budget), info=info)


def planned_one(*trials, seconds=1000.0):
    planner = RefitPlanner(growth=1.0, max_budget=27)
    for trial in trials:
        planner.extend(trial)
    (refit,) = planner.plan({TrialKey(7, 9): 1.0}, seconds=seconds)
    assert refit.key == TrialKey(7, 9)
    return refit.budget, refit.n_epochs, refit.seconds


def test_trees_are_trained_to_the_largest_budget_and_as_far_into_it_as_before():
    assert planned_one(trees(9)) == (27, 9, 27.0)


def test_trees_that_have_been_at_the_largest_budget_are_trained_as_there():
    assert planned_one(trees(9), trees(27, loss=0.4, cost=1.0)) == (27, 9, 27.0)


def test_boosted_trees_that_were_worse_at_the_largest_budget_keep_theirs_and_averaged_ones_do_not():
    assert planned_one(trees(9), trees(27, loss=0.6, cost=1.0)) == (9, 3, 9.0)
    assert planned_one(trees(9, boosted=False), trees(27, loss=0.6, cost=1.0, boosted=False))[0] == 27


def test_trees_keep_their_budget_where_the_largest_takes_more_than_their_share_of_the_time():
    assert planned_one(trees(9), seconds=SAFETY * 27.1)[0] == 27
    assert planned_one(trees(9), seconds=SAFETY * 26.9)[0] == 9


def network(budget, *, losses, stopped_early=False, kept_epoch=None):
    """A trial of a network with a learning curve."""
    kept_epoch = losses.index(min(losses)) + 1 if kept_epoch is None else kept_epoch
    info = {"kept_epoch": kept_epoch, "stopped_early": stopped_early}
    yield Proposed(Proposal(7, LASTS, budget, origin="random"))
    trial = TrialKey(7, budget)
    yield Finished(trial, Status.OK, loss=min(losses), seconds=float(budget), curve=tuple(losses), info=info)


FALLING = [1.0 - epoch / 10 for epoch in range(9)]
TURNING = [*FALLING[:6], 0.9, 0.9, 0.9]


def test_networks_that_were_still_improving_are_trained_for_twice_their_epochs():
    assert planned_one(network(9, losses=FALLING)) == (18, 18, 18.0)
    assert planned_one(network(9, losses=FALLING, kept_epoch=8)) == (18, 16, 16.0)


def test_networks_are_not_trained_beyond_the_largest_budget():
    planner = RefitPlanner(growth=1.0, max_budget=12)
    planner.extend(network(9, losses=FALLING))
    (refit,) = planner.plan({TrialKey(7, 9): 1.0})
    assert (refit.budget, refit.n_epochs, refit.seconds) == (12, 12, pytest.approx(12.0))


@pytest.mark.parametrize(
    "trials",
    [
        [network(9, losses=TURNING)],
        [network(9, losses=TURNING, kept_epoch=9)],
        [network(9, losses=FALLING, kept_epoch=6)],
        [network(9, losses=FALLING, stopped_early=True)],
        [network(9, losses=FALLING), network(27, losses=FALLING * 3)],
    ],
    ids=["best before the end", "last epoch kept, none chosen", "best early in other folds", "stopped", "tried longer"],
)
def test_networks_that_more_epochs_need_not_help_keep_theirs(trials):
    assert planned_one(*[list(trial) for trial in trials])[0] == 9


def test_networks_keep_their_epochs_where_more_take_more_than_their_share_of_the_time():
    assert planned_one(network(9, losses=FALLING), seconds=SAFETY * 18.1)[0] == 18
    assert planned_one(network(9, losses=FALLING), seconds=SAFETY * 17.9)[0] == 9


def test_votes_are_not_counted_twice_where_members_are_trained_again():
    once = refits_of(1.0, 50.0)
    refits = [replace(refit, weight=weight) for refit, weight in zip(once, (0.3, 0.7), strict=True)]
    again = [replace(refits[0], number=number) for number in (1, 2)]
    assert worth_keeping_s(refits + again, [10.0], 2, lambda window_s: 0.0) == 0.0
    assert worth_keeping_s(refits[:1] + again, [10.0], 1, lambda window_s: 0.0) == 0.0
    heavy = [replace(refit, weight=0.6) for refit in refits[:1] + again]
    assert worth_keeping_s(heavy, [10.0], 1, lambda window_s: 0.0) == pytest.approx(SAFETY * 3.0 + LATENCY_S)


def test_what_the_history_does_not_know_or_has_failed_is_left_out():
    assert planned({TrialKey(-1, 1): 0.5, TrialKey(2, 3): 0.5}) == []


def refits_of(*seconds):
    return [Refit(TrialKey(i, 1), {}, 1, 1, s, 1.0) for i, s in enumerate(seconds)]


def test_affordable_skips_what_is_too_long_and_goes_on():
    chosen = affordable(refits_of(3.0, 9.0, 4.0, 2.0), seconds=5.0, n_workers=2)
    assert [refit.seconds for refit in chosen] == [3.0, 4.0, 2.0]
    assert affordable(refits_of(6.0), seconds=5.0, n_workers=2) == []


@pytest.mark.parametrize(
    ("weights", "fall", "seconds"),
    [
        ((0.6, 0.4), 0.02, 1.0),  # half of the votes within the last limit: kept from a search that goes on
        ((0.6, 0.4), 0.005, 5.0),  # all of them within the first, as the search has stalled
        ((0.4, 0.6), 0.02, 0.0),
        ((0.4, 0.6), 0.005, 5.0),
        ((0.3, 0.1), 0.005, 0.0),  # the rest of the votes is of members that cannot be trained again
    ],
)
def test_time_is_kept_for_most_votes_and_more_of_it_from_a_search_that_has_stalled(weights, fall, seconds):
    refits = [replace(refit, weight=weight) for refit, weight in zip(refits_of(1.0, 5.0), weights, strict=True)]
    asked = []
    kept = worth_keeping_s(refits, [10.0, 2.0], 2, lambda window_s: asked.append(window_s) or fall)
    assert kept == (pytest.approx(SAFETY * seconds + LATENCY_S) if seconds else 0.0)
    assert all(window_s == pytest.approx(SAFETY * 5.0 + LATENCY_S) for window_s in asked)


def test_no_time_is_kept_without_members_or_limits():
    assert worth_keeping_s([], [10.0, 2.0], 2, lambda window_s: 0.0) == 0.0
    assert worth_keeping_s(refits_of(1.0), [], 2, lambda window_s: 0.0) == 0.0


def test_seconds_needed_are_those_of_the_busiest_worker():
    assert seconds_needed(refits_of(3.0, 1.0, 1.5), 2) == pytest.approx(SAFETY * 3.0 + LATENCY_S)
    assert seconds_needed([], 2) == 0.0


def trained(refits, tmp_path, time_limit_s):
    def objective(config, budget, checkpoint):
        (checkpoint.folder / "model").write_text("")
        return Result(loss=0.0)

    lines = run_refits(refits, SerialExecutor(objective, files_root=tmp_path), time_limit_s)
    return [line.key for line in lines], sorted(path.name for path in tmp_path.glob("*_*"))


def test_all_are_trained_without_a_limit(tmp_path):
    keys, folders = trained(refits_of(5.0, 7.0), tmp_path, None)
    assert keys == [TrialKey(0, 1), TrialKey(1, 1)]
    assert folders == ["0_1", "1_1"]


def test_what_takes_longer_than_is_left_is_not_begun(tmp_path):
    keys, folders = trained(refits_of(50.0, 1.0), tmp_path, 10.0)
    assert keys == [TrialKey(1, 1)]
    assert folders == ["1_1"]
    assert trained(refits_of(0.1), tmp_path / "none", 0.0) == ([], [])
