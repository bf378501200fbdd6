"""Ctrl-C that interrupts waiting, but never the record keeping between two evaluations."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Whether the user asked to stop.

    Attributes:
        requested: Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._is_allowed = False

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """A block that Ctrl-C ends with KeyboardInterrupt, also if it was pressed just before."""
        if self.requested:
            raise KeyboardInterrupt
        self._is_allowed = True
        try:
            yield
        finally:
            self._is_allowed = False

    def on_signal(self, signal_number: int, frame: FrameType | None) -> None:
        """Note the request; raise only where that is allowed, and only once."""
        first, self.requested = not self.requested, True
        if self._is_allowed and first:
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupts() -> Iterator[Interrupts]:
    """Take over Python's handling of Ctrl-C for a block.

    Leaves everything as it is outside of the main thread, and where the program has a handler of its own; there,
    KeyboardInterrupt may come at any time, if at all.
    """
    interrupts = Interrupts()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts.on_signal)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
