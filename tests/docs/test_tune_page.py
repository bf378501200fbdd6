"""docs/tune.md: every block runs, and what the page says about killing a search holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autopytorch_lite.history.lines import lines_equal
from autopytorch_lite.history.store import HistoryStore
from autopytorch_lite.history.summary import closed
from autopytorch_lite.history.trial import Status

PAGE = Path(__file__).parents[2] / "docs" / "tune.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.S | re.M)
SCRIPT, *REST = [text for language, text in BLOCKS if language == "python"]
COMMANDS = "".join(text for language, text in BLOCKS if language == "bash")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a reader has followed the page: the script, then the commands."""
    path = tmp_path_factory.mktemp("reader")
    (path / "digits.py").write_text(SCRIPT)
    bin_folder = path / "bin"
    bin_folder.mkdir()
    for name, module in {"python": "", "autopytorch-lite": " -m autopytorch_lite"}.items():
        (bin_folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n')
        (bin_folder / name).chmod(0o755)
    call(path, ["bash", "-e", "-c", COMMANDS])
    return path


def environment(folder: Path) -> dict[str, str]:
    root = str(PAGE.parents[1])
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def call(folder: Path, command: list[str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_block_is_run() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "bash"}
    assert SCRIPT.startswith("# digits.py\n")
    assert len(REST) >= 5


def test_commands_run_and_leave_a_report(folder: Path) -> None:
    assert (folder / "runs" / "digits" / "report.html").exists()
    lines = HistoryStore(folder / "runs" / "digits").read()
    assert [line.status for line in closed(lines)] == [Status.OK] * 30


def test_the_python_blocks_run_one_after_the_other(folder: Path) -> None:
    (folder / "page.py").write_text("\n".join(REST))
    out = call(folder, [sys.executable, "page.py"])
    assert "ValueError: too wide for my taste" in out
    assert re.search(r"target loss of 0.035 reached|no improvement in 10 evaluations|limit of 40 evaluations", out)
    assert int(re.search(r"(\d+) evaluations, best loss", out)[1]) > 200  # type: ignore[index]
    assert {path.name for path in (folder / "runs").iterdir()} == {"digits", "parallel", "continuing"}
    continued = [line for line in closed(HistoryStore(folder / "runs" / "continuing").read()) if line.key.budget > 3]
    assert continued
    assert all(len(line.curve) == line.key.budget for line in continued)


def test_a_search_killed_with_sigkill_ends_like_one_that_was_not(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "digits.py").write_text(SCRIPT)
    history = tmp_path / "runs" / "digits" / "history.jsonl"
    with subprocess.Popen(
        [sys.executable, "digits.py"], cwd=tmp_path, env=environment(folder), stderr=subprocess.DEVNULL
    ) as search:
        while search.poll() is None and n_lines(history) < 15:
            time.sleep(0.005)
        search.kill()
    assert 15 <= n_lines(history) < 60
    assert not (history.parent / "ended.json").exists()
    out = call(tmp_path, [sys.executable, "digits.py"])
    lines = HistoryStore(tmp_path / "runs" / "digits").read()
    assert lines_equal(lines, HistoryStore(folder / "runs" / "digits").read())
    assert out.startswith("Incumbent(config_id=")


def n_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
