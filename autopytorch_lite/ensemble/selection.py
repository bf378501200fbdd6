"""Greedy ensemble selection with replacement on out-of-sample predictions.

Source: Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries of models", ICML 2004, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Array, FloatArray, IntArray

N_OPINIONS = 3
"""A smaller ensemble is hedged; see `hedged`."""
HEDGE = 0.05
"""Share of the votes with which it is."""
N_ROWS_OF_EQUALS = 300
"""As many validation rows as an equal vote of the learners is worth; see `shrunk`."""
CLOSE = 0.15
"""Learners take part in it whose best loss is larger than the best of all by no more than this share."""
MIN_SHARE = 0.02
"""Of the votes, for each of them; with less it is not worth the time that they take to predict."""
SHARES = (1.0, 1 / 2, 1 / 4)
"""Of a limit on cost: the most that one member may cost on each of the paths that `select_within` compares."""


@dataclass(frozen=True)
class Selection:
    """Result of `select`.

    Attributes:
        weights: float array, shape (n_candidates,), sum to one; counts divided by the length of the prefix kept.
        loss: loss of the weighted average on the selection rows.
        path: index of the candidate added at every step, kept and dropped ones.
        path_losses: loss after every step.
    """

    weights: FloatArray
    loss: float
    path: tuple[int, ...]
    path_losses: tuple[float, ...]

    def among(self, idx: IntArray, n_candidates: int) -> Selection:
        """The same selection from all `n_candidates`, when the candidates were those at positions `idx` only."""
        weights = np.zeros(n_candidates)
        weights[idx] = self.weights
        return replace(self, weights=weights, path=tuple(int(idx[i]) for i in self.path))


def select(
    predictions: Sequence[FloatArray] | FloatArray,
    targets: Array,
    *,
    metric: Metric,
    size: int,
    sample_weight: FloatArray | None = None,
    seed: int = 0,
    out_of_time: Callable[[], bool] = lambda: False,
    costs: FloatArray | None = None,
    max_cost: float = np.inf,
) -> Selection:
    """Add, `size` times, the candidate that lowers the loss of the average most; keep the best prefix of that path.

    The first step takes the best single candidate, so the result is never worse on these rows than any of them that can
    be afforded.

    Args:
        predictions: one float array per candidate, each shape (n_rows, n_outputs).
        targets: class codes (n_rows,) or values (n_rows, n_targets).
        metric: how to compare.
        size: number of steps, the same candidate may be added again.
        sample_weight: float array, shape (n_rows,), or None.
        seed: which of several equally good candidates is taken.
        out_of_time: asked after every step; the path ends early when it says so.
        costs: what each candidate costs, once, however often it is added, shape (n_candidates,); None: nothing.
        max_cost: what the members may cost together, in the same units.

    Raises:
        ValueError: there is no candidate, none that can be afforded, or size is below one.
    """
    if len(predictions) == 0 or size < 1:
        raise ValueError(
            f"Ensemble selection needs a candidate and at least one step, got {len(predictions)=} and {size=}."
        )
    costs = np.zeros(len(predictions)) if costs is None else costs
    if costs.min() > max_cost:
        raise ValueError(f"Ensemble selection needs a candidate within the limit, got {costs.min()=} and {max_cost=}.")
    rng = np.random.default_rng(seed)
    losses_of_sums = _averaged_losses(np.asarray(predictions), targets, metric, sample_weight)
    path: list[int] = []
    path_losses: list[float] = []
    while len(path) < size and not (path and out_of_time()):
        losses = np.where(_affordable(path, costs, max_cost), losses_of_sums(path), np.nan)
        best = float(np.nanmin(losses))
        chosen = int(rng.choice(np.flatnonzero(losses == best)))
        path.append(chosen)
        path_losses.append(best)
    n_kept = int(np.argmin(path_losses)) + 1
    counts = np.bincount(path[:n_kept], minlength=len(predictions))
    return Selection(counts / n_kept, path_losses[n_kept - 1], tuple(path), tuple(path_losses))


def select_within(
    predictions: Sequence[FloatArray] | FloatArray,
    targets: Array,
    *,
    costs: FloatArray,
    max_cost: float,
    **options: Any,
) -> Selection:
    """The best of several greedy paths whose members together cost at most `max_cost`; see `select` for the rest.

    A greedy path begins with the best candidate, however much of the limit it takes. So each of `SHARES` of the limit
    has a path of its own, among the candidates that cost no more than that.
    """
    paths = []
    for share in SHARES:
        kept = np.flatnonzero(costs <= share * max_cost)
        if len(kept):
            part = select(np.asarray(predictions)[kept], targets, costs=costs[kept], max_cost=max_cost, **options)
            paths.append(part.among(kept, len(costs)))
    if not paths:
        raise ValueError(f"Ensemble selection needs a candidate within the limit, got {costs.min()=} and {max_cost=}.")
    return min(paths, key=lambda path: path.loss)


def hedged(weights: FloatArray, configurations: Sequence[int]) -> FloatArray:
    """An ensemble of one or two members, with a few votes for the best configurations.

    Where models are next to never wrong on the rows that select, one of them is chosen alone, and sure of itself; on
    other rows a single mistake then costs a log loss of ten or more. Others rarely make the same mistake.

    Args:
        weights: of the candidates, best candidate first, shape (n_candidates,), sum to one.
        configurations: number of each candidate's configuration; of each, the best candidate gets votes.
    """
    if np.count_nonzero(weights) >= N_OPINIONS:
        return weights
    best = [configurations.index(number) for number in dict.fromkeys(configurations)][:N_OPINIONS]
    votes = np.zeros(len(weights))
    votes[best] = 1 / len(best)
    return (1 - HEDGE) * weights + HEDGE * votes


def shrunk(weights: FloatArray, losses: FloatArray, learners: Sequence[str], n_rows: int) -> FloatArray:
    """An ensemble, drawn towards an equal vote of the best candidates of each learner that comes close.

    Few validation rows choose by chance which of many models have all votes. The share of the equal vote is that of
    `N_ROWS_OF_EQUALS` in these and the validation rows together. Fewer than `N_OPINIONS` learners get none.

    Args:
        weights: of the candidates, best candidate first, shape (n_candidates,), sum to one.
        losses: of the candidates, ascending, shape (n_candidates,).
        learners: names of the candidates' learners.
        n_rows: validation rows.
    """
    is_close = losses <= losses[0] + CLOSE * abs(losses[0])
    best = [i for i in (learners.index(name) for name in dict.fromkeys(learners)) if is_close[i]]
    share = N_ROWS_OF_EQUALS / (N_ROWS_OF_EQUALS + n_rows)
    if len(best) < N_OPINIONS or share < MIN_SHARE * len(best):
        return weights
    votes = np.zeros(len(weights))
    votes[best] = 1 / len(best)
    return (1 - share) * weights + share * votes


def weighted_average(predictions: Sequence[FloatArray], weights: FloatArray | Sequence[float]) -> FloatArray:
    """Average of predictions, each shape (n_rows, n_outputs), with weights that sum to one."""
    total = np.zeros_like(predictions[0], dtype=np.float64)
    for prediction, weight in zip(predictions, weights, strict=True):
        total += weight * prediction
    return total


def _affordable(path: Sequence[int], costs: FloatArray, max_cost: float) -> Array:
    """Which candidates may be added to a path: its members, and those that the rest of the limit pays for."""
    is_member = np.zeros(len(costs), dtype=bool)
    is_member[list(path)] = True
    return is_member | (costs <= max_cost - costs[is_member].sum())


def _averaged_losses(
    stacked: FloatArray, targets: Array, metric: Metric, sample_weight: FloatArray | None
) -> Callable[[list[int]], FloatArray]:
    """A function: path so far -> loss of the average after adding each candidate, shape (n_candidates,)."""
    if metric.name == "neg_log_loss":
        return _averaged_log_losses(stacked, targets, sample_weight)

    def losses(path: list[int]) -> FloatArray:
        total = stacked[path].sum(axis=0)
        n = len(path) + 1
        return np.array([metric.loss(targets, (total + candidate) / n, sample_weight) for candidate in stacked])

    return losses


def _averaged_log_losses(
    stacked: FloatArray, targets: IntArray, sample_weight: FloatArray | None
) -> Callable[[list[int]], FloatArray]:
    """Log loss reads only the probability of the true class: one vectorised pass over (n_candidates, n_rows)."""
    of_truth = stacked[:, np.arange(len(targets)), targets]
    eps = np.finfo(np.float64).eps

    def losses(path: list[int]) -> FloatArray:
        averaged = (of_truth[path].sum(axis=0) + of_truth) / (len(path) + 1)
        return np.average(-np.log(np.clip(averaged, eps, 1.0)), axis=1, weights=sample_weight)

    return losses
