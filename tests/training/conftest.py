import numpy as np
import pytest
import torch

from autopytorch_lite.networks.backbones import ShapedMLP, ShapedResNet
from autopytorch_lite.networks.embeddings import EntityEmbedding
from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training import losses, optimizers
from autopytorch_lite.training.evaluation import class_probabilities, target_values
from autopytorch_lite.training.loop import Trainer, TrainingPlan
from autopytorch_lite.training.rows import TensorRows

N_CLASSES = 3


@pytest.fixture(scope="session")
def table():
    """Rows of 4 numbers and 2 category columns; the class depends on both. (train, val)"""
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(90, 4))
    codes = rng.integers(-1, 5, size=(90, 2))
    targets = (dense[:, 0] + codes[:, 0] > 2).astype(int) + (dense[:, 1] > 0)
    rows = TensorRows.from_arrays(dense, codes, targets)
    return rows.take(torch.arange(60)), rows.take(torch.arange(60, 90))


@pytest.fixture(scope="session")
def regression_table(table):
    def as_regression(rows):
        targets = torch.stack([rows.dense[:, 0], rows.dense[:, 1] * 2], dim=1)
        return TensorRows(rows.dense, rows.codes, targets)

    return tuple(as_regression(rows) for rows in table)


def build_network(backbone="mlp", n_outputs=N_CLASSES, **options):
    with seeded_rng(11):
        embedding = EntityEmbedding([5, 5], [2, 3])
        kinds = {"mlp": ShapedMLP, "resnet": ShapedResNet}
        features = kinds[backbone](4 + embedding.n_features, n_outputs, max_units=16, **options)
        return TabularNetwork(embedding, features, LinearHead(features.n_features, n_outputs))


def log_loss(predictions, targets):
    return float(-np.log(np.clip(predictions[np.arange(len(targets)), targets], 1e-15, None)).mean())


def mean_squared_error(predictions, targets, weights=None):
    return float(np.average(((predictions - targets) ** 2).mean(axis=1), weights=weights))


@pytest.fixture(scope="session")
def network():
    """Builds small networks; the same arguments give the same weights."""
    return build_network


@pytest.fixture(scope="session")
def make_trainer():
    """Builds trainers; keyword arguments of the plan by name, others by `network`, `seed`, `regression`."""

    def make(network=None, seed=3, regression=False, score=None, precision="float32", device="cpu", **plan):
        plan.setdefault("optimizer", optimizers.adam(0.01))
        plan.setdefault("loss", losses.squared_error if regression else losses.cross_entropy)
        plan.setdefault("batch_size", 16)
        plan.setdefault("max_epochs", 15)
        return Trainer(
            network or build_network(n_outputs=2 if regression else N_CLASSES),
            TrainingPlan(**plan),
            score=score or (mean_squared_error if regression else log_loss),
            predict=target_values if regression else class_probabilities,
            seed=seed,
            device=device,
            precision=precision,
        )

    return make
