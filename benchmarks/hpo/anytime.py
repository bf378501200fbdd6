"""From the evaluations of a run to its anytime curve: the regret of the incumbent over cost. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from autopytorch_lite.history.trial import Finished, Line, Proposed, Status
from autopytorch_lite.types import Config, FloatArray

UNKNOWN_REGRET = 1.0
"""Regret before the first evaluation has ended: the worst result."""

_ROUNDING = 1e-12

Steps = Sequence[tuple[float, float]]
"""(cost, regret) at each change of the incumbent, costs ascending."""


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation.

    Attributes:
        config: the configuration.
        budget: epochs in total.
        loss: what the searcher was told; None if it failed.
        seconds: simulated seconds of this evaluation, additional epochs only.
        end_s: simulated seconds of the search when it ended.
    """

    config: Config
    budget: int
    loss: float | None
    seconds: float
    end_s: float


def evaluations_of(lines: Iterable[Line]) -> list[Evaluation]:
    """The evaluations of a history in the order they ended; cancelled ones are left out."""
    configs = {}
    ended = []
    for line in lines:
        if isinstance(line, Proposed):
            configs[line.key] = line.proposal.config
        elif isinstance(line, Finished) and line.status is not Status.CANCELLED:
            loss = line.loss if line.ok else None  # a trial that was stopped early has one of another epoch
            evaluation = Evaluation(configs[line.key], line.key.budget, loss, line.seconds, line.finished_s)
            ended.append(evaluation)
    return ended


def incumbent_steps(
    evaluations: Iterable[Evaluation], regret: Callable[[Config], float], unit_s: float
) -> list[tuple[float, float]]:
    """Regret of the incumbent over cost.

    The incumbent has the smallest loss at the highest budget at which an evaluation has succeeded so far. It changes
    when an evaluation ends.

    Args:
        evaluations: in the order they ended.
        regret: of a configuration at the largest budget.
        unit_s: seconds of one unit of cost.

    Returns:
        (cost, regret) at each change of the incumbent.
    """
    steps = []
    best: tuple[int, float] | None = None
    for evaluation in evaluations:
        if evaluation.loss is None:
            continue
        rank = (-evaluation.budget, evaluation.loss)
        if best is None or rank < best:
            best = rank
            steps.append((evaluation.end_s / unit_s, float(regret(evaluation.config))))
    return steps


def regret_at(steps: Steps, costs: FloatArray | Sequence[float]) -> FloatArray:
    """Regret of the incumbent when so much has been spent; float64, shape (n_costs,)."""
    at = np.array([cost for cost, _ in steps], dtype=float)
    values = np.array([UNKNOWN_REGRET, *(value for _, value in steps)], dtype=float)
    return values[np.searchsorted(at, np.asarray(costs, dtype=float), side="right")]


def mean_steps(curves: Sequence[Steps]) -> list[tuple[float, float]]:
    """The mean of several anytime curves, at every cost where one of them changes."""
    costs = np.unique([cost for steps in curves for cost, _ in steps])
    means = np.mean([regret_at(steps, costs) for steps in curves], axis=0)
    return list(zip(costs.tolist(), means.tolist(), strict=True))


def cost_to_reach(steps: Steps, regret: float, *, lasting: bool = False) -> float:
    """The smallest cost at which the regret is at most `regret`; infinite if it never is.

    Args:
        steps: the anytime curve. It may rise again: the best at a higher budget may be worse.
        regret: the goal.
        lasting: whether it must stay there until the end.
    """
    reached = [value <= regret + _ROUNDING for _, value in steps]
    if lasting:
        n_before = max((number for number, is_there in enumerate(reached, start=1) if not is_there), default=0)
    else:
        n_before = reached.index(True) if True in reached else len(reached)
    return steps[n_before][0] if n_before < len(steps) else float("inf")
