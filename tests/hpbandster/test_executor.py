"""Evaluations through HpBandSter's real name server, Master and worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import cloudpickle
import ConfigSpace as cs
import numpy as np
import psutil
import pytest

from autopytorch_lite.errors import BudgetError, MissingExtraError
from autopytorch_lite.execution.base import Checkpoint
from autopytorch_lite.history.hpbandster_logs import export_hpbandster, import_hpbandster
from autopytorch_lite.history.lines import lines_equal
from autopytorch_lite.history.store import RunDirectory
from autopytorch_lite.history.trial import Finished, Proposal, Status
from autopytorch_lite.search import BOHB
from autopytorch_lite.tuner import tune
from autopytorch_lite.types import Config
from tests.contracts import check_executor as contract
from tests.contracts.check_executor import check_executor, run_all


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("autopytorch_lite.execution.hpbandster")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == "hpbandster"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hpbandster", None)
    with pytest.raises(MissingExtraError, match=r"autopytorch-lite\[hpbandster\]"):
        import_module("autopytorch_lite.execution.hpbandster")


pytest.importorskip("hpbandster")

from click.testing import CliRunner  # noqa: E402
from hpbandster.core.nameserver import NameServer  # noqa: E402

from autopytorch_lite.execution.hpbandster import HpBandSterExecutor, save_objective  # noqa: E402
from autopytorch_lite.execution.hpbandster.__main__ import main  # noqa: E402

cloudpickle.register_pickle_by_value(sys.modules[__name__])
cloudpickle.register_pickle_by_value(contract)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads = set(threading.enumerate())
    yield
    assert psutil.Process().children(recursive=True) == []
    deadline_s = time.monotonic() + 10
    while set(threading.enumerate()) - threads and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert set(threading.enumerate()) <= threads


def misbehave(config: Config, budget: int, checkpoint: Checkpoint) -> float:
    """Does what the configuration says."""
    (checkpoint.folder / "half").write_text("x")
    do = config["do"]
    if do == "hang":
        time.sleep(1000)
    if do == "kill the evaluation":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "kill the worker":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)
    return 0.5


def continued(config: Config, budget: int, checkpoint: Checkpoint) -> float:
    """Counts the epochs of the trials before in the checkpoint."""
    before = checkpoint.previous_state()
    epochs = 0 if before is None else int((before / "epochs").read_text())
    (checkpoint.state_folder() / "epochs").write_text(str(budget))
    if config["x"] > 1.9:
        raise ValueError("too large")
    return (config["x"] - 1) ** 2 + 1 / budget + 1e-9 * epochs


def searcher() -> BOHB:
    space = cs.ConfigurationSpace({"x": (-2.0, 2.0), "kind": ["a", "b"]})
    return BOHB(space, min_budget=1, max_budget=9, seed=0)


def make(tmp_path: Path, objective: Any = misbehave, n_workers: int = 1, **settings: Any) -> HpBandSterExecutor:
    return HpBandSterExecutor(objective, n_workers=n_workers, files_root=tmp_path / "files", **settings)


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "--run-id" in child.cmdline()]


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    check_executor(lambda objective: make(tmp_path, objective, 2))


def test_search_is_the_one_of_this_process(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with HpBandSterExecutor(continued, n_workers=1, files_root=RunDirectory(run_dir).files) as executor:
        result = tune(searcher(), executor=executor, run_dir=run_dir, n_trials=30)
    alone = tune(searcher(), continued, run_dir=tmp_path / "alone", n_trials=30)
    assert lines_equal(result.lines, alone.lines)
    assert any(line.proposal.resume_from for line in result.lines if not isinstance(line, Finished))
    assert import_hpbandster(export_hpbandster(run_dir, tmp_path / "logs")) == list(result.lines)


def test_search_of_two_workers_is_resumed(tmp_path: Path) -> None:
    for n_trials in (20, 40):
        with make(tmp_path, continued, 2) as executor:
            result = tune(searcher(), executor=executor, run_dir=tmp_path, n_trials=n_trials)
    frame = result.frame()
    assert len(frame) == 40
    assert set(frame["status"]) <= {"ok", "crashed"}
    assert set(frame.loc[frame["status"] == "crashed", "error"]) <= {"ValueError: too large"}


def test_ends_of_processes_are_rows_and_the_search_goes_on(tmp_path: Path) -> None:
    with make(tmp_path, n_workers=2) as executor:
        does = ["kill the evaluation", "ok", "kill the worker", "ok", "ok"]
        lines = run_all(executor, [Proposal(n, {"do": do}, 1) for n, do in enumerate(does)])
        assert [line.ok for line in lines] == [False, True, False, True, True]
        assert "SIGKILL" in lines[0].error
        assert (lines[2].status, lines[2].error) == (Status.CRASHED, "Worker died unexpectedly.")
        for worker in workers():
            worker.kill()
        lines = run_all(executor, [Proposal(n, {"do": "ok"}, 3) for n in range(4)])
        assert all(line.ok for line in lines), "trials of workers that died while idle are repeated"
    assert not [*(tmp_path / "files").glob(".staging/*")]


def test_limits_and_cancelling_end_evaluations_and_not_workers(tmp_path: Path) -> None:
    with make(tmp_path) as executor:
        run_all(executor, [Proposal(0, {"do": "ok"}, 1)])
        before = workers()
        executor.submit(Proposal(1, {"do": "hang"}, 1), time_limit_s=0.2)
        (line,) = executor.wait()
        assert (line.status, line.error) == (Status.TIMEOUT, "Took more than the limit of 0.2 seconds.")
        executor.submit(Proposal(2, {"do": "hang"}, 1))
        assert executor.wait(0.3) == []
        (line,) = executor.cancel_all()
        assert line.status is Status.CANCELLED
        assert workers() == before


def test_workers_that_cannot_work_are_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('no click here')")
    monkeypatch.syspath_prepend(tmp_path)
    with make(tmp_path) as executor:
        executor.submit(Proposal(0, {"do": "ok"}, 1))
        with pytest.raises(RuntimeError, match="standard error"):
            executor.wait()
    assert "no click here" in capfd.readouterr().err


def test_an_objective_that_cannot_be_loaded_is_a_row(tmp_path: Path) -> None:
    with make(tmp_path, objective=_Unloadable()) as executor:
        (line,) = run_all(executor, [Proposal(0, {}, 1)])
    assert (line.status, line.error) == (Status.CRASHED, "ValueError: invalid literal for int() with base 10: 'x'")


class _Unloadable:
    def __reduce__(self) -> Any:
        return int, ("x",)

    def __call__(self, config: Config, budget: int, checkpoint: Checkpoint) -> float:
        return 0.0


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="n_workers=0"):
        make(tmp_path, n_workers=0)
    with pytest.raises(TypeError, match="picklable"):
        make(tmp_path, objective=threading.Lock())
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1"):
        make(tmp_path, nameserver="127.0.0.1:1")


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer(run_id="study", host="127.0.0.1", port=0)
    server.start()
    yield server
    server.shutdown()


@pytest.fixture
def joined(names: NameServer, tmp_path: Path) -> Iterator[str]:
    """A worker that was started by hand before there was a search; the address of its name server."""
    save_objective(continued, tmp_path / "objective.pkl")
    address = f"{names.host}:{names.port}"
    command = [sys.executable, "-m", "autopytorch_lite.execution.hpbandster", "worker", "--nameserver", address]
    command += ["--run-id", "study", "--objective", str(tmp_path / "objective.pkl")]
    with subprocess.Popen(command) as process:
        yield address
        process.kill()


def test_workers_may_be_started_elsewhere_and_serve_two_searches(joined: str, tmp_path: Path) -> None:
    for number in range(2):
        with HpBandSterExecutor(
            n_workers=1, files_root=tmp_path / f"run{number}" / "files", nameserver=joined, run_id="study"
        ) as executor:
            assert f"--nameserver {joined} --run-id study" in executor.worker_command
            result = tune(searcher(), executor=executor, run_dir=tmp_path / f"run{number}", n_trials=12)
        assert len(result.frame()) == 12
        assert (tmp_path / f"run{number}" / "files").is_dir()


def test_the_command_of_an_executor_starts_a_worker_that_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text("def objective(config, budget, checkpoint):\n    return config['x'] + budget\n")
    with HpBandSterExecutor(n_workers=1, files_root=tmp_path / "files") as executor:
        executor.submit(Proposal(0, {"x": np.float64(0.5)}, 2))
        assert executor.wait(0.1) == [], "there is no worker yet"
        command = executor.worker_command.replace("MODULE:NAME", "study:objective").replace("THIS_MACHINE", "127.0.0.1")
        with subprocess.Popen([sys.executable, *command.split()[1:]], cwd=tmp_path) as worker:
            (line,) = executor.wait()
            assert line.loss == 2.5
            executor.close()
            assert worker.wait(30) == 0


def test_search_goes_on_without_its_name_server(joined: str, names: NameServer, tmp_path: Path) -> None:
    with HpBandSterExecutor(n_workers=1, files_root=tmp_path / "files", nameserver=joined, run_id="study") as executor:
        run_all(executor, [Proposal(0, {"x": 0.0}, 1)])
        names.shutdown()
        time.sleep(1.5)
        (line,) = run_all(executor, [Proposal(1, {"x": 0.0}, 1)])
        assert line.ok


SCRIPT = """
    import sys, time
    from autopytorch_lite.execution.hpbandster import HpBandSterExecutor
    from autopytorch_lite.history.trial import Proposal
    from autopytorch_lite.search import RandomSearch
    from autopytorch_lite import tune
    from ConfigSpace import ConfigurationSpace

    def objective(config, budget, checkpoint):
        time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0)
        return 0.5

    executor = HpBandSterExecutor(objective, n_workers=1, files_root=sys.argv[1])
    executor.submit(Proposal(0, {}, 1))
    executor.wait(0.5)
