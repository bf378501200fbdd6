"""How much a training is worth: expected improvement and the rate at which it comes, on the log scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx

from autopytorch_lite.types import FloatArray, IntArray

_LOG_ROOT_2PI = np.log(2 * np.pi) / 2
_FAR = 6.0
"""No candidate is expected to become better than so many standard deviations above its mean."""
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

    Source: Jones, Schonlau, Welch (1998), equation 15; on the log scale, with the scaled complementary error function,
    as in Ament et al. (2023), "Unexpected Improvements to Expected Improvement", NeurIPS.
    """
    return _log_standard_improvement((means - best) / deviations) + np.log(deviations)


def _log_standard_improvement(z: FloatArray) -> FloatArray:
    """Log of E[max(f + z, 0)] for f standard normal."""
    distances = np.abs(z)
    # phi(z) - |z| Phi(-|z|), in units of phi(z); the bound, which the value approaches, holds where digits run out
    shares = 1 - distances * (np.sqrt(np.pi / 2) * erfcx(distances * np.sqrt(0.5)))
    shares = np.maximum(shares, 1 / (distances**2 + 3))
    log_density = -(z**2) / 2 - _LOG_ROOT_2PI
    above = np.log(np.maximum(z, 0) + np.exp(log_density) * shares + 1e-300)
    return np.asarray(np.where(z > 0, above, log_density + np.log(shares)))


@dataclass(frozen=True)
class Plans:
    """How candidates may be trained: to a rung, and on only if it is good. `of` makes them.

    A plan names a rung and a threshold. It pays for the training up to the rung; if the mean to expect then is below
    the threshold, the plan ends there without gain, else the rest is paid for and the improvement is had. The last
    rung as the only one, which is plain expected improvement per cost, is a plan too.

    Attributes:
        means: of the final values, float array, shape (m,).
        deviations: their standard deviations, shape (m,).
        log_costs: of training to the end, shape (m,).
        shown: means that a rung may lead to, shape (m, n_rungs - 1, n_news).
        then: standard deviations after a rung, shape (m, n_rungs - 1, 1).
        log_weights: log of deviations then, times the probabilities of the news, shape (m, n_rungs - 1, n_news).
        log_paid: log expected costs where at least so good news is asked for, shape (m, n_rungs - 1, n_news).

    Source: the index of Weitzman (1979), "Optimal Search for the Best Alternative", in its form as a ratio, for boxes
    that open in steps; compare Xie et al. (2024), "Cost-aware Bayesian Optimization via the Pandora's Box Gittins
    Index".
    """

    means: FloatArray
    deviations: FloatArray
    log_costs: FloatArray
    shown: FloatArray
    then: FloatArray
    log_weights: FloatArray
    log_paid: FloatArray

    @classmethod
    def of(cls, means: FloatArray, deviations: FloatArray, news: FloatArray, costs: FloatArray) -> Plans:
        """The plans of m candidates.

        Args:
            means: of the final values, float array, shape (m,).
            deviations: their standard deviations, positive, shape (m,).
            news: standard deviations of what observing each rung but the last adds to the mean, shape
                (m, n_rungs - 1); 0 where a rung tells nothing, or is over.
            costs: still to be paid up to each rung, shape (m, n_rungs); the last is positive.
        """
        told = np.minimum(news, 0.9999 * deviations[:, None])
        then = np.sqrt(deviations[:, None] ** 2 - told**2)[:, :, None]
        shown = means[:, None, None] + told[:, :, None] * _NEWS
        to_rung, to_end = costs[:, :-1, None], costs[:, -1, None, None]
        log_paid = np.log(to_rung + (to_end - to_rung) * _CHANCES)
        return cls(means, deviations, np.log(costs[:, -1]), shown, then, np.log(then) + _LOG_WEIGHTS, log_paid)

    def __getitem__(self, index: IntArray) -> Plans:
        return Plans(*(getattr(self, field)[index] for field in self.__dataclass_fields__))

    def rates(self, best: float) -> FloatArray:
        """Log of the expected improvement upon `best` per expected cost, under each one's best plan, shape (m,)."""
        rates = log_expected_improvement(self.means, self.deviations, best) - self.log_costs
        if not self.shown.size:
            return rates
        gains = _log_standard_improvement((self.shown - best) / self.then) + self.log_weights
        tops = gains.max(axis=2, keepdims=True)
        above = np.cumsum(np.exp(gains - tops)[:, :, ::-1], axis=2)[:, :, ::-1]
        return np.asarray(np.maximum(rates, (np.log(above + 1e-300) + tops - self.log_paid).max(axis=(1, 2))))


def reservation_order(
    means: FloatArray, deviations: FloatArray, news: FloatArray, costs: FloatArray, best: float, *, foresight: float
) -> IntArray:
    """Places of candidates, the largest reservation value first.

    The reservation value of a candidate is what it may be asked to improve upon while its best plan (see
    `Plans`) still promises the price of time. At a price equal to the best rate that anybody promises
    now, that candidate is the first; but improvements get rarer during a search, so time spent today is worth less than
    that. At a lower price those come first that may become much better than all others, although they promise less
    for the next training.

    Args:
        means, deviations, news, costs: see `Plans.of`; m candidates.
        best: what is to be improved upon.
        foresight: the price is the best rate of now divided by this; 1 orders by the rate.

    Returns:
        Int array, shape (m,). Only the first places are exact: behind them come those that fell out later, and among
        these the order is by rate.

    Source: Weitzman (1979); Xie et al. (2024), whose price decays as here, but is held until nothing is worth it.
    """
    plans = Plans.of(means, deviations, news, costs)
    rates = plans.rates(best)
    price = rates.max() - np.log(foresight)
    rounds_survived = np.zeros(len(means), dtype=np.int64)
    left = np.flatnonzero(rates >= price)
    plans = plans[left]
    low, high = best, max(best, float((means + _FAR * deviations).max()))
    for _ in range(_N_HALVINGS):
        rounds_survived[left] += 1
        if len(left) == 1:
            break
        middle = (low + high) / 2
        found = plans.rates(middle)
        worth_it = found >= price
        if worth_it.any():
            left, plans, low = left[worth_it], plans[worth_it], middle
            rates[left] = found[worth_it]
        else:
            high = middle
    return np.lexsort((-rates, -rounds_survived))
