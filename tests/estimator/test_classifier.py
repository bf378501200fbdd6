import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from autopytorch_lite import AutoTabularClassifier, load
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.stopping import TimeLimit
from tests.estimator.tables import QUICK, make_mixed_frame


@pytest.fixture(scope="module")
def fitted(mixed, tmp_path_factory):
    X, y = mixed
    return AutoTabularClassifier(**QUICK, run_dir=tmp_path_factory.mktemp("runs") / "mixed").fit(X, y)


def test_it_learns_from_a_frame_of_everything(fitted):
    X, signal = make_mixed_frame(seed=1)
    truth = np.where(signal > 0, "yes", "no")
    assert fitted.score(X, truth) > 0.75
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (len(X), 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[probabilities.argmax(axis=1)])


def test_leaderboard_ensemble_and_history_tell_the_same_story(fitted):
    board, members, history = fitted.leaderboard(), fitted.ensemble_, fitted.history_
    assert len(board) == len(history) == 4
    assert members["weight"].sum() == pytest.approx(1)
    voting = board[board["weight"] > 0]
    assert {*zip(members["config_id"], members["budget"], strict=True)} == {
        *zip(voting["config_id"], voting["budget"], strict=True)
    }
    assert (history["status"] == "ok").all()
    assert all(len(curve) >= 1 for curve in history["curve"])


def test_rules_at_prediction(fitted):
    X, _ = make_mixed_frame(n_rows=20, seed=2)
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(fitted.predict_proba(X[X.columns[::-1]]), expected)
    np.testing.assert_array_equal(fitted.predict_proba(X.assign(extra="unknown")), expected)
    unseen = X.assign(category="never seen")
    assert np.isfinite(fitted.predict_proba(unseen)).all()
    with pytest.raises(ValueError, match="'integer'"):
        fitted.predict(X.drop(columns="integer"))


def test_saved_model_predicts_the_same_elsewhere_and_holds_no_pickle(fitted, tmp_path):
    X, _ = make_mixed_frame(n_rows=30, seed=3)
    fitted.save(tmp_path / "model")
    moved = (tmp_path / "model").rename(tmp_path / "moved")
    X.to_pickle(tmp_path / "X.pkl")
    code = (
        "import sys, numpy as np, pandas as pd; from autopytorch_lite import load;"
        "np.save(sys.argv[3], load(sys.argv[1]).predict_proba(pd.read_pickle(sys.argv[2])))"
    )
    arguments = [moved, tmp_path / "X.pkl", tmp_path / "p.npy"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), fitted.predict_proba(X))
    files = [path for path in moved.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".joblib")]
    assert not [path for path in files if path.read_bytes()[:2] in (b"\x80\x04", b"\x80\x05", b"\x80\x02")]
    assert len(load(moved).leaderboard()) == len(fitted.leaderboard())


