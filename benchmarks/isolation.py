"""Calling a function in a fresh process, so that systems cannot disturb each other and a crash is a result."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil


class IsolatedError(Exception):
    """The call failed; the message is one line, `traceback` the text from the other process, if it lived to send it."""

    def __init__(self, message: str, traceback: str = ""):
        super().__init__(message)
        self.traceback = traceback


def call_isolated(function: Callable[..., Any], *arguments: Any, time_limit_s: float | None = None) -> Any:
    """The result of ``function(*arguments)``, computed in a new process.

    Args:
        function: importable by name, arguments and result picklable.
        *arguments: passed on.
        time_limit_s: seconds after which the process and everything below it is killed.

    Raises:
        IsolatedError: the function raised, the process died, or time was up.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        if not wait([receiver, process.sentinel], time_limit_s):
            raise IsolatedError(f"killed after {time_limit_s:g} s")
        if not receiver.poll():
            raise EOFError
        ok, value = receiver.recv()
    except EOFError:
        process.join()
        raise IsolatedError(f"the process died with exit code {process.exitcode}") from None
    finally:
        _end(process.pid)
        process.join()
        receiver.close()
    if not ok:
        raise IsolatedError(*value)
    return value


def _call(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        answer = (True, function(*arguments))
    except Exception as error:  # whatever a system raises is its result
        lines = str(error).strip().splitlines() or [""]
        answer = (False, (f"{type(error).__name__}: {lines[0]}", traceback.format_exc()))
    sender.send(answer)
    sender.close()


def _end(pid: int | None) -> None:
    """Kill the process and everything below it, as far as it still lives."""
    try:
        root = psutil.Process(pid)
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
