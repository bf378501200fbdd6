"""Ensembles under a limit on the time of one row, with times that are told instead of measured."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, repeat

import numpy as np
import pytest

from autopytorch_lite.ensemble.latency import SLOW_OVER_FAST, Timing
from autopytorch_lite.ensemble.library import Library
from autopytorch_lite.ensemble.limit import MAX_ROUNDS, select_under_limit
from autopytorch_lite.history.trial import Finished, TrialKey
from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Task

LOG_LOSS = Metric("neg_log_loss", Task.BINARY, 2)
TARGETS = np.arange(60) % 2
FIXED_MS = 1.0


def predictions_of(key):
    """The larger the number, the better the model."""
    rng = np.random.default_rng(key.config_id)
    p = np.clip(0.5 + (TARGETS - 0.5) * 0.08 * key.config_id + rng.normal(size=60) * 0.1, 0.02, 0.98)
    return np.c_[1 - p, p]


def library_of(recorded_ms, speeds=None):
    """Trials that took so many milliseconds for a row, or twice as many where the machine had half its speed."""
    library, speeds = Library(predictions_of, TARGETS, LOG_LOSS), speeds or repeat(1.0)
    for (config_id, predict_ms), speed in zip(recorded_ms.items(), speeds, strict=False):
        key = TrialKey(config_id, 1)
        loss = LOG_LOSS.loss(TARGETS, predictions_of(key))
        info = {} if predict_ms is None else {"predict_ms": predict_ms / speed, "read_ms": FIXED_MS / speed}
        library.add(Finished(key=key, loss=loss, info=info))
    return library


@dataclass(frozen=True)
class TimedPredictor:
    """Takes as long as it is told, and reading a row as long as a row without any member."""

    weights: dict
    true_ms: dict
    speeds: Iterator

    @property
    def ms(self):
        return FIXED_MS + sum(self.true_ms[key.config_id] for key in self.weights)

    def timing(self, rows):
        members = {key: self.true_ms[key.config_id] / FIXED_MS for key in self.weights}
        return Timing([FIXED_MS / next(self.speeds) for _ in range(4)], self.ms / FIXED_MS, members)

    def with_weights(self, weights):
        return replace(self, weights=weights)


def serve(recorded_ms, limit_ms, *, slower=1.0, speeds=None, searched=None):
    """What is selected when models take `slower` times what they recorded; and how many ensembles were loaded.

    The machine's speed is one of `speeds` after the other, at moments of which a measurement has four; while it
    searched, it was one of `searched` for each trial.
    """
    library, loaded = library_of(recorded_ms, searched), []
    true_ms = {i: slower * (ms or 3.0) for i, ms in recorded_ms.items()}

    def load(ensemble):
        loaded.append(ensemble)
        return TimedPredictor(dict(ensemble.members), true_ms, speeds or repeat(1.0))

    served = select_under_limit(
        library,
        library.latency(limit_ms),
        select=lambda latency: library.build(size=20, seed=0, latency=latency),
        load=load,
        rows=[None],
    )
    return served, loaded


RECORDED = {0: 0.2, 1: 0.3, 2: 0.5, 3: 0.8, 4: 1.0, 5: 2.0, 6: 4.0, 7: 8.0}


@pytest.mark.parametrize("slower", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("limit_ms", [2.7, 4.5, 9.0, 20.0, 150.0])
def test_the_limit_is_kept_and_used(limit_ms, slower):
    served, loaded = serve(RECORDED, limit_ms, slower=slower)
    assert served.ensemble.predict_ms <= limit_ms
    assert served.ensemble.predict_ms == pytest.approx(SLOW_OVER_FAST * served.predictor.ms), "no slow moment was met"
    assert served.predictor.weights == dict(served.ensemble.members)
    expected = library_of(RECORDED).loss(served.ensemble.members, served.ensemble.calibration)
    assert served.ensemble.loss == pytest.approx(expected)
    assert len(loaded) <= MAX_ROUNDS
    affordable = [i for i, ms in RECORDED.items() if SLOW_OVER_FAST * (FIXED_MS + slower * ms) <= limit_ms]
    best_single = min(library_of(RECORDED).ranked(), key=lambda key: (key.config_id not in affordable, -key.config_id))
    assert served.ensemble.loss <= LOG_LOSS.loss(TARGETS, predictions_of(best_single)) + 1e-12


@pytest.mark.parametrize(
    ("searched", "served_at"),
    [
        pytest.param([1.0], [1.0, 1.0, 0.5, 0.5], id="slow-moments-at-the-end"),
        pytest.param([1.0, 0.5], [1.0], id="slow-moments-in-the-search"),
        pytest.param([0.5, 1.0], [0.5] * 4 + [1.0] * 4, id="slow-moments-everywhere"),
    ],
)
@pytest.mark.parametrize("limit_ms", [3.0, 6.0, 15.0])
def test_the_limit_is_kept_in_slow_moments_and_used(limit_ms, searched, served_at):
    served, _ = serve(RECORDED, limit_ms, speeds=cycle(served_at), searched=cycle(searched))
    slow_ms = served.predictor.ms / 0.5
    assert slow_ms <= limit_ms + 1e-9
    assert served.ensemble.predict_ms == pytest.approx(slow_ms)
    at_half_speed, _ = serve(RECORDED, limit_ms, speeds=repeat(0.5))
    assert served.ensemble.loss <= 1.05 * at_half_speed.ensemble.loss


def test_a_limit_that_nobody_needs_changes_nothing():
    library = library_of(RECORDED)
    served, loaded = serve(RECORDED, 1000.0)
    assert served.ensemble.members == library.build(size=20, seed=0).members
    assert len(loaded) == 1


def test_before_anything_is_measured_trials_count_with_what_they_recorded_in_slow_moments():
    library = library_of(RECORDED, cycle([1.0, 0.5]))
    ensemble = library.build(size=20, seed=0, latency=library.latency(6.0))
    recorded_ms = sum(RECORDED[key.config_id] for key, _ in ensemble.members)
    assert ensemble.predict_ms == pytest.approx(recorded_ms / 0.5)
    assert 3.0 < ensemble.predict_ms <= 6.0
    assert library.build(size=20, seed=0).predict_ms is None


def test_where_nobody_keeps_the_limit_the_fastest_is_left_alone():
    served, _ = serve(RECORDED, 0.5)
    assert [key.config_id for key, _ in served.ensemble.members] == [0]
    assert served.ensemble.predict_ms == pytest.approx(SLOW_OVER_FAST * 1.2)


def test_trials_that_recorded_no_time_are_taken_only_where_nothing_else_is_known():
    served, _ = serve({1: 0.3, 6: None}, 2.0)
    assert [key.config_id for key, _ in served.ensemble.members] == [1]
    served, _ = serve({1: None, 6: None}, 10.0)
    assert served.ensemble.predict_ms <= 10.0
