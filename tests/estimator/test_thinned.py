"""Models that are not worth their time do not vote, neither in the estimator nor in what is read back."""

import json

import numpy as np
import pytest

from autopytorch_lite import AutoTabularClassifier, load, run_ensemble
from autopytorch_lite.ensemble import thinning
from autopytorch_lite.errors import HistoryError
from tests.estimator.tables import QUICK

N_FOLDS = 3
SEARCH = {**QUICK, "learners": ["linear", "extra_trees"], "resampling": N_FOLDS, "n_trials": None, "time_limit": 5}


@pytest.fixture(scope="module")
def thinned(mixed, tmp_path_factory):
    """One model of each member is left: any time is too long, any variance good enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thinning, "SOON_S", 0.0)
        patch.setattr(run_ensemble, "MAX_GROWTH_OF_FOLDS", np.inf)
        folder = tmp_path_factory.mktemp("runs") / "thinned"
        return AutoTabularClassifier(**{**SEARCH, "run_dir": folder}).fit(*mixed)


def entries(folder):
    return json.loads((folder / "ensemble.json").read_text())["members"]


@pytest.mark.parametrize(("resampling", "limit"), [(0.3, "SOON_S"), (3, "SOON_AFTER_FOLDS_S")])
def test_few_members_are_left_where_any_time_is_too_long_and_any_loss_good_enough(
    resampling, limit, mixed, monkeypatch
):
    kept = []

    def worthwhile(members, *arguments, **more):
        kept.append((len(members), thinning.worthwhile(members, *arguments, **more)))
        return kept[-1][1]

    monkeypatch.setattr(thinning, limit, 0.0)
    monkeypatch.setattr(thinning, "MAX_LOSS", 1e9)
    monkeypatch.setattr(run_ensemble, "worthwhile", worthwhile)
    model = AutoTabularClassifier(**{**SEARCH, "resampling": resampling}).fit(*mixed)
    ((n_selected, members),) = kept
    assert len(members) == min(n_selected, thinning.MIN_MEMBERS)
    assert dict(members) == {member.key: member.weight for member in model.predictor_.members}


def test_one_model_of_each_member_votes(thinned):
    assert [len(member.learners) for member in thinned.predictor_.members] == [1] * len(thinned.ensemble_)
    assert all(len(entry["models"]) == 1 for entry in entries(thinned._run.directory.path))


def test_the_run_predicts_as_the_estimator_does(thinned, mixed):
    again = load(thinned._run.directory.path)
    np.testing.assert_array_equal(again.predict_proba(mixed[0]), thinned.predict_proba(mixed[0]))


def test_voters_alone_are_saved(thinned, mixed, tmp_path):
    thinned.save(tmp_path / "model")
    assert len(list(tmp_path.glob("model/files/*/fold*"))) == len(thinned.ensemble_)
    assert not any("models" in entry for entry in entries(tmp_path / "model"))
    saved = load(tmp_path / "model")
    saved.save(tmp_path / "again")
    for model in (saved, load(tmp_path / "again")):
        np.testing.assert_array_equal(model.predict_proba(mixed[0]), thinned.predict_proba(mixed[0]))


def test_models_that_are_named_and_not_there_are_an_error(thinned, tmp_path):
    folder = thinned._run.directory.path
    written = (folder / "ensemble.json").read_text()
    try:
        for wrong in ([], [N_FOLDS], [-1]):
            content = json.loads(written)
            content["members"][0]["models"] = wrong
            (folder / "ensemble.json").write_text(json.dumps(content))
            with pytest.raises(HistoryError, match="is missing"):
                load(folder)
    finally:
        (folder / "ensemble.json").write_text(written)


@pytest.mark.parametrize("changes", [{"n_trials": 2, "time_limit": None}, {"max_predict_ms_per_row": 1000}])
def test_runs_to_be_repeated_or_under_a_limit_keep_all(mixed, monkeypatch, tmp_path, changes):
    monkeypatch.setattr(thinning, "SOON_S", 0.0)
    model = AutoTabularClassifier(**{**SEARCH, "run_dir": tmp_path / "run", **changes}).fit(*mixed)
    assert all(len(member.learners) == N_FOLDS for member in model.predictor_.members)
