"""Predictions of validation rows do not flatter the epoch that the same rows chose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopytorch_lite.metrics import Metric
from autopytorch_lite.training.crossfit import N_PARTS, CrossFit, parts_of
from autopytorch_lite.training.stopping import EarlyStopping
from autopytorch_lite.types import Task

AUC = Metric("roc_auc", Task.BINARY, 2)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 1000))
def test_parts_have_every_row_once_and_classes_alike(codes, seed):
    targets = np.array(codes)
    parts = parts_of(targets, seed)
    assert len(parts) == N_PARTS
    assert sorted(np.concatenate(parts)) == list(range(len(targets)))
    counts = np.array([np.bincount(targets[part], minlength=5) for part in parts])
    assert np.ptp(counts.sum(axis=1)) <= 1
    assert np.ptp(counts, axis=0).max() <= 2


def test_parts_of_values_are_alike_in_the_first_target():
    targets = np.random.default_rng(0).exponential(size=(400, 2))
    means = [targets[part, 0].mean() for part in parts_of(targets, 0)]
    assert means == pytest.approx([targets[:, 0].mean()] * N_PARTS, rel=0.1)


def told(epochs, parts, score):
    """What is left of epochs' predictions, scored by a function of predictions and positions."""
    crossfit = CrossFit()
    for predictions in epochs:

        def score_at(rows, predictions=predictions):
            return score(predictions[rows], rows)

        crossfit.tell(predictions, parts, score_at, score_at(np.arange(len(predictions))))
    return crossfit


def test_each_part_is_predicted_by_the_epoch_that_is_best_on_the_others():
    parts = [np.array([number]) for number in range(N_PARTS)]
    epochs = [np.full((N_PARTS, 1), 3.0), np.array([[1.0], [1.0], [1.0], [1.0], [10.0]]), np.full((N_PARTS, 1), 4.0)]
    crossfit = told(epochs, parts, lambda predictions, rows: float(predictions.mean()))
    assert crossfit.best == [3.0, 3.0, 3.0, 3.0, 1.0]
    assert crossfit.predictions.ravel().tolist() == [3.0, 3.0, 3.0, 3.0, 10.0]  # of epoch 1, and 2


def test_where_the_others_have_no_score_all_rows_choose():
    targets = np.array([0, 0, 0, 0, 1])
    parts = [np.array([number]) for number in range(N_PARTS)]
    bad, good = np.array([0.9, 0.8, 0.7, 0.6, 0.1]), np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    epochs = [np.column_stack([1 - p, p]) for p in (bad, good)]
    crossfit = told(epochs, parts, lambda predictions, rows: AUC.loss(targets[rows], predictions))
    assert crossfit.predictions[:, 1].tolist() == good.tolist()


def test_the_best_of_many_noisy_epochs_is_told_for_what_it_is():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, size=200)
    epochs = [np.column_stack([1 - p, p]) for p in rng.random((100, 200))]
    crossfit = told(epochs, parts_of(targets, 0), lambda predictions, rows: AUC.loss(targets[rows], predictions))
    assert min(AUC.loss(targets, predictions) for predictions in epochs) < 0.42
    assert 0.45 < AUC.loss(targets, crossfit.predictions) < 0.6


def test_a_training_that_chooses_its_epoch_has_them_and_one_that_does_not_has_none(table, make_trainer):
    record = make_trainer(early_stopping=EarlyStopping(patience=3)).fit(*table, 5)
    assert record.val_predictions.shape == (30, 3)
    assert record.val_predictions.sum(axis=1) == pytest.approx(np.ones(30))
    assert make_trainer().fit(*table, 5).val_predictions is None


def test_they_are_of_epochs_that_were_trained(table, make_trainer):
    trainer, epochs = make_trainer(early_stopping=EarlyStopping(patience=30)), []
    for n_epochs in range(1, 11):
        record = trainer.fit(*table, n_epochs)
        outputs = trainer.network.eval()(table[1].dense, table[1].codes)
        epochs.append(outputs.double().softmax(dim=1).detach().numpy())
    for part in parts_of(table[1].targets.numpy(), trainer.seed):
        of_epochs = [np.allclose(record.val_predictions[part], epoch[part], atol=1e-6) for epoch in epochs]
        assert sum(of_epochs) == 1
