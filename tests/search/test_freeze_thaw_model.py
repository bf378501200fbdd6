"""The model of FreezeThaw: what it says a rung would tell is what it learns when that rung is observed."""

from __future__ import annotations

import numpy as np
import pytest

from autopytorch_lite.search.freeze_thaw_model import LossModel
from autopytorch_lite.search.gaussian_process import Geometry
from autopytorch_lite.search.sampling import ConfigurationSampler
from autopytorch_lite.search.task_prior import TaskPrior
from tests.search.test_task_prior import SPACE, make_matrix

BUDGETS = (1, 3, 9)


def make_model(informed: bool) -> LossModel:
    codec = ConfigurationSampler(SPACE).codec
    geometry = Geometry(codec.n_choices)
    prior = TaskPrior(make_matrix(), codec, geometry, BUDGETS) if informed else None
    model = LossModel(geometry, BUDGETS, prior)
    model.add(np.random.default_rng(0).random((12, codec.n_dims)))
    for column in range(8):
        for rung in range(3 if column < 4 else 1):
            model.observe(column, rung, 0.1 * column - 0.3 / (rung + 1))
    return model


@pytest.mark.parametrize("informed", [False, True])
@pytest.mark.parametrize("rung", [0, 1])
def test_news_is_the_uncertainty_that_an_observation_takes_away(informed: bool, rung: int) -> None:
    model = make_model(informed)
    column = 10
    news = model.outlook(np.array([column]), np.zeros((0, 2)), []).news[0, rung]
    before = model.forecast([]).deviations[column]
    after = model.forecast([(column, rung)]).deviations[column]
    assert news**2 == pytest.approx(before**2 - after**2, rel=1e-3)
    assert 0 < news < before


def test_columns_and_vectors_have_the_same_outlook() -> None:
    model = make_model(informed=True)
    vectors = np.random.default_rng(0).random((12, 2))[8:]
    as_columns = model.outlook(np.arange(8, 12), np.zeros((0, 2)), [(5, 1)])
    as_vectors = model.outlook(np.arange(0), vectors, [(5, 1)])
    np.testing.assert_allclose(as_columns.news, as_vectors.news, rtol=1e-8)
    np.testing.assert_allclose(as_columns.final.means, as_vectors.final.means, rtol=1e-8)
    np.testing.assert_allclose(as_columns.final.deviations, as_vectors.final.deviations, rtol=1e-8)
    forecast = model.forecast([(5, 1)])
    np.testing.assert_allclose(forecast.means[8:], as_vectors.final.means, rtol=1e-8)


def test_what_is_known_tells_nothing_more() -> None:
    model = make_model(informed=False)
    news = model.outlook(np.array([1, 10]), np.zeros((0, 2)), []).news
    assert (news[0] < 0.2 * news[1]).all()


@pytest.mark.parametrize("n_active", [1.0, 4.0])
def test_distances_count_in_units_of_what_a_configuration_has(n_active: float) -> None:
    """A space may have many dimensions of which a configuration has few; then near ones tell less of each other."""
    geometry = Geometry(np.zeros(16, dtype=int))
    deviations = {}
    for n in (n_active, None):
        model = LossModel(geometry, BUDGETS, None, n)
        model.add(np.vstack([np.full((1, 16), 0.5), np.full((1, 16), 0.6)]))
        model.observe(0, 2, 0.0)
        deviations[n] = model.outlook(np.array([1]), np.zeros((0, 16)), []).final.deviations[0]
    assert deviations[n_active] > deviations[None]
