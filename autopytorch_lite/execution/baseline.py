"""The model for a fit that its time limit ended before any evaluation: a few boosted trees on a sample of the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autopytorch_lite.data.dataset import Dataset
from autopytorch_lite.execution.tabular import fold_folder, rows_of
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.metrics import Metric
from autopytorch_lite.pipeline.build import build_learner, default_graph
from autopytorch_lite.pipeline.learner import FitSettings
from autopytorch_lite.types import Config, IntArray

BASELINE_KEY = TrialKey(-1, 1)
"""Not a trial of the search, so not a row of its history."""
MAX_ROWS = 2_000
BASELINE: Config = {
    "learner:__choice__": "hist_gradient_boosting",
    "learner:hist_gradient_boosting:learning_rate": 0.2,
    "learner:hist_gradient_boosting:max_iter": 50,
    "learner:hist_gradient_boosting:max_leaf_nodes": 15,
    "learner:hist_gradient_boosting:min_samples_leaf": 5,
    "learner:hist_gradient_boosting:l2_regularization": 1e-3,
    "learner:hist_gradient_boosting:max_features": 0.5,
}


def fit_baseline(dataset: Dataset, metric: Metric, seed: int, folder: Path) -> float:
    """Fit on at most `MAX_ROWS` training rows of the first fold, save into `folder`; well under a second.

    Returns:
        The loss on as many validation rows.
    """
    rng = np.random.default_rng([seed, 2])
    fold = dataset.folds[0]
    train, val = rows_of(dataset, _sample(fold.train_idx, rng)), rows_of(dataset, _sample(fold.val_idx, rng))
    learner = build_learner(default_graph(), BASELINE, dataset.info)
    learner.fit(train, val, budget=1, settings=FitSettings(1, seed, metric))
    target = fold_folder(folder, 0)
    target.mkdir(parents=True, exist_ok=True)
    learner.save(target)
    return metric.loss(val.y, learner.predict(val.table), val.sample_weight)


def _sample(idx: IntArray, rng: np.random.Generator) -> IntArray:
    return np.sort(rng.choice(idx, size=min(len(idx), MAX_ROWS), replace=False))
