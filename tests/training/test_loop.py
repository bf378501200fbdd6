import numpy as np
import pytest
import torch

from autopytorch_lite.errors import DataError, DivergedError
from autopytorch_lite.networks.backbones import ShapedMLP
from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training import losses, optimizers, schedules
from autopytorch_lite.training.evaluation import evaluation_outputs
from autopytorch_lite.training.loop import CURVES
from autopytorch_lite.training.regularization import Standard
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.training.stopping import EarlyStopping


class Recording:
    """The standard technique, remembering the batches."""

    def __init__(self):
        self.batches = []
        self.draws = []

    def __call__(self, network, batch, row_loss, rng):
        assert network.training
        self.batches.append(batch)
        self.draws.append(torch.rand(1).item())
        return Standard()(network, batch, row_loss, rng)


def linear_network(n_inputs, n_outputs, zero=True):
    network = TabularNetwork(None, ShapedMLP(n_inputs, n_outputs, num_layers=1), LinearHead(n_inputs, n_outputs))
    if zero:
        for weight in network.parameters():
            torch.nn.init.zeros_(weight)
    return network


def weights_of(trainer):
    return torch.cat([weight.detach().flatten() for weight in trainer.network.parameters()])


def test_classification_is_learned(table, make_trainer):
    record = make_trainer(optimizer=optimizers.adam(0.03)).fit(*table, 15)
    assert record.curves["train_loss"][-1] < 0.5 * record.curves["train_loss"][0]
    assert record.curves["val_score"][-1] < record.curves["val_score"][0]


def test_regression_on_two_targets_is_learned(regression_table, make_trainer):
    record = make_trainer(regression=True).fit(*regression_table, 15)
    assert record.curves["val_score"][-1] < 0.3 * record.curves["val_score"][0]


def test_record_has_every_curve_for_every_epoch(table, make_trainer):
    record = make_trainer(schedule=schedules.exponential(0.5)).fit(*table, 4)
    assert record.n_epochs == 4
    assert not record.stopped_early
    assert set(record.curves) == set(CURVES)
    assert all(len(curve) == 4 for curve in record.curves.values())
    assert record.curves["learning_rate"] == pytest.approx([0.01, 0.005, 0.0025, 0.00125])
    assert record.kept_epoch == 4
    assert all(seconds > 0 for seconds in record.curves["seconds"])


def test_recorded_loss_and_score_are_those_of_the_network_in_evaluation_mode(table, network, make_trainer):
    trainer = make_trainer(network(max_dropout=0.5))
    record = trainer.fit(*table, 2)
    outputs = evaluation_outputs(trainer.network, table[1].dense, table[1].codes)
    expected = losses.cross_entropy(outputs, table[1].targets).mean().item()
    assert record.curves["val_loss"][-1] == pytest.approx(expected)
    assert record.curves["val_score"][-1] == pytest.approx(expected, rel=1e-5)  # the score is the log loss


def test_each_epoch_sees_whole_batches_of_different_rows(table, make_trainer):
    technique = Recording()
    make_trainer(batch_technique=technique, batch_size=16).fit(*table, 2)
    assert [len(batch) for batch in technique.batches] == [16] * 6  # 60 rows: the last 12 of an epoch are left out
    epochs = [
        torch.cat([batch.dense[:, 0] for batch in half]) for half in (technique.batches[:3], technique.batches[3:])
    ]
    assert all(len(epoch.unique()) == 48 for epoch in epochs)
    assert not torch.equal(*epochs)


def test_every_step_draws_other_random_numbers(table, make_trainer):
    technique = Recording()
    make_trainer(batch_technique=technique).fit(*table, 3)
    assert len(set(technique.draws)) == len(technique.draws) == 9


def test_a_network_in_evaluation_mode_is_trained_in_training_mode(table, network, make_trainer):
    technique = Recording()  # checks the mode
    make_trainer(network().eval(), batch_technique=technique).fit(*table, 1)
    assert technique.batches


@pytest.mark.parametrize("batch_size", [60, 500])
def test_batch_size_is_capped_at_the_rows(table, make_trainer, batch_size):
    technique = Recording()
    make_trainer(batch_technique=technique, batch_size=batch_size).fit(*table, 1)
    assert [len(batch) for batch in technique.batches] == [60]


