"""The objective of an estimator: what it keeps of a trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.data.dataset import make_dataset
from autopytorch_lite.execution.base import Checkpoint
from autopytorch_lite.execution.tabular import TabularObjective, fold_folder, rows_of, validation_rows
from autopytorch_lite.history.files import VALIDATION_PREDICTIONS
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import default_graph, load_learner
from tests.contracts.check_component import config_of

GRAPH = default_graph()
QUICK = {"learner:__choice__": "neural", "optimizer:adam:learning_rate": 0.1, "batching:minibatch:batch_size": 16}
CHOOSES = {"early_stopping:__choice__": "patience", "early_stopping:patience:patience": 20}


@pytest.mark.parametrize(("edits", "chooses"), [(CHOOSES, True), ({"early_stopping:__choice__": "none"}, False)])
def test_validation_predictions_are_of_epochs_that_the_same_rows_did_not_choose(
    tmp_path: Path, edits: dict[str, object], chooses: bool
) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] + rng.normal(size=240) > 0
    dataset = make_dataset(X, y, kind="classification", resampling=3, seed=0)
    dataset.save(tmp_path / "data")
    metric = resolve_metric(None, dataset.info.task, dataset.info.n_outputs)
    objective = TabularObjective(str(tmp_path / "data"), "one", GRAPH, metric, seed=0, max_budget=12)
    config = config_of(GRAPH, dataset.info, QUICK | edits)
    (tmp_path / "trial").mkdir()
    result = objective(config, 12, Checkpoint(tmp_path / "trial", None, 0, ()))
    stored = np.load(tmp_path / "trial" / VALIDATION_PREDICTIONS)
    assert result.loss == pytest.approx(metric.loss(np.asarray(dataset.y[validation_rows(dataset)]), stored))
    models = [load_learner(fold_folder(tmp_path / "trial", fold), GRAPH) for fold in range(3)]
    kept = [
        model.predict(rows_of(dataset, fold.val_idx).table) for model, fold in zip(models, dataset.folds, strict=True)
    ]
    of_models = metric.loss(np.asarray(dataset.y[validation_rows(dataset)]), np.concatenate(kept))
    if chooses:
        assert of_models < result.loss
    else:
        assert of_models == pytest.approx(result.loss, rel=1e-5)
