from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.execution import limits
from autopytorch_lite.execution.limits import (
    MemoryWatch,
    available_cores,
    available_memory_mb,
    resolve_n_jobs,
    thread_environment,
)

COUNT = "from autopytorch_lite.execution.limits import available_cores; print(available_cores())"


def test_cores_respect_the_environment_and_the_machine() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    environment = {**os.environ, "LOKY_MAX_CPU_COUNT": "1"}
    assert subprocess.check_output([sys.executable, "-c", COUNT], env=environment, text=True) == "1\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no processor affinity")
def test_cores_respect_affinity() -> None:
    pin = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}]); "
    assert subprocess.check_output([sys.executable, "-c", pin + COUNT], text=True) == "1\n"


@pytest.mark.parametrize(("text", "expected"), [("104857600\n", 100.0), ("max\n", None), (None, None)])
def test_memory_respects_control_groups(tmp_path: Path, text: str | None, expected: float | None) -> None:
    if text is not None:
        (tmp_path / "memory.max").write_text(text)
    total = available_memory_mb(tmp_path)
    assert total == expected if expected is not None else total > 100


def test_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_cores", lambda: 8)
    monkeypatch.setattr(limits, "available_memory_mb", lambda: 4096.0)
    assert [resolve_n_jobs(n) for n in (None, -1, -2, -20, 1, 3, 20)] == [4, 8, 7, 1, 1, 3, 20]
    for wrong in (0, True, 1.5, "2"):
        with pytest.raises(BudgetError, match="n_jobs"):
            resolve_n_jobs(wrong)  # type: ignore[arg-type]


def test_thread_environment_names_the_common_libraries() -> None:
    assert thread_environment(3)["OMP_NUM_THREADS"] == "3"
    assert {"MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"} <= set(thread_environment(1))


def test_memory_watch_calls_once_when_there_is_more() -> None:
    exceeded = threading.Event()
    n_calls = []

    def on_exceeded() -> None:
        n_calls.append(1)
        exceeded.set()

    with MemoryWatch(50, on_exceeded) as watch:
        block = np.ones(200 * 2**17)
        assert exceeded.wait(10)
    assert watch.peak_mb > 50
    assert len(n_calls) == 1
    del block
    with MemoryWatch(10_000, on_exceeded) as watch:
        pass
    assert len(n_calls) == 1
