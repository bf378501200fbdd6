"""Expected improvement on the log scale, near and far."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from autopytorch_lite.search.acquisition import Plans, log_expected_improvement, reservation_order


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.0, 1.0, 0.0), (1.0, 0.2, 0.5), (-2.0, 1.5, 1.0)])
def test_equals_the_integral(mean: float, deviation: float, best: float) -> None:
    integral = quad(lambda f: (f - best) * norm.pdf(f, mean, deviation), best, mean + 12 * deviation)[0]
    found = log_expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
    assert found == pytest.approx(np.log(integral), rel=1e-6)


def test_is_smooth_and_strictly_ordered_far_below_the_best() -> None:
    means = np.linspace(-300, 3, 5000)
    values = log_expected_improvement(means, np.ones_like(means), 0.0)
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    around_the_seam = log_expected_improvement(np.array([-1e-4, 1e-4]), np.ones(2), 0.0)
    assert np.diff(around_the_seam)[0] < 0.01
    assert np.isfinite(log_expected_improvement(np.array([-1e9, 1e9]), np.ones(2), 0.0)).all()


def test_without_news_the_rate_is_the_improvement_per_cost() -> None:
    means, deviations, costs = np.array([0.0, -3.0]), np.array([1.0, 0.5]), np.array([[1.0, 4.0], [0.0, 2.0]])
    rates = Plans.of(means, deviations, np.zeros((2, 1)), costs).rates(0.5)
    assert rates == pytest.approx(log_expected_improvement(means, deviations, 0.5) - np.log(costs[:, -1]))


@pytest.mark.parametrize(("mean", "told", "cost"), [(0.0, 0.8, 0.1), (-1.0, 0.99, 0.04), (0.5, 0.3, 0.3)])
def test_the_rate_is_that_of_the_best_threshold(mean: float, told: float, cost: float) -> None:
    """One rung before the last: the integral over what it may show, for every threshold, by quadrature."""
    best, rest = 1.0, np.sqrt(1 - told**2)

    def rate(threshold: float) -> float:
        def gain(shown: float) -> float:
            improvement = np.exp(log_expected_improvement(np.array([shown]), np.array([rest]), best)[0])
            return float(improvement * norm.pdf(shown, mean, told))

        return quad(gain, threshold, mean + 8 * told)[0] / (cost + (1 - cost) * norm.sf(threshold, mean, told))

    expected = max(rate(threshold) for threshold in np.linspace(mean - 3 * told, mean + 4 * told, 60))
    found = Plans.of(np.array([mean]), np.ones(1), np.array([[told]]), np.array([[cost, 1.0]])).rates(best)
    assert np.exp(found[0]) == pytest.approx(expected, rel=0.1)


def test_a_cheap_rung_that_tells_much_makes_beginning_worthwhile() -> None:
    costs = np.array([[0.04, 0.3, 1.0]])
    rates = [
        Plans.of(np.zeros(1), np.ones(1), np.array([[told, 0.0]]), costs).rates(2.0)[0]
        for told in (0.0, 0.5, 0.9, 0.99)
    ]
    assert (np.diff(rates) > 0).all()
    assert rates[-1] - rates[0] > np.log(5)


def some_candidates(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    deviations = rng.uniform(0.1, 2, n)
    return rng.normal(0, 1, n), deviations, deviations[:, None] * rng.uniform(0, 1, (n, 2)), rng.uniform(0.1, 3, (n, 3))


@pytest.mark.parametrize("foresight", [3.0, 100.0, 1e4])
@pytest.mark.parametrize("seed", range(5))
def test_the_first_has_the_largest_reservation_value(foresight: float, seed: int) -> None:
    means, deviations, news, costs = some_candidates(np.random.default_rng(seed), 12)
    plans = Plans.of(means, deviations, news, costs)
    price = plans.rates(0.5).max() - np.log(foresight)

    def value(i: int) -> float:
        def surplus(bar: float) -> float:
            return plans[np.array([i])].rates(bar)[0] - price

        return brentq(surplus, -50, 50)

    values = np.array([value(i) for i in range(12)])
    order = reservation_order(means, deviations, news, costs, 0.5, foresight=foresight)
    assert sorted(order) == list(range(12))
    assert values[order[0]] == pytest.approx(values.max(), abs=0.01)


def test_without_foresight_the_order_is_that_of_the_rates() -> None:
    candidates = some_candidates(np.random.default_rng(0), 20)
    rates = Plans.of(*candidates).rates(0.3)
    assert reservation_order(*candidates, 0.3, foresight=1.0).tolist() == np.argsort(-rates).tolist()


def test_foresight_prefers_what_may_become_much_better() -> None:
    """A small certain gain has the better rate; a wide guess may become far better for the same cost."""
    means, deviations = np.array([0.5, -1.0]), np.array([0.01, 1.0])
    news, costs = np.zeros((2, 1)), np.ones((2, 2))
    assert reservation_order(means, deviations, news, costs, 0.0, foresight=1.0)[0] == 0
    assert reservation_order(means, deviations, news, costs, 0.0, foresight=100.0)[0] == 1
