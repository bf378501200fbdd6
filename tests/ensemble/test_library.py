import numpy as np
import pytest

from autopytorch_lite.ensemble.library import Ensemble, Library
from autopytorch_lite.history.trial import Finished, Status, TrialKey
from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Task

LOG_LOSS = Metric("neg_log_loss", Task.BINARY, 2)
TARGETS = np.arange(30) % 2


def predictions_of(key):
    rng = np.random.default_rng(key.config_id)
    p = np.clip(TARGETS * 0.4 + rng.uniform(0.05, 0.55, len(TARGETS)), 0.01, 0.99)
    return np.c_[1 - p, p]


def finished(config_id, budget=5):
    key = TrialKey(config_id, budget)
    return Finished(key=key, loss=LOG_LOSS.loss(TARGETS, predictions_of(key)))


def make_library(n_candidates=50):
    return Library(predictions_of, TARGETS, LOG_LOSS, n_candidates=n_candidates)


def test_no_candidate_no_ensemble():
    assert make_library().build(size=5, seed=0) is None


def test_failures_never_become_candidates():
    library = make_library()
    assert not library.add(Finished(key=TrialKey(0, 5), status=Status.DIVERGED))
    assert len(library) == 0


def test_every_budget_is_a_candidate_of_its_own():
    library = make_library()
    library.extend([finished(1, budget=5), finished(1, budget=15)])
    assert len(library) == 2


def test_only_the_best_are_kept_whatever_the_order_they_came_in():
    lines = [finished(i) for i in range(12)]
    forward, backward = make_library(4), make_library(4)
    forward.extend(lines)
    backward.extend(reversed(lines))
    best = min(lines, key=lambda line: line.loss)
    assert len(forward) == len(backward) == 4
    assert forward.build(size=9, seed=3) == backward.build(size=9, seed=3)
    assert forward.build(size=9, seed=3).best_single == best.key


def test_the_ensemble_survives_json():
    library = make_library()
    library.extend(finished(i) for i in range(6))
    ensemble = library.build(size=10, seed=0)
    assert Ensemble.from_json(ensemble.to_json()) == ensemble
    assert sum(member.weight for member in ensemble.members) == pytest.approx(1)
    assert ensemble.loss <= ensemble.best_single_loss


def test_who_drops_out_is_told_once_and_is_never_needed_again():
    dropped = []
    lines = [finished(i) for i in range(12)]
    library = make_library(4)
    library.on_drop = dropped.append
    library.extend(lines)
    assert len(dropped) == len(set(dropped)) == 8
    later = make_library(4)
    later.extend(lines)
    assert not set(dropped) & {member.key for member in later.build(size=9, seed=0).members}
