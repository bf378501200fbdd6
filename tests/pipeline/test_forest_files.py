from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.pipeline.forest_files import pack_trees, unpack_trees

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype(np.float32)
X[RNG.random(X.shape) < 0.1] = np.nan
Y = np.nan_to_num(X[:, 0]) + X.shape[1] * np.isnan(X[:, 1])


def trees_of(forest: Any, y: Any) -> list[Any]:
    return [estimator.tree_ for estimator in forest.fit(X, y).estimators_]


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_trees_survive_with_missing_values(kind: str) -> None:
    trees = {
        "classes": lambda: trees_of(ExtraTreesClassifier(5, random_state=0), np.digitize(Y, [0, 1])),
        "values": lambda: trees_of(RandomForestRegressor(5, random_state=0), Y),
    }[kind]()
    for tree, restored in zip(trees, unpack_trees(pack_trees(trees), 4), strict=True):
        np.testing.assert_array_equal(restored.predict(X), tree.predict(X))


def test_thresholds_between_two_float32_decide_as_before() -> None:
    """A split between neighbouring numbers has a threshold that float32 cannot hold."""
    low = np.float32(4.0)
    pair = np.array([[low], [np.nextafter(low, np.float32(8))]])
    trees = [RandomForestRegressor(1, bootstrap=False).fit(pair, [0.0, 1.0]).estimators_[0].tree_]
    (restored,) = unpack_trees(pack_trees(trees), 1)
    assert restored.predict(pair).ravel().tolist() == [0.0, 1.0]


FORGERIES = {
    "a child outside of the tree": ("left_child", 10**6),
    "a child that is its own parent": ("right_child", 0),
    "a feature that the table lacks": ("feature", 99),
    "a negative feature": ("feature", -1),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_tree_is_refused_before_compiled_code_follows_it(forgery: str) -> None:
    name, value = FORGERIES[forgery]
    packed = pack_trees(trees_of(RandomForestRegressor(2, random_state=0), Y))
    packed[name]["values"][0] = value
    with pytest.raises(HistoryError, match="lead from its root"):
        unpack_trees(packed, 4)


def test_values_that_do_not_fit_the_leaves_are_refused() -> None:
    packed = pack_trees(trees_of(RandomForestRegressor(1, random_state=0), Y))
    packed["value"] = {"lengths": np.array([3]), "values": np.zeros((3, 1))}
    with pytest.raises(HistoryError, match="values for its"):
        unpack_trees(packed, 4)
