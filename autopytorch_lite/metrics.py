"""Metrics on stacked predictions: any scikit-learn scorer by name, with fast paths for the common ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import Array, FloatArray, IntArray, Task

ALIASES = {
    "log_loss": "neg_log_loss",
    "cross_entropy": "neg_log_loss",
    "auc": "roc_auc",
    "brier_score": "neg_brier_score",
    "rmse": "neg_root_mean_squared_error",
    "mse": "neg_mean_squared_error",
    "mae": "neg_mean_absolute_error",
}
"""Short names -> scikit-learn's scorer names."""


@dataclass(frozen=True)
class Metric:
    """How predictions are compared with targets.

    Predictions are class probabilities, shape (n_rows, n_classes), for classification (two columns for binary), and
    target values, shape (n_rows, n_targets), for regression. Targets are class codes (n_rows,) or values
    (n_rows, n_targets).

    Attributes:
        name: scikit-learn's scorer name, for example "neg_log_loss" or "roc_auc".
        task: what is predicted.
        n_outputs: classes or regression targets.
    """

    name: str
    task: Task
    n_outputs: int

    @property
    def label(self) -> str:
        """Name without scikit-learn's sign prefix, for people."""
        return self.name.removeprefix("neg_")

    @property
    def higher_is_better(self) -> bool:
        """Direction of `value`; losses are always lower-is-better."""
        return not self.name.startswith("neg_")

    def loss(self, targets: Array, predictions: FloatArray, sample_weight: FloatArray | None = None) -> float:
        """Loss of stacked predictions, lower is better: the error itself, or one minus a score."""
        value = self.value(targets, predictions, sample_weight)
        return 1.0 - value if self.higher_is_better else value

    def value(self, targets: Array, predictions: FloatArray, sample_weight: FloatArray | None = None) -> float:
        """The metric in its own direction (accuracies grow with quality, errors fall); NaN where it is undefined."""
        fast = _FAST.get(self.name)
        if fast is not None:
            return float(fast(np.asarray(targets), np.asarray(predictions), sample_weight))
        return self._value_by_scorer(targets, predictions, sample_weight)

    def _value_by_scorer(self, targets: Array, predictions: FloatArray, sample_weight: FloatArray | None) -> float:
        from sklearn.metrics import get_scorer

        scorer = get_scorer(self.name)
        kwargs = {} if sample_weight is None else {"sample_weight": sample_weight}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an undefined value is told by its NaN
            try:
                score = scorer(_recorded_predictions(self.task, self.n_outputs), predictions, targets, **kwargs)
            except ValueError:  # for example one class only in these rows
                return float("nan")
        return float(score if self.higher_is_better else -score)


def resolve_metric(name: str | None, task: Task, n_outputs: int) -> Metric:
    """The metric of a name for a task.

    Without a name the rule is: log loss for every classification task (a proper scoring rule: it rewards calibrated
    probabilities, and keeps moving where accuracies of small validation sets are tied), root mean squared error for
    regression. On strongly imbalanced classes, where only the predicted label matters, ask for "balanced_accuracy".

    Args:
        name: a scikit-learn scorer name, one of `ALIASES`, or None.
        task: what is predicted.
        n_outputs: classes or regression targets.

    Raises:
        UnknownNameError: no such scorer.
        DataError: the scorer exists but cannot compare predictions of this task.
    """
    from sklearn.metrics import get_scorer_names

    if name is None:
        return Metric("neg_log_loss" if task.is_classification else "neg_root_mean_squared_error", task, n_outputs)
    known = get_scorer_names()
    full_name = ALIASES.get(name, name) if isinstance(name, str) else name
    if full_name not in known:
        raise UnknownNameError("metric", name, [*known, *ALIASES])
    if task is Task.MULTICLASS and full_name == "roc_auc":
        full_name = "roc_auc_ovr"
    metric = Metric(full_name, task, n_outputs)
    _check_fits(metric)
    return metric


def standard_metrics(task: Task, n_outputs: int) -> tuple[Metric, ...]:
    """The metrics recorded for every evaluation, whatever the search optimises."""
    if not task.is_classification:
        names: tuple[str, ...] = ("neg_root_mean_squared_error", "neg_mean_absolute_error", "r2")
    else:
        auc = "roc_auc" if task is Task.BINARY else "roc_auc_ovr"
        names = ("accuracy", "balanced_accuracy", "neg_log_loss", auc)
    return tuple(Metric(name, task, n_outputs) for name in names)


