"""scikit-learn with defaults: histogram gradient boosting, and a perceptron on scaled and one-hot columns."""

from typing import Any

from driver_protocol import Fitted, Job, of_estimator, serve
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

_NUMBERS = ["number", "bool"]


def fit(job: Job) -> Fitted:
    """Fit the model that the options name."""
    estimator = {"hgb": _boosting, "mlp": _perceptron}[job.options["model"]](job)
    return of_estimator(estimator.fit(job.X, job.y), job)


def _boosting(job: Job) -> Any:
    cls = HistGradientBoostingClassifier if job.is_classification else HistGradientBoostingRegressor
    return cls(categorical_features="from_dtype", random_state=job.seed)


def _perceptron(job: Job) -> Any:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include=_NUMBERS)),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=_NUMBERS)),
    )
    if job.is_classification:
        return make_pipeline(columns, MLPClassifier(random_state=job.seed))
    regressor = TransformedTargetRegressor(MLPRegressor(random_state=job.seed), transformer=StandardScaler())
    return make_pipeline(columns, regressor)


if __name__ == "__main__":
    serve(fit)
