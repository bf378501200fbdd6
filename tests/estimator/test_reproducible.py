"""Same seed, same result: across processes, hash seeds and interruptions."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from autopytorch_lite.history.lines import comparable
from autopytorch_lite.history.store import HistoryStore

SEARCH = """
import json, sys
from sklearn.datasets import load_wine
from autopytorch_lite import AutoTabularClassifier
X, y = load_wine(return_X_y=True, as_frame=True)
model = AutoTabularClassifier(n_trials=int(sys.argv[2]), n_jobs=1, random_state=3, min_budget=1, max_budget=9,
                              time_limit=None, verbose=0, run_dir=sys.argv[1], resampling=0.3).fit(X, y)
print(json.dumps(model.predict_proba(X).tolist()))
"""


def search(run_dir, n_trials, hash_seed):
    return subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(run_dir), str(n_trials)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def output(process):
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 0
    return json.loads(text)


def history(run_dir):
    return [comparable(line) for line in HistoryStore(run_dir).read()]


@pytest.mark.slow
def test_a_search_killed_three_times_ends_like_one_that_was_not_and_had_another_hash_seed(tmp_path):
    n_trials = 16
    straight = search(tmp_path / "straight", n_trials, hash_seed="1")
    rng = random.Random(0)
    for _ in range(3):
        process = search(tmp_path / "killed", n_trials, hash_seed="2")
        lines_before = _n_lines(tmp_path / "killed")
        _wait_until(lambda seen=lines_before: _n_lines(tmp_path / "killed") >= seen + 2)
        time.sleep(rng.uniform(0, 0.05))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    expected, got = output(straight), output(search(tmp_path / "killed", n_trials, hash_seed="2"))
    assert got == expected
    assert history(tmp_path / "killed") == history(tmp_path / "straight")


def _n_lines(run_dir):
    path = run_dir / "history.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail("the search wrote no history")
        time.sleep(0.02)
