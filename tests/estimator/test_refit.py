"""Members of an ensemble are trained on all rows at the end, where validation kept some from each of their models."""

import json
import math

import numpy as np
import pytest
from sklearn.datasets import make_classification

from autopytorch_lite import AutoTabularClassifier, load
from autopytorch_lite.ensemble.loading import N_TRAININGS, refitted_files
from autopytorch_lite.ensemble.predictor import EnsemblePredictor
from autopytorch_lite.estimator import MIN_ROWS_TO_REFIT_FOLDS
from autopytorch_lite.execution.refit import MIN_WEIGHT, MIN_WEIGHT_AGAIN
from autopytorch_lite.execution.tabular import rows_of
from autopytorch_lite.history.events import Event, EventKind
from autopytorch_lite.history.lines import comparable
from autopytorch_lite.history.store import HistoryStore
from autopytorch_lite.history.summary import proposals
from autopytorch_lite.pipeline.build import build_learner, default_graph
from autopytorch_lite.pipeline.learner import FitSettings
from autopytorch_lite.pipeline.traditional import FACTS_FILE
from autopytorch_lite.run_ensemble import EnsembleUpdater, RunEnsemble
from tests.estimator.tables import QUICK

TRIALS = {
    **QUICK,
    "learners": ["hist_gradient_boosting", "linear"],
    "n_trials": 5,
    "min_budget": 1,
    "resampling": 0.4,
    "random_state": 1,
}


def fit(mixed, run_dir, **changes):
    return AutoTabularClassifier(**{**TRIALS, "run_dir": run_dir, **changes}).fit(*mixed)


@pytest.fixture(scope="module")
def refitted(mixed, tmp_path_factory):
    return fit(mixed, tmp_path_factory.mktemp("runs") / "refitted")


@pytest.fixture(scope="module")
def searched(mixed, tmp_path_factory):
    return fit(mixed, tmp_path_factory.mktemp("runs") / "searched", refit=False)


def n_refitted(model):
    return len(json.loads(model._run.directory.ensemble.read_text())["refitted"])


def test_the_search_is_the_same_and_the_models_are_not(refitted, searched, mixed):
    lines = [HistoryStore(model._run.directory.path).read() for model in (refitted, searched)]
    assert [comparable(line) for line in lines[0]] == [comparable(line) for line in lines[1]]
    assert refitted.ensemble_.equals(searched.ensemble_)
    n_of_weight = int((refitted.ensemble_["weight"] >= MIN_WEIGHT).sum())
    assert (n_refitted(refitted), n_refitted(searched)) == (n_of_weight, 0)
    assert not np.allclose(refitted.predict_proba(mixed[0]), searched.predict_proba(mixed[0]))


def test_a_model_is_its_configuration_trained_on_all_rows(refitted, mixed):
    run, member = refitted._run, refitted.predictor_.members[0]
    config = proposals(run.lines())[member.key].config
    rows = rows_of(run.dataset, np.arange(len(run.dataset)))
    learner = build_learner(default_graph(), config, run.dataset.info)
    seed = int(np.random.default_rng([run.request.seed, 1, *member.key, 0]).integers(2**31))
    learner.fit(rows, rows, budget=member.key.budget, settings=FitSettings(run.request.max_budget, seed, run.metric))
    assert len(member.learners) == 1
    np.testing.assert_allclose(member.learners[0].predict(rows.table), learner.predict(rows.table), atol=1e-12)


@pytest.mark.parametrize(("changes", "in_full"), [({}, True), ({"max_predict_ms_per_row": 1000.0}, False)])
def test_trees_of_a_small_budget_are_trained_to_the_largest_unless_a_row_may_take_no_longer(
    mixed, tmp_path, changes, in_full
):
    model = fit(mixed, tmp_path / "run", learners=["hist_gradient_boosting"], n_trials=1, **changes)
    run, (member,) = model._run, model.predictor_.members
    assert member.key.budget < run.request.max_budget
    n_rounds = proposals(run.lines())[member.key].config["learner:hist_gradient_boosting:max_iter"]
    written = json.loads((refitted_files(run.files, 0).folder(member.key) / "fold0" / FACTS_FILE).read_text())
    assert (written["n_rounds"] == n_rounds) == in_full


def test_how_much_the_loss_of_the_ensemble_has_fallen_lately(refitted):
    run = refitted._run
    ensemble = RunEnsemble(run)
    updater = EnsembleUpdater(ensemble, ())
    now_s = ensemble.trajectory[-1]["seconds"] + 50.0
    updater(Event(EventKind.EVALUATION_START, now_s))
    assert updater.fall(1.0) == math.inf  # nothing selected yet
    updater.current = ensemble.select(ensemble.library(run.lines()))
    ensemble.trajectory[:] = [{"seconds": now_s - ago_s, "loss": loss} for ago_s, loss in ((30, 4.0), (20, 2.0))]
    loss = updater.current.loss
    assert [updater.fall(seconds) for seconds in (25.0, 20.0, 1.0)] == [
        pytest.approx(1 - loss / 4.0),
        pytest.approx(1 - loss / 2.0),
        pytest.approx(1 - loss / 2.0),
    ]
    assert updater.fall(31.0) == math.inf  # the search is younger


