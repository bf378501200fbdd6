from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.lines import dump_line, lines_equal
from autopytorch_lite.history.store import HistoryStore, MemoryStore, RunDirectory, read_json, write_json_atomic
from autopytorch_lite.history.store import _write_whole as write_whole
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, TrialKey
from tests.contracts.check_store import LINES, check_store


def filled(folder: Path) -> Path:
    with HistoryStore(folder) as store:
        for line in LINES:
            store.append(line)
    return RunDirectory(folder).history


def test_file_store_keeps_the_contract(tmp_path: Path) -> None:
    check_store(lambda: HistoryStore(tmp_path / "new" / "run", fsync=True))


def test_memory_store_keeps_the_contract() -> None:
    store = MemoryStore()
    check_store(lambda: store)


@pytest.mark.parametrize("n_bytes", [1, 2, 20])
def test_torn_last_line_is_dropped_and_then_removed(tmp_path: Path, n_bytes: int) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes() + dump_line(LINES[2]).encode()[:n_bytes])
    assert lines_equal(HistoryStore(tmp_path).read(), LINES)
    with HistoryStore(tmp_path) as store:
        store.append(LINES[0])
        assert lines_equal(store.read(), [*LINES, LINES[0]])


def test_last_line_without_its_line_end_is_kept(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    with HistoryStore(tmp_path) as store:
        store.append(LINES[0])
    assert lines_equal(HistoryStore(tmp_path).read(), [*LINES, LINES[0]])


def test_zeros_after_a_power_loss_are_a_torn_line(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(100))
    assert lines_equal(HistoryStore(tmp_path).read(), LINES)


def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = filled(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2][:30] + b"\n", *lines[3:]]))
    for use in (HistoryStore(tmp_path).read, HistoryStore(tmp_path).open):
        with pytest.raises(HistoryError, match=r"line 3 of .*history.jsonl is damaged"):
            use()
    with pytest.raises(HistoryError, match="damaged"):  # a failed attempt keeps no lock
        HistoryStore(tmp_path).open()


def test_second_writer_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    with HistoryStore(tmp_path) as store:
        store.append(LINES[0])
        with pytest.raises(HistoryError, match=tmp_path.name):
            HistoryStore(tmp_path).open()
        assert len(HistoryStore(tmp_path).read()) == 1
    HistoryStore(tmp_path).open().close()


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    script = (
        "import sys; from autopytorch_lite.history.store import HistoryStore\n"
        f"store = HistoryStore({str(tmp_path)!r}).open(); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(HistoryError, match="another one is writing"):
            HistoryStore(tmp_path).open()
        other.kill()
    HistoryStore(tmp_path).open().close()


def test_reading_while_another_thread_writes(tmp_path: Path) -> None:
    n_lines = 300
    lines = [Proposed(Proposal(n, {"x": n / 7, "pad": "p" * 200}, 1)) for n in range(n_lines)]

    def write() -> None:
        with HistoryStore(tmp_path) as store:
            for line in lines:
                store.append(line)

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while writer.is_alive():
        read = HistoryStore(tmp_path).read()
        assert read == lines[: len(read)]
        seen.append(len(read))
    writer.join()
    assert seen == sorted(seen)
    assert len(HistoryStore(tmp_path).read()) == n_lines


@pytest.mark.no_cover
def test_ten_thousand_lines_are_read_about_as_fast_as_their_json(tmp_path: Path) -> None:
    """Half a second on an idle machine, of which the standard library takes more than half."""
    curve = tuple(1 / (epoch + 1) for epoch in range(50))
    with HistoryStore(tmp_path) as store:
        text = dump_line(Finished(TrialKey(0, 50), loss=0.5, curve=curve, metrics={"auc": 0.5, "accuracy": 0.5}))
        content = (text + "\n") * 10_000
        store.directory.history.write_text(content)
        assert len(store.read()) == 10_000
        ratios = [_seconds(store.read) / _seconds(lambda: [*map(json.loads, content.splitlines())]) for _ in range(3)]
    assert min(ratios) < 6  # measured: 1.7


def _seconds(work: Callable[[], object]) -> float:
    """Of the processor: machines that run tests are shared."""
    start = time.process_time()
    work()
    return time.process_time() - start


class FullDisk(io.BytesIO):
    """Takes a few bytes at a time, and fails when there are 20."""

    def write(self, content: bytes) -> int:  # type: ignore[override]
        if self.tell() + 7 > 20:
            raise OSError(28, "No space left on device")
        return super().write(content[:7])


def test_full_disk_leaves_no_torn_line_in_the_middle() -> None:
    file = FullDisk()
    write_whole(file, b"0123456\n")
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"a line that does not fit\n")
    assert file.getvalue() == b"0123456\n"


def test_line_that_json_cannot_hold_is_an_error_that_names_the_trial(tmp_path: Path) -> None:
    with HistoryStore(tmp_path) as store:
        with pytest.raises(HistoryError, match="Trial 4@2"):
            store.append(Finished(TrialKey(4, 2), info={"object": object()}))
        assert store.read() == []


def test_json_files_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "run.json"
    write_json_atomic(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json_atomic(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["run.json"]
    assert read_json(path) == {"a": 1}
    path.write_text("{")
    with pytest.raises(HistoryError, match=r"run.json is not valid JSON"):
        read_json(path)
    with pytest.raises(HistoryError, match="does not exist"):
        read_json(tmp_path / "none.json")