def _check_fits(metric: Metric) -> None:
    """Refuse scorers of the other kind of task by trying them on six made-up rows."""
    scores_values = _is_finite_on_toy(Metric(metric.name, Task.REGRESSION, 1))
    fits = _is_finite_on_toy(metric) and scores_values != metric.task.is_classification
    if not fits:
        kind = f"{metric.task.value} task with {metric.n_outputs} " + (
            "classes" if metric.task.is_classification else "targets"
        )
        raise DataError(f"Metric {metric.name!r} cannot score a {kind}; choose another scikit-learn scorer name.")


def _is_finite_on_toy(metric: Metric) -> bool:
    n_rows = 3 * max(metric.n_outputs, 2)
    rng = np.random.default_rng(0)
    if metric.task.is_classification:
        targets: Array = np.arange(n_rows) % metric.n_outputs
        predictions = rng.dirichlet(np.ones(metric.n_outputs), size=n_rows)
    else:
        targets = rng.uniform(0.5, 1.5, size=(n_rows, metric.n_outputs))
        predictions = rng.uniform(0.5, 1.5, size=(n_rows, metric.n_outputs))
    try:
        return bool(np.isfinite(metric._value_by_scorer(targets, predictions, None)))
    except (AttributeError, TypeError):  # needs probabilities of values, or clusters instead of targets
        return False


def _recorded_predictions(task: Task, n_outputs: int) -> object:
    """An estimator whose "rows" are its predictions, so that scikit-learn's scorers take stored ones."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class RecordedClassifier(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(n_outputs)

        def fit(self, X: Array, y: Array) -> RecordedClassifier:
            return self

        def predict(self, X: FloatArray) -> IntArray:
            return X.argmax(axis=1)

        def predict_proba(self, X: FloatArray) -> FloatArray:
            return X

    class RecordedRegressor(RegressorMixin, BaseEstimator):
        def fit(self, X: Array, y: Array) -> RecordedRegressor:
            return self

        def predict(self, X: FloatArray) -> FloatArray:
            return X

    return RecordedClassifier() if task.is_classification else RecordedRegressor()


def _log_loss(targets: Array, predictions: FloatArray, weight: FloatArray | None) -> float:
    eps = np.finfo(np.float64).eps
    of_truth = predictions[np.arange(len(targets)), targets]
    return float(np.average(-np.log(np.clip(of_truth, eps, 1.0)), weights=weight))


def _accuracy(targets: Array, predictions: FloatArray, weight: FloatArray | None) -> float:
    return float(np.average(predictions.argmax(axis=1) == targets, weights=weight))


def _balanced_accuracy(targets: Array, predictions: FloatArray, weight: FloatArray | None) -> float:
    n_classes = predictions.shape[1]
    hits = (predictions.argmax(axis=1) == targets).astype(float)
    weight = np.ones(len(targets)) if weight is None else weight
    of_class = np.bincount(targets, weights=weight, minlength=n_classes)
    hits_of_class = np.bincount(targets, weights=weight * hits, minlength=n_classes)
    present = of_class > 0
    return float((hits_of_class[present] / of_class[present]).mean())


def _roc_auc(targets: Array, predictions: FloatArray, weight: FloatArray | None) -> float:
    """Share of pairs of one row of each class that are in the right order; ties count half. NaN where undefined."""
    scores, place = np.unique(predictions[:, 1], return_inverse=True)
    if np.isnan(scores[-1]):
        return float("nan")
    weight = np.ones(len(targets)) if weight is None else weight
    positive = np.bincount(place, weights=weight * (targets == 1), minlength=len(scores))
    negative = np.bincount(place, weights=weight * (targets == 0), minlength=len(scores))
    n_pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / n_pairs) if n_pairs > 0 else float("nan")


def _mean_squared_error(targets: Array, predictions: FloatArray, weight: FloatArray | None) -> float:
    return float(np.average(_columns(targets, predictions) ** 2, axis=0, weights=weight).mean())


def _root_mean_squared_error(targets: Array, predictions: FloatArray, weight: FloatArray | None) -> float:
    return float(np.sqrt(np.average(_columns(targets, predictions) ** 2, axis=0, weights=weight)).mean())


def _mean_absolute_error(targets: Array, predictions: FloatArray, weight: FloatArray | None) -> float:
    return float(np.average(np.abs(_columns(targets, predictions)), axis=0, weights=weight).mean())


def _columns(targets: Array, predictions: FloatArray) -> FloatArray:
    """Residuals with one column per target."""
    return targets.reshape(len(targets), -1) - predictions.reshape(len(predictions), -1)


_FAST: dict[str, Callable[[Array, FloatArray, FloatArray | None], float]] = {
    "neg_log_loss": _log_loss,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "roc_auc": _roc_auc,
    "neg_mean_squared_error": _mean_squared_error,
    "neg_root_mean_squared_error": _root_mean_squared_error,
    "neg_mean_absolute_error": _mean_absolute_error,
}
