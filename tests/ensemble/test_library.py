import numpy as np
import pytest

from autopytorch_lite.ensemble.calibration import UNCHANGED
from autopytorch_lite.ensemble.library import Ensemble, Library
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Task

LOG_LOSS = Metric("neg_log_loss", Task.BINARY, 2)
TARGETS = np.arange(30) % 2


def predictions_of(key):
    rng = np.random.default_rng(key)
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


def with_learner(name, *lines):
    """History lines of configurations of one learner."""
    for line in lines:
        yield Proposed(Proposal(line.key.config_id, {"learner:__choice__": name}, line.key.budget))
        yield line


def test_a_configuration_that_predicts_the_same_at_every_budget_is_a_candidate_once():
    """It used to take a place for each of its budgets."""

    def whatever_the_budget(key):
        return predictions_of(TrialKey(key.config_id, 1))

    loss = LOG_LOSS.loss(TARGETS, whatever_the_budget(TrialKey(3, 1)))
    lines = [Finished(key=TrialKey(3, budget), loss=loss) for budget in (9, 1, 27)]
    dropped = []
    library = Library(whatever_the_budget, TARGETS, LOG_LOSS, on_drop=dropped.append)
    library.extend(lines)
    assert library.ranked() == [TrialKey(3, 1)]
    assert sorted(dropped) == [TrialKey(3, 9), TrialKey(3, 27)]


def test_equal_losses_of_unequal_predictions_stay():
    lines = [Finished(key=TrialKey(3, budget), loss=0.5) for budget in (1, 3)]
    library = make_library()
    library.extend(lines)
    assert len(library) == 2


def test_a_repeated_trial_whose_files_are_gone_is_dropped_again_when_the_history_is_read_again():
    def read(key):
        if key.budget == 9:
            raise HistoryError("gone")
        return predictions_of(key)

    library = Library(read, TARGETS, LOG_LOSS)
    library.extend(Finished(key=TrialKey(3, budget), loss=0.5) for budget in (9, 1))
    assert library.ranked() == [TrialKey(3, 1)]


def test_the_best_of_each_learner_stay_whatever_the_others_do():
    """Fifty variants of the best learner used to crowd out all others."""
    many = sorted((finished(i) for i in range(30)), key=lambda line: line.loss)
    boosted, linear = many[:24], many[24:]
    lines = [*with_learner("lightgbm", *boosted), *with_learner("linear", *linear)]
    forward, backward = make_library(10), make_library(10)
    forward.extend(lines)
    backward.extend([line for line in lines if isinstance(line, Proposed)] + lines[::-1])
    expected = [line.key for line in [*boosted[:7], *linear[:3]]]
    assert forward.ranked() == backward.ranked() == expected
    assert {forward.learner(key) for key in expected} == {"lightgbm", "linear"}


def test_a_learner_can_be_left_out_of_an_ensemble():
    library = make_library()
    lines = [finished(i) for i in range(12)]
    library.extend([*with_learner("lightgbm", *lines[:6]), *with_learner("linear", *lines[6:])])
    ensemble = library.build(size=9, seed=0, without={"lightgbm"})
    assert {library.learner(key) for key, _ in ensemble.members} == {"linear"}


def test_its_loss_is_that_of_the_calibrated_vote():
    library = make_library()
    library.extend(finished(i) for i in range(6))
    ensemble = library.build(size=10, seed=0)
    assert ensemble.calibration.temperature < 1
    assert ensemble.loss == library.loss(ensemble.members, ensemble.calibration) < library.loss(ensemble.members)


def test_an_ensemble_written_before_there_were_calibrations_is_read():
    library = make_library()
    library.extend(finished(i) for i in range(6))
    written = library.build(size=10, seed=0).to_json()
    assert Ensemble.from_json(written).to_json() == written
    for name in ("temperature", "shift"):
        del written[name]
    assert Ensemble.from_json(written).calibration == UNCHANGED


def test_where_one_model_is_never_mistaken_others_have_a_few_votes_for_log_loss_only():
    """A mistake of its own on new rows would cost all that a probability of next to nothing costs."""

    def read(key):
        p = np.clip(TARGETS + 10.0 ** -(5 - key.config_id) * (1 - 2 * TARGETS), 1e-9, 1 - 1e-9)
        return np.c_[1 - p, p]

    lines = [finished(config_id, budget) for config_id in range(4) for budget in (5, 15)]
    for metric, n_members in ((LOG_LOSS, 3), (Metric("roc_auc", Task.BINARY, 2), 1)):
        library = Library(read, TARGETS, metric)
        library.extend(Finished(key=line.key, loss=metric.loss(TARGETS, read(line.key))) for line in lines)
        members = library.build(size=9, seed=0).members
        assert len(members) == n_members
        assert members[0].weight > 0.95
        assert len({key.config_id for key, _ in members}) == n_members


def test_few_rows_share_votes_among_learners_unless_a_single_model_is_asked_for():
    library = make_library()
    for i, name in enumerate(["linear", "extra_trees", "lightgbm"]):
        library.extend(with_learner(name, finished(i), finished(i + 10)))
    ensemble = library.build(size=10, seed=0)
    assert {library.learner(member.key) for member in ensemble.members} == {"linear", "extra_trees", "lightgbm"}
    assert len(library.build(size=1, seed=0).members) == 1