@pytest.mark.parametrize(("n_rows", "batch_size"), [(1, 16), (3, 1), (17, 16)])
def test_batch_normalisation_survives_batches_of_one_row(table, network, make_trainer, n_rows, batch_size):
    resnet = network("resnet", num_groups=1, blocks_per_group=1)
    train = table[0].take(torch.arange(n_rows))
    record = make_trainer(resnet, batch_size=batch_size).fit(train, table[1], 2)
    assert np.isfinite(record.curves["val_loss"]).all()


def test_the_seed_decides_everything(table, network, make_trainer):
    def trained(seed):
        trainer = make_trainer(network(max_dropout=0.5), seed=seed)
        trainer.fit(*table, 2)
        return weights_of(trainer)

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_the_global_random_state_is_untouched(table, network, make_trainer):
    torch.manual_seed(0)
    trainer = make_trainer(network(max_dropout=0.5))
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    trainer.fit(*table, 2)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_one_step_is_plain_gradient_descent(make_trainer):
    rows = TensorRows.from_arrays([[1.0], [3.0]], None, np.array([[2.0], [4.0]]))
    trainer = make_trainer(linear_network(1, 1), regression=True, optimizer=optimizers.sgd(0.1, momentum=0.0))
    trainer.fit(rows, rows, 1)
    # gradient of the mean of (w x + b - y)^2 at zero: w: -(2*2*1 + 2*4*3) / 2 = -14, b: -(4 + 8) / 2 = -6
    assert weights_of(trainer).tolist() == pytest.approx([1.4, 0.6])


def test_weights_count_rows_and_their_scale_does_not_matter(make_trainer):
    def trained(weights, repeats):
        x = np.repeat([[1.0], [3.0], [5.0]], repeats, axis=0)
        y = np.repeat([[2.0], [4.0], [0.0]], repeats, axis=0)
        rows = TensorRows.from_arrays(x, None, y, weights)
        trainer = make_trainer(linear_network(1, 1), regression=True, optimizer=optimizers.sgd(0.01))
        record = trainer.fit(rows, rows, 3)
        return weights_of(trainer).tolist(), record.curves["val_loss"]

    weighted, weighted_loss = trained([2.0, 1.0, 0.0], [1, 1, 1])
    repeated, repeated_loss = trained(None, [2, 1, 0])
    scaled, _ = trained([20.0, 10.0, 0.0], [1, 1, 1])
    assert weighted == pytest.approx(repeated, rel=1e-5)
    assert weighted_loss == pytest.approx(repeated_loss, rel=1e-5)
    assert scaled == pytest.approx(weighted, rel=1e-5)


def test_the_score_is_given_the_weights(make_trainer):
    def score(predictions, targets, weights):
        return float(np.average((predictions[:, 0] - targets[:, 0]) ** 2, weights=weights))

    rows = TensorRows.from_arrays([[1.0], [3.0]], None, np.array([[2.0], [4.0]]), [3.0, 1.0])
    plan = {"optimizer": optimizers.sgd(0.0), "score": score}
    record = make_trainer(linear_network(1, 1), regression=True, **plan).fit(rows, rows, 1)
    assert record.curves["val_score"] == pytest.approx([(3 * 4 + 16) / 4])


def test_weights_must_have_a_positive_sum(make_trainer):
    rows = TensorRows.from_arrays([[1.0]], None, np.array([[2.0]]), [0.0])
    with pytest.raises(DataError, match="positive sum"):
        make_trainer(linear_network(1, 1), regression=True).fit(rows, rows, 1)


def test_rows_must_agree_in_length():
    with pytest.raises(DataError, match="same number of rows"):
        TensorRows.from_arrays(np.zeros((3, 2)), None, np.zeros(2))


def test_gradient_clip_bounds_the_step(make_trainer):
    rows = TensorRows.from_arrays([[1000.0]], None, np.array([[1000.0]]))
    trainer = make_trainer(
        linear_network(1, 1), regression=True, optimizer=optimizers.sgd(1.0, momentum=0.0), gradient_clip=0.5
    )
    trainer.fit(rows, rows, 1)
    assert weights_of(trainer).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_divergence_names_the_epoch(regression_table, make_trainer):
    trainer = make_trainer(regression=True, optimizer=optimizers.sgd(1e4))
    with pytest.raises(DivergedError, match=r"epoch \d"):
        trainer.fit(*regression_table, 15)


