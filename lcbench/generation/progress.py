"""How far a generation is, on standard error: a bar in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from autopytorch_lite.report.words import duration
from lcbench.generation.run import Batch

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows trainings done and the time left, which is judged by the estimated time of what is left.

    Args:
        stream: where to; standard error if None.
        quiet: show nothing.
    """

    def __init__(self, stream: IO[str] | None = None, *, quiet: bool = False):
        self._stream = stream
        self._quiet = quiet
        self._bar: Bar | None = None

    def begin(self, batches: Sequence[Batch]) -> None:
        """These batches are to be done."""
        self._n_all = sum(len(batch.trainings) for batch in batches)
        self._work_left = sum(batch.seconds for batch in batches)
        self._n_done, self._work_done = 0, 0.0
        self._started_s = self._line_s = time.monotonic()
        self._bar = None if self._quiet else self._new_bar()

    def advance(self, batch: Batch, *, is_new: bool) -> None:
        """A batch is done; `is_new`: it was done now, and not by an earlier process."""
        self._n_done += len(batch.trainings)
        self._work_left -= batch.seconds
        self._work_done += batch.seconds if is_new else 0.0
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._n_done, description=self._words())
        elif is_new and time.monotonic() - self._line_s >= SECONDS_BETWEEN_LINES:
            self._write(self._words())

    def end(self) -> None:
        """All is done."""
        if self._bar is not None:
            self._bar.stop()
        self._write(f"{self._n_done} trainings done after {duration(time.monotonic() - self._started_s)}")

    def _words(self) -> str:
        return f"{self._n_done} of {self._n_all} trainings done{self._remaining()}"

    def _remaining(self) -> str:
        if self._work_done == 0:
            return ""
        elapsed_s = time.monotonic() - self._started_s
        return f", {duration(self._work_left / self._work_done * elapsed_s)} left"

    def _write(self, text: str) -> None:
        self._line_s = time.monotonic()
        if not self._quiet:
            print(text, file=self._stream or sys.stderr, flush=True)

    def _new_bar(self) -> Bar | None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        console = Console(file=self._stream, stderr=self._stream is None)
        if not console.is_terminal or console.is_dumb_terminal:
            return None
        bar = Bar(BarColumn(bar_width=24), TextColumn("{task.description}"), console=console, transient=True)
        bar.add_task(self._words(), total=self._n_all)
        bar.start()
        return bar
