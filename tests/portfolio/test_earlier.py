"""What a new search can take from an earlier one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.errors import HistoryError, SpaceError
from autopytorch_lite.history.lines import lines_equal
from autopytorch_lite.history.store import HistoryStore
from autopytorch_lite.history.trial import EARLIER_RUN, Finished, Proposal, Proposed, Status
from autopytorch_lite.portfolio import EarlierRun
from autopytorch_lite.search import BOHB, Hyperband, RandomSearch, Searcher
from autopytorch_lite.tuner import tune
from tests.contracts.check_searcher import check_replay, proposals_of, simulate
from tests.search.spaces import flat_space, tree_space, two_valleys

LINEAR = {"net": "linear", "optimizer": "adam", "epochs": 50}
MLP = {"net": "mlp", "depth": 3, "use_dropout": False, "optimizer": "adam", "epochs": 50}


def objective(config, budget, checkpoint) -> float:
    return two_valleys(Proposal(0, config, budget))


def earlier_run(n: int = 60) -> EarlierRun:
    lines = simulate(
        Hyperband(flat_space(), min_budget=2), n, failure_rate=0.1, loss=two_valleys, rng=np.random.default_rng(0)
    )
    return EarlierRun(flat_space(), tuple(lines))


SEARCHERS = {
    "bohb": lambda: BOHB(flat_space(), min_budget=2, seed=1),
    "asynchronous bohb": lambda: BOHB(flat_space(), min_budget=2, seed=1, schedule="asynchronous"),
    "hyperband": lambda: Hyperband(flat_space(), min_budget=2, seed=1),
    "random": lambda: RandomSearch(flat_space(), seed=1, n_configurations=4),
}


@pytest.mark.parametrize("name", SEARCHERS)
def test_searchers_take_observations_in_and_continue_none_of_them(name: str) -> None:
    observations = earlier_run().observations()

    def warmed() -> Searcher:
        searcher = SEARCHERS[name]()
        for line in observations:
            searcher.tell(line)
        return searcher

    n_told = len(proposals_of(observations))
    new = simulate(warmed(), 30, n_workers=3, loss=two_valleys, rng=np.random.default_rng(1))
    check_replay(warmed, new)
    n_configs = len({proposal.config_id for proposal in proposals_of(observations)})
    assert n_told > n_configs > 20
    assert all(proposal.config_id >= n_configs for proposal in proposals_of(new))
    assert EARLIER_RUN not in {proposal.origin for proposal in proposals_of(new)}
    assert name != "random" or len(proposals_of(new)) == 4


def test_a_model_exists_from_the_start() -> None:
    """Cold, BOHB has no model before it has finished a dozen trials of its own."""
    searcher = BOHB(flat_space(), min_budget=2, seed=1)
    for line in earlier_run().observations():
        searcher.tell(line)
    origins = [p.origin for p in proposals_of(simulate(searcher, 9, rng=np.random.default_rng(1)))]
    assert "model" in origins


def test_all_rungs_are_told_each_continuing_the_one_before() -> None:
    lines = [
        Proposed(Proposal(0, LINEAR, 2)),
        Proposed(Proposal(1, MLP, 6, origin="portfolio", bracket=0, rung=0)),
        Finished((0, 2), Status.CRASHED, error="broken", seconds=3.0),
        Finished((1, 6), loss=0.3, seconds=6.0, curve=(0.8, 0.7, 0.6, 0.5, 0.4, 0.3), started_s=5.0, finished_s=11.0),
        Proposed(Proposal(2, LINEAR, 6)),
    ]
    told = EarlierRun(tree_space(), tuple(lines)).observations()
    assert told == [
        Proposed(Proposal(0, LINEAR, 2, origin=EARLIER_RUN)),
        Finished((0, 2), Status.CRASHED, error="broken", seconds=3.0),
        Proposed(Proposal(1, MLP, 2, origin=EARLIER_RUN)),
        Finished((1, 2), loss=0.7, seconds=2.0, curve=(0.8, 0.7)),
        Proposed(Proposal(1, MLP, 6, 2, origin=EARLIER_RUN)),
        Finished((1, 6), loss=0.3, seconds=4.0, curve=(0.8, 0.7, 0.6, 0.5, 0.4, 0.3)),
    ]
    only_4 = EarlierRun(tree_space(), tuple(lines)).observations(budgets=[4])
    assert only_4[0] == Proposed(Proposal(0, MLP, 4, origin=EARLIER_RUN))
    assert only_4[1] == Finished((0, 4), loss=0.5, seconds=4.0, curve=(0.8, 0.7, 0.6, 0.5))


def test_configurations_that_do_not_fit_are_named_or_left_out_on_request() -> None:
    run = EarlierRun(tree_space(), tuple(simulate(RandomSearch(tree_space()), 5, rng=np.random.default_rng(0))))
    with pytest.raises(SpaceError, match="Configuration 0 of the earlier run"):
        run.observations(flat_space())
    assert run.observations(flat_space(), skip_misfits=True) == []


def test_a_run_that_begins_with_an_earlier_one_can_be_resumed_without_it(tmp_path: Path) -> None:
    tune(Hyperband(flat_space(), min_budget=2), objective, run_dir=tmp_path / "old", n_trials=30)
    lines = EarlierRun.load(tmp_path / "old").observations()
    n_told = len(proposals_of(lines))

    def make() -> BOHB:
        return BOHB(flat_space(), min_budget=2, seed=3)

    whole = tune(make(), objective, run_dir=tmp_path / "whole", warm_start=lines, n_trials=n_told + 20)
    assert lines_equal(whole.lines[: len(lines)], lines)
    tune(make(), objective, run_dir=tmp_path / "parts", warm_start=lines, n_trials=n_told + 7)
    resumed = tune(make(), objective, run_dir=tmp_path / "parts", n_trials=n_told + 20)
    assert lines_equal(resumed.lines, whole.lines)
    assert lines_equal(
        tune(make(), objective, run_dir=tmp_path / "parts", warm_start=lines, n_trials=1).lines, whole.lines
    )
    assert whole.seconds < 60


def test_a_crash_while_the_earlier_lines_were_written_is_repaired(tmp_path: Path) -> None:
    lines = earlier_run(20).observations()
    with HistoryStore(tmp_path) as store:
        for line in lines[:7]:
            store.append(line)
    result = tune(SEARCHERS["bohb"](), objective, run_dir=tmp_path, warm_start=lines, n_trials=1)
    assert lines_equal(result.lines, lines)


def test_one_run_is_a_matrix_of_one_task(tmp_path: Path) -> None:
    tune(Hyperband(flat_space(), min_budget=2), objective, run_dir=tmp_path, n_trials=30)
    run = EarlierRun.load(tmp_path)
    matrix = run.matrix("mine")
    assert matrix.tasks == ("mine",)
    assert matrix.budgets == (2, 6)
    assert np.isfinite(matrix.losses).sum() == 30


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"space\.json"):
        EarlierRun.load(tmp_path)
    (tmp_path / "space.json").write_text("[]")
    with pytest.raises(HistoryError, match=r"space\.json"):
        EarlierRun.load(tmp_path)
