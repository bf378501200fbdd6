"""How much of the machine may be used: cores, threads and megabytes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import loky
import psutil

from autopytorch_lite.errors import BudgetError

_POLL_S = 0.02
_MEGABYTE = 2**20
_CGROUP = Path("/sys/fs/cgroup")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def available_cores() -> int:
    """Cores this process may use: the machine's, less what processor affinity and control groups (1 and 2) withhold.

    The environment variable LOKY_MAX_CPU_COUNT lowers it further.
    """
    return loky.cpu_count()


def available_memory_mb(cgroup: Path = _CGROUP) -> float:
    """Megabytes of memory this process may use at most: the machine's, or less if its control group grants less."""
    granted = [psutil.virtual_memory().total / _MEGABYTE]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # absent, or the word "max"
            granted.append(int((cgroup / name).read_text()) / _MEGABYTE)
    return min(granted)


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Number of workers.

    A positive number is taken as it is; -1 means every available core, -2 all but one, and so on; None means every
    available core, but no more workers than there are gigabytes of memory.

    Raises:
        BudgetError: `n_jobs` is 0 or not an integer.
    """
    n_cores = available_cores()
    if n_jobs is None:
        return max(1, min(n_cores, int(available_memory_mb() / 1024)))
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
        raise BudgetError(
            f"n_jobs must be None, a positive number of workers, or negative (-1: all cores), got {n_jobs!r}."
        )
    return max(1, n_cores + 1 + n_jobs) if n_jobs < 0 else n_jobs


def thread_environment(n_threads: int) -> dict[str, str]:
    """Environment variables that hold numeric libraries to `n_threads` threads; they must be set before these load."""
    return dict.fromkeys(THREAD_VARIABLES, str(n_threads))


def used_memory_mb(process: psutil.Process) -> float:
    """Megabytes of memory that belong to a process alone; mapped files, which the system can drop, are left out."""
    usage = process.memory_info()
    return (usage.rss - getattr(usage, "shared", 0)) / _MEGABYTE


class MemoryWatch:
    """Measures, from a thread, the memory that this process takes inside a ``with`` block.

    Args:
        limit_mb: megabytes above what was in use at the start; None: only measure.
        on_exceeded: called once, in the watching thread, when there is more.
    """

    def __init__(self, limit_mb: float | None = None, on_exceeded: Callable[[], None] | None = None):
        self._limit_mb = limit_mb
        self._on_exceeded = on_exceeded
        self._process = psutil.Process()
        self._baseline_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)
        self.peak_mb = 0.0

    def __enter__(self) -> Self:
        self._baseline_mb = used_memory_mb(self._process)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._measure()

    def _watch(self) -> None:
        while not self._stop.wait(_POLL_S):
            self._measure()
            if self._limit_mb is not None and self.peak_mb > self._limit_mb and self._on_exceeded is not None:
                self._on_exceeded()
                return

    def _measure(self) -> None:
        self.peak_mb = max(self.peak_mb, used_memory_mb(self._process) - self._baseline_mb)
