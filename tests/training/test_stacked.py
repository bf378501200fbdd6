"""A stack must do to every network what its trainer would do alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from autopytorch_lite.networks.backbones import ShapedMLP
from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training import losses, optimizers, schedules
from autopytorch_lite.training.evaluation import class_probabilities, evaluation_outputs
from autopytorch_lite.training.loop import CURVES, Trainer, TrainingPlan
from autopytorch_lite.training.regularization import Mixup
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.training.stackable import obstacle
from autopytorch_lite.training.stacked import StackedTrainer
from autopytorch_lite.training.stacked_batches import Segment, segments_of
from autopytorch_lite.training.stopping import EarlyStopping

N_EPOCHS = 5
MEMBERS = ((16, 16, 0.5), (24, 20, 0.0), (40, 16, 0.9), (17, 33, 0.2), (20, 200, 0.3))
"""(units, rows of a batch, dropout): other widths, numbers of steps, and a batch larger than the table."""
OPTIMIZERS = {
    "sgd": optimizers.sgd(0.05, 0.01, 0.9),
    "plain sgd": optimizers.sgd(0.05, 0.0, 0.0),
    "adam": optimizers.adam(0.01, 0.01),
    "adamw": optimizers.adamw(0.01, 0.1),
}


def make_rows(regression=False, weighted=False):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 6))
    codes = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    return TensorRows.from_arrays(X, None, X[:, :3] ** 2 if regression else codes, X[:, 0] ** 2 if weighted else None)


def make_trainer(seed, units, batch_size, dropout, *, layers=3, regression=False, device="cpu", **plan):
    with seeded_rng(seed):
        backbone = ShapedMLP(6, 3, num_layers=layers, max_units=units, max_dropout=dropout)
        network = TabularNetwork(None, backbone, LinearHead(backbone.n_features, 3))
    of_classes = (losses.cross_entropy, losses.ClassWeightedCrossEntropy([20, 50, 30]))[seed % 2]
    plan = {
        "optimizer": OPTIMIZERS["sgd"],
        "loss": losses.squared_error if regression else of_classes,
        "schedule": schedules.cosine_annealing() if seed % 2 else schedules.step(2),
        "batch_size": batch_size,
        "max_epochs": 10,
    } | plan
    return Trainer(
        network, TrainingPlan(**plan), score=lambda *_: 0.0, predict=class_probabilities, seed=seed, device=device
    )  # the score is not looked at


def make_trainers(**options):
    return [make_trainer(seed, *member, **options) for seed, member in enumerate(MEMBERS)]


def fit_stacked(trainers, rows, n_epochs, **options):
    stack = StackedTrainer(trainers, rows, **options)
    for _ in range(n_epochs):
        stack.train_epoch()
        for trainer in stack.trainers:
            trainer.end_epoch(**dict.fromkeys(CURVES, 0.0))
    stack.write_back()
    return stack


def weights_of(trainers):
    return [weight.detach() for trainer in trainers for weight in trainer.network.parameters()]


def assert_same(alone, together, **tolerance):
    for one, other in zip(weights_of(alone), weights_of(together), strict=True):
        torch.testing.assert_close(other, one, **tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_weights_are_those_of_separate_trainings(optimizer, layers):
    rows = make_rows()
    alone, together = (make_trainers(optimizer=OPTIMIZERS[optimizer], layers=layers) for _ in range(2))
    for trainer in alone:
        trainer.fit(rows, rows, N_EPOCHS)
    fit_stacked(together, rows, N_EPOCHS)
    assert_same(alone, together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [{"regression": True}, {"weighted": True}])
def test_regression_and_weighted_rows(kind):
    rows = make_rows(**kind)
    regression = "regression" in kind
    alone, together = make_trainers(regression=regression), make_trainers(regression=regression)
    for trainer in alone:
        trainer.fit(rows, rows, N_EPOCHS)
    stack = fit_stacked(together, rows, N_EPOCHS)
    assert_same(alone, together, rtol=1e-4, atol=1e-5)
    found = stack.losses(stack.outputs(rows.dense))
    by_seed = {trainer.seed: float(loss) for trainer, loss in zip(stack.trainers, found, strict=True)}
    for trainer in alone:
        assert by_seed[trainer.seed] == pytest.approx(trainer.record.curves["train_loss"][-1], rel=1e-3)


def test_outputs_are_those_of_the_networks():
    rows, trainers = make_rows(), make_trainers()
    stack = fit_stacked(trainers, rows, 1)
    outputs = stack.outputs(rows.dense)
    assert outputs.shape == (len(MEMBERS), 3, 100)
    for trainer, found in zip(stack.trainers, outputs, strict=True):
        torch.testing.assert_close(found.T, evaluation_outputs(trainer.network, rows.dense, rows.codes))


def test_last_gradients_are_those_of_the_last_batch():
    rows, member = make_rows(), MEMBERS[2]
    alone = make_trainer(2, *member)
    alone.fit(rows, rows, N_EPOCHS)
    stack = fit_stacked(make_trainers(), rows, N_EPOCHS)
    number = [trainer.seed for trainer in stack.trainers].index(2)
    linears = [module for module in alone.network.modules() if isinstance(module, torch.nn.Linear)]
    for linear, values, real in zip(linears, stack.last_gradients(), stack.real_weights(), strict=True):
        found = values[number][real[number]]
        wanted = torch.cat([linear.weight.grad.T.reshape(-1), linear.bias.grad])
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)
        assert not values[number][~real[number]].any(), "padding has no gradient"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("how", ["stack then stack", "stack then alone", "alone then stack"])
def test_a_checkpoint_is_continued_as_if_nothing_had_happened(tmp_path: Path, optimizer, how):
    rows = make_rows()
    whole, first, second = (make_trainers(optimizer=OPTIMIZERS[optimizer]) for _ in range(3))
    fit_stacked(whole, rows, 6)
    steps = {"stack": lambda trainers, n: fit_stacked(trainers, rows, n - trainers[0].n_epochs),
             "alone": lambda trainers, n: [trainer.fit(rows, rows, n) for trainer in trainers]}  # fmt: skip
    begin, go_on = how.split(" then ")
    steps[begin](first, 2)
    for number, (before, after) in enumerate(zip(first, second, strict=True)):
        before.save_checkpoint(tmp_path / str(number))
        after.load_checkpoint(tmp_path / str(number))
    steps[go_on](second, 6)
    exactly = {"rtol": 0.0, "atol": 0.0} if how == "stack then stack" else {"rtol": 1e-3, "atol": 1e-5}
    assert_same(whole, second, **exactly)


def test_a_network_that_diverges_leaves_the_others_alone():
    rows = make_rows()
    alone, together = make_trainers(), make_trainers()
    for trainer in (alone[1], together[1]):
        trainer.optimizer.param_groups[0]["lr"] = 1e20
        trainer.schedule._base_rates = [1e20]
    stack = fit_stacked(together, rows, 2)
    by_seed = dict(zip((trainer.seed for trainer in stack.trainers), stack.is_finite(), strict=True))
    assert by_seed == {0: True, 1: False, 2: True, 3: True, 4: True}
    alone[0].fit(rows, rows, 2)
    assert_same(alone[:1], together[:1], rtol=1e-4, atol=1e-5)


def test_bfloat16_products_are_close_and_the_setting_is_given_back():
    rows = make_rows()
    exact, rounded = make_trainers(), make_trainers()
    fit_stacked(exact, rows, 1)
    fit_stacked(rounded, rows, 1, precisions=["bfloat16"] * 3)
    assert torch.get_float32_matmul_precision() == "highest"
    assert_same(exact, rounded, rtol=0.2, atol=0.05)


def test_what_a_stack_does_not_know_trains_alone():
    assert obstacle(make_trainer(0, *MEMBERS[0])) is None
    others = {
        "Mixup": {"batch_technique": Mixup(0.5)},
        "stops early": {"early_stopping": EarlyStopping(3)},
        "clips gradients": {"gradient_clip": 1.0},
        "depends on scores": {"schedule": schedules.plateau()},
        "loss": {"loss": losses.huber()},
        "optimiser is RMSprop": {"optimizer": optimizers.rmsprop(0.01)},
    }
    for words, plan in others.items():
        trainer = make_trainer(0, *MEMBERS[0], **plan)
        assert words in (obstacle(trainer) or "")
        with pytest.raises(ValueError, match="seed 0 cannot be stacked"):
            StackedTrainer([trainer], make_rows())


def test_what_differs_in_depth_or_optimiser_is_not_stacked():
    trainers = [make_trainer(0, *MEMBERS[0]), make_trainer(1, *MEMBERS[1], layers=4)]
    with pytest.raises(ValueError, match="must share"):
        StackedTrainer(trainers, make_rows())
    with pytest.raises(ValueError, match="at least one"):
        StackedTrainer([], make_rows())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_stack_on_a_gpu_is_close_to_the_cpu_without_dropout():
    rows, members = make_rows(), [(units, batch_size, 0.0) for units, batch_size, _ in MEMBERS]
    alone = [make_trainer(seed, *member) for seed, member in enumerate(members)]
    together = [make_trainer(seed, *member, device="cuda") for seed, member in enumerate(members)]
    for trainer in alone:
        trainer.fit(rows, rows, 2)
    fit_stacked(together, rows, 2)
    for one, other in zip(weights_of(alone), weights_of(together), strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=1e-2, atol=1e-3)


def test_segments_end_where_a_network_ends_its_epoch():
    assert segments_of([10, 10, 25, 60], 100) == [Segment(0, 1, 4, 60), Segment(1, 4, 3, 25), Segment(4, 10, 2, 10)]
    assert segments_of([16], 100) == [Segment(0, 6, 1, 16)]