def test_a_planted_pickle_is_never_run(fitted, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    folder = fitted.save(tmp_path / "model")
    bomb = pickle.dumps(Bomb())
    for path in folder.rglob("*"):
        if path.suffix in (".skops", ".npy", ".safetensors"):
            (path.parent / f"{path.name}.pkl").write_bytes(bomb)
            path.write_bytes(bomb)
    with pytest.raises(Exception):  # noqa: B017 (whatever the format's own reader says)
        load(folder).predict(make_mixed_frame(5)[0])
    assert not (tmp_path / "exploded").exists()


def test_a_run_directory_loads_like_a_saved_model(fitted):
    X, _ = make_mixed_frame(n_rows=10, seed=4)
    np.testing.assert_array_equal(load(fitted.run_dir).predict_proba(X), fitted.predict_proba(X))


def test_a_run_without_its_ensemble_file_still_loads(fitted, tmp_path):
    import shutil

    folder = shutil.copytree(fitted.run_dir, tmp_path / "interrupted")
    (folder / "ensemble.json").unlink()
    X, _ = make_mixed_frame(n_rows=10, seed=4)
    np.testing.assert_array_equal(load(folder).predict_proba(X), fitted.predict_proba(X))


def test_report_is_one_page(fitted, tmp_path):
    page = fitted.report(tmp_path / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert 'src="http' not in page


def test_pickled_estimator_predicts_the_same(fitted):
    X, _ = make_mixed_frame(n_rows=10, seed=5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), fitted.predict_proba(X))


def test_a_finished_run_goes_on_where_it_stopped(mixed, tmp_path):
    X, y = mixed
    straight = AutoTabularClassifier(**{**QUICK, "n_trials": 6}, run_dir=tmp_path / "straight").fit(X, y)
    in_steps = AutoTabularClassifier(**QUICK, run_dir=tmp_path / "steps").fit(X, y)
    first = in_steps.history_
    in_steps.refit_more(n_trials=5)
    resumed = AutoTabularClassifier.resume(tmp_path / "steps", n_trials=6)
    columns = ["config_id", "budget", "loss", "status", "origin"]
    assert resumed.history_[columns].equals(straight.history_[columns])
    assert resumed.history_[columns].head(4).equals(first[columns])
    np.testing.assert_array_equal(resumed.predict_proba(X), straight.predict_proba(X))


def test_fit_on_its_own_run_directory_continues_and_refuses_other_data(fitted, mixed):
    X, y = mixed
    again = AutoTabularClassifier(**QUICK, run_dir=fitted.run_dir).fit(X, y)
    assert len(again.history_) == len(fitted.history_)
    with pytest.raises(HistoryError, match="another data set"):
        AutoTabularClassifier(**QUICK, run_dir=fitted.run_dir).fit(X[::-1], y)
    with pytest.raises(HistoryError, match="max_budget"):
        AutoTabularClassifier(**{**QUICK, "max_budget": 4}, run_dir=fitted.run_dir).fit(X, y)


def test_learners_are_chosen_by_family_or_name(mixed):
    X, y = mixed
    for learners, expected in (("neural", {"neural"}), (["hist_gradient_boosting"], {"hist_gradient_boosting"})):
        model = AutoTabularClassifier(**{**QUICK, "n_trials": 2}, learners=learners).fit(X, y)
        assert set(model.history_["config:learner:__choice__"]) == expected
    model = AutoTabularClassifier(**{**QUICK, "n_trials": 2}, learners=["shaped_resnet"]).fit(X, y)
    assert set(model.history_["config:backbone:__choice__"]) == {"shaped_resnet"}


def test_weights_groups_and_a_validation_set_of_ones_own():
    X, y = load_digits(return_X_y=True)
    weight = np.where(y < 5, 1.0, 0.0)
    model = AutoTabularClassifier(**QUICK).fit(X[:600], y[:600], sample_weight=weight[:600], groups=np.arange(600) // 3)
    assert np.isfinite(model.predict_proba(X[600:700])).all()
    model = AutoTabularClassifier(**QUICK).fit(X[:600], y[:600], X_val=X[600:800], y_val=y[600:800])
    stored = model.history_["config_id"]
    assert len(stored) == 4
    assert model.score(X[800:1200], y[800:1200]) > 0.5


def test_scikit_learn_tools_take_it(mixed):
    X, y = mixed
    model = AutoTabularClassifier(**{**QUICK, "n_trials": 1}, metric="roc_auc")
    assert is_classifier(model)
    assert clone(model).get_params() == model.get_params()
    scores = cross_val_score(make_pipeline(model), X, y, cv=2, scoring="roc_auc")
    assert (scores > 0.7).all()


def test_it_is_silent_and_leaves_the_process_as_it_was(mixed, capfd):
    import logging
    import random
    import warnings

    import torch

    X, y = mixed
    numpy_state = np.random.get_state
    before = (numpy_state()[1].copy(), random.getstate(), torch.random.get_rng_state(), warnings.filters[:])
    level, handlers = logging.getLogger().level, logging.getLogger().handlers[:]
    AutoTabularClassifier(**{**QUICK, "n_trials": 2}).fit(X, y).predict(X)
    assert capfd.readouterr() == ("", "")
    np.testing.assert_array_equal(numpy_state()[1], before[0])
    assert random.getstate() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])
    assert warnings.filters[:] == before[3]
    assert (logging.getLogger().level, logging.getLogger().handlers[:]) == (level, handlers)


