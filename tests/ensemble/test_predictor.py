"""Predicting with an ensemble: the weighted mean of its models, however the work is shared out."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autopytorch_lite.data.dataset import make_dataset
from autopytorch_lite.ensemble import predictor as predictor_module
from autopytorch_lite.ensemble.calibration import Calibration
from autopytorch_lite.ensemble.predictor import EnsemblePredictor, FittedMember
from autopytorch_lite.execution.tabular import rows_of
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.pipeline.build import build_learner, default_graph, load_learner
from tests.contracts.check_component import FEW_ROUNDS, config_of, settings

GRAPH = default_graph()
LEARNERS = ("neural", "neural", "hist_gradient_boosting", "extra_trees", "linear")
N_FOLDS = 2


def frame_of(n_rows):
    rng = np.random.default_rng(5)
    numbers = rng.normal(size=(n_rows, 2))
    kind = pd.Series(rng.choice(["a", "b", "c"], n_rows)).mask(rng.random(n_rows) < 0.1)
    frame = pd.DataFrame({"x": numbers[:, 0], "kind": kind.astype("category"), "z": numbers[:, 1]})
    return frame, np.where(frame["x"] + (frame["kind"] == "b") > 0, "yes", "no")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """An ensemble of five members with two folds each, saved and loaded."""
    dataset = make_dataset(*frame_of(240), kind="classification", resampling=N_FOLDS, seed=0)
    members = []
    for number, name in enumerate(LEARNERS):
        config = config_of(GRAPH, dataset.info, {**FEW_ROUNDS, "learner:__choice__": name})
        learners = []
        for fold in dataset.folds:
            learner = build_learner(GRAPH, config, dataset.info)
            train, val = rows_of(dataset, fold.train_idx), rows_of(dataset, fold.val_idx)
            learner.fit(train, val, budget=1, settings=settings(dataset.info))
            folder = tmp_path_factory.mktemp("learner")
            learner.save(folder)
            learners.append(load_learner(folder, GRAPH))
        members.append(FittedMember(TrialKey(number, 1), (number + 1) / 15, tuple(learners)))
    return EnsemblePredictor(dataset.schema, dataset.target, tuple(members))


def expected(predictor, X):
    table = predictor.schema.encode(X)
    of_members = [np.mean([learner.predict(table) for learner in m.learners], axis=0) for m in predictor.members]
    return sum(m.weight * of_member for m, of_member in zip(predictor.members, of_members, strict=True))


@pytest.mark.parametrize("n_rows", [1, 7, 50, 2500])
def test_it_is_the_weighted_mean_of_members_and_folds(predictor, monkeypatch, n_rows):
    monkeypatch.setattr(predictor_module, "MAX_ROWS_AT_ONCE", 1000)
    X, _ = frame_of(n_rows)
    predictions = predictor.predict(X)
    np.testing.assert_allclose(predictions, expected(predictor, X), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(predictions.sum(axis=1), 1)


def test_a_row_is_predicted_alone_as_among_others(predictor):
    X, _ = frame_of(1200)
    together = predictor.predict(X)
    alone = np.vstack([predictor.predict(X.iloc[[i]]) for i in range(12)])
    np.testing.assert_allclose(alone, together[:12], rtol=1e-5, atol=1e-7)


def test_equal_preprocessing_is_done_once(predictor, monkeypatch):
    """Both networks learned the same scales of the same folds, and each computed its inputs for itself."""
    from autopytorch_lite.pipeline.preprocessor import TabularPreprocessor

    calls = []
    original = TabularPreprocessor._transformed
    monkeypatch.setattr(TabularPreprocessor, "_transformed", lambda *args: calls.append(1) or original(*args))
    predictor.predict(frame_of(5)[0])
    n_dense = sum(name in ("neural", "linear") for name in LEARNERS)
    assert len(calls) == N_FOLDS * (n_dense - 1)


def test_several_threads_may_predict_at_once(predictor):
    X, _ = frame_of(60)
    straight = predictor.predict(X)
    with ThreadPoolExecutor(4) as threads:
        for predictions in threads.map(lambda _: predictor.predict(X), range(16)):
            np.testing.assert_array_equal(predictions, straight)


def test_timing_names_every_member(predictor):
    X, _ = frame_of(3)
    start = time.perf_counter()
    timing = predictor.timing([X.iloc[[i]] for i in range(3)])
    assert 0.5 <= time.perf_counter() - start < 5
    assert set(timing.member_ms) == set(timing.members) == {member.key for member in predictor.members}
    assert min(timing.members.values()) > 0
    assert len(timing.read_ms) == 3 and min(timing.read_ms) > 0
    assert timing.total == pytest.approx(sum(timing.members.values()) + timing.fixed, rel=1)


def test_weights_can_be_given_anew(predictor):
    X, _ = frame_of(9)
    keys = [predictor.members[2].key, predictor.members[4].key]
    some = predictor.with_weights(dict(zip(keys, (0.25, 0.75), strict=True)))
    assert [member.key for member in some.members] == keys
    np.testing.assert_allclose(some.predict(X), expected(some, X), rtol=1e-5, atol=1e-7)


def test_probabilities_are_as_sure_as_the_temperature_says(predictor):
    X, _ = frame_of(1200)
    surer = replace(predictor, calibration=Calibration(0.5)).predict(X)
    squares = predictor.predict(X) ** 2
    np.testing.assert_allclose(surer, squares / squares.sum(axis=1, keepdims=True), rtol=1e-6)


def test_models_are_timed_one_of_each_member(predictor):
    seconds = predictor.model_seconds(predictor.schema.encode(frame_of(200)[0]))
    assert set(seconds) == {member.key for member in predictor.members}
    assert min(seconds.values()) > 0


def test_members_may_vote_with_some_of_their_models(predictor):
    X, _ = frame_of(9)
    first, second = predictor.members[0], predictor.members[1]
    some = predictor.with_voters({first.key: (1,), second.key: (0,)})
    assert [len(member.learners) for member in some.members] == [1, 1, 2, 2, 2]
    assert some.members[0].learners == first.learners[1:]
    np.testing.assert_allclose(some.predict(X), expected(some, X), rtol=1e-5, atol=1e-7)
