"""Tuned defaults of Holzmueller et al. (2024) and TabM (Gorishniy et al., 2025) through pytabkit.

All hold 20 % of the rows back to stop on, as their authors do.
"""

from typing import Any

import pytabkit
from driver_protocol import Fitted, Job, of_estimator, serve
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

_METRICS = {"roc_auc": "1-auc_ovr", "log_loss": "cross_entropy", "rmse": "rmse"}
_NUMBERS = ["number", "bool"]


def fit(job: Job) -> Fitted:
    """Fit the model that the options name, on the CPU."""
    name = job.options["model"]
    kind = "Classifier" if job.is_classification else "Regressor"
    options: dict[str, Any] = {"val_metric_name": _METRICS[job.metric]}
    if name == "RealMLP_TD" and job.is_classification:
        options["use_ls"] = False  # label smoothing off: what the authors advise for probabilities
    model = getattr(pytabkit, f"{name}_{kind}")(
        device="cpu", n_threads=job.n_cores, random_state=job.seed, val_fraction=0.2, **options
    )
    if name in ("RealMLP_TD", "TabM_D"):
        model = make_pipeline(_imputation(), model)
    return of_estimator(model.fit(job.X, job.y), job)


def _imputation() -> Any:
    """Missing numbers as means, which the networks leave to their callers; everything else stays."""
    numbers = (SimpleImputer(keep_empty_features=True), make_column_selector(dtype_include=_NUMBERS))
    columns = make_column_transformer(numbers, remainder="passthrough", verbose_feature_names_out=False)
    return columns.set_output(transform="pandas")


if __name__ == "__main__":
    serve(fit)
