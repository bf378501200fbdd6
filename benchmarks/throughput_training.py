"""Speed of training by width and batch size: epochs per second, and the share of the processor's product peak.

python -m benchmarks.throughput_training --widths 64,256,1024 --batches 32,256
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from autopytorch_lite.errors import MissingExtraError, UnknownNameError
from autopytorch_lite.networks.backbones import ShapedMLP
from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training import losses, optimizers
from autopytorch_lite.training.device import products_in
from autopytorch_lite.training.evaluation import class_probabilities
from autopytorch_lite.training.loop import CURVES, Trainer, TrainingPlan
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.training.stackable import Perceptron
from autopytorch_lite.training.stacked import StackedTrainer
from lcbench.generation.batches import one_thread

N_INPUTS, N_CLASSES, N_LAYERS, DROPOUT = 20, 2, 4, 0.2
PEAK_SIZE = 1024

Epoch = Callable[[], Any]
"""Trains one epoch of some networks."""


def make_rows(n_rows: int) -> TensorRows:
    """Random rows of two classes; speed does not depend on what they hold."""
    rng = np.random.default_rng(0)
    return TensorRows.from_arrays(rng.normal(size=(n_rows, N_INPUTS)), None, rng.integers(N_CLASSES, size=n_rows))


def make_trainer(width: int, batch_size: int, seed: int) -> Trainer:
    """A funnel with dropout under SGD with momentum, as the configurations of LCBench are."""
    with seeded_rng(seed):
        backbone = ShapedMLP(N_INPUTS, N_CLASSES, num_layers=N_LAYERS, max_units=width, max_dropout=DROPOUT)
        network = TabularNetwork(None, backbone, LinearHead(backbone.n_features, N_CLASSES))
    plan = TrainingPlan(
        optimizer=optimizers.sgd(0.01, 1e-4, 0.9), loss=losses.cross_entropy, batch_size=batch_size, max_epochs=1000
    )
    return Trainer(network, plan, score=lambda *_: 0.0, predict=class_probabilities, seed=seed)


def stacked(n_networks: int, precision: str) -> Callable[[TensorRows, int, int], Epoch]:
    """Our stack of `n_networks` networks."""

    def build(rows: TensorRows, width: int, batch_size: int) -> Epoch:
        stack = StackedTrainer(
            [make_trainer(width, batch_size, seed) for seed in range(n_networks)],
            rows,
            precisions=[precision] * N_LAYERS,
        )
        values = dict.fromkeys(CURVES, 0.0)

        def epoch() -> None:
            stack.train_epoch()
            for trainer in stack.trainers:
                trainer.end_epoch(**values)

        return epoch

    return build


def one_by_one(rows: TensorRows, width: int, batch_size: int) -> Epoch:
    """Our trainer of any network, with its evaluation of at most 2,000 training rows."""
    trainer = make_trainer(width, batch_size, 0)
    one_row = rows.take(torch.arange(1))
    return lambda: trainer.fit(rows, one_row, trainer.n_epochs + 1)


def plain_torch(rows: TensorRows, width: int, batch_size: int) -> Epoch:
    """A loop over batches of tensors in memory, autograd, torch's layers and optimiser."""
    network = torch_network(width)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss = nn.CrossEntropyLoss()

    def epoch() -> None:
        for index in torch.randperm(len(rows))[: len(rows) // batch_size * batch_size].split(batch_size):
            optimizer.zero_grad()
            loss(network(rows.dense[index]), rows.targets[index]).backward()
            optimizer.step()

    return epoch


def torch_network(width: int) -> nn.Sequential:
    """The same network of torch's own layers."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths_of(width)):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers[:-2])


def skorch_net(rows: TensorRows, width: int, batch_size: int) -> Epoch:
    """skorch's NeuralNetClassifier on arrays, without validation and printing."""
    if importlib.util.find_spec("skorch") is None:
        raise MissingExtraError("skorch", "benchmarks", "Measuring skorch")
    from skorch import NeuralNetClassifier

    net = NeuralNetClassifier(
        torch_network(width),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.01,
        optimizer__momentum=0.9,
        optimizer__weight_decay=1e-4,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        max_epochs=1,
    ).initialize()
    X, y = rows.dense.numpy(), rows.targets.numpy()
    return lambda: net.partial_fit(X, y)


def sklearn_mlp(rows: TensorRows, width: int, batch_size: int) -> Epoch:
    """scikit-learn's MLPClassifier; it has no dropout."""
    from sklearn.neural_network import MLPClassifier

    mlp = MLPClassifier(
        tuple(widths_of(width)[1:-1]), solver="sgd", batch_size=batch_size, learning_rate_init=0.01, alpha=1e-4
    )
    X, y = rows.dense.numpy(), rows.targets.numpy()
    return lambda: mlp.partial_fit(X, y, classes=range(N_CLASSES))


def widths_of(width: int) -> tuple[int, ...]:
    """Units of all layers of the measured network."""
    perceptron = Perceptron.of(make_trainer(width, 1, 0).network)
    assert perceptron is not None
    return perceptron.widths


SYSTEMS: dict[str, tuple[int, Callable[[TensorRows, int, int], Epoch]]] = {
    "stack of 1": (1, stacked(1, "float32")),
    "stack of 1 bfloat16": (1, stacked(1, "bfloat16")),
    "stack of 16": (16, stacked(16, "float32")),
    "stack of 16 bfloat16": (16, stacked(16, "bfloat16")),
    "our trainer": (1, one_by_one),
    "plain torch": (1, plain_torch),
    "skorch": (1, skorch_net),
    "scikit-learn": (1, sklearn_mlp),
}
"""Name -> number of networks, and what trains an epoch of all of them."""


def seconds_of(epoch: Epoch, min_seconds: float) -> float:
    """Processor seconds of an epoch, the best of several after a first one that does not count."""
    epoch()
    found: list[float] = []
    while len(found) < 2 or sum(found) < min_seconds:
        started_s = time.process_time()
        epoch()
        found.append(time.process_time() - started_s)
    return min(found)


def peak_flops(precision: str, min_seconds: float) -> float:
    """Operations per second in a product of two square matrices, the best of several."""
    left, right = torch.randn(PEAK_SIZE, PEAK_SIZE), torch.randn(PEAK_SIZE, PEAK_SIZE)
    with products_in(precision), torch.inference_mode():
        return 2 * PEAK_SIZE**3 / seconds_of(lambda: left @ right, min_seconds)


def epoch_flops(width: int, n_rows: int) -> int:
    """Operations in the matrix products of an epoch: each weight is multiplied three times a row."""
    return 6 * n_rows * sum(n_in * n_out for n_in, n_out in pairwise(widths_of(width)))


def measure(
    systems: Sequence[str], widths: Sequence[int], batches: Sequence[int], n_rows: int, min_seconds: float
) -> pd.DataFrame:
    """Epochs of one network per second and the share of the float32 peak, by system, width and batch size."""
    rows, peak = make_rows(n_rows), peak_flops("float32", min_seconds)
    found = []
    for width, batch_size, name in product(widths, batches, systems):
        n_networks, build = SYSTEMS[name]
        seconds = seconds_of(build(rows, width, batch_size), min_seconds) / n_networks
        share = epoch_flops(width, n_rows // batch_size * batch_size) / seconds / peak
        found.append({"width": width, "batch": batch_size, "system": name, "epochs/s": 1 / seconds, "of peak": share})
    return pd.DataFrame(found)


def numbers(context: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    """Whole numbers separated by commas."""
    return [int(number) for number in text.split(",")]


@click.command()
@click.option("--widths", default="64,256,1024", show_default=True, callback=numbers, help="Of the first layer.")
@click.option("--batches", default="32,256", show_default=True, callback=numbers, help="Rows of a step.")
@click.option("--systems", default=",".join(SYSTEMS), show_default=True, help="Separated by commas.")
@click.option("--rows", "n_rows", default=2048, show_default=True, help="Training rows.")
@click.option("--seconds", default=0.5, show_default=True, help="At least so many for each number.")
def main(widths: list[int], batches: list[int], systems: str, n_rows: int, seconds: float) -> None:
    """Print epochs per second of processor time and shares of the float32 product peak, on one thread."""
    names = systems.split(",")
    for name in names:
        if name not in SYSTEMS:
            raise click.ClickException(str(UnknownNameError("system", name, SYSTEMS)))
    with threadpool_limits(1), one_thread():
        frame = measure(names, widths, batches, n_rows, seconds)
        peaks = {precision: peak_flops(precision, seconds) / 1e9 for precision in ("float32", "bfloat16")}
    words = ", ".join(f"{precision} {peak:.0f}" for precision, peak in peaks.items())
    click.echo(
        f"Products of {PEAK_SIZE} x {PEAK_SIZE} matrices on one core, billions of operations a second: {words}\n"
    )
    for value in ("epochs/s", "of peak"):
        table = frame.pivot(index="system", columns=["width", "batch"], values=value).loc[names]
        digits = 3 - max(0, math.floor(math.log10(table.to_numpy().max())))
        click.echo(f"{value}, by width and batch size\n{table.round(max(digits, 0)).to_string()}\n")


if __name__ == "__main__":
    main()
