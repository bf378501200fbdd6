"""A driver as a process: its cores, its end at the latest, its memory, and its last words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.memory import PeakMemory

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
_MOST_LOG_BYTES = 20_000
_GONE_S = 5.0
"""How long is waited for the killed to be gone."""


@dataclass(frozen=True)
class Ended:
    """How a driver's process ended.

    Attributes:
        exit_code: None if it was killed at the limit.
        seconds: wall clock from start to end, loading of libraries included.
        peak_memory_mb: of the process and all below it.
        log: the end of what it printed.
    """

    exit_code: int | None
    seconds: float
    peak_memory_mb: float
    log: str

    @property
    def reason(self) -> str:
        """Why there is no result, in one line."""
        if self.exit_code is None:
            return f"killed after {self.seconds:.0f} s"
        last = next((line.strip() for line in reversed(self.log.splitlines()) if line.strip()), "")
        return f"the process died with exit code {self.exit_code}" + (f": {last}" if last else "")


def run_process(
    command: Sequence[str], log: Path, *, n_cores: int, time_limit_s: float | None, python_path: Path | None = None
) -> Ended:
    """Run a command on so many cores until it ends, or kill it and everything below it.

    Args:
        command: program and arguments.
        log: file for what it prints; the process works in the file's folder.
        n_cores: cores it is bound to, where the system can do that, and threads that its libraries are told.
        time_limit_s: seconds after which it is killed; None: never.
        python_path: where an interpreter finds modules beside those of its environment.
    """
    start = time.perf_counter()
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(n_cores)), "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = "" if python_path is None else str(python_path)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _bind(process.pid, n_cores)
            with PeakMemory(process.pid) as memory:
                exit_code = _wait(process, time_limit_s)
        finally:
            _end(process)
    text = log.read_bytes()[-_MOST_LOG_BYTES:].decode(errors="replace")
    return Ended(exit_code, time.perf_counter() - start, memory.megabytes, text)


def _wait(process: subprocess.Popen[bytes], time_limit_s: float | None) -> int | None:
    try:
        return process.wait(time_limit_s)
    except subprocess.TimeoutExpired:
        return None


def _bind(pid: int, n_cores: int) -> None:
    """Let a process use the first cores of those that we may use."""
    try:
        here = psutil.Process()
        if hasattr(here, "cpu_affinity"):  # not on macOS
            psutil.Process(pid).cpu_affinity(here.cpu_affinity()[:n_cores])
    except psutil.NoSuchProcess:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and everything below it or left behind by it, as far as it still lives."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.kill()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # those whose parent has ended
    process.wait()
    psutil.wait_procs(children, timeout=_GONE_S)
