"""Our estimators, whole or with one part taken away or replaced."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from driver_protocol import Fitted, Job, of_estimator, serve

from autopytorch_lite import AutoTabularClassifier, AutoTabularRegressor
from autopytorch_lite.run import TableRun
from autopytorch_lite.search.bohb import BOHB
from autopytorch_lite.search.random_search import RandomSearch


def fit(job: Job) -> Fitted:
    """Search within the limits; `searcher` in the options replaces the estimators' own."""
    options = dict(job.options)
    searcher = options.pop("searcher", None)
    run_dir = Path(options.pop("run_dir", job.folder / "run"))
    cls = AutoTabularClassifier if job.is_classification else AutoTabularRegressor
    estimator = cls(
        time_limit=job.time_limit_s,
        n_trials=job.n_trials,
        n_jobs=job.n_cores,
        metric=job.metric,
        run_dir=run_dir,
        random_state=job.seed,
        verbose=0,
        **options,
    )
    with _searching_with(searcher):
        estimator.fit(job.X, job.y)
    return of_estimator(estimator, job, **_facts(estimator, run_dir))


def _searching_with(searcher: str | None) -> AbstractContextManager[Any]:
    """Within it, runs are searched by another searcher."""
    return nullcontext() if searcher is None else patch.object(TableRun, "searcher", _SEARCHERS[searcher])


def _bohb(run: TableRun, costs: Any) -> BOHB:
    """BOHB over the same rungs, which has no use for seconds."""
    asked = run.request
    return BOHB(
        run.space,
        min_budget=asked.min_budget,
        max_budget=asked.max_budget,
        eta=asked.eta,
        portfolio=asked.portfolio,
        seed=asked.seed,
    )


def _random(run: TableRun, costs: Any) -> RandomSearch:
    """Random search, every configuration at the largest budget."""
    asked = run.request
    return RandomSearch(run.space, max_budget=asked.max_budget, portfolio=asked.portfolio, seed=asked.seed)


_SEARCHERS: dict[str, Callable[[TableRun, Any], Any]] = {"bohb": _bohb, "random": _random}


def _facts(estimator: Any, run_dir: Path) -> dict[str, Any]:
    """Counts of evaluations by status and by origin, members, and the ensemble's validation loss over time."""
    history = estimator.history_
    trajectory = json.loads((run_dir / "ensemble.json").read_text(encoding="utf-8"))["trajectory"]
    return {
        "evaluations": history["status"].value_counts().to_dict(),
        "origins": history["origin"].value_counts().to_dict(),
        "n_members": len(estimator.ensemble_),
        "trajectory": [[point["seconds"], point["loss"]] for point in trajectory],
    }


if __name__ == "__main__":
    serve(fit)
