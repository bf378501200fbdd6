"""Walking all trees at once says what scikit-learn says tree by tree."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from autopytorch_lite.pipeline.tree_walk import BoosterWalk

RNG = np.random.default_rng(0)
N_ROWS = 400
NUMBERS = RNG.normal(size=(N_ROWS, 3))
CODES = RNG.choice([0, 1, 3, 4, 7, 90, 200], size=(N_ROWS, 2)).astype(np.float64)  # with gaps: levels nobody has
X = np.column_stack([NUMBERS[:, :2], CODES[:, 0], NUMBERS[:, 2], CODES[:, 1]])
X[RNG.random(X.shape) < 0.1] = np.nan
SIGNAL = np.nan_to_num(X[:, 0]) + np.isin(X[:, 2], [1, 4, 90]) + 0.3 * RNG.normal(size=N_ROWS)
UNSEEN = np.array(
    [[np.nan] * 5, [0, 0, 2, 0, 5], [0, 0, -3, 0, -1], [9, -9, 250, 1e30, 199], [0, 0, 255, 0, -0.0]], dtype=np.float64
)
ROWS = np.vstack([X[:60], UNSEEN])
CATEGORICAL = np.array([False, False, True, False, True])


@pytest.mark.parametrize("categorical", [None, CATEGORICAL, np.zeros(5, dtype=bool)])
@pytest.mark.parametrize("n_classes", [0, 2, 4])
def test_boosters(categorical, n_classes):
    kind = HistGradientBoostingClassifier if n_classes else HistGradientBoostingRegressor
    y = np.digitize(SIGNAL, np.quantile(SIGNAL, np.linspace(0, 1, n_classes + 1)[1:-1])) if n_classes else SIGNAL
    booster = kind(max_iter=12, min_samples_leaf=3, categorical_features=categorical, early_stopping=False).fit(X, y)
    walk = BoosterWalk.of(booster)
    np.testing.assert_allclose(walk.raw_predictions(ROWS), booster._raw_predict(ROWS), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(walk.raw_predictions(ROWS[:1]), walk.raw_predictions(ROWS)[:1])


def test_trees_of_a_single_leaf_are_walked_too():
    booster = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=300, early_stopping=False).fit(X, SIGNAL)
    walk = BoosterWalk.of(booster)
    assert walk.trees.depth == 0
    np.testing.assert_allclose(walk.raw_predictions(ROWS), booster._raw_predict(ROWS))
