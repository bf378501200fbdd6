from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import psutil
import pytest

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.execution import workers
from autopytorch_lite.execution.base import Checkpoint
from autopytorch_lite.execution.worker_pool import WARM
from autopytorch_lite.execution.workers import ProcessExecutor, SerialExecutor
from autopytorch_lite.history.trial import Finished, Proposal, Status
from autopytorch_lite.types import Config
from tests.contracts import check_executor as contract
from tests.contracts.check_executor import check_executor, run_all

cloudpickle.register_pickle_by_value(sys.modules[__name__])
cloudpickle.register_pickle_by_value(contract)


@pytest.fixture(autouse=True, scope="module")
def no_worker_outlives_the_tests() -> Iterator[None]:
    yield
    WARM.end_idle()
    assert not [child for child in psutil.Process().children() if "popen_loky" in " ".join(child.cmdline())]


def misbehave(config: Config, budget: int, checkpoint: Checkpoint) -> float:
    """Does to its process what the configuration says."""
    (checkpoint.folder / "half").write_text("x")
    do = config["do"]
    if do == "hang":
        time.sleep(1000)
    if do == "hold the interpreter":
        sum(range(10**12))
    if do == "exit 3":
        os._exit(3)
    if do == "exit 0":
        os._exit(0)
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "segfault":
        import ctypes

        ctypes.string_at(0)
    if do == "grow":
        blocks = []
        while True:
            blocks.append(np.ones(2**17))
            time.sleep(0.0005)
    if do == "close the connection":
        os.closerange(3, 200)
        time.sleep(1000)
    return 0.5


def executor(tmp_path: Path, objective: Any = misbehave, n_workers: int = 1, **settings: Any) -> ProcessExecutor:
    return ProcessExecutor(objective, n_workers=n_workers, files_root=tmp_path / "files", **settings)


def evaluate(executor: ProcessExecutor, **config: Any) -> Finished:
    (line,) = run_all(executor, [Proposal(0, config, 1)])
    return line


def loaded_modules(config: Config, budget: int, checkpoint: Checkpoint) -> float:
    return float("wave" in sys.modules) + 2 * os.getpid()


def test_a_worker_can_be_started_before_anyone_needs_it(tmp_path: Path) -> None:
    WARM.end_idle()
    before = set(psutil.Process().children())
    WARM.start(1, True, ("no_such_module", "wave"))
    started = {child.pid for child in set(psutil.Process().children()) - before}
    WARM.start(1, True, ("wave",))
    runs = executor(tmp_path, loaded_modules)
    pid, has_loaded = divmod(evaluate(runs).loss, 2)
    assert has_loaded and pid in started, "it took the worker that has loaded, and there is no second one"
    runs.close()


@pytest.mark.parametrize(("n_cores", "n_busy", "n_waiting"), [(1, 0, 2), (2, 0, 1), (2, 1, 2), (4, 0, 0), (4, 2, 1)])
def test_as_many_workers_load_at_once_as_there_are_free_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_cores: int, n_busy: int, n_waiting: int
) -> None:
    monkeypatch.setattr(workers, "available_cores", lambda: n_cores)
    runs = executor(tmp_path, loaded_modules, n_workers=3)
    runs.n_busy_elsewhere = n_busy
    for number in range(3):
        runs.submit(Proposal(number, {}, 1))
    assert sum(running.is_deferred for running in runs._running.values()) == n_waiting
    finished: list[Finished] = []
    while len(finished) < 3:
        finished += runs.wait()
    assert all(line.ok for line in finished)
    runs.close()


def remains(tmp_path: Path) -> list[str]:
    return [path.name for path in tmp_path.rglob("*") if path.is_file()]


def test_serial_executor_keeps_the_contract(tmp_path: Path) -> None:
    check_executor(lambda objective: SerialExecutor(objective, files_root=tmp_path))


@pytest.mark.parametrize("n_workers", [1, 3])
def test_process_executor_keeps_the_contract(tmp_path: Path, n_workers: int) -> None:
    check_executor(lambda objective: executor(tmp_path, objective, n_workers))


