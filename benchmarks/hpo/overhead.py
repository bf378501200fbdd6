"""How long a searcher thinks: seconds per ask, after a number of told evaluations.

``python -m benchmarks.hpo.overhead`` prints the median and the 95th percentile for our searchers on the space of
LCBench and on a conditional space of 100 dimensions. One thread; other work on the machine shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import click
import ConfigSpace as cs
import numpy as np
from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import EqualsCondition
from threadpoolctl import threadpool_limits

from autopytorch_lite.history.trial import Finished, Proposal, Proposed
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.search import BOHB, FreezeThaw, Hyperband, RandomSearch, Searcher
from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.types import DatasetInfo, FloatArray, Task
from search_spaces import load_ranges


class SearcherOfSpace(Searcher, Protocol):
    """A searcher that shows what it searches, as all of ours do."""

    space: ConfigurationSpace


MakeSearcher = Callable[[], SearcherOfSpace]


def lcbench_space() -> ConfigurationSpace:
    """Seven searched hyperparameters, numbers all."""
    info = DatasetInfo(Task.BINARY, n_rows=1000, n_numeric=10, cardinalities=(), n_outputs=2, class_counts=(500, 500))
    return compile(default_graph(), load_ranges("lcbench"), info)


def branching_space() -> ConfigurationSpace:
    """100 dimensions: ten choices of three branches, three numbers below each branch; 40 are active at a time."""
    space = ConfigurationSpace()
    for group in range(10):
        choice = cs.CategoricalHyperparameter(f"{group}", ["a", "b", "c"])
        space.add(choice)
        for branch in choice.choices:
            name = f"{group}:{branch}"
            members = (
                cs.Float(f"{name}:x", (0.0, 1.0)),
                cs.Float(f"{name}:y", (1e-5, 1.0), log=True),
                cs.Integer(f"{name}:n", (1, 100), log=True),
            )
            space.add(*members)
            space.add(*(EqualsCondition(member, choice, branch) for member in members))
    return space


def time_asks(make_searcher: MakeSearcher, n_told: int, n_asks: int = 100) -> float:
    """Median seconds per ask; see `ask_times`."""
    return float(np.median(ask_times(make_searcher, n_told, n_asks)))


def ask_times(make_searcher: MakeSearcher, n_told: int, n_asks: int = 100) -> FloatArray:
    """Seconds of each ask for a new configuration, float array, shape (n_asks,), after `n_told` evaluations.

    One worker: every proposal is told, and told as finished, before the next ask. Asks answered by a promotion are not
    counted, and neither is the first one, which takes in what was told without being asked.

    Args:
        make_searcher: makes the searcher; its `space` decides the losses.
        n_told: evaluations told before the first ask that is timed. They are the searcher's own proposals.
        n_asks: how many asks are timed.
    """
    with threadpool_limits(1):
        searcher = make_searcher()
        loss = _loss_in(searcher.space)
        for _ in range(n_told):
            _step(searcher, loss)
        searcher.ask()
        seconds: list[float] = []
        while len(seconds) < n_asks:
            duration, proposal = _step(searcher, loss)
            if proposal.resume_from is None:
                seconds.append(duration)
    return np.array(seconds)


def _step(searcher: Searcher, loss: Callable[[Proposal], float]) -> tuple[float, Proposal]:
    start = time.perf_counter()
    proposal = searcher.ask()
    duration = time.perf_counter() - start
    if not isinstance(proposal, Proposal):
        raise RuntimeError(f"The searcher must go on proposing, but it answers {proposal}.")
    searcher.tell(Proposed(proposal))
    searcher.tell(Finished(proposal.key, loss=loss(proposal)))
    return duration, proposal


def _loss_in(space: ConfigurationSpace) -> Callable[[Proposal], float]:
    """A bowl with a little noise that larger budgets lessen."""
    codec, rng = VectorCodec(space), np.random.default_rng(0)

    def loss(proposal: Proposal) -> float:
        distance = np.nanmean((codec.encode(proposal.config) - 0.3) ** 2)
        return float(distance + 0.1 * rng.standard_normal() / proposal.budget)

    return loss


def cases() -> dict[str, tuple[MakeSearcher, int]]:
    """What the command measures: label -> searcher and number of told evaluations."""
    lcbench, branching = lcbench_space(), branching_space()
    bohb, hyperband = partial(BOHB, min_budget=2, max_budget=52), partial(Hyperband, min_budget=2, max_budget=52)
    one_rung = partial(BOHB, min_budget=52, max_budget=52)
    return {
        "random search, LCBench": (partial(RandomSearch, lcbench, max_budget=52), 300),
        "Hyperband, LCBench": (partial(hyperband, lcbench), 300),
        "FreezeThaw, LCBench": (partial(FreezeThaw, lcbench, min_budget=2, max_budget=52), 300),
        "BOHB, LCBench": (partial(bohb, lcbench), 300),
        "BOHB, LCBench, asynchronous": (partial(bohb, lcbench, schedule="asynchronous"), 300),
        "BOHB, LCBench, one rung": (partial(one_rung, lcbench), 300),
        "BOHB, 100 dimensions": (partial(bohb, branching), 10_000),
        "BOHB, 100 dimensions, asynchronous": (partial(bohb, branching, schedule="asynchronous"), 10_000),
        "BOHB, 100 dimensions, one rung": (partial(one_rung, branching), 10_000),
    }


@click.command()
@click.option("--only", default="", help="Measure only the cases whose label contains this.")
@click.option("--asks", default=100, show_default=True, help="Timed asks of each case.")
def main(only: str, asks: int) -> None:
    """Print milliseconds per ask.

    Example: python -m benchmarks.hpo.overhead --only LCBench
    """
    click.echo(f"{'':<36}{'told':>7}{'median ms':>11}{'95 % ms':>9}")
    for label, (make_searcher, n_told) in cases().items():
        if only in label:
            milliseconds = 1000 * ask_times(make_searcher, n_told, asks)
            median, high = np.percentile(milliseconds, [50, 95])
            click.echo(f"{label:<36}{n_told:>7}{median:>11.2f}{high:>9.2f}")


if __name__ == "__main__":
    main()
