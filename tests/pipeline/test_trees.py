import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.pipeline.trees import pack, unpack

RNG = np.random.default_rng(0)
X = np.c_[RNG.integers(0, 5, 200), RNG.normal(size=(200, 3))]
Y = (X[:, 1] + (X[:, 0] == 2) > 0.3).astype(int)


@pytest.fixture
def booster():
    return HistGradientBoostingClassifier(max_iter=4, categorical_features=[0]).fit(X, Y)


def test_a_booster_survives(booster):
    np.testing.assert_array_equal(unpack(pack(booster)).predict_proba(X), booster.predict_proba(X))


FORGERIES = {
    "a child outside of the tree": ("left", 10**6),
    "a child that is its own parent": ("right", 0),
    "a feature that the table lacks": ("feature_idx", 99),
    "a negative feature": ("feature_idx", -1),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_tree_is_refused_before_compiled_code_follows_it(booster, forgery):
    field, value = FORGERIES[forgery]
    packed = pack(booster)
    packed["nodes"]["values"][field][0] = value
    with pytest.raises(HistoryError, match="lead from its root"):
        unpack(packed)


def test_a_category_set_that_does_not_exist_is_refused(booster):
    packed = pack(booster)
    nodes = packed["nodes"]["values"]
    splits = np.flatnonzero((nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 1))
    nodes["bitset_idx"][splits[0]] = 10**6
    with pytest.raises(HistoryError, match="lead from its root"):
        unpack(packed)


def test_other_arrays_are_no_trees(booster):
    packed = pack(booster)
    packed["nodes"]["values"] = np.zeros(packed["nodes"]["lengths"].sum())
    with pytest.raises(HistoryError, match="nodes and category sets"):
        unpack(packed)
