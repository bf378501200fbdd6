"""What the steps of an epoch of a stack read: rows, targets and dropout, prepared for many steps at a time.

Networks are ordered by batch size, the smallest first. All begin an epoch together and each ends it after its own
number of steps, so those that still train are always the first ones of the stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autopytorch_lite.networks.seeding import derived_seed
from autopytorch_lite.training.loop import Trainer
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.training.stackable import DROPOUT_LEVELS, Perceptron, class_weights_of, loss_kind

CHUNK_FLOATS = 2**22
"""Numbers prepared at once: enough that preparing costs little, few enough that they stay near the processor."""


class Segment(NamedTuple):
    """Steps of an epoch in which the same networks take part.

    Attributes:
        first: first step.
        last: one after the last step.
        n_networks: how many of the first networks take part.
        batch_size: rows of the largest of their batches; smaller ones are padded with rows of no influence.
    """

    first: int
    last: int
    n_networks: int
    batch_size: int


def segments_of(batch_sizes: Sequence[int], n_rows: int) -> list[Segment]:
    """The steps of an epoch, divided where a network ends it.

    Args:
        batch_sizes: rows of a step of each network, ascending, at most `n_rows`.
        n_rows: training rows; a last, incomplete batch is left out.
    """
    found = []
    first = 0
    for n_networks in range(len(batch_sizes), 0, -1):
        last = n_rows // batch_sizes[n_networks - 1]
        if last > first:
            found.append(Segment(first, last, n_networks, batch_sizes[n_networks - 1]))
            first = last
    return found


class StepData(NamedTuple):
    """What one step of the first k networks reads; B is the batch size of the segment.

    Attributes:
        inputs: float32 (k, B, n_inputs).
        targets: float32 (k, n_outputs, B): one-hot classes, or values.
        shares: float32 (k, 1, B): weight of each row in the mean loss; 0 for rows that only pad.
        levels: per hidden layer int16 (k, B, units): units are kept where this is at least the threshold of their
            network; None without dropout.
    """

    inputs: Tensor
    targets: Tensor
    shares: Tensor
    levels: tuple[Tensor | None, ...]


class StackedBatches:
    """Makes the steps of epochs. Row order and dropout are those that each trainer would draw alone.

    On a GPU, where a trainer draws dropout from the device's own generator, that of the whole stack comes from one.

    Args:
        trainers: ordered by batch size.
        perceptrons: their networks.
        train: rows to learn from, on the device.
        units: of each hidden layer of the stack, padding included.

    Attributes:
        segments: of an epoch.
        dropout: thresholds and scales for the levels that are drawn.
    """

    def __init__(
        self,
        trainers: Sequence[Trainer],
        perceptrons: Sequence[Perceptron],
        train: TensorRows,
        units: Sequence[int],
    ):
        self._trainers = trainers
        self._train = train
        self._batch_sizes = [min(trainer.plan.batch_size, len(train)) for trainer in trainers]
        self.dropout = StackedDropout(trainers, perceptrons, units, train.dense.device)
        self._n_outputs = perceptrons[0].widths[-1]
        self._is_softmax = loss_kind(trainers[0].plan.loss) == "softmax"
        self._class_weights = _class_weights(trainers, self._n_outputs, train.dense.device)
        self._orders: list[Tensor] = []
        self.segments = segments_of(self._batch_sizes, len(train))

    def begin_epoch(self) -> None:
        """Draw the row orders of the next epoch and seed its dropout."""
        epochs = [(trainer.seed, trainer.n_epochs + 1) for trainer in self._trainers]
        n_rows = len(self._train)
        self._orders = [torch.from_numpy(np.random.default_rng(entropy).permutation(n_rows)) for entropy in epochs]
        self.dropout.begin_epoch(epochs)

    def steps(self, segment: Segment) -> Iterator[StepData]:
        """The steps of a segment in order; segments are asked for in order, too."""
        per_step = segment.n_networks * segment.batch_size * (self._train.dense.shape[1] + self.dropout.n_units)
        length = max(1, CHUNK_FLOATS // per_step)
        for first in range(segment.first, segment.last, length):
            yield from self._chunk(segment, first, min(length, segment.last - first))

    def _chunk(self, segment: Segment, first: int, n_steps: int) -> Iterator[StepData]:
        rows = self._row_positions(segment, first, n_steps)
        inputs = self._train.dense.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
        batch_sizes = self._batch_sizes[: segment.n_networks]
        levels = [
            [None] * n_steps if layer is None else layer.unbind(0) for layer in self.dropout.draw(batch_sizes, n_steps)
        ]
        parts = (inputs.unbind(0), self._targets(rows).unbind(0), self._shares(rows).unbind(0))
        for number, (x, targets, shares) in enumerate(zip(*parts, strict=True)):
            yield StepData(x, targets, shares, tuple(layer[number] for layer in levels))

    def _row_positions(self, segment: Segment, first: int, n_steps: int) -> Tensor:
        """int64 (n_steps, k, B); padding points at row 0."""
        rows = torch.zeros(n_steps, segment.n_networks, segment.batch_size, dtype=torch.int64)
        for number, size in enumerate(self._batch_sizes[: segment.n_networks]):
            wanted = self._orders[number][first * size : (first + n_steps) * size]
            rows[:, number, :size] = wanted.view(n_steps, size)
        return rows.to(self._train.dense.device)

    def _targets(self, rows: Tensor) -> Tensor:
        """float32 (n_steps, k, n_outputs, B)."""
        targets = self._train.targets[rows]
        if self._is_softmax:
            return F.one_hot(targets, self._n_outputs).to(torch.float32).transpose(2, 3).contiguous()
        return targets.reshape(*rows.shape, self._n_outputs).transpose(2, 3).contiguous()

    def _shares(self, rows: Tensor) -> Tensor:
        """float32 (n_steps, k, 1, B)."""
        n_networks, batch_size = rows.shape[1:]
        shares = torch.zeros(n_networks, batch_size)
        for number, size in enumerate(self._batch_sizes[:n_networks]):
            shares[number, :size] = 1 / size
        return (shares.to(rows.device) * self._row_weights(rows))[:, :, None]

    def _row_weights(self, rows: Tensor) -> Tensor:
        """By what the losses of rows are multiplied in each network, (n_steps, k, B) or of fewer entries."""
        weights = torch.ones(rows.shape, device=rows.device)
        if self._train.weights is not None:
            weights = weights * self._train.weights[rows]
        if self._class_weights is not None:
            network = torch.arange(rows.shape[1], device=rows.device)[:, None]
            weights = weights * self._class_weights[network, self._train.targets[rows]]
        return weights

    def losses(self, outputs: Tensor) -> Tensor:
        """Mean losses, float32 (K,), of outputs (K, n_outputs, n) for all rows in their own order."""
        rows = torch.arange(len(self._train), device=outputs.device).expand(len(outputs), -1)
        if self._is_softmax:
            losses = -outputs.log_softmax(dim=1).gather(1, self._train.targets.expand(len(outputs), 1, -1)).squeeze(1)
        else:
            losses = (outputs - self._targets(rows[None, :1])[0]).square().mean(dim=1)
        return (losses * self._row_weights(rows[None])[0]).mean(dim=1)


def _class_weights(trainers: Sequence[Trainer], n_outputs: int, device: torch.device) -> Tensor | None:
    """float32 (K, n_outputs); None if no loss has any."""
    weights = [class_weights_of(trainer.plan.loss) for trainer in trainers]
    if all(weight is None for weight in weights):
        return None
    return torch.stack([torch.ones(n_outputs) if weight is None else weight.cpu() for weight in weights]).to(device)


class StackedDropout:
    """Random levels for the units of hidden layers: a unit is kept where its level is at least its network's threshold.

    Attributes:
        n_units: of all hidden layers together, padding included.
        thresholds: per layer int16 (K, 1, 1); None if no network has dropout there.
        scales: per layer float32 (K, 1, 1), by what kept units are multiplied; None likewise.
    """

    def __init__(
        self,
        trainers: Sequence[Trainer],
        perceptrons: Sequence[Perceptron],
        units: Sequence[int],
        device: torch.device,
    ):
        self._device = device
        self._units = units
        self._networks = [list(zip(net.widths[1:-1], net.n_dropped, strict=True)) for net in perceptrons]
        dropped = [[net.n_dropped[layer] for net in perceptrons] for layer in range(len(units))]
        self.thresholds = [_column(layer, lambda n: n - DROPOUT_LEVELS // 2, torch.int16, device) for layer in dropped]
        self.scales = [
            _column(layer, lambda n: DROPOUT_LEVELS / (DROPOUT_LEVELS - n), torch.float32, device) for layer in dropped
        ]
        n_generators = len(trainers) if device.type == "cpu" else 1
        self._generators = [torch.Generator(device) for _ in range(n_generators)]
        self.n_units = sum(units)

    def begin_epoch(self, epochs: Sequence[tuple[int, int]]) -> None:
        """Seed as trainers do, by (seed, epoch)."""
        for generator, entropy in zip(self._generators, epochs, strict=False):
            generator.manual_seed(derived_seed(*entropy))

    def draw(self, batch_sizes: Sequence[int], n_steps: int) -> list[Tensor | None]:
        """Levels of the next steps, per hidden layer int16 (n_steps, k, B, units); those of padding are arbitrary."""
        shape = (n_steps, len(batch_sizes), batch_sizes[-1])
        levels = [
            None if threshold is None else torch.empty(*shape, units, dtype=torch.int16, device=self._device)
            for units, threshold in zip(self._units, self.thresholds, strict=True)
        ]
        for number, size in enumerate(batch_sizes):
            self._draw_network(number, size, n_steps, levels)
        return levels

    def _draw_network(self, number: int, size: int, n_steps: int, levels: Sequence[Tensor | None]) -> None:
        """One 64-bit word has the levels of four units; a batch of a layer begins with a new word, as in `Dropout`."""
        layers = self._networks[number]
        n_words = [0 if n_dropped is None else math.ceil(size * units / 4) for units, n_dropped in layers]
        words = torch.empty(n_steps, sum(n_words), dtype=torch.int64, device=self._device)
        words.random_(-(2**63), None, generator=self._generators[number % len(self._generators)])
        drawn = words.view(torch.int16).split([4 * n for n in n_words], dim=1)
        for (units, n_dropped), layer, own in zip(layers, levels, drawn, strict=True):
            if layer is not None and n_dropped is not None:
                layer[:, number, :size, :units] = own[:, : size * units].view(n_steps, size, units)


def _column(
    n_dropped: Sequence[int | None], value: Callable[[int], float], dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """A value per network, (K, 1, 1), of the levels that drop its units; None if no network has dropout."""
    if all(n is None for n in n_dropped):
        return None
    return torch.tensor([value(n or 0) for n in n_dropped], dtype=dtype, device=device)[:, None, None]
