"""The run directory and its history file: append-only JSON lines, one writer, any number of readers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from filelock import FileLock, Timeout

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.lines import dump_line, load_line, to_plain
from autopytorch_lite.history.trial import Line
from autopytorch_lite.history.whole_files import replacing


@dataclass(frozen=True)
class RunDirectory:
    """Where things are in a run directory. Creates nothing."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def run(self) -> Path:
        """What was asked: arguments, versions, facts about the data; written first."""
        return self.path / "run.json"

    @property
    def space(self) -> Path:
        """The joint space in ConfigSpace's own JSON."""
        return self.path / "space.json"

    @property
    def history(self) -> Path:
        """One JSON line per proposal and per finished evaluation."""
        return self.path / "history.jsonl"

    @property
    def files(self) -> Path:
        """Validation predictions, models and checkpoints by trial key; see `TrialFiles`."""
        return self.path / "files"

    @property
    def ensemble(self) -> Path:
        """Members and weights."""
        return self.path / "ensemble.json"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    @property
    def ended(self) -> Path:
        """Why and when the last sitting of the search ended; absent while it runs and after it was killed."""
        return self.path / "ended.json"

    @property
    def done(self) -> Path:
        """Written last."""
        return self.path / "DONE"

    @property
    def lock(self) -> Path:
        """Held by the one process that writes."""
        return self.path / ".lock"


class Store(Protocol):
    """Keeps the lines of one run, in order. What was appended is there for every later `read`, and never changes.

    A store is opened by the one who writes; reading needs no opening.
    """

    def open(self) -> Self:
        """Take the exclusive right to write. Opening an open store does nothing.

        Raises:
            HistoryError: another writer has it, or the history is damaged.
        """
        ...

    def append(self, line: Line) -> None:
        """Add a line; durable when this returns, even if the process is killed right after.

        Raises:
            HistoryError: the store is not open, or the line has no JSON form.
        """
        ...

    def read(self) -> list[Line]:
        """All lines so far.

        Raises:
            HistoryError: a line other than the last is damaged.
        """
        ...

    def close(self) -> None:
        """Give the right to write back. Closing a closed store does nothing."""
        ...


class MemoryStore:
    """Keeps the lines in memory, for simulations and for runs that need no directory."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._is_open = False

    def open(self) -> Self:
        """Allow writing."""
        self._is_open = True
        return self

    def append(self, line: Line) -> None:
        """Add a line."""
        if not self._is_open:
            raise HistoryError("A store must be opened before it is written; this one is closed.")
        self._lines.append(line)

    def read(self) -> list[Line]:
        """All lines so far."""
        return list(self._lines)

    def close(self) -> None:
        """Refuse further lines."""
        self._is_open = False


class HistoryStore:
    """Keeps the lines in `history.jsonl` of a run directory.

    A line is appended with one write, so a killed writer leaves at most one torn line, the last; readers ignore it and
    the next writer removes it. The lock belongs to the process, so it is free again however the process ends.

    Args:
        run_dir: the run directory; made by `open` if it is missing.
        fsync: also wait for the disk after every line, for machines that may lose power.
    """

    def __init__(self, run_dir: str | os.PathLike[str], *, fsync: bool = False):
        self.directory = RunDirectory(Path(run_dir))
        self._fsync = fsync
        self._lock = FileLock(self.directory.lock, timeout=0, thread_local=False)
        self._file: BinaryIO | None = None

    def open(self) -> Self:
        """Lock the directory for writing and remove a torn last line.

        Raises:
            HistoryError: another process or store writes to the directory, or a line in the middle is damaged.
        """
        if self._file is None:
            self.directory.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            try:
                self._file = _open_repaired(self.directory.history)
            except BaseException:
                self._lock.release()
                raise
        return self

    def append(self, line: Line) -> None:
        """Add a line: one write, flushed to the operating system."""
        if self._file is None:
            raise HistoryError(f"A store must be opened before it is written; {self.directory.path} is closed.")
        try:
            text = dump_line(line)
        except (TypeError, ValueError) as error:
            raise HistoryError(f"Trial {line.key} cannot be written to {self.directory.history}: {error}") from error
        _write_whole(self._file, text.encode() + b"\n")
        if self._fsync:
            os.fsync(self._file.fileno())

    def read(self) -> list[Line]:
        """All lines so far; an empty list if there is no history yet. Safe while another process writes."""
        try:
            content = self.directory.history.read_bytes()
        except FileNotFoundError:
            return []
        return _parse(content, self.directory.history)[0]

    def close(self) -> None:
        """Close the file and release the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._lock.release()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            raise HistoryError(
                f"Only one process may write to a run directory, and another one is writing to {self.directory.path}. "
                "Wait until it ends, end it, or choose another directory."
            ) from None


def write_json_atomic(path: str | os.PathLike[str], data: Any) -> None:
    """Write a JSON file so that readers see the old content or the new one, never a part.

    Raises:
        TypeError: `data` has no JSON form.
    """
    text = json.dumps(to_plain(data), allow_nan=False, indent=1) + "\n"
    with replacing(path) as file:
        file.write(text.encode())


def read_json(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The content of a JSON file of a run directory.

    Raises:
        HistoryError: the file is missing or damaged; the message names it.
    """
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise HistoryError(f"A run directory has a file {Path(path).name}, but {path} does not exist.") from error
    except ValueError as error:
        raise HistoryError(f"{path} is not valid JSON: {error}") from error


def _parse(content: bytes, path: Path) -> tuple[list[Line], int]:
    """Lines and the number of bytes they take; a torn last line is left out of both."""
    lines: list[Line] = []
    n_good = 0
    texts = content.splitlines(keepends=True)
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(load_line(text))
        except (KeyError, TypeError, ValueError) as error:
            if number == len(texts):
                break
            raise HistoryError(
                f"Every line of a history but the last must be whole; line {number} of {path} is damaged ({error})."
            ) from error
        n_good += len(text)
    return lines, n_good


def _write_whole(file: BinaryIO, content: bytes) -> None:
    """Append everything or, if the disk is full, nothing."""
    end = file.seek(0, os.SEEK_END)
    try:
        while content:
            content = content[file.write(content) :]
    except OSError:
        file.truncate(end)
        raise


def _open_repaired(path: Path) -> BinaryIO:
    """The history opened for appending whole lines, unbuffered."""
    file = path.open("a+b", buffering=0)
    try:
        file.seek(0)
        content = file.read()
        n_good = _parse(content, path)[1]
        file.truncate(n_good)
        if n_good and content[n_good - 1 : n_good] != b"\n":
            file.write(b"\n")
    except BaseException:
        file.close()
        raise
    return file