def test_diverged_outputs_are_never_scored(regression_table, make_trainer):
    """Most metrics refuse NaN with an error of their own, which would hide the cause."""

    def strict(predictions, targets):
        assert np.isfinite(predictions).all()
        return 0.0

    trainer = make_trainer(regression=True, score=strict, optimizer=optimizers.sgd(1e6))
    with pytest.raises(DivergedError):
        trainer.fit(*regression_table, 15)


def test_infinite_weights_are_a_divergence_even_if_the_loss_is_finite(table, make_trainer):
    trainer = make_trainer()
    with torch.no_grad():
        trainer.network.embedding.tables[0].weight[5] = torch.inf
    without_level_4 = [rows.take((rows.codes[:, 0] != 4).nonzero().flatten()) for rows in table]
    with pytest.raises(DivergedError, match="weights must stay finite"):
        trainer.fit(*without_level_4, 1)


def scripted(scores):
    """A score that gives these validation scores one after the other; validation has 30 rows."""
    values = iter(scores)
    return lambda predictions, targets: next(values) if len(targets) == 30 else 0.0


def test_early_stopping_ends_training_and_restores_the_best_weights(table, make_trainer):
    scores = [3.0, 1.0, 2.0, 1.5, 1.0, 0.0]
    stopped = make_trainer(score=scripted(scores), early_stopping=EarlyStopping(patience=3))
    record = stopped.fit(*table, 15)
    assert (record.n_epochs, record.kept_epoch, record.stopped_early) == (5, 2, True)
    reference = make_trainer()
    reference.fit(*table, 2)
    dense, codes = table[1].dense, table[1].codes
    assert torch.equal(stopped.predict_outputs(dense, codes), reference.predict_outputs(dense, codes))
    assert not torch.equal(weights_of(stopped), weights_of(reference))  # the network itself is ready to be continued


def test_without_early_stopping_the_last_weights_predict(table, make_trainer):
    trainer = make_trainer(score=scripted([1.0, 2.0, 3.0]))
    assert trainer.fit(*table, 3).kept_epoch == 3
    dense, codes = table[1].dense, table[1].codes
    assert torch.equal(trainer.predict_outputs(dense, codes), evaluation_outputs(trainer.network, dense, codes))


def test_prediction_network_is_an_independent_copy(table, make_trainer):
    trainer = make_trainer()
    copy = trainer.prediction_network()
    trainer.fit(*table, 1)
    assert not copy.training
    assert not torch.equal(copy.head.weight, trainer.network.head.weight)


def test_large_training_sets_are_scored_on_a_fixed_subset(make_trainer):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2500, 2))
    train, val = (TensorRows.from_arrays(part, None, part[:, :1]) for part in (x, x[:30]))
    lengths, firsts = [], []

    def score(predictions, targets):
        lengths.append(len(targets))
        firsts.append(targets[0, 0])
        return 0.0

    make_trainer(linear_network(2, 1), regression=True, score=score, batch_size=512).fit(train, val, 2)
    assert lengths == [500, 30, 500, 30]
    assert firsts[0] == firsts[2]


def test_a_short_training_is_a_prefix_of_a_long_one(table, make_trainer):
    """So the learning-rate schedule is laid out for max_epochs, not for the budget."""
    short = make_trainer(schedule=schedules.cosine_annealing()).fit(*table, 3)
    long = make_trainer(schedule=schedules.cosine_annealing()).fit(*table, 6)
    assert short.curves["val_score"] == long.curves["val_score"][:3]


def test_bfloat16_trains_close_to_float32(table, make_trainer):
    precise = make_trainer().fit(*table, 10).curves["val_loss"][-1]
    trainer = make_trainer(precision="bfloat16")
    rough = trainer.fit(*table, 10).curves["val_loss"][-1]
    assert rough != precise
    assert rough == pytest.approx(precise, rel=0.1)
    assert all(weight.dtype == torch.float32 for weight in trainer.network.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_close_to_the_cpu_and_continues_exactly(table, network, make_trainer, tmp_path):
    cpu = make_trainer().fit(*table, 5)
    assert make_trainer(device="cuda").fit(*table, 5).curves["val_loss"] == pytest.approx(
        cpu.curves["val_loss"], rel=1e-2
    )
    whole, first, second = (make_trainer(network(max_dropout=0.5), device="cuda") for _ in range(3))
    whole.fit(*table, 6)
    first.fit(*table, 3)
    first.save_checkpoint(tmp_path)
    second.load_checkpoint(tmp_path)
    assert second.fit(*table, 6).curves["val_loss"] == pytest.approx(whole.record.curves["val_loss"], rel=1e-5)