@pytest.mark.parametrize(
    ("do", "status", "text"),
    [
        ("exit 3", Status.CRASHED, "exit status 3 before it returned a result"),
        ("exit 0", Status.CRASHED, "exit status 0 before it returned a result"),
        ("kill", Status.CRASHED, "signal SIGKILL before it returned a result (the system may have run out of memory)"),
        ("segfault", Status.CRASHED, "signal SIGSEGV"),
        ("grow", Status.MEMORY, "more memory than the limit of 200 MB"),
        ("close the connection", Status.CRASHED, "before it returned a result"),
        ("hang", Status.TIMEOUT, "more than the limit of 0.3 seconds"),
    ],
)
def test_end_of_a_worker_is_a_row_and_the_search_goes_on(tmp_path: Path, do: str, status: Status, text: str) -> None:
    limit_s = 0.3 if do == "hang" else 30
    workers = executor(tmp_path, memory_limit_mb=200, trial_time_limit_s=limit_s)
    line = evaluate(workers, do=do)
    assert line.status is status
    assert text in line.error
    assert line.loss is None
    assert remains(tmp_path) == [], "a failure leaves no files"
    if do == "segfault":
        assert "in misbehave" in line.traceback
    after = evaluate(workers, do="nothing special")
    assert after.ok
    assert remains(tmp_path) == ["half"]
    workers.close()


def test_limit_of_a_submission_comes_before_that_of_the_executor(tmp_path: Path) -> None:
    workers = executor(tmp_path, trial_time_limit_s=100)
    evaluate(workers, do="nothing special")
    workers.submit(Proposal(0, {"do": "hold the interpreter"}, 1), time_limit_s=0.2)
    start = time.monotonic()
    (line,) = workers.wait(timeout_s=30)
    assert line.status is Status.TIMEOUT
    assert 0.2 <= line.seconds < 10
    assert time.monotonic() - start < 10
    workers.close()


def test_waiting_gives_up_after_its_timeout_and_cancelling_is_quick(tmp_path: Path) -> None:
    workers = executor(tmp_path, n_workers=2)
    for n in range(2):
        workers.submit(Proposal(n, {"do": "hang"}, 1))
    start = time.monotonic()
    assert workers.wait(timeout_s=0.3) == []
    assert 0.3 <= time.monotonic() - start < 10
    start = time.monotonic()
    lines = workers.cancel_all()
    assert time.monotonic() - start < 10
    assert [line.status for line in lines] == [Status.CANCELLED] * 2
    assert remains(tmp_path) == []
    assert evaluate(workers, do="nothing special").ok
    workers.close()