def test_loading_and_saving_keep_the_models(refitted, mixed, tmp_path):
    expected = refitted.predict_proba(mixed[0])
    refitted.save(tmp_path / "model")
    for folder in (refitted._run.directory.path, tmp_path / "model"):
        np.testing.assert_allclose(load(folder).predict_proba(mixed[0]), expected, atol=1e-12)


def test_under_a_limit_on_the_time_of_a_row_one_model_of_all_rows_votes(refitted, mixed):
    run_dir = refitted._run.directory.path
    limited = AutoTabularClassifier.resume(run_dir, n_trials=5, max_predict_ms_per_row=1000.0, verbose=0)
    assert [len(member.learners) for member in limited.predictor_.members] == [1] * len(limited.ensemble_)
    table = refitted._run.dataset.table
    for member in limited.predictor_.members:
        if member.weight >= MIN_WEIGHT:
            (same,) = refitted.predictor_.with_weights({member.key: 1.0}).members
            np.testing.assert_allclose(member.learners[0].predict(table), same.learners[0].predict(table), atol=1e-12)


def test_a_run_that_goes_on_trains_only_new_members_and_keeps_what_was_decided(refitted, mixed):
    files = sorted((refitted._run.directory.files / "refitted").glob("*_*"))
    times = [file.stat().st_mtime_ns for file in files]
    left = files[0].with_name("999_1")
    left.mkdir()
    again = AutoTabularClassifier.resume(refitted._run.directory.path, verbose=0)
    assert [file.stat().st_mtime_ns for file in files] == times
    assert not left.exists(), "its trial is no member any more"
    np.testing.assert_allclose(again.predict_proba(mixed[0]), refitted.predict_proba(mixed[0]), atol=1e-12)


def test_rows_that_somebody_chose_for_validation_are_not_learned_from(mixed, tmp_path):
    X, y = mixed
    model = AutoTabularClassifier(**{**TRIALS, "resampling": "auto", "run_dir": tmp_path / "run"})
    assert n_refitted(model.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])) == 0


def test_few_rows_in_folds_are_left_to_the_models_of_folds_unless_asked_for(mixed, tmp_path):
    assert n_refitted(fit(mixed, tmp_path / "auto", resampling=2)) == 0
    asked = fit(mixed, tmp_path / "asked", resampling=2, refit=True)
    assert n_refitted(asked) >= 1
    assert {len(member.learners) for member in asked.predictor_.members if member.weight >= MIN_WEIGHT} == {1}


def test_many_rows_in_folds_are_learned_from_together_too(tmp_path):
    X, y = make_classification(MIN_ROWS_TO_REFIT_FOLDS, random_state=0)
    model = fit((X, y), tmp_path / "run", n_trials=2, resampling=2)
    assert n_refitted(model) >= 1
    limited = fit((X, y), tmp_path / "limited", n_trials=2, resampling=2, max_predict_ms_per_row=1000.0)
    assert n_refitted(limited) == 0, "members were chosen by what all folds take for a row"


@pytest.fixture(scope="module")
def timed(mixed, tmp_path_factory):
    learners = ["shaped_mlp"]
    run_dir = tmp_path_factory.mktemp("runs") / "timed"
    return fit(mixed, run_dir, n_trials=None, time_limit=10, learners=learners)


def test_within_a_time_limit_members_that_decide_most_are_trained_several_times(timed):
    assert n_refitted(timed) >= 1
    heavy = [member for member in timed.predictor_.members if member.weight >= MIN_WEIGHT_AGAIN]
    n_models = {member.key: len(member.learners) for member in heavy}
    assert 2 <= max(n_models.values()) <= N_TRAININGS  # how many of them end in time is the machine's affair
    light = [member for member in timed.predictor_.members if member.weight < MIN_WEIGHT_AGAIN]
    assert all(len(member.learners) == 1 for member in light)


def test_networks_that_were_trained_several_times_began_differently(timed):
    table = timed._run.dataset.table
    neural = [member for member in timed.predictor_.members if len(member.learners) > 1]
    assert neural
    for member in neural:
        first, second = (learner.predict(table) for learner in member.learners[:2])
        assert not np.allclose(first, second)


def test_a_limit_that_comes_later_leaves_one_of_several(timed, monkeypatch):
    measured, timing = [], EnsemblePredictor.timing

    def spy(predictor, rows):
        measured.extend(len(member.learners) for member in predictor.members)
        return timing(predictor, rows)

    monkeypatch.setattr(EnsemblePredictor, "timing", spy)
    run_dir = timed._run.directory.path
    limited = AutoTabularClassifier.resume(run_dir, time_limit=1, max_predict_ms_per_row=1000.0, verbose=0)
    assert {len(member.learners) for member in limited.predictor_.members} == {1}
    assert set(measured) == {1}, "what was measured is what predicts"
