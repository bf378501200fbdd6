import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from autopytorch_lite import AutoTabularRegressor, load
from tests.estimator.tables import QUICK


def test_one_target_in_its_own_units():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = AutoTabularRegressor(**QUICK).fit(X[:300], y[:300])
    predictions = model.predict(X[300:])
    assert predictions.shape == (142,)
    assert model.score(X[300:], y[300:]) > 0.2
    assert model.history_["metric:root_mean_squared_error"].between(20, 200).all()


def test_several_targets(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    Y = np.c_[X[:, 0] * 100 + 1000, X[:, 1] - X[:, 2]]
    model = AutoTabularRegressor(**QUICK).fit(X[:150], Y[:150])
    assert model.predict(X[150:]).shape == (50, 2)
    assert model.score(X[150:], Y[150:]) > 0.3
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(X[150:]), model.predict(X[150:]))


def test_networks_alone_learn_a_smooth_function():
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, size=(600, 2))
    y = 50 + 10 * np.sin(3 * X[:, 0]) * X[:, 1]
    model = AutoTabularRegressor(**{**QUICK, "max_budget": 30, "min_budget": 30}, learners="neural").fit(
        X[:500], y[:500]
    )
    assert model.score(X[500:], y[500:]) > 0.7


def test_the_metric_of_the_score_is_the_metric_of_the_search():
    X, y = load_diabetes(return_X_y=True)
    model = AutoTabularRegressor(**{**QUICK, "n_trials": 1}, metric="neg_mean_absolute_error").fit(X, y)
    assert model.score(X, y) == pytest.approx(-np.abs(model.predict(X) - y).mean())
