"""Greedy ensemble selection with replacement on out-of-sample predictions.

Source: Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries of models", ICML 2004, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Array, FloatArray, IntArray


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


def select(
    predictions: Sequence[FloatArray] | FloatArray,
    targets: Array,
    *,
    metric: Metric,
    size: int,
    sample_weight: FloatArray | None = None,
    seed: int = 0,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Selection:
    """Add, `size` times, the candidate that lowers the loss of the average most; keep the best prefix of that path.

    The first step takes the best single candidate, so the result is never worse on these rows than any of them.

    Args:
        predictions: one float array per candidate, each shape (n_rows, n_outputs).
        targets: class codes (n_rows,) or values (n_rows, n_targets).
        metric: how to compare.
        size: number of steps, the same candidate may be added again.
        sample_weight: float array, shape (n_rows,), or None.
        seed: which of several equally good candidates is taken.
        out_of_time: asked after every step; the path ends early when it says so.

    Raises:
        ValueError: there is no candidate, or size is below one.
    """
    if len(predictions) == 0 or size < 1:
        raise ValueError(
            f"Ensemble selection needs a candidate and at least one step, got {len(predictions)=} and {size=}."
        )
    rng = np.random.default_rng(seed)
    losses_of_sums = _averaged_losses(np.asarray(predictions), targets, metric, sample_weight)
    path: list[int] = []
    path_losses: list[float] = []
    while len(path) < size and not (path and out_of_time()):
        losses = losses_of_sums(path)
        best = float(np.nanmin(losses))
        chosen = int(rng.choice(np.flatnonzero(losses == best)))
        path.append(chosen)
        path_losses.append(best)
    n_kept = int(np.argmin(path_losses)) + 1
    counts = np.bincount(path[:n_kept], minlength=len(predictions))
    return Selection(counts / n_kept, path_losses[n_kept - 1], tuple(path), tuple(path_losses))


def weighted_average(predictions: Sequence[FloatArray], weights: FloatArray | Sequence[float]) -> FloatArray:
    """Average of predictions, each shape (n_rows, n_outputs), with weights that sum to one."""
    total = np.zeros_like(predictions[0], dtype=np.float64)
    for prediction, weight in zip(predictions, weights, strict=True):
        total += weight * prediction
    return total


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
