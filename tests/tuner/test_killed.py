"""Searches that are killed or interrupted, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

from autopytorch_lite.history.lines import lines_equal
from autopytorch_lite.history.store import HistoryStore
from autopytorch_lite.history.summary import closed, open_proposals
from autopytorch_lite.history.trial import Finished, Line, Proposed, Status

pytestmark = pytest.mark.slow

SCRIPT = """
import signal, sys, time
from pathlib import Path

signal.signal(signal.SIGINT, signal.default_int_handler)  # started in the background, Python ignores Ctrl-C
from ConfigSpace import ConfigurationSpace
from autopytorch_lite.execution.workers import ProcessExecutor
from autopytorch_lite.search import Hyperband
from autopytorch_lite.tuner import tune

folder, kind, seconds, n_trials = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])

def objective(config, budget, checkpoint):
    with (folder / "log").open("a") as log:
        log.write(f"{checkpoint.config_id}@{budget}\\n")
    previous = checkpoint.previous_state()
    n_done = 0 if previous is None else int((previous / "epochs").read_text())
    (checkpoint.state_folder() / "epochs").write_text(str(budget))
    time.sleep(seconds)
    return config["x"] + budget - n_done

space = ConfigurationSpace({"x": (0.0, 1.0)})
searcher = Hyperband(space, min_budget=1, max_budget=9, seed=1)
tell = {"callbacks": [lambda event: print(event.kind, flush=True)]}
if kind == "serial":
    result = tune(searcher, objective, run_dir=folder, n_trials=n_trials, **tell)
else:
    executor = ProcessExecutor(objective, n_workers=2, files_root=folder / "files")
    result = tune(searcher, executor=executor, run_dir=folder, n_trials=n_trials, **tell)
    executor.close()
print("interrupted" if result.interrupted else "done", flush=True)
"""


def start(folder: Path, kind: str, *, seconds: float = 0.01, n_trials: int = 25) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), kind, str(seconds), str(n_trials)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def follow(search: subprocess.Popen[str], n_events: int) -> bool:
    """Read what the search prints until so many events have happened; whether it still runs."""
    assert search.stdout is not None
    return all(search.stdout.readline().strip() not in ("", "done", "interrupted") for _ in range(n_events))


def run(folder: Path, kind: str, **settings: float) -> list[Line]:
    folder.mkdir(exist_ok=True)
    with start(folder, kind, **settings) as search:  # type: ignore[arg-type]
        out, err = search.communicate(timeout=60)
    assert out.endswith("done\n"), err
    return HistoryStore(folder).read()


@pytest.mark.parametrize("kind", ["serial", "processes"])
def test_killed_search_goes_on_where_it_was(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    rng = np.random.default_rng(5)
    seen: list[Line] = []
    for _ in range(3):
        with start(folder, kind) as search:
            still_runs = follow(search, int(rng.integers(6, 20)))
            time.sleep(rng.uniform(0, 0.02))
            children = psutil.Process(search.pid).children(recursive=True)
            search.kill()
        psutil.wait_procs(children, timeout=10)
        assert still_runs
        lines = HistoryStore(folder).read()
        assert lines[: len(seen)] == seen, "nothing is lost or rewritten"
        assert len(closed(lines)) > len(closed(seen))
        seen = lines
    lines = run(folder, kind)
    assert lines[: len(seen)] == seen
    assert len(closed(lines)) == 25
    assert set(Counter(line.key for line in lines).values()) == {2}, "each trial is proposed once and finished once"
    assert [line.status for line in closed(lines)] == [Status.OK] * 25
    n_executed = Counter((folder / "log").read_text().split())
    n_workers = 1 if kind == "serial" else 2
    assert sum(n_executed.values()) <= 25 + 3 * n_workers, "only what ran when it was killed is repeated"
    continued = [line.proposal for line in lines if isinstance(line, Proposed) and line.proposal.resume_from]
    losses = {line.key: line.loss for line in closed(lines)}
    for proposal in continued:
        n_own = proposal.budget - (proposal.resume_from or 0)
        assert losses[proposal.key] == pytest.approx(proposal.config["x"] + n_own), (
            "every continuation found its checkpoint"
        )
    if kind == "serial":
        assert lines_equal(lines, run(tmp_path / "whole", kind))


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("kind", ["serial", "processes"])
def test_ctrl_c_ends_the_search_in_good_order(tmp_path: Path, kind: str) -> None:
    with start(tmp_path, kind, seconds=0.3, n_trials=1000) as search:
        assert follow(search, 7)
        for process in [search, *psutil.Process(search.pid).children()]:  # as the terminal does
            process.send_signal(signal.SIGINT)
        start_s = time.monotonic()
        out, err = search.communicate(timeout=30)
        assert time.monotonic() - start_s < 15
    assert search.returncode == 0, err
    assert out.endswith("end\ninterrupted\n")
    assert err == ""
    lines = HistoryStore(tmp_path).read()
    n_running = len(open_proposals(lines))
    assert n_running in ((0, 1) if kind == "serial" else (1, 2))
    ends = [line.status for line in lines if isinstance(line, Finished)]
    assert ends[len(ends) - n_running :] == [Status.CANCELLED] * n_running
    assert set(ends[: len(ends) - n_running]) == {Status.OK}
