from __future__ import annotations

import json

import numpy as np

from autopytorch_lite.pipeline.target_scale import MARGIN, TargetScale

Y = np.array([[0.0, 5.0], [10.0, 5.0], [20.0, 5.0]])


def test_targets_are_standardised_one_by_one() -> None:
    scale = TargetScale.of(Y)
    standardised = scale.standardize(Y)
    np.testing.assert_allclose(standardised.mean(axis=0), 0)
    np.testing.assert_allclose(standardised.std(axis=0), [1, 0])
    np.testing.assert_allclose(scale.restore(standardised), Y)


def test_predictions_stay_near_the_training_range() -> None:
    predictions = TargetScale.of(Y).predictions(np.array([[1e9, 1e9], [-1e9, -1e9]]))
    assert predictions.tolist() == [[20 + 20 * MARGIN, 5], [-20 * MARGIN, 5]]


def test_survives_json_exactly() -> None:
    scale = TargetScale.of(np.random.default_rng(0).normal(size=(7, 3)))
    again = TargetScale.from_json(json.loads(json.dumps(scale.to_json())))
    for name in ("center", "spread", "low", "high"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scale, name))


def test_one_dimensional_targets_become_a_column() -> None:
    assert TargetScale.of(np.arange(4.0)).standardize(np.arange(4.0)).shape == (4, 1)