def test_the_run_directory_says_what_was_asked(fitted):
    from pathlib import Path

    run = json.loads((Path(fitted.run_dir) / "run.json").read_text())
    assert run["arguments"]["max_budget"] == 3
    assert run["dataset"]["classes"] == ["no", "yes"]
    assert (Path(fitted.run_dir) / "DONE").exists()


def test_a_limit_too_short_for_any_evaluation_gives_a_baseline_and_says_so(mixed, tmp_path):
    X, y = mixed
    # A limit that has passed before the first proposal, on any machine; a warm worker may finish one in 0.1 seconds.
    model = AutoTabularClassifier(**QUICK, stop=TimeLimit(0), run_dir=tmp_path / "run")
    with pytest.warns(UserWarning, match="small baseline"):
        model.fit(X, y)
    assert model.score(X, y) > 0.7
    assert len(model.leaderboard()) == 0
    np.testing.assert_array_equal(load(tmp_path / "run").predict_proba(X), model.predict_proba(X))
    model.set_params(stop=None).refit_more(n_trials=2)
    assert (model.history_["status"] == "ok").any()


def test_interrupting_a_fit_keeps_what_has_finished(mixed, tmp_path):
    """Ctrl-C after the second evaluation: a usable model, and a run that is not marked as done."""
    X, y = mixed
    seen = []

    def interrupt(event):
        seen.append(event.kind)
        if event.kind == "evaluation_end" and seen.count("evaluation_end") == 2:
            raise KeyboardInterrupt

    model = AutoTabularClassifier(**QUICK, run_dir=tmp_path / "run", callbacks=(interrupt,)).fit(X, y)
    assert (model.history_["status"] == "ok").sum() == 2
    assert not (tmp_path / "run" / "DONE").exists()
    assert AutoTabularClassifier.resume(tmp_path / "run").score(X, y) > 0.7
    assert (tmp_path / "run" / "DONE").exists()


def test_a_run_killed_while_it_stored_its_data_is_begun_again(mixed, tmp_path):
    X, y = mixed
    AutoTabularClassifier(**{**QUICK, "n_trials": 1}, run_dir=tmp_path).fit(X, y)
    for name in ("data/schema.json", "history.jsonl", "space.json", "ensemble.json", "DONE"):
        (tmp_path / name).unlink()
    with pytest.raises(HistoryError, match="start it again"):
        AutoTabularClassifier.resume(tmp_path)
    assert len(AutoTabularClassifier(**{**QUICK, "n_trials": 2}, run_dir=tmp_path).fit(X, y).history_) == 2


def test_column_kinds_are_shown(mixed, capfd):
    X, y = mixed
    AutoTabularClassifier(**{**QUICK, "n_trials": 1, "verbose": 2}, column_kinds={"integer": "categorical"}).fit(X, y)
    shown = capfd.readouterr().err
    assert "columns: 4 categorical, 2 numeric, 1 datetime; 5 folds" in shown
    assert "Left out: column 'empty'" in shown
    assert any("when" in line and "datetime" in line for line in shown.splitlines())


def test_the_last_ensemble_told_is_the_one_returned(mixed):
    """Progress used to end with an older ensemble's loss, worse than that of the best single model."""
    X, y = mixed
    events = []
    model = AutoTabularClassifier(**QUICK, callbacks=(events.append,)).fit(X, y)
    assert events[-1].kind == "end"
    told = [event.facts["loss"] for event in events if event.kind == "ensemble"][-1]
    assert told == pytest.approx(model._ensemble.loss)
    assert told <= model.history_["loss"].min() + 1e-12
