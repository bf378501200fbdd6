"""What a portfolio is worth on a table that had no part in it, beside others; and the portfolios without each table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from autopytorch_lite.errors import DataError
from autopytorch_lite.portfolio.anytime import anytime_loss, anytime_order, curve_of, loss_at
from benchmarks.markdown import table as markdown_table
from benchmarks.portfolio.pool import BACKBONE, LEARNER, Candidate
from benchmarks.portfolio.record import TaskRecord
from search_spaces import load_ranges

HORIZON_S = 240.0
"""Seconds of training, one at a time, up to which a portfolio counts."""

TEAM_SIZE = 4
"""Members that are selected as if others were not there; see `anytime_order`."""

MOMENTS_S = (5.0, 15.0, 60.0, 240.0)
"""When losses are compared."""

N_RANDOM = 10
"""Random orders of which the mean is taken."""

LEARNED, BY_HAND, RANDOM = "learned", "by_hand", "random"
NETWORKS = {LEARNED: "networks-learned", BY_HAND: "networks-by_hand", "paper": "networks-paper"}


@dataclass(frozen=True)
class Judged:
    """One system on one table.

    Attributes:
        system: which portfolio.
        table: that had no part in it.
        anytime: mean normalised loss over the logarithm of time.
        at: normalised loss at `MOMENTS_S`.
    """

    system: str
    table: str
    anytime: float
    at: tuple[float, ...]


Orders = Mapping[str, Sequence[Sequence[int]]]
"""System -> one order of candidates, or several of which the mean counts."""


def learned_order(records: Sequence[TaskRecord], numbers: Sequence[int], size: int) -> list[int]:
    """The portfolio that these tables give, selected from the candidates of these numbers."""
    tasks = [record.restricted(numbers) for record in records]
    return [numbers[place] for place in anytime_order(tasks, size, horizon_s=HORIZON_S, team_size=TEAM_SIZE)]


def learned_without(records: Sequence[TaskRecord], numbers: Sequence[int], size: int) -> dict[str, list[int]]:
    """For each table the portfolio of all others.

    Raises:
        DataError: there are fewer than two tables.
    """
    if len(records) < 2:
        raise DataError(f"To leave a table out needs at least two, got {len(records)}.")
    return {
        record.name: learned_order([other for other in records if other is not record], numbers, size)
        for record in records
    }


def compared_orders(
    candidates: Sequence[Candidate], size: int, learned: Sequence[int], learned_networks: Sequence[int], seed: int
) -> dict[str, list[list[int]]]:
    """What is compared on one table.

    Args:
        candidates: all of the pool.
        size: members of random portfolios.
        learned: without that table.
        learned_networks: the same, networks only.
        seed: of the random orders.
    """
    of_source = {source: [i for i, c in enumerate(candidates) if c.source == source] for source in ("by_hand", "paper")}
    choosable = eligible(candidates)
    rng = np.random.default_rng(seed)
    return {
        LEARNED: [list(learned)],
        BY_HAND: [of_source["by_hand"]],
        RANDOM: [rng.permutation(choosable)[:size].tolist() for _ in range(N_RANDOM)],
        NETWORKS[LEARNED]: [list(learned_networks)],
        NETWORKS[BY_HAND]: [[i for i in of_source["by_hand"] if candidates[i].is_neural]],
        NETWORKS["paper"]: [of_source["paper"]],
    }


def eligible(candidates: Sequence[Candidate]) -> list[int]:
    """Numbers of the candidates that the default space has: neither the paper's nor of a family that it excludes."""
    edits = load_ranges("default")["edits"]
    excluded = {family for node in (LEARNER, BACKBONE) for family in edits[node]["exclude"]}
    return [i for i, c in enumerate(candidates) if c.source != "paper" and c.family not in excluded]


def judge(record: TaskRecord, orders: Orders) -> list[Judged]:
    """Every system that has an order, on one table."""
    return [
        _mean(system, record.name, [_judged(record, order) for order in several])
        for system, several in orders.items()
        if all(several)
    ]


def _judged(record: TaskRecord, order: Sequence[int]) -> tuple[float, ...]:
    times, losses = curve_of(record.judged(), order)
    at = (loss_at(times, losses, moment) for moment in MOMENTS_S)
    return (anytime_loss(times, losses, horizon_s=HORIZON_S), *at)


def _mean(system: str, table: str, several: Sequence[tuple[float, ...]]) -> Judged:
    anytime, *at = (fmean(values) for values in zip(*several, strict=True))
    return Judged(system, table, anytime, tuple(at))


def summary_lines(judged: Sequence[Judged]) -> list[str]:
    """Markdown: means over tables, and on how many tables the anytime loss is below that of the portfolio by hand."""
    by_system: dict[str, dict[str, Judged]] = {}
    for row in judged:
        by_system.setdefault(row.system, {})[row.table] = row
    header = ["portfolio", "anytime loss", *(f"at {moment:g} s" for moment in MOMENTS_S), "tables better than by hand"]
    return markdown_table(header, [_cells(name, rows, by_system) for name, rows in by_system.items()])


def _cells(name: str, rows: Mapping[str, Judged], by_system: Mapping[str, Mapping[str, Judged]]) -> list[str]:
    rival = by_system.get(NETWORKS[BY_HAND] if name in NETWORKS.values() else BY_HAND, {})
    n_better = sum(row.anytime < rival[table].anytime for table, row in rows.items() if table in rival)
    values = [fmean(row.anytime for row in rows.values())]
    values += [fmean(row.at[i] for row in rows.values()) for i in range(len(MOMENTS_S))]
    wins = "" if rows is rival else f"{n_better} of {len(rows)}"
    return [name, *(f"{value:.3f}" for value in values), wins]
