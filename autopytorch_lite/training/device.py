"""Where and in which precision a network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from autopytorch_lite.errors import UnknownNameError

PRECISIONS = ("auto", "float32", "bfloat16")


def available_devices() -> list[str]:
    """Names `resolve_device` accepts on this machine."""
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["auto", "cpu", *(["cuda"] if n_gpus else []), *(f"cuda:{index}" for index in range(n_gpus))]


def resolve_device(name: str | torch.device) -> torch.device:
    """The device of a name: "cpu", "cuda", "cuda:1", or "auto" for the first GPU if there is one.

    Raises:
        UnknownNameError: no such device on this machine.
    """
    known = available_devices()
    if str(name) not in known:
        raise UnknownNameError("device", str(name), known)
    if str(name) == "auto":
        return torch.device("cuda" if "cuda" in known else "cpu")
    return torch.device(name)


def resolve_precision(name: str, device: torch.device) -> str:
    """ "float32" or "bfloat16"; "auto" is bfloat16 on a GPU made for it and float32 elsewhere.

    Raises:
        UnknownNameError: `name` is none of `PRECISIONS`.
    """
    if name not in PRECISIONS:
        raise UnknownNameError("precision", name, PRECISIONS)
    if name != "auto":
        return name
    fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return "bfloat16" if fast else "float32"


def computing_in(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """A block in which matrix products run in `precision`; weights, their updates and losses stay float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def set_products(precision: str) -> None:
    """From now on products of float32 matrices are computed in `precision`, sums and results in float32.

    Unlike in `computing_in`, tensors keep their type: the library rounds the factors while it reads them. This is a
    setting of the whole process, see `products_in`; setting it takes a tenth of a microsecond.
    """
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "medium")


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """A block that begins with `set_products`; afterwards the setting is what it was."""
    before = torch.get_float32_matmul_precision()
    set_products(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
