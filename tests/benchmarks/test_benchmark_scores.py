from __future__ import annotations

import math

import numpy as np
import pytest

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Task
from benchmarks.scores import classification_scores, error_rate, loss_of, metric_of, regression_scores


def test_binary_scores() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    scores = classification_scores(["a", "a", "b", "b"], probabilities, np.array(["a", "b"]))
    assert scores["accuracy"] == 0.75
    assert scores["balanced_accuracy"] == 0.75
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean())
    assert scores["roc_auc"] == 1.0
    assert error_rate(scores) == 0.25


def test_columns_follow_the_labels_they_belong_to() -> None:
    probabilities = np.array([[0.1, 0.9], [0.6, 0.4]])
    swapped = classification_scores(["a", "b"], probabilities, np.array(["b", "a"]))
    assert swapped["accuracy"] == 1.0
    assert swapped["log_loss"] == pytest.approx(-np.log([0.9, 0.6]).mean())


def test_multiclass_auc_is_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 3
    probabilities = rng.dirichlet(np.ones(3), 60)
    by_class = []
    for k in range(3):
        positive, negative = probabilities[truth == k, k], probabilities[truth != k, k]
        by_class.append((positive[:, None] > negative[None, :]).mean())
    assert classification_scores(truth, probabilities, np.arange(3))["roc_auc"] == pytest.approx(np.mean(by_class))


def test_a_class_without_unseen_rows_leaves_auc_open() -> None:
    scores = classification_scores([0, 1], np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]]), np.arange(3))
    assert scores["roc_auc"] is None
    assert scores["accuracy"] == 1.0


def test_a_class_that_was_never_trained_on_counts_as_wrong() -> None:
    scores = classification_scores([0, 1, 2], np.array([[0.8, 0.2], [0.2, 0.8], [0.5, 0.5]]), np.arange(2))
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["log_loss"] is not None
    assert math.isfinite(scores["log_loss"])
    assert scores["log_loss"] > 5


def test_every_task_has_a_metric_and_every_metric_is_a_loss() -> None:
    assert [metric_of(task, "roc_auc") for task in Task] == ["roc_auc", "log_loss", "rmse"]
    assert metric_of(Task.BINARY, "log_loss") == "log_loss"
    assert loss_of({"roc_auc": 0.9}, "roc_auc") == pytest.approx(0.1)
    assert loss_of({"rmse": 3.0}, "rmse") == 3.0
    with pytest.raises(DataError, match="roc_auc is not defined"):
        loss_of({"roc_auc": None}, "roc_auc")


def test_regression_scores() -> None:
    scores = regression_scores([0.0, 2.0, 4.0], np.array([0.0, 2.0, 1.0]))
    assert scores["rmse"] == pytest.approx(math.sqrt(3))
    assert scores["r2"] == pytest.approx(1 - 9 / 8)
    assert error_rate(scores) == pytest.approx(9 / 8)
