"""scikit-learn's own estimator checks, on searches of one quick evaluation."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from autopytorch_lite import AutoTabularClassifier, AutoTabularRegressor

SETTINGS = {
    "n_trials": 1,
    "min_budget": 2,
    "max_budget": 2,
    "n_jobs": 1,
    "random_state": 0,
    "verbose": 0,
    "resampling": 0.3,
    "learners": ["linear"],  # the quickest; the checks are about the estimator
}

_WEIGHTS = "weights and repeated rows draw other validation rows, batches and bins, so the fits are alike but not equal"
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": _WEIGHTS,
    "check_sample_weight_equivalence_on_sparse_data": _WEIGHTS,
}


@pytest.mark.slow
@parametrize_with_checks(
    [AutoTabularClassifier(**SETTINGS), AutoTabularRegressor(**SETTINGS)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)
