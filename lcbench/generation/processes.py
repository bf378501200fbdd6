"""The processes that train: one thread each, and they keep running when a batch has made them large."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autopytorch_lite.execution.limits import thread_environment
from autopytorch_lite.execution.serving import end_with_parent

if TYPE_CHECKING:
    from loky.process_executor import ProcessPoolExecutor

_MAX_GROWTH_BYTES = 4e9
"""Loky replaces a process that has grown by more. Its default of 0.3 GB takes the memory that torch keeps between two
batches for a leak, and a process that starts anew needs five seconds for its imports."""


def single_thread_executor(n_jobs: int) -> ProcessPoolExecutor:
    """Processes of one thread each that end with this one.

    Args:
        n_jobs: how many.
    """
    from loky.process_executor import ProcessPoolExecutor

    environment = thread_environment(1) | {"LOKY_MAX_MEMORY_LEAK_SIZE": str(_MAX_GROWTH_BYTES)}
    return ProcessPoolExecutor(n_jobs, initializer=end_with_parent, initargs=(os.getpid(),), env=environment)
