"""Which models vote where all of them would take long."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopytorch_lite.ensemble.library import Member
from autopytorch_lite.ensemble.predictor import EnsemblePredictor, FittedMember
from autopytorch_lite.ensemble.thinning import (
    LATE_S,
    MAX_GROWTH,
    MAX_GROWTH_OF_FOLDS,
    MAX_LOSS,
    MIN_MEMBERS,
    SOON_AFTER_FOLDS_S,
    SOON_S,
    choose_voters,
    worthwhile,
)
from autopytorch_lite.history.trial import TrialKey


def predictor_of(weights, n_models=5):
    members = (FittedMember(TrialKey(i, 9), weight, (None,) * n_models) for i, weight in enumerate(weights))
    return EnsemblePredictor(None, None, tuple(members))


def _voters(predictor, seconds):
    of_member = {member.key: s for member, s in zip(predictor.members, seconds, strict=True)}
    return choose_voters(predictor, of_member)


def numbers(predictor, seconds):
    """How many models of each member vote."""
    voters = _voters(predictor, seconds)
    return [len(voters.get(member.key, member.learners)) for member in predictor.members]


def test_a_quick_ensemble_keeps_all_models():
    assert _voters(predictor_of([0.9, 0.1]), [SOON_S / 10] * 2) == {}


def test_light_members_lose_their_models_first():
    assert numbers(predictor_of([0.8, 0.15, 0.05]), [LATE_S / 16] * 3) == [3, 1, 1]


def test_more_are_left_out_where_more_variance_is_allowed():
    predictor = predictor_of([0.5, 0.5])
    seconds = {member.key: LATE_S / 10 for member in predictor.members}
    n_left = [
        sum(map(len, choose_voters(predictor, seconds, max_growth=growth).values()))
        for growth in (MAX_GROWTH, MAX_GROWTH_OF_FOLDS)
    ]
    assert n_left == [6, 4]


def test_a_late_ensemble_loses_models_whatever_that_adds_to_the_variance():
    equal = predictor_of([0.5, 0.5], n_models=3)
    assert numbers(equal, [LATE_S / 4, LATE_S / 4]) == [2, 2]
    assert sorted(numbers(equal, [LATE_S / 3.5, LATE_S / 3.5])) == [1, 2]
    assert numbers(equal, [2 * LATE_S, 2 * LATE_S]) == [1, 1]


def test_of_equal_members_the_slower_ones_do():
    assert numbers(predictor_of([0.5, 0.5]), [SOON_S / 50, SOON_S / 5]) == [5, 4]


def test_no_more_are_left_out_than_it_takes():
    assert sum(numbers(predictor_of([0.98, 0.02]), [SOON_S / 9, SOON_S / 9])) == 9


some_seconds = st.floats(0, 5) | st.floats(0, 0.1)
weights_and_seconds = st.lists(st.tuples(st.integers(1, 50), some_seconds), min_size=1, max_size=12)


@given(weights_and_seconds, st.integers(2, 6))
def test_the_variance_stays_close_to_that_of_all_models_unless_they_are_late(members, n_models):
    total = sum(count for count, _ in members)
    weights, seconds = [count / total for count, _ in members], [s for _, s in members]
    left = numbers(predictor_of(weights, n_models), seconds)
    assert min(left) >= 1
    if n_models * sum(seconds) <= LATE_S:
        variance = sum(weight**2 / n for weight, n in zip(weights, left, strict=True))
        assert variance <= (1 + MAX_GROWTH) * sum(weight**2 / n_models for weight in weights) * (1 + 1e-9)
    elif sum(s * n for s, n in zip(seconds, left, strict=True)) > LATE_S:
        assert max(left) == 1


@pytest.mark.parametrize("n_folds", [2, 5])
def test_every_fold_is_heard_about_as_often(n_folds):
    predictor = predictor_of([0.75] + [0.025] * 10, n_models=n_folds)
    voters = _voters(predictor, [1.0] * 11)
    n_votes = Counter(fold for folds in voters.values() for fold in folds)
    assert sum(n_votes.values()) < n_folds * len(voters)
    assert max(n_votes.values()) - min(n_votes[fold] for fold in range(n_folds)) <= 1


def _worthwhile(worths, seconds, loss=1.0, n_folds=1):
    """Numbers of the members left, where each that is left out adds its worth to the loss."""
    members = [Member(TrialKey(i, 9), 1 / len(worths)) for i in range(len(worths))]
    worth_of = {member.key: worth for member, worth in zip(members, worths, strict=True)}

    def loss_of(some):
        return loss + sum(worth_of.values()) - sum(worth_of[member.key] for member in some)

    left = worthwhile(
        members, {member.key: s for member, s in zip(members, seconds, strict=True)}, loss_of, n_folds=n_folds
    )
    assert sum(member.weight for member in left) == pytest.approx(1)
    return [member.key.config_id for member in left]


def test_members_that_hardly_lower_the_loss_are_left_out_until_it_is_soon():
    worths = [0.1, 0.1, 0.1, MAX_LOSS / 5, MAX_LOSS / 4]
    assert _worthwhile(worths, [SOON_S / 3] * 5) == [0, 1, 2]
    assert _worthwhile(worths, [SOON_S / 4.5] * 5) == [0, 1, 2, 4]
    assert _worthwhile(worths, [SOON_S / 6] * 5) == [0, 1, 2, 3, 4]


def test_after_cross_validation_it_is_soon_for_longer():
    worths = [0.1, 0.1, 0.1, MAX_LOSS / 5, MAX_LOSS / 4]
    assert _worthwhile(worths, [SOON_S / 3] * 5, n_folds=5) == [0, 1, 2, 3, 4]
    assert _worthwhile(worths, [SOON_AFTER_FOLDS_S / 4.5] * 5, n_folds=5) == [0, 1, 2, 4]


def test_what_takes_most_time_for_its_worth_goes_first():
    assert _worthwhile([0.1, 0.1, 0.1, MAX_LOSS / 3, MAX_LOSS / 2], [0, 0, 0, SOON_S / 3, SOON_S]) == [0, 1, 2, 3]


def test_the_loss_hardly_grows():
    assert _worthwhile([MAX_LOSS * 0.6] * 5, [SOON_S] * 5) == [1, 2, 3, 4]
    assert _worthwhile([MAX_LOSS * 0.6] * 5, [SOON_S] * 5, loss=-1.0) == [1, 2, 3, 4], "a score, the lower the better"


def test_a_few_members_stay_even_if_they_are_worth_nothing():
    assert len(_worthwhile([0.0] * 5, [SOON_S] * 5)) == MIN_MEMBERS
