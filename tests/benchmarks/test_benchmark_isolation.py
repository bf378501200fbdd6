from __future__ import annotations

import json
import math
import os
import time

import pytest

from benchmarks.isolation import IsolatedError, call_isolated
from benchmarks.memory import PeakMemory


def test_the_result_comes_from_another_process() -> None:
    assert call_isolated(math.hypot, 3.0, 4.0) == 5.0
    assert call_isolated(os.getpid) != os.getpid()


def test_an_exception_comes_back_as_one_line_and_a_traceback() -> None:
    with pytest.raises(IsolatedError, match=r"^JSONDecodeError: Expecting value") as caught:
        call_isolated(json.loads, "")
    assert "Traceback" in caught.value.traceback


def test_a_dead_process_is_reported_with_its_exit_code() -> None:
    with pytest.raises(IsolatedError, match="died with exit code 3"):
        call_isolated(os._exit, 3)


def test_a_hanging_process_is_killed() -> None:
    start = time.perf_counter()
    with pytest.raises(IsolatedError, match=r"killed after 0\.1 s"):
        call_isolated(time.sleep, 600, time_limit_s=0.1)
    assert time.perf_counter() - start < 30


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
