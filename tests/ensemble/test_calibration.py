"""What corrects an ensemble's probabilities: found where it is known, and harmless where rows say little."""

import numpy as np
import pytest
from scipy.special import softmax

from autopytorch_lite.ensemble.calibration import UNCHANGED, Calibration, calibration_of
from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Task

LOG_LOSS = Metric("neg_log_loss", Task.MULTICLASS, 3)
ROC_AUC = Metric("roc_auc", Task.BINARY, 2)


def draw(n_rows, truth, seed=0, n_classes=3):
    """Probabilities, and labels drawn from what these are after the calibration `truth`."""
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(scale=2, size=(n_rows, n_classes)), axis=1)
    labels = (truth(probabilities).cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)
    return labels, probabilities


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.4])
def test_many_rows_tell_the_temperature(temperature):
    found = calibration_of(LOG_LOSS, *draw(20_000, Calibration(temperature)))
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.shift == 0


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_where_only_the_order_counts_two_classes_have_a_shift_too(name):
    truth = Calibration(0.6, 1.2)
    labels, probabilities = draw(20_000, truth, n_classes=2)
    metric = Metric(name, Task.BINARY, 2)
    found = calibration_of(metric, labels, probabilities)
    assert (found.temperature, found.shift) == pytest.approx((0.6, 1.2), rel=0.06)
    np.testing.assert_allclose(found(probabilities), truth(probabilities), atol=0.02)
    assert metric.loss(labels, found(probabilities)) == pytest.approx(metric.loss(labels, probabilities), abs=1e-9)
    log_odds = np.log(probabilities[:, 1] / probabilities[:, 0])
    np.testing.assert_allclose(truth(probabilities)[:, 1], 1 / (1 + np.exp(-log_odds / 0.6 - 1.2)))


def test_what_a_metric_sees_of_it():
    assert Calibration(0.5).changes("neg_log_loss")
    assert not Calibration(0.5, 1.0).changes("roc_auc")
    assert not UNCHANGED.changes("neg_log_loss")


def test_it_improves_other_rows():
    found = calibration_of(LOG_LOSS, *draw(2000, Calibration(0.6)))
    labels, probabilities = draw(5000, Calibration(0.6), seed=1)
    assert LOG_LOSS.loss(labels, found(probabilities)) < LOG_LOSS.loss(labels, probabilities)


def test_rows_without_a_mistake_do_not_make_it_certain():
    labels = np.arange(300) % 3
    probabilities = np.eye(3)[labels] * 0.97 + 0.01
    assert 0.5 < calibration_of(LOG_LOSS, labels, probabilities).temperature < 1  # the rows alone: 0
    assert 0.2 < calibration_of(LOG_LOSS, labels, probabilities, n_folds=5).temperature < 0.6, "all folds will vote"
    of_two = calibration_of(ROC_AUC, labels % 2, np.eye(2)[labels % 2] * 0.98 + 0.01)
    assert 0.3 < of_two.temperature < 1 and abs(of_two.shift) < 0.1


def test_rows_of_one_class_do_not_make_it_certain():
    found = calibration_of(ROC_AUC, np.zeros(50, dtype=int), np.full((50, 2), 0.5))
    assert -3 < found.shift < -0.5  # the rows alone: minus infinity


def test_weights_count_as_repetitions_in_proportion():
    labels, probabilities = draw(400, Calibration(0.8))
    weights = np.random.default_rng(2).integers(0, 3, 400)
    repeated = np.repeat(np.arange(400), weights)
    whole = calibration_of(LOG_LOSS, labels[repeated], probabilities[repeated])
    # as many rows as there are, whatever the unit of the weights
    found = calibration_of(LOG_LOSS, labels, probabilities, weights * 7.0)
    assert found.temperature == pytest.approx(whole.temperature, rel=0.02)


@pytest.mark.parametrize("name", ["roc_auc_ovr", "accuracy", "balanced_accuracy"])
def test_other_metrics_leave_probabilities_alone(name):
    labels, probabilities = draw(500, Calibration(0.5))
    found = calibration_of(Metric(name, Task.MULTICLASS, 3), labels, probabilities)
    assert found == UNCHANGED
    assert found(probabilities) is probabilities


def test_certain_probabilities_stay_finite():
    certain = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert np.isfinite(Calibration(0.7, 0.5)(certain)).all()
    for metric in (Metric("neg_log_loss", Task.BINARY, 2), ROC_AUC):
        found = calibration_of(metric, [0, 1], np.array([[1.0, 0], [1.0, 0]]))
        assert np.isfinite([found.temperature, found.shift]).all()
