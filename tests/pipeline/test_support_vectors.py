"""Decisions by matrix products are those of scikit-learn's machines."""

import numpy as np
import pytest
from sklearn.svm import SVC, SVR

from autopytorch_lite.pipeline.components import support_vectors
from autopytorch_lite.pipeline.components.support_vectors import _decisions, _distances


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    return rng.normal(size=(120, 4)), rng.normal(size=(57, 4))


@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("cells", [1, 1000, 10**6])
def test_distances_are_the_decision_function(rows, n_classes, cells, monkeypatch):
    monkeypatch.setattr(support_vectors, "KERNEL_CELLS", cells)
    X, unseen = rows
    machine = SVC(C=2.0, gamma=0.3).fit(X, (10 * X[:, 0]).astype(int) % n_classes)
    expected = machine.decision_function(unseen).reshape(len(unseen), -1)
    np.testing.assert_allclose(_distances(machine, unseen), expected, rtol=1e-9, atol=1e-9)


def test_values_are_the_prediction(rows):
    X, unseen = rows
    machine = SVR(C=2.0, gamma=0.3).fit(X, X[:, 0] + 3)
    np.testing.assert_allclose(_decisions(machine, unseen)[:, 0], machine.predict(unseen), rtol=1e-9)


def test_no_support_vectors_at_all_is_the_intercept(rows):
    X, unseen = rows
    machine = SVR(gamma=0.3, epsilon=10.0).fit(X, X[:, 0])
    assert not len(machine.support_vectors_)
    np.testing.assert_allclose(_decisions(machine, unseen)[:, 0], machine.predict(unseen))
