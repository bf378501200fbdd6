"""Which precision of matrix products is faster here, for the shapes at hand: measured, once per shape."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from functools import cache

import torch

from autopytorch_lite.training.device import products_in

Product = tuple[int, int, int, int]
"""Batched product of K matrices: (K, rows, n_in, n_out)."""
MIN_GAIN = 1.1
"""How many times faster bfloat16 must be to be chosen: less would not be worth its rounding."""
_N_REPEATS = 3
_MIN_SECONDS = 1e-3


def faster_precision(products: Iterable[Product], device: torch.device, *, with_gradients: bool) -> str:
    """ "bfloat16" if it is clearly faster in all these products together, else "float32".

    Args:
        products: of one step; sizes are rounded to powers of two.
        device: where.
        with_gradients: the two products of the backward pass take part.
    """
    seconds = {"float32": 0.0, "bfloat16": 0.0}
    for product in products:
        rounded = tuple(2 ** round(math.log2(max(size, 1))) for size in product)
        for precision in seconds:
            seconds[precision] += _seconds(rounded, precision, str(device), with_gradients)
    return "bfloat16" if seconds["float32"] > MIN_GAIN * seconds["bfloat16"] else "float32"


@cache
def _seconds(product: tuple[int, ...], precision: str, device: str, with_gradients: bool) -> float:
    """Seconds of one product, the best of a few measurements."""
    n, rows, n_in, n_out = product
    inputs = torch.randn(n, rows, n_in, device=device)
    weights, deltas = torch.randn(n, n_in, n_out, device=device), torch.randn(n, rows, n_out, device=device)

    def run() -> None:
        torch.bmm(inputs, weights)
        if with_gradients:
            torch.bmm(inputs.transpose(1, 2), deltas)
            torch.bmm(deltas, weights.transpose(1, 2))

    with torch.inference_mode(), products_in(precision):
        once = _timed(run, 1, device)
        once = min(once, _timed(run, 1, device))
        n_runs = max(1, math.ceil(_MIN_SECONDS / max(once, 1e-7)))
        return min(_timed(run, n_runs, device) for _ in range(_N_REPEATS))


def _timed(run: Callable[[], None], n_runs: int, device: str) -> float:
    started_s = time.perf_counter()
    for _ in range(n_runs):
        run()
    if device != "cpu":
        torch.cuda.synchronize()
    return (time.perf_counter() - started_s) / n_runs
