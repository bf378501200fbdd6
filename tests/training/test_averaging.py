import pytest
import torch
from torch import nn

from autopytorch_lite.networks.layers import BatchNorm
from autopytorch_lite.training.averaging import WeightAverage
from autopytorch_lite.training.evaluation import evaluation_outputs


def set_weights(network, value):
    for weight in network.parameters():
        nn.init.constant_(weight, value)


def test_a_step_counts_half_after_the_half_life():
    network = nn.Linear(1, 1)
    set_weights(network, 0.0)
    average = WeightAverage(network, half_life_epochs=2.0)
    set_weights(network, 1.0)
    for step in range(20):  # two epochs of ten steps, late in the training
        average.update(network, 10_000 + step, steps_per_epoch=10)
    assert average.network.weight.item() == pytest.approx(0.5)


def test_early_steps_are_forgotten_soon():
    network = nn.Linear(1, 1)
    set_weights(network, 0.0)
    average = WeightAverage(network, half_life_epochs=100.0)
    set_weights(network, 1.0)
    for step in range(1, 21):
        average.update(network, step, steps_per_epoch=10)
    assert average.network.weight.item() > 0.99


def test_buffers_are_the_last_ones():
    network = BatchNorm(2).train()
    average = WeightAverage(network, 1.0)
    network(torch.randn(10, 2) + 5)
    average.update(network, 1, 1)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert not average.network.training


def test_the_average_is_scored_and_predicts(table, make_trainer):
    trainer = make_trainer(average_half_life=2.0)
    plain = make_trainer()
    assert trainer.fit(*table, 5).curves["val_loss"] != plain.fit(*table, 5).curves["val_loss"]
    for mine, theirs in zip(trainer.network.parameters(), plain.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)  # the average does not change the training
    val = table[1]
    outputs = trainer.predict_outputs(val.dense, val.codes)
    assert not torch.equal(outputs, evaluation_outputs(trainer.network, val.dense, val.codes))
    loss = nn.functional.cross_entropy(outputs, val.targets).item()
    assert trainer.record.curves["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