"""


def start(tail: str, *arguments: str) -> subprocess.Popen[str]:
    script = textwrap.dedent(SCRIPT) + textwrap.dedent(tail)
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)


def test_an_executor_that_nobody_closed_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    with start("raise SystemExit(7)", str(tmp_path)) as parent:
        assert parent.wait(30) == 7


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    with start("print('ready', flush=True); time.sleep(1000)", str(tmp_path)) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children
        parent.kill()
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_an_interrupt_ends_the_search_normally_and_leaves_no_process(tmp_path: Path) -> None:
    tail = """
    executor.cancel_all()
    def say(event):
        if event.kind == "evaluation_start":
            print("ready", flush=True)
    result = tune(RandomSearch(ConfigurationSpace({"x": (0.0, 1.0)}), max_budget=1, seed=0), executor=executor,
                  callbacks=[say])
    executor.close()
    print(result.interrupted, [line.status.value for line in result.lines[1:]])
    """
    with start(tail, str(tmp_path), "1000") as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.readline() == "True ['cancelled']\n"
        assert parent.wait(10) == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_trainings_of_the_estimator_run_through_it(tmp_path: Path) -> None:
    from autopytorch_lite.data.dataset import make_dataset
    from autopytorch_lite.execution.baseline import BASELINE
    from autopytorch_lite.execution.tabular import TabularObjective
    from autopytorch_lite.metrics import resolve_metric
    from autopytorch_lite.pipeline.build import default_graph

    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    dataset = make_dataset(X, X[:, 0] > 0, kind="classification", resampling=0.25, seed=0)
    dataset.save(tmp_path / "data")
    metric = resolve_metric(None, dataset.info.task, dataset.info.n_outputs)
    objective = TabularObjective(str(tmp_path / "data"), "one", default_graph(), metric, seed=0, max_budget=1)
    with make(tmp_path, objective) as executor:
        (line,) = run_all(executor, [Proposal(0, BASELINE, 1)])
    assert line.ok, line.traceback
    assert (tmp_path / "files" / "0_1" / "validation_predictions.npy").is_file()


@pytest.mark.parametrize(
    ("nameserver", "objective", "message"),
    [("10.0.0.1", "package.module:name", "HOST:PORT"), ("10.0.0.1:1", "package.module", "module:name or FILE.pkl")],
)
def test_a_worker_is_not_started_with_what_it_cannot_use(nameserver: str, objective: str, message: str) -> None:
    """An objective without a name used to fail every trial instead."""
    arguments = ["worker", "--nameserver", nameserver, "--run-id", "study", "--objective", objective]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, message in result.output) == (2, True), result.output
