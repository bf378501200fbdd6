import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error

from autopytorch_lite.errors import DataError
from autopytorch_lite.report.holdout import score_rows, split_rows
from autopytorch_lite.types import Task

X = pd.DataFrame({"a": np.arange(103), "b": [f"t{i}" for i in range(103)]})
Y = pd.Series(["x"] * 80 + ["y"] * 20 + ["z"] * 2 + ["alone"])


def test_every_class_keeps_its_share_and_no_row_is_lost_or_doubled():
    split = split_rows(X, Y, 0.25, stratify=True, seed=3)
    assert split.held_y.value_counts().to_dict() == {"x": 20, "y": 5}
    assert "alone" in set(split.y)
    assert sorted([*split.X["a"], *split.held_X["a"]]) == list(range(103))
    assert (Y[split.held_X["a"]].to_numpy() == split.held_y.to_numpy()).all()


def test_the_seed_decides_which_rows_and_the_fingerprint_tells():
    splits = [split_rows(X, Y, 0.2, stratify=True, seed=seed) for seed in (1, 1, 2)]
    assert splits[0].fingerprint == splits[1].fingerprint != splits[2].fingerprint
    changed = X.assign(a=X["a"].where(X.index != splits[0].held_X.index[0], -1))
    assert split_rows(changed, Y, 0.2, stratify=True, seed=1).fingerprint != splits[0].fingerprint


def test_numbers_are_split_without_classes():
    split = split_rows(X, pd.Series(np.linspace(0, 1, 103)), 0.1, stratify=False, seed=0)
    assert (len(split.X), len(split.held_X)) == (93, 10)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1e-6])
def test_a_share_that_leaves_no_rows_is_refused(fraction: float):
    with pytest.raises(DataError):
        split_rows(X, Y, fraction, stratify=True, seed=0)


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    targets, predictions = rng.integers(0, 3, 90), rng.dirichlet(np.ones(3), 90)
    scores = score_rows(Task.MULTICLASS, targets, predictions)
    assert scores["accuracy"] == pytest.approx(accuracy_score(targets, predictions.argmax(1)))
    assert scores["neg_log_loss"] == pytest.approx(log_loss(targets, predictions))
    values = rng.normal(size=(90, 1))
    assert score_rows(Task.REGRESSION, values, values + 1)["neg_root_mean_squared_error"] == pytest.approx(
        root_mean_squared_error(values, values + 1)
    )


def test_a_score_that_is_undefined_is_left_out():
    assert "roc_auc" not in score_rows(Task.BINARY, np.zeros(5, dtype=int), np.full((5, 2), 0.5))
