"""Stopping rules as arguments of the estimators."""

import pytest
from sklearn.datasets import load_wine

from autopytorch_lite import AutoTabularClassifier
from autopytorch_lite.errors import BudgetError, UnknownNameError
from autopytorch_lite.execution.base import Checkpoint
from autopytorch_lite.execution.evaluate import run_objective
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.store import HistoryStore, RunDirectory, read_json
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status
from autopytorch_lite.run import TableRun
from autopytorch_lite.stopping import MaxEvaluations, PercentileStopping

RULE = PercentileStopping(percentile=50, min_trials=2, grace_epochs=1)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    X, y = load_wine(return_X_y=True, as_frame=True)
    settings = {"min_budget": 9, "max_budget": 9, "n_jobs": 1, "random_state": 1, "verbose": 0, "learners": "neural"}
    AutoTabularClassifier(
        time_limit=None, stop=MaxEvaluations(9), stop_trials=RULE, resampling=2, run_dir=folder, **settings
    ).fit(X, y)
    return folder


def ends(run_dir):
    return [line for line in HistoryStore(run_dir).read() if isinstance(line, Finished)]


def test_trainings_worse_than_the_median_end_early_and_leave_no_files(run_dir):
    lines = ends(run_dir)
    assert len(lines) == 9
    stopped = [line for line in lines if line.status is Status.STOPPED]
    assert stopped
    for line in stopped:
        assert 1 < len(line.curve) == line.info["n_epochs"] < 9
        assert TrialFiles(RunDirectory(run_dir).files).existing(line.key) is None
    assert all(line.ok for line in lines[:2])
    assert read_json(RunDirectory(run_dir).ended)["reason"] == "limit of 9 evaluations"


def test_limits_hold_for_the_mean_curve_of_the_folds_so_far(run_dir, tmp_path):
    run = TableRun.open(run_dir)
    objective, files = run._objective(1), TrialFiles(tmp_path)
    config = next(line.proposal.config for line in HistoryStore(run_dir).read() if isinstance(line, Proposed))
    whole = run_objective(objective, Proposal(0, config, 4), files)
    assert whole.ok
    assert whole.info["n_folds"] == 2
    early = run_objective(objective, Proposal(0, config, 4, stop_above=(None, 0.0)), files)
    assert early.status is Status.STOPPED
    assert (early.info["n_epochs"], early.info["n_folds"]) == (2, 1), "the second fold was not trained"
    limits = (None, None, min(whole.curve) + 1)
    assert run_objective(objective, Proposal(0, config, 4, stop_above=limits), files).curve == whole.curve
    assert Checkpoint(tmp_path, stop_above=(None, 0.5)).should_stop([1.0, 0.6])


def test_rules_are_kept_for_resume(run_dir):
    stored = read_json(RunDirectory(run_dir).run)["arguments"]
    assert stored["stop"] == {"rule": "MaxEvaluations", "n": 9}
    model = AutoTabularClassifier.resume(run_dir, n_trials=11, stop=MaxEvaluations(10))
    assert model.stop_trials == {"rule": "PercentileStopping", "percentile": 50, "min_trials": 2, "grace_epochs": 1}
    assert len(ends(run_dir)) == 10


def test_a_search_needs_some_rule_and_no_unknown_one():
    with pytest.raises(BudgetError, match="both are None"):
        AutoTabularClassifier(time_limit=None).fit([[1.0], [2.0]], [0, 1])
    with pytest.raises(UnknownNameError, match="MaxEvaluations"):
        AutoTabularClassifier(stop={"rule": "MaxEvaluation", "n": 3}).fit([[1.0], [2.0]], [0, 1])
    with pytest.raises(TypeError, match="stop_trials"):
        AutoTabularClassifier(stop_trials=50).fit([[1.0], [2.0]], [0, 1])
