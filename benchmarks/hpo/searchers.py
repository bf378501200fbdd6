"""The rows of the comparison: name -> how the searcher is made for a problem."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autopytorch_lite.execution.simulated import SimulatedCurve
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.search import Searcher
from autopytorch_lite.types import Config
from benchmarks.hpo.problems import Problem, Searchable

PORTFOLIO_SIZE = 16
"""As in Zimmer, Lindauer, Hutter (2021), section 4.3."""
PAPER_MIN_BUDGET = 5
"""Epochs of the paper's smallest budget: `search_spaces/paper.json`."""


class UnavailableError(Exception):
    """A row cannot be measured here; the message says why and becomes its entry in the table."""


class ExactEarly:
    """A problem whose first rung already shows the final loss: what perfect extrapolation would allow.

    Args:
        problem: the real one.
    """

    def __init__(self, problem: Problem):
        self._problem = problem
        self.family, self.task, self.space = problem.family, problem.task, problem.space
        self.budgets, self.eta, self.unit_s = problem.budgets[:1], problem.eta, problem.unit_s

    def curve(self, config: Config, budget: int) -> SimulatedCurve:
        """The final loss at every epoch, for the price of these epochs."""
        full = self._problem.curve(config, self._problem.budgets[-1])
        return SimulatedCurve(np.full(budget, full.losses[-1]), full.seconds[:budget])

    def is_forbidden(self, config: Config) -> bool:
        """As of the problem itself."""
        return self._problem.is_forbidden(config)

    def regret(self, config: Config) -> float:
        """As of the problem itself."""
        return self._problem.regret(config)

    def knowledge(self) -> PerformanceMatrix | None:
        """As of the problem itself."""
        return self._problem.knowledge()


@dataclass(frozen=True)
class Row:
    """One row of the comparison.

    Attributes:
        title: what the table calls it.
        make: a new searcher for a problem and a seed; None for a peer, which lives in a process of its own.
        on: makes the problem that this row is measured on from the real one; None: the real one itself.
        peer: name of the peer, see `benchmarks.hpo.peers`.
    """

    title: str
    make: Callable[[Searchable, int], Searcher] | None = None
    on: Callable[[Problem], Problem] | None = None
    peer: str | None = None


def searcher_class(name: str) -> Any:
    """A searcher of ours by name, imported only now.

    Raises:
        UnavailableError: there is none.
    """
    try:
        return getattr(importlib.import_module("autopytorch_lite.search"), name)
    except (ImportError, AttributeError) as error:
        raise UnavailableError(f"autopytorch_lite.search has no {name}: {error}") from error


def known_of(problem: Searchable) -> PerformanceMatrix:
    """What is known from other tasks.

    Raises:
        UnavailableError: nothing is.
    """
    matrix = problem.knowledge()
    if matrix is None:
        raise UnavailableError(f"Nothing is known from other tasks of {problem.family}.")
    return matrix


_PORTFOLIOS: dict[tuple[str, str], list[Config]] = {}


def portfolio_of(problem: Searchable) -> list[Config]:
    """The portfolio chosen greedily on all other tasks, computed once per process and task.

    Raises:
        UnavailableError: nothing is known from other tasks.
    """
    key = (problem.family, problem.task)
    if key not in _PORTFOLIOS:
        select = importlib.import_module("autopytorch_lite.portfolio").select
        _PORTFOLIOS[key] = [dict(config) for config in select(known_of(problem), PORTFOLIO_SIZE).configs]
    return _PORTFOLIOS[key]


def best_known(problem: Searchable) -> Config:
    """The configuration with the smallest mean normalised loss on all other tasks.

    Raises:
        UnavailableError: nothing is known from other tasks.
    """
    matrix = known_of(problem)
    losses = matrix.final_losses
    low, high = np.nanmin(losses, axis=1, keepdims=True), np.nanmax(losses, axis=1, keepdims=True)
    means = np.mean((losses - low) / np.where(high > low, high - low, 1), axis=0)
    return dict(matrix.configs[int(np.nanargmin(means))])


def _budgeted(
    name: str,
    problem: Searchable,
    seed: int,
    *,
    with_portfolio: bool = False,
    min_budget: int | None = None,
    **more: Any,
) -> Searcher:
    """A searcher that races through the rungs of the problem."""
    return searcher_class(name)(
        problem.space,
        min_budget=min_budget or problem.budgets[0],
        max_budget=problem.budgets[-1],
        eta=problem.eta,
        portfolio=portfolio_of(problem) if with_portfolio else (),
        seed=seed,
        **more,
    )


def _random(problem: Searchable, seed: int, *, with_portfolio: bool = False) -> Searcher:
    portfolio = portfolio_of(problem) if with_portfolio else ()
    return searcher_class("RandomSearch")(problem.space, max_budget=problem.budgets[-1], portfolio=portfolio, seed=seed)


def _freeze_thaw(problem: Searchable, seed: int, *, is_cold: bool = False) -> Searcher:
    return searcher_class("FreezeThaw")(
        problem.space,
        min_budget=problem.budgets[0],
        max_budget=problem.budgets[-1],
        eta=problem.eta,
        prior=None if is_cold else known_of(problem),
        seed=seed,
    )


SEARCHERS: dict[str, Row] = {
    "random": Row("random search, full trainings", _random),
    "hyperband": Row("Hyperband", partial(_budgeted, "Hyperband")),
    "bohb": Row("BOHB", partial(_budgeted, "BOHB")),
    "bohb_asynchronous": Row("BOHB, asynchronous", partial(_budgeted, "BOHB", schedule="asynchronous")),
    "hyperband_asynchronous": Row("Hyperband, asynchronous", partial(_budgeted, "Hyperband", schedule="asynchronous")),
    "random_portfolio": Row("random search + portfolio", partial(_random, with_portfolio=True)),
    "hyperband_portfolio": Row("Hyperband + portfolio", partial(_budgeted, "Hyperband", with_portfolio=True)),
    "bohb_portfolio": Row("BOHB + portfolio", partial(_budgeted, "BOHB", with_portfolio=True)),
    "paper": Row(
        "Auto-PyTorch Tabular's settings (BOHB, budgets from 5 epochs, portfolio of 16)",
        partial(_budgeted, "BOHB", with_portfolio=True, min_budget=PAPER_MIN_BUDGET),
    ),
    "freeze_thaw": Row("FreezeThaw, our default", _freeze_thaw),
    "freeze_thaw_cold": Row("FreezeThaw without meta-knowledge", partial(_freeze_thaw, is_cold=True)),
    "ideal": Row("*ideal:* random configurations, final value known after the first rung", _random, ExactEarly),
    "hpbandster": Row("HpBandSter BOHB 0.7.4", peer="hpbandster"),
    "smac": Row("SMAC3 2.4 multi-fidelity", peer="smac"),
    "optuna": Row("Optuna 5 TPE + Hyperband pruner", peer="optuna"),
    "dehb": Row("DEHB 0.1.2", peer="dehb"),
    "neps": Row("NePS 0.17 PriorBand, told the best configuration of other tasks", peer="neps"),
}
