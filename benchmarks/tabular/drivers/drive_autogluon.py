"""AutoGluon with a preset, or with its networks only."""

from typing import Any

import pandas as pd
from autogluon.tabular import TabularPredictor
from driver_protocol import Fitted, Job, serve

_METRICS = {"roc_auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}
_LABEL = "__target__"


def fit(job: Job) -> Fitted:
    """Fit within the given seconds."""
    predictor = TabularPredictor(
        label=_LABEL,
        problem_type=job.task,
        eval_metric=_METRICS[job.metric],
        path=str(job.folder / "autogluon"),
        verbosity=1,
    )
    options = {name: job.options[name] for name in ("presets", "hyperparameters") if name in job.options}
    predictor.fit(
        job.X.assign(**{_LABEL: job.y}), time_limit=job.time_limit_s, num_cpus=job.n_cores, num_gpus=0, **options
    )

    def predict(X: pd.DataFrame) -> Any:
        if not job.is_classification:
            return predictor.predict(X)
        return predictor.predict_proba(X).reindex(columns=range(job.n_classes), fill_value=0.0)

    return Fitted(predict, {"best": predictor.model_best, "models": predictor.model_names()})


if __name__ == "__main__":
    serve(fit)
