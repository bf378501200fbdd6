import numpy as np
import pytest
from sklearn import metrics as skm

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.metrics import ALIASES, Metric, resolve_metric, standard_metrics
from autopytorch_lite.types import Task

RNG = np.random.default_rng(0)
N = 60
TARGETS = np.arange(N) % 3
PROBABILITIES = RNG.dirichlet(np.ones(3), size=N)
VALUES = RNG.normal(size=(N, 2))
ESTIMATES = VALUES + RNG.normal(size=(N, 2))
WEIGHT = RNG.uniform(0.1, 2, size=N)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("name", ["neg_log_loss", "accuracy", "balanced_accuracy"])
def test_fast_classification_metrics_equal_scikit_learn(name, weight):
    metric = Metric(name, Task.MULTICLASS, 3)
    fast = metric.value(TARGETS, PROBABILITIES, weight)
    assert fast == pytest.approx(metric._value_by_scorer(TARGETS, PROBABILITIES, weight), rel=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("name", ["neg_root_mean_squared_error", "neg_mean_squared_error", "neg_mean_absolute_error"])
def test_fast_regression_metrics_equal_scikit_learn(name, weight):
    metric = Metric(name, Task.REGRESSION, 2)
    fast = metric.value(VALUES, ESTIMATES, weight)
    assert fast == pytest.approx(metric._value_by_scorer(VALUES, ESTIMATES, weight), rel=1e-12)


def test_losses_fall_as_quality_grows_whatever_the_direction_of_the_metric():
    good = np.eye(3)[TARGETS] * 0.8 + 0.2 / 3
    for name in ("accuracy", "roc_auc", "log_loss", "balanced_accuracy", "brier_score", "f1_macro"):
        metric = resolve_metric(name, Task.MULTICLASS, 3)
        assert metric.loss(TARGETS, good) < metric.loss(TARGETS, PROBABILITIES), name


def test_binary_auc_reads_the_second_column_as_the_positive_class():
    targets = np.array([0, 1, 0, 1])
    positive = np.array([0.1, 0.9, 0.4, 0.35])
    metric = resolve_metric("roc_auc", Task.BINARY, 2)
    assert metric.value(targets, np.c_[1 - positive, positive]) == skm.roc_auc_score(targets, positive)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_fast_binary_auc_equals_scikit_learn_with_ties(weight):
    positive = PROBABILITIES[:, 1].round(1)
    metric = Metric("roc_auc", Task.BINARY, 2)
    fast = metric.value(TARGETS % 2, np.c_[1 - positive, positive], weight)
    assert fast == pytest.approx(skm.roc_auc_score(TARGETS % 2, positive, sample_weight=weight), rel=1e-12)


def test_binary_auc_of_what_is_not_a_number_is_not_a_number():
    """Sorted, such a prediction would count as the highest."""
    predictions = np.full((4, 2), 0.5)
    predictions[0] = np.nan
    assert np.isnan(Metric("roc_auc", Task.BINARY, 2).value(np.arange(4) % 2, predictions))


def test_a_metric_that_is_undefined_on_the_rows_is_not_a_number_instead_of_an_exception():
    assert np.isnan(Metric("roc_auc", Task.BINARY, 2).value(np.zeros(5, int), np.full((5, 2), 0.5)))


def test_default_is_log_loss_for_classes_and_rmse_for_numbers():
    assert resolve_metric(None, Task.BINARY, 2).name == "neg_log_loss"
    assert resolve_metric(None, Task.REGRESSION, 1).name == "neg_root_mean_squared_error"


def test_every_short_name_is_a_metric():
    for name in ALIASES:
        task, n_outputs = (Task.REGRESSION, 1) if ALIASES[name].endswith("_error") else (Task.BINARY, 2)
        assert resolve_metric(name, task, n_outputs).name == ALIASES[name]


def test_an_unknown_metric_is_refused_with_the_closest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        resolve_metric("acuracy", Task.BINARY, 2)


@pytest.mark.parametrize(
    ("name", "task"), [("r2", Task.BINARY), ("accuracy", Task.REGRESSION), ("f1", Task.MULTICLASS)]
)
def test_a_metric_of_another_task_is_refused_by_name(name, task):
    with pytest.raises(DataError, match=name):
        resolve_metric(name, task, 3 if task.is_classification else 1)


def test_recorded_metrics_are_defined_for_every_task():
    for task, n_outputs, targets, predictions in (
        (Task.MULTICLASS, 3, TARGETS, PROBABILITIES),
        (Task.REGRESSION, 2, VALUES, ESTIMATES),
    ):
        for metric in standard_metrics(task, n_outputs):
            assert np.isfinite(metric.value(targets, predictions)), metric.name
