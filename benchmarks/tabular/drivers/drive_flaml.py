"""FLAML with its default learners, told the metric and the seconds."""

import flaml
from driver_protocol import Fitted, Job, of_estimator, plain_names, serve


def fit(job: Job) -> Fitted:
    """Search for the given seconds."""
    automl = flaml.AutoML()
    automl.fit(
        plain_names(job.X),
        job.y,
        task=job.task,
        metric=job.metric,
        time_budget=job.time_limit_s if job.time_limit_s is not None else -1,
        max_iter=job.n_trials,
        n_jobs=job.n_cores,
        seed=job.seed,
        verbose=0,
        log_file_name="",
    )
    fitted = of_estimator(automl, job)
    facts = {"best": automl.best_estimator, "best_config": automl.best_config}
    return Fitted(lambda X: fitted.predict(plain_names(X)), facts, fitted.classes)


if __name__ == "__main__":
    serve(fit)
