"""One temperature for an ensemble's probabilities: found where it is known, and harmless where rows say little."""

import numpy as np
import pytest
from scipy.special import softmax

from autopytorch_lite.ensemble.calibration import sharpened, temperature_of
from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Task

LOG_LOSS = Metric("neg_log_loss", Task.MULTICLASS, 3)


def draw(n_rows, true_temperature, seed=0):
    """Probabilities, and labels drawn from what these are at another temperature."""
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(scale=2, size=(n_rows, 3)), axis=1)
    truth = sharpened(probabilities, true_temperature)
    labels = (truth.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)
    return labels, probabilities


@pytest.mark.parametrize("true_temperature", [0.7, 1.0, 1.4])
def test_many_rows_tell_the_temperature(true_temperature):
    labels, probabilities = draw(20_000, true_temperature)
    assert temperature_of(LOG_LOSS, labels, probabilities) == pytest.approx(true_temperature, rel=0.05)


def test_it_improves_other_rows():
    temperature = temperature_of(LOG_LOSS, *draw(2000, 0.6))
    labels, probabilities = draw(5000, 0.6, seed=1)
    assert LOG_LOSS.loss(labels, sharpened(probabilities, temperature)) < LOG_LOSS.loss(labels, probabilities)


def test_rows_without_a_mistake_do_not_make_it_certain():
    labels = np.arange(300) % 3
    probabilities = np.eye(3)[labels] * 0.97 + 0.01
    assert 0.5 < temperature_of(LOG_LOSS, labels, probabilities) < 1  # the rows alone: 0


def test_weights_count_as_repetitions_in_proportion():
    labels, probabilities = draw(400, 0.8)
    weights = np.random.default_rng(2).integers(0, 3, 400)
    repeated = np.repeat(np.arange(400), weights)
    whole = temperature_of(LOG_LOSS, labels[repeated], probabilities[repeated])
    # as many rows as there are, whatever the unit of the weights
    assert temperature_of(LOG_LOSS, labels, probabilities, weights * 7.0) == pytest.approx(whole, rel=0.02)


@pytest.mark.parametrize("name", ["roc_auc", "accuracy"])
def test_other_metrics_leave_probabilities_alone(name):
    labels, probabilities = draw(500, 0.5)
    assert temperature_of(Metric(name, Task.MULTICLASS, 3), labels, probabilities) == 1


def test_certain_probabilities_stay_finite():
    assert np.isfinite(sharpened(np.array([[1.0, 0.0], [0.5, 0.5]]), 0.7)).all()
    assert np.isfinite(temperature_of(Metric("neg_log_loss", Task.BINARY, 2), [0, 1], np.array([[1.0, 0], [1.0, 0]])))
