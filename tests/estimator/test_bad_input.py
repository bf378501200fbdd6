"""Each bad input gives one line that names the culprit."""

import numpy as np
import pandas as pd
import pytest

from autopytorch_lite import AutoTabularClassifier, AutoTabularRegressor
from autopytorch_lite.errors import AutoPyTorchLiteError, NothingTrainedError
from tests.estimator.tables import QUICK

FRAME = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40) % 7})
LABELS = np.arange(40) % 2


def with_cell(value):
    frame = FRAME.copy()
    frame.loc[3, "a"] = value
    return frame


CASES = {
    "empty frame": ({}, FRAME.iloc[:0], [], "0 "),
    "no columns": ({}, FRAME[[]], LABELS, "0 feature"),
    "target missing": ({}, FRAME, None, "y"),
    "target of one value": ({}, FRAME, np.ones(40), "one"),
    "missing label": ({}, FRAME, np.where(LABELS == 0, np.nan, 1.0), "missing|NaN"),
    "infinite value": ({}, with_cell(np.inf), LABELS, "'a'"),
    "duplicate column names": ({}, FRAME.set_axis(["a", "a"], axis=1), LABELS, "'a'"),
    "y shorter than X": ({}, FRAME, LABELS[:30], "30"),
    "unknown metric": ({"metric": "acuracy"}, FRAME, LABELS, "'acuracy'.*'accuracy'"),
    "metric of another task": ({"metric": "r2"}, FRAME, LABELS, "'r2'"),
    "unknown hyperparameter": ({"search_space": {"optimizer:sgd:momentun": 0.5}}, FRAME, LABELS, "momentun.*momentum"),
    "unknown choice": ({"search_space": {"optimizer:__choice__": ["sdg"]}}, FRAME, LABELS, "sdg"),
    "unknown search space": ({"search_space": "defualt"}, FRAME, LABELS, "defualt"),
    "unknown portfolio": ({"portfolio": "papers"}, FRAME, LABELS, "papers"),
    "unknown learner": ({"learners": "shaped_mpl"}, FRAME, LABELS, "shaped_mpl.*shaped_mlp"),
    "no limit": ({"time_limit": None, "n_trials": None}, FRAME, LABELS, "time_limit"),
    "negative time": ({"time_limit": -1}, FRAME, LABELS, "time_limit"),
    "refit neither yes nor no": ({"refit": "yes"}, FRAME, LABELS, "refit must be 'auto', True or False, got 'yes'"),
    "no time to predict": ({"max_predict_ms_per_row": 0}, FRAME, LABELS, "max_predict_ms_per_row"),
    "budgets upside down": ({"min_budget": 9}, FRAME, LABELS, "min_budget"),
    "unknown device": ({"device": "gpu"}, FRAME, LABELS, "'gpu'"),
    "unknown column kind": ({"column_kinds": {"zip": "categorical"}}, FRAME, LABELS, "'zip'"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_names_the_culprit(case):
    arguments, X, y, culprit = CASES[case]
    with pytest.raises(ValueError, match=culprit) as caught:
        AutoTabularClassifier(**{**QUICK, **arguments}).fit(X, y)
    assert isinstance(caught.value, AutoPyTorchLiteError)
    assert "\n" not in str(caught.value)


def test_an_infinite_regression_target_is_refused():
    with pytest.raises(ValueError, match="infin"):
        AutoTabularRegressor(**QUICK).fit(FRAME, with_cell(np.inf)["a"])


def test_a_user_configuration_that_does_not_fit_is_refused_by_number_and_name():
    bad = {"learner:__choice__": "neural", "optimizer:adam:learning_rat": 0.1}
    with pytest.raises(ValueError, match="learning_rat"):
        AutoTabularClassifier(**QUICK, portfolio=[bad]).fit(FRAME, LABELS)


def test_when_nothing_could_be_trained_the_error_counts_failures_and_shows_why():
    """Others return a dummy model after hours; the cause was only in a log."""
    with pytest.raises(NothingTrainedError, match=r"timeout|memory") as caught:
        AutoTabularClassifier(**{**QUICK, "n_trials": 2}, memory_limit_mb=0.001).fit(FRAME, LABELS)
    assert "2 of 2 evaluations failed" in str(caught.value)
