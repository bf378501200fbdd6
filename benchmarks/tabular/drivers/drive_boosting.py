"""LightGBM and CatBoost with defaults; both take categories as they are."""

from typing import Any

import catboost
import lightgbm
import pandas as pd
from driver_protocol import Fitted, Job, of_estimator, plain_names, serve


def fit(job: Job) -> Fitted:
    """Fit the model that the options name."""
    return {"lightgbm": _fit_lightgbm, "catboost": _fit_catboost}[job.options["model"]](job)


def _fit_lightgbm(job: Job) -> Fitted:
    cls = lightgbm.LGBMClassifier if job.is_classification else lightgbm.LGBMRegressor
    model = cls(n_jobs=job.n_cores, random_state=job.seed, verbose=-1).fit(plain_names(job.X), job.y)
    fitted = of_estimator(model, job)
    return Fitted(lambda X: fitted.predict(plain_names(X)), classes=fitted.classes)


def _fit_catboost(job: Job) -> Fitted:
    cls: Any = catboost.CatBoostClassifier if job.is_classification else catboost.CatBoostRegressor
    categories = job.X.select_dtypes(exclude=["number", "bool"]).columns.tolist()
    model = cls(
        thread_count=job.n_cores,
        random_seed=job.seed,
        cat_features=categories,
        allow_writing_files=False,
        verbose=False,
    )
    fitted = of_estimator(model.fit(_as_text(job.X, categories), job.y), job)
    return Fitted(lambda X: fitted.predict(_as_text(X, categories)), classes=fitted.classes)


def _as_text(X: pd.DataFrame, categories: list[str]) -> pd.DataFrame:
    """Categories as texts: CatBoost refuses missing ones, so that "" stands for them."""
    return X.astype(dict.fromkeys(categories, object)).fillna(dict.fromkeys(categories, ""))


if __name__ == "__main__":
    serve(fit)
