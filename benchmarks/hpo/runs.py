"""One run: a searcher on a problem with a seed, on simulated time, as a row of the results."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autopytorch_lite.execution.simulated import SimulatedExecutor
from autopytorch_lite.history.store import MemoryStore
from autopytorch_lite.history.trial import Done, Line, Proposal, Proposed, Wait
from autopytorch_lite.search import Searcher
from autopytorch_lite.tuner import tune
from benchmarks.hpo.anytime import Evaluation, evaluations_of, incumbent_steps
from benchmarks.hpo.peers import PeerProcess, run_peer
from benchmarks.hpo.problems import Problem
from benchmarks.hpo.searchers import SEARCHERS, UnavailableError, best_known

_DIGITS = 7


class RunKey(NamedTuple):
    """What a row is about."""

    problem: str
    task: str
    searcher: str
    seed: int
    workers: int


class Timed:
    """A searcher whose thinking time is measured: per proposal, all asking and telling since the one before.

    Attributes:
        thinking_ms: one entry per proposal, wall clock.
    """

    def __init__(self, searcher: Searcher):
        self._searcher = searcher
        self._spent_s = 0.0
        self.thinking_ms: list[float] = []

    def ask(self) -> Proposal | Wait | Done:
        """As the searcher."""
        start = time.perf_counter()
        answer = self._searcher.ask()
        self._spent_s += time.perf_counter() - start
        return answer

    def tell(self, line: Line) -> None:
        """As the searcher."""
        start = time.perf_counter()
        self._searcher.tell(line)
        self._spent_s += time.perf_counter() - start
        if isinstance(line, Proposed):
            self.thinking_ms.append(1000 * self._spent_s)
            self._spent_s = 0.0


def run(key: RunKey, problem: Problem, limit: float, peer: PeerProcess | None = None) -> dict[str, Any]:
    """One row: the anytime curve and what it took.

    Args:
        key: what to run.
        problem: the task that the key names.
        limit: cost at which the search ends, full trainings; with several workers simulated time in that unit.
        peer: the process of the public searcher, if the row is one.
    """
    start = time.perf_counter()
    try:
        facts = _measure(key, problem, limit, peer)
    except UnavailableError as error:
        facts = {"status": "unavailable", "reason": str(error)}
    except Exception as error:  # a row, not a hole: the study goes on
        facts = {"status": "failed", "reason": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    return {**key._asdict(), "limit": limit, **facts, "wall_s": round(time.perf_counter() - start, 3)}


def _measure(key: RunKey, problem: Problem, limit: float, peer: PeerProcess | None) -> dict[str, Any]:
    row = SEARCHERS[key.searcher]
    problem = problem if row.on is None else row.on(problem)
    limit_s = limit * problem.unit_s
    if row.make is None:
        evaluations, thinking_ms = _ask_peer(key, problem, limit_s, peer)
    else:
        searcher = Timed(row.make(problem, key.seed))
        executor = SimulatedExecutor(problem.curve, n_workers=key.workers)
        result = tune(searcher, executor=executor, store=MemoryStore(), time_limit=limit_s)
        evaluations, thinking_ms = evaluations_of(result.lines), searcher.thinking_ms
    return _facts(problem, evaluations, thinking_ms, limit_s * key.workers)


def _ask_peer(
    key: RunKey, problem: Problem, limit_s: float, peer: PeerProcess | None
) -> tuple[list[Evaluation], list[float]]:
    if key.workers != 1:
        raise UnavailableError("Public searchers are measured with one worker.")
    if peer is None:
        raise UnavailableError(f"There is no environment for {key.searcher}; see docs/hpo_benchmark.md.")
    return run_peer(peer, problem, key.seed, limit_s, best_known if key.searcher == "neps" else None)


def _facts(
    problem: Problem, evaluations: Sequence[Evaluation], thinking_ms: Sequence[float], available_s: float
) -> dict[str, Any]:
    forbidden = next((e.config for e in evaluations if problem.is_forbidden(e.config)), None)
    if forbidden is not None:
        raise ValueError(f"No recorded configuration may be proposed, but this one was: {forbidden}.")
    steps = incumbent_steps(evaluations, problem.regret, problem.unit_s)
    return {
        "status": "ok",
        "n_evaluations": len(evaluations),
        "n_failed": sum(evaluation.loss is None for evaluation in evaluations),
        "n_full": sum(evaluation.budget == problem.budgets[-1] for evaluation in evaluations),
        "utilisation": round(sum(evaluation.seconds for evaluation in evaluations) / available_s, 4),
        "ask_ms_median": round(float(np.median(thinking_ms)), 4) if len(thinking_ms) else None,
        "ask_ms_mean": round(float(np.mean(thinking_ms)), 4) if len(thinking_ms) else None,
        "steps": [[round(cost, _DIGITS), round(value, _DIGITS)] for cost, value in steps],
    }
