"""Expected improvement on the log scale, near and far."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from autopytorch_lite.search.acquisition import log_expected_improvement


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
    around_the_seam = log_expected_improvement(np.array([-6.0001, -5.9999]), np.ones(2), 0.0)
    assert np.diff(around_the_seam)[0] < 0.01
