from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil

from benchmarks.memory import PeakMemory
from benchmarks.tabular.processes import Ended, run_process


def run(code: str, folder: Path, time_limit_s: float | None = None) -> Ended:
    return run_process([sys.executable, "-c", code], folder / "log.txt", n_cores=1, time_limit_s=time_limit_s)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_dead_process_is_reported_with_its_exit_code_and_last_words(tmp_path: Path) -> None:
    ended = run("import sys; print('first'); print('out of memory', file=sys.stderr); sys.exit(3)", tmp_path)
    assert ended.exit_code == 3
    assert ended.reason == "the process died with exit code 3: out of memory"


def test_a_hanging_process_is_killed_with_everything_below_it(tmp_path: Path) -> None:
    child = (
        "import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    )
    start = time.perf_counter()
    ended = run(child + "print(c.pid, flush=True); time.sleep(600)", tmp_path, time_limit_s=2)
    assert time.perf_counter() - start < 30
    assert ended.exit_code is None
    assert ended.reason.startswith("killed after ")
    pid = int(ended.log)
    assert not is_alive(pid)


def test_what_a_process_leaves_behind_is_killed_too(tmp_path: Path) -> None:
    child = "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    ended = run(child + "; print(c.pid)", tmp_path)
    assert ended.exit_code == 0
    start = time.perf_counter()
    while is_alive(int(ended.log)):
        assert time.perf_counter() - start < 10


def test_a_process_gets_the_cores_it_was_given_and_no_modules_of_ours(tmp_path: Path) -> None:
    code = "import os, time; time.sleep(0.5); print(os.environ['OMP_NUM_THREADS'], len(os.sched_getaffinity(0)))"
    code += "\ntry:\n  import benchmarks\nexcept ImportError: print('alone')"
    ended = run_process([sys.executable, "-S", "-c", code], tmp_path / "log.txt", n_cores=1, time_limit_s=None)
    assert ended.log.split() == ["1", "1", "alone"]


def test_memory_of_another_process_is_measured(tmp_path: Path) -> None:
    ended = run("import time; block = b'x' * (300 * 2**20); time.sleep(0.5)", tmp_path)
    assert 300 < ended.peak_memory_mb < 500


def test_peak_memory_sees_what_was_freed_again() -> None:
    with PeakMemory() as quiet:
        pass
    with PeakMemory() as busy:
        block = b"x" * (300 * 2**20)
        start = time.perf_counter()
        while busy.megabytes < quiet.megabytes + 250 and time.perf_counter() - start < 10:
            pass
        del block
    assert busy.megabytes > quiet.megabytes + 250
