"""`max_predict_ms_per_row`: what is predicted with keeps it, in a fit, when a run goes on, and from disk."""

import json
import statistics
import time

import numpy as np
import pandas as pd
import pytest

from autopytorch_lite import AutoTabularClassifier, load
from autopytorch_lite.ensemble.latency import SLOW_OVER_FAST
from autopytorch_lite.history.lines import comparable
from autopytorch_lite.history.store import HistoryStore
from tests.estimator.tables import QUICK

N_TRIALS = 6
TOLERANCE = 2
"""Other processes make single calls slower than they were a moment ago; 1.2 is what holds on a quiet machine."""
LEARNERS = ["hist_gradient_boosting", "extra_trees", "linear"]
TRIALS = {**QUICK, "learners": LEARNERS, "n_trials": N_TRIALS, "min_budget": 1, "resampling": 2, "random_state": 1}


def one_row_ms(model, X):
    """Median of single-row predictions; the least of three, as other processes disturb the others."""
    medians = []
    for _ in range(3):
        seconds = []
        for i in range(40):
            row = X.iloc[[i]]
            start = time.perf_counter()
            model.predict_proba(row)
            seconds.append(time.perf_counter() - start)
        medians.append(1000 * statistics.median(seconds))
    return min(medians)


@pytest.fixture(scope="module")
def unlimited(mixed, tmp_path_factory):
    return AutoTabularClassifier(**TRIALS, run_dir=tmp_path_factory.mktemp("runs") / "whole").fit(*mixed)


@pytest.fixture(scope="module")
def limit_ms(unlimited, mixed):
    """Midway between what a row takes with the fastest model and with the whole ensemble, so that it can be kept."""
    with pytest.warns(UserWarning, match="cannot be kept"):
        fastest = AutoTabularClassifier.resume(
            unlimited._run.directory.path, n_trials=N_TRIALS, max_predict_ms_per_row=0.001, verbose=0
        )
    return 1.1 * SLOW_OVER_FAST * (one_row_ms(fastest, mixed[0]) + one_row_ms(unlimited, mixed[0])) / 2


def test_a_limit_is_kept_and_the_search_does_not_depend_on_it(unlimited, limit_ms, mixed, tmp_path):
    X, y = mixed
    limited = AutoTabularClassifier(**TRIALS, max_predict_ms_per_row=limit_ms, run_dir=tmp_path / "run").fit(X, y)
    assert limited._ensemble.predict_ms <= TOLERANCE * limit_ms
    assert one_row_ms(limited, X) <= TOLERANCE * limit_ms
    searches = [HistoryStore(model._run.directory.path).read() for model in (unlimited, limited)]
    assert [comparable(line) for line in searches[0]] == [comparable(line) for line in searches[1]]
    limited.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.max_predict_ms_per_row == limit_ms
    np.testing.assert_allclose(loaded.predict_proba(X), limited.predict_proba(X), rtol=1e-6)
    members = {f"{m.config_id}_{m.budget}" for m in limited.ensemble_.itertuples()}
    assert {path.name for path in (tmp_path / "model" / "files").iterdir()} == members


def test_a_run_goes_on_under_another_limit(unlimited, limit_ms, mixed):
    X, _ = mixed
    run_dir = unlimited._run.directory.path
    again = AutoTabularClassifier.resume(run_dir, n_trials=N_TRIALS, max_predict_ms_per_row=limit_ms)
    assert len(again.leaderboard()) == len(unlimited.leaderboard())
    assert one_row_ms(again, X) <= TOLERANCE * limit_ms
    assert len(again.ensemble_) <= len(unlimited.ensemble_)
    assert "ms for a row" in again.report().read_text(encoding="utf-8")
    written = json.loads((run_dir / "ensemble.json").read_text(encoding="utf-8"))
    assert written["trajectory"], "a run that went on used to forget how its ensemble had become better"


def test_a_limit_that_nobody_keeps_is_told_with_numbers(unlimited):
    with pytest.warns(UserWarning, match=r"max_predict_ms_per_row=0.001 cannot be kept: the fastest model.* ms"):
        model = AutoTabularClassifier.resume(
            unlimited._run.directory.path, n_trials=N_TRIALS, max_predict_ms_per_row=0.001, verbose=0
        )
    assert len(model.ensemble_) == 1


def test_every_trial_records_its_time(unlimited):
    for name in ("predict_ms", "read_ms"):
        times = [line.info[name] for line in unlimited._lines if hasattr(line, "info")]
        assert len(times) == N_TRIALS and all(0 < ms < 10_000 for ms in times)
    assert isinstance(unlimited.leaderboard(), pd.DataFrame)
