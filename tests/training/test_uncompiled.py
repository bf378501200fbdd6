"""Optimisers must do what torch's do, and leave torch's compiler unloaded."""

import subprocess
import sys

import pytest
import torch
from torch.optim import Optimizer

from autopytorch_lite.training import optimizers
from autopytorch_lite.training.uncompiled import plain_step, without_compiler

FACTORIES = {
    "sgd": optimizers.sgd(0.1, weight_decay=0.01),
    "adam": optimizers.adam(0.1, weight_decay=0.01),
    "adamw": optimizers.adamw(0.1),
    "rmsprop": optimizers.rmsprop(0.1, momentum=0.5),
}
TRAINING = """
import sys
from pathlib import Path
import numpy as np
import torch
from autopytorch_lite.networks.backbones import ShapedMLP
from autopytorch_lite.networks.embeddings import EntityEmbedding
from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training import losses, optimizers, schedules
from autopytorch_lite.training.evaluation import class_probabilities
from autopytorch_lite.training.loop import Trainer, TrainingPlan
from autopytorch_lite.training.rows import TensorRows

rng = np.random.default_rng(0)
rows = TensorRows.from_arrays(rng.normal(size=(40, 3)), np.zeros((40, 1), dtype=int), rng.integers(0, 2, 40))

def trainer():
    features = ShapedMLP(5, 2, max_units=8)
    network = TabularNetwork(EntityEmbedding([2], [2]), features, LinearHead(features.n_features, 2))
    plan = TrainingPlan(
        optimizer=getattr(optimizers, sys.argv[1])(0.01),
        loss=losses.cross_entropy,
        schedule=schedules.plateau(),
        batch_size=10,
        max_epochs=3,
        average_half_life=1.0,
    )
    return Trainer(network, plan, score=lambda p, t: 0.0, predict=class_probabilities, seed=0)

first = trainer()
first.fit(rows, rows, 2)
first.save_checkpoint(Path(sys.argv[2]))
second = trainer()
second.load_checkpoint(Path(sys.argv[2]))
second.fit(rows, rows, 3)
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("name", FACTORIES)
def test_a_training_leaves_the_compiler_unloaded(name, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", TRAINING, name, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split()[-1] == "False"


def make(factory):
    torch.manual_seed(3)
    weights = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(3))]
    with without_compiler():
        return weights, factory(weights)


@pytest.mark.parametrize("name", FACTORIES)
def test_a_plain_step_is_the_step(name):
    (plain, one), (usual, other) = make(FACTORIES[name]), make(FACTORIES[name])
    step = plain_step(one)
    for number in range(3):
        for weight, twin in zip(plain, usual, strict=True):
            weight.grad = torch.full_like(weight, 0.5 - number) * weight.detach()
            twin.grad = weight.grad.clone()
        step()
        other.step()
    assert all(torch.equal(weight, twin) for weight, twin in zip(plain, usual, strict=True))
    assert all(weight.requires_grad for weight in plain)


def test_torch_is_as_before_afterwards():
    method = Optimizer.add_param_group.__wrapped__
    before = dict(vars(method))
    with without_compiler():
        assert set(vars(method)) >= set(before)
    assert vars(method) == before
