from __future__ import annotations

import gc
import sys
import types
import weakref

import pytest

from autopytorch_lite.execution.serving import Garbage


class Node:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.me = self


def test_modules_are_set_aside_once_and_what_evaluations_leave_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    garbage = Garbage()
    garbage.release()
    n_frozen = gc.get_freeze_count()
    left = weakref.ref(Node())
    garbage.release()
    assert left() is None
    assert gc.get_freeze_count() <= n_frozen, "no new module, nothing to set aside"

    imported = types.ModuleType("imported_by_an_evaluation")
    imported.table = [[] for _ in range(100)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, imported.__name__, imported)
    left = weakref.ref(Node())
    garbage.release()
    assert left() is None
    assert gc.get_freeze_count() >= n_frozen + 100
