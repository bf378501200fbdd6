"""Torch's optimisers without torch's compiler: to load it costs every process a second and 70 MB, for nothing.

Optimisers import `torch._dynamo` when they are made, saved and stepped, only to tell a compiled program what to leave
alone. Where torch's insides differ from what is expected here, it imports that as ever, and all goes on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer

_MARKED = ("add_param_group", "state_dict", "load_state_dict")
"""Methods that torch wraps so that a compiled program does not trace them."""
_MARK = "__dynamo_disable"
"""Where torch keeps what it calls instead of such a method, once it has loaded its compiler."""


@contextmanager
def without_compiler() -> Iterator[None]:
    """Within, optimisers may be made, saved and restored; nothing may be compiled that does so."""
    inner = [getattr(getattr(Optimizer, name), "__wrapped__", None) for name in _MARKED]
    marked = [method for method in inner if method is not None and not hasattr(method, _MARK)]
    for method in marked:
        setattr(method, _MARK, method)
    try:
        yield
    finally:
        for method in marked:
            vars(method).pop(_MARK, None)


def plain_step(optimizer: Optimizer) -> Callable[[], object]:
    """The optimiser's step, without hooks and closure."""
    step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    return lambda: step(optimizer)
