"""How much a training is worth: expected improvement and the rate at which it comes, on the log scale."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr, ndtr

from autopytorch_lite.types import FloatArray, IntArray

_FAR = -6.0
"""Below so many standard deviations the closed form loses all digits and its asymptotic series takes over."""
_NEWS = np.arange(-3.0, 7.01, 0.4)
"""What a rung may show, in standard deviations; far into the good side, where rare improvements come from."""
_LOG_WEIGHTS = -(_NEWS**2) / 2 - np.log(np.exp(-(_NEWS**2) / 2).sum())
_CHANCES = np.cumsum(np.exp(_LOG_WEIGHTS)[::-1])[::-1]
"""Probability of at least so good news."""
_N_HALVINGS = 12
"""Steps of the search for the largest reservation value."""


def log_expected_improvement(means: FloatArray, deviations: FloatArray, best: float) -> FloatArray:
    """Log of E[max(f - best, 0)] for f normal; higher f is better.

    Args:
        means: float array, shape (m,).
        deviations: standard deviations, positive, shape (m,).
        best: what is to be improved upon.

    Source: Jones, Schonlau, Welch (1998), equation 15; the far tail as in Ament et al. (2023), "Unexpected Improvements
    to Expected Improvement", NeurIPS.
    """
    z = (means - best) / deviations
    log_density = -(z**2) / 2 - np.log(2 * np.pi) / 2
    near = np.maximum(z, _FAR)
    close = np.log(np.maximum(near * ndtr(near) + np.exp(-(near**2) / 2) / np.sqrt(2 * np.pi), 1e-300))
    far = np.minimum(z, _FAR)
    ratio = -far * np.exp(log_ndtr(far) - (-(far**2) / 2 - np.log(2 * np.pi) / 2))  # |z| * Phi / phi, below 1
    tail = log_density + np.log(np.maximum(1 - ratio, far**-2.0 / 4))
    return np.asarray(np.where(z > _FAR, close, tail) + np.log(deviations))


def log_improvement_rate(
    means: FloatArray, deviations: FloatArray, news: FloatArray, costs: FloatArray, best: float
) -> FloatArray:
    """Log of the expected improvement per expected cost under the best plan: train to a rung, go on only if it is good.

    A plan names a rung and a threshold. It pays for the training up to the rung; if the mean to expect then is below
    the threshold, the plan ends there without gain, else the rest is paid for and the improvement is had. The last
    rung as the only one, which is plain expected improvement per cost, is a plan too.

    Args:
        means: of the final values, float array, shape (m,).
        deviations: their standard deviations, positive, shape (m,).
        news: standard deviations of what observing each rung but the last adds to the mean, shape (m, n_rungs - 1);
            0 where a rung tells nothing, or is over.
        costs: still to be paid up to each rung, shape (m, n_rungs); the last is positive.
        best: what is to be improved upon.

    Source: the index of Weitzman (1979), "Optimal Search for the Best Alternative", in its form as a ratio, for boxes
    that open in steps; compare Xie et al. (2024), "Cost-aware Bayesian Optimization via the Pandora's Box Gittins
    Index".
    """
    rates = log_expected_improvement(means, deviations, best) - np.log(costs[:, -1])
    for rung in range(news.shape[1]):
        told = np.minimum(news[:, rung], 0.9999 * deviations)
        then = np.sqrt(deviations**2 - told**2)[:, None]
        gains = log_expected_improvement(means[:, None] + told[:, None] * _NEWS, then, best) + _LOG_WEIGHTS
        tops = gains.max(axis=1, keepdims=True)
        gains_above = np.log(np.cumsum(np.exp(gains - tops)[:, ::-1], axis=1)[:, ::-1] + 1e-300) + tops
        paid = costs[:, rung, None] + (costs[:, -1:] - costs[:, rung, None]) * _CHANCES
        rates = np.maximum(rates, (gains_above - np.log(paid)).max(axis=1))
    return np.asarray(rates)


def reservation_order(
    means: FloatArray, deviations: FloatArray, news: FloatArray, costs: FloatArray, best: float, *, foresight: float
) -> IntArray:
    """Places of candidates, the largest reservation value first.

    The reservation value of a candidate is what it may be asked to improve upon while its best plan (see
    `log_improvement_rate`) still promises the price of time. At a price equal to the best rate that anybody promises
    now, that candidate is the first; but improvements get rarer during a search, so time spent today is worth less than
    that. At a lower price those come first that may become much better than all others, although they promise less
    for the next training.

    Args:
        means, deviations, news, costs, best: see `log_improvement_rate`; m candidates.
        foresight: the price is the best rate of now divided by this; 1 orders by the rate.

    Returns:
        Int array, shape (m,). Only the first places are exact: behind them come those that fell out later, and among
        these the order is by rate.

    Source: Weitzman (1979); Xie et al. (2024), whose price decays as here, but is held until nothing is worth it.
    """
    rates = log_improvement_rate(means, deviations, news, costs, best)
    price = rates.max() - np.log(foresight)
    rounds_survived = np.zeros(len(means), dtype=np.int64)
    left = np.flatnonzero(rates >= price)
    low, high = best, max(best, float((means - _FAR * deviations).max()))
    for _ in range(_N_HALVINGS):
        rounds_survived[left] += 1
        if len(left) == 1:
            break
        middle = (low + high) / 2
        found = log_improvement_rate(means[left], deviations[left], news[left], costs[left], middle)
        worth_it = found >= price
        if worth_it.any():
            left, low = left[worth_it], middle
            rates[left] = found[worth_it]
        else:
            high = middle
    return np.lexsort((-rates, -rounds_survived))