def test_memory_limit_counts_from_the_start_of_each_evaluation(tmp_path: Path) -> None:
    held: list[Any] = []

    def hold(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        held.append(np.ones(120 * 2**17))
        time.sleep(0.1)
        return len(held)

    workers = executor(tmp_path, hold, memory_limit_mb=200)
    assert [evaluate(workers).loss for _ in range(3)] == [1, 2, 3]
    workers.close()


def test_objective_that_cannot_be_pickled_is_refused_at_once(tmp_path: Path) -> None:
    file = (tmp_path / "open").open("w")
    with file, pytest.raises(TypeError, match="must be picklable"):
        executor(tmp_path, lambda *_: file.fileno())


def test_objective_that_cannot_be_unpickled_is_a_row_every_time(tmp_path: Path) -> None:
    class Unloadable:
        def __reduce__(self) -> Any:
            return __import__, ("a_module_that_does_not_exist",)

        def __call__(self, *_: Any) -> float:
            return 0.0

    workers = executor(tmp_path, Unloadable())
    for _ in range(2):
        line = evaluate(workers)
        assert line.status is Status.CRASHED
        assert "a_module_that_does_not_exist" in line.error
    workers.close()


def test_objective_may_change_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wander(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        (checkpoint.folder / "model").write_text("x")
        os.chdir("/")
        return 0.0

    monkeypatch.chdir(tmp_path)
    workers = ProcessExecutor(wander, n_workers=1, files_root="files")
    lines = run_all(workers, [Proposal(n, {}, 1) for n in range(2)])
    workers.close()
    assert [line.ok for line in lines] == [True, True]
    assert sorted(path.name for path in (tmp_path / "files").iterdir() if path.name[0] != ".") == ["0_1", "1_1"]


def test_number_of_workers_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="n_workers=0"):
        executor(tmp_path, n_workers=0)


def process_facts(config: Config, budget: int, checkpoint: Checkpoint) -> Any:
    from autopytorch_lite.execution.base import Result

    print("printed by an objective")
    warnings.warn("warned by an objective", stacklevel=1)
    os.system("echo echoed by a child")
    threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return Result(0.0, info={"pid": os.getpid(), "threads": threads, "ignores_interrupts": ignored})


def test_workers_are_quiet_hold_to_their_threads_and_ignore_interrupts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    workers = executor(tmp_path, process_facts, n_threads=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        info = evaluate(workers).info
    workers.close()
    assert info["threads"]["OMP_NUM_THREADS"] == "2"
    assert info["ignores_interrupts"] is True
    assert capfd.readouterr() == ("", "")


def test_workers_speak_when_asked_to(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    workers = executor(tmp_path, process_facts, quiet=False)
    evaluate(workers)
    workers.close()
    WARM.end_idle()
    out, err = capfd.readouterr()
    assert "echoed by a child" in out
    assert "warned by an objective" in err


def test_workers_stay_warm_for_the_next_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pid_of_next(n_threads: int = 1) -> int:
        workers = executor(tmp_path, process_facts, n_threads=n_threads)
        pid = int(evaluate(workers).info["pid"])
        workers.close()
        return pid

    first = pid_of_next()
    assert pid_of_next() == first
    assert pid_of_next(n_threads=3) != first, "other threads, other process"
    monkeypatch.chdir(tmp_path)
    assert pid_of_next() != first, "other folder, other process"
    monkeypatch.undo()
    assert pid_of_next() == first
    psutil.Process(first).kill()
    assert pid_of_next() != first, "one that died meanwhile is replaced"
    second = pid_of_next()
    WARM.end_idle(min_idle_s=1000)
    assert psutil.pid_exists(second)
    WARM.end_idle()
    assert not psutil.pid_exists(second)


def test_worker_that_dies_between_two_evaluations_is_replaced(tmp_path: Path) -> None:
    workers = executor(tmp_path, process_facts)
    first = int(evaluate(workers).info["pid"])
    psutil.Process(first).kill()
    line = evaluate(workers)
    assert line.ok
    assert line.info["pid"] != first
    workers.close()


class CountsLoads:
    """An objective that says how often it was unpickled in its process."""

    def __reduce__(self) -> Any:
        return _load_counting, ()

    def __call__(self, config: Config, budget: int, checkpoint: Checkpoint) -> float:
        return float(os.environ["N_LOADS_OF_THE_TEST"])


def _load_counting() -> CountsLoads:
    os.environ["N_LOADS_OF_THE_TEST"] = str(int(os.environ.get("N_LOADS_OF_THE_TEST", "0")) + 1)
    return CountsLoads()


def test_objective_is_unpickled_once_per_worker(tmp_path: Path) -> None:
    workers = executor(tmp_path, CountsLoads(), n_threads=4)
    assert [evaluate(workers).loss for _ in range(3)] == [1, 1, 1]
    workers.close()


UNGUARDED = """
import tempfile
from autopytorch_lite.execution.workers import ProcessExecutor
from autopytorch_lite.history.trial import Proposal

SHIFT = 2

def objective(config, budget, checkpoint):
    return config["x"] + SHIFT

print("main", flush=True)
with tempfile.TemporaryDirectory() as folder:
    executor = ProcessExecutor(objective, n_workers=2, files_root=folder)
    for n in range(2):
        executor.submit(Proposal(n, {"x": n}, 1))
    lines = []
    while len(lines) < 2:
        lines += executor.wait()
    print(sorted((line.loss, line.error) for line in lines))
    executor.close()
"""
EXPECTED = "main\n[(2.0, ''), (3.0, '')]\n"


def test_script_needs_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (EXPECTED, "")


def test_script_may_come_from_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-"], input=UNGUARDED, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == (EXPECTED, "")


@pytest.mark.parametrize("busy", [True, False])
def test_no_worker_outlives_a_killed_parent(tmp_path: Path, busy: bool) -> None:
    script = textwrap.dedent(f"""
        import time
        from autopytorch_lite.execution.workers import ProcessExecutor
        from autopytorch_lite.history.trial import Proposal
        executor = ProcessExecutor(lambda c, b, k: time.sleep({1000 if busy else 0}), n_workers=1,
                                   files_root={str(tmp_path)!r})
        executor.submit(Proposal(0, {{}}, 1))
        executor.wait(0.5)
        print("ready", flush=True)
        time.sleep(1000)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_an_executor_that_nobody_closed_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    """An error between a search and the executor's close used to leave Python waiting for idle workers for ever."""
    script = (
        "import sys\n"
        "from autopytorch_lite.execution.workers import ProcessExecutor\n"
        "from autopytorch_lite.history.trial import Proposal\n"
        "executor = ProcessExecutor(lambda config, budget, checkpoint: 1.0, n_workers=1, files_root=sys.argv[1])\n"
        "executor.submit(Proposal(0, {}, 1))\n"
        "assert executor.wait(60)\n"
        "raise SystemExit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == 7
