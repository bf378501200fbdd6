"""Which trainings are stacked with which: those for which padding costs less than it saves.

Padding widths and batches costs multiplications, and being together saves operations: a step of a stack dispatches as
many as a step of one network. A model of a step's time on one core weighs the two.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from autopytorch_lite.training.stacked_batches import segments_of

MAX_NETWORKS = 64
RECENT_GROUPS = 24
"""A training is compared with so many groups, the last ones made; sizes are sorted, so older ones differ more."""


@dataclass(frozen=True)
class TrainingSize:
    """What decides how long a training takes, and with what it can be stacked.

    Attributes:
        widths: units of every layer, the input first and the output last.
        batch_size: rows of a step.
        key: trainings of different keys are not stacked; see `stackable.stack_key`.
    """

    widths: tuple[int, ...]
    batch_size: int
    key: Hashable


@dataclass(frozen=True)
class Costs:
    """Seconds on the device for the parts of an epoch.

    Attributes:
        step: of every step, whatever its size.
        network_step: of every network in a step, likewise.
        product: of one multiplication and addition in a matrix product.
        unit: of one activation in a training step: ReLU, dropout and their derivatives.
        weight: of one weight in a step: reading, gradient, update.
        network: of one network in an epoch: row order, evaluation, statistics.
    """

    step: float
    network_step: float
    product: float
    unit: float
    weight: float
    network: float


CPU_COSTS = Costs(step=1e-4, network_step=1e-5, product=1.2e-11, unit=2.5e-9, weight=1.2e-9, network=5e-4)
"""Of one core with AVX-512, see docs/throughput.md; other processors change all of them more than their balance."""
GPU_COSTS = Costs(step=1e-3, network_step=1e-7, product=1e-13, unit=2e-11, weight=2e-11, network=5e-5)
"""Orders of magnitude for a large GPU; not measured."""


def seconds_per_epoch(sizes: Sequence[TrainingSize], n_train: int, n_evaluated: int, costs: Costs = CPU_COSTS) -> float:
    """Estimated time of one epoch of a stack.

    Args:
        sizes: of the networks of the stack, at least one.
        n_train: training rows.
        n_evaluated: rows of which outputs are computed after the epoch.
        costs: of the device.
    """
    widths = [max(column) for column in zip(*(size.widths for size in sizes), strict=True)]
    n_weights = sum(n_in * n_out for n_in, n_out in pairwise(widths))
    seconds = len(sizes) * (costs.network + n_evaluated * (n_weights * costs.product + sum(widths) * costs.unit / 4))
    for segment in segments_of(sorted(min(size.batch_size, n_train) for size in sizes), n_train):
        n_rows = segment.n_networks * segment.batch_size
        step = costs.step + segment.n_networks * (costs.network_step + n_weights * costs.weight)
        step += n_rows * (3 * n_weights * costs.product + sum(widths) * costs.unit)
        seconds += (segment.last - segment.first) * step
    return seconds


def stack_groups(
    sizes: Sequence[TrainingSize],
    n_train: int,
    n_evaluated: int,
    *,
    costs: Costs = CPU_COSTS,
    max_networks: int = MAX_NETWORKS,
    max_seconds: float = float("inf"),
) -> list[list[int]]:
    """Divide trainings into stacks.

    One after the other, from wide to narrow, joins the group whose estimated time it adds least to, or begins a new one
    where that is cheaper still. The same sizes give the same groups.

    Args:
        sizes: of the trainings.
        n_train: training rows.
        n_evaluated: rows evaluated after every epoch.
        costs: of the device.
        max_networks: largest group.
        max_seconds: longest estimated time of an epoch of a group with more than one network.

    Returns:
        Positions in `sizes`, every one in exactly one group.
    """

    @cache
    def alone(size: TrainingSize) -> float:
        return seconds_per_epoch([size], n_train, n_evaluated, costs)

    groups: dict[Hashable, list[_Group]] = {}
    for number in sorted(range(len(sizes)), key=lambda number: (*sizes[number].widths[::-1], sizes[number].batch_size)):
        size = sizes[number]
        known = groups.setdefault(size.key, [])
        best = _Group([number], [size], alone(size))
        added, host = best.seconds, None
        for group in known[-RECENT_GROUPS:]:
            if len(group.numbers) >= max_networks:
                continue
            joined = seconds_per_epoch([*group.sizes, size], n_train, n_evaluated, costs)
            if joined - group.seconds < added and joined <= max_seconds:
                added, host = joined - group.seconds, group
        if host is None:
            known.append(best)
        else:
            host.join(number, size, added)
    return [group.numbers for found in groups.values() for group in found]


@dataclass
class _Group:
    numbers: list[int]
    sizes: list[TrainingSize]
    seconds: float

    def join(self, number: int, size: TrainingSize, added: float) -> None:
        self.numbers.append(number)
        self.sizes.append(size)
        self.seconds += added
