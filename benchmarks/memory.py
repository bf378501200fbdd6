"""Peak memory of a process and everything below it."""

from __future__ import annotations

import threading
from typing import Self

import psutil

INTERVAL_S = 0.1


class PeakMemory:
    """Samples resident memory while the block runs; `megabytes` is the largest sum seen.

    Pages that processes share are counted once per process, so the sum is an upper bound.

    Args:
        pid: of the process; None: this one.
    """

    def __init__(self, pid: int | None = None) -> None:
        self.megabytes = 0.0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._sample()

    def _sample(self) -> None:
        try:
            root = psutil.Process(self._pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        total = sum(map(_resident_bytes, family))
        self.megabytes = max(self.megabytes, total / 2**20)


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
