"""Which precision of matrix products is faster here, for the shapes at hand: measured, once per shape."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache

import torch

from autopytorch_lite.training.device import products_in

Product = tuple[int, int, int, int]
"""Batched product of K matrices: (K, rows, n_in, n_out)."""
MIN_GAIN = 1.15
"""How many times faster bfloat16 must be to be chosen: less would not be worth its rounding."""
MIN_PRODUCTS = 2**18
"""Fewer multiplications are never rounded: what bfloat16 could save is less than a call costs."""
_N_REPEATS = 3
_MIN_SECONDS = 2e-4


def faster_precision(product: Product, device: torch.device, *, in_training: bool) -> str:
    """ "bfloat16" if it is clearly faster, else "float32".

    Args:
        product: a layer's; sizes are rounded to powers of two.
        device: where.
        in_training: forward and backward pass with rounded factors (see `device.set_products`); otherwise the forward
            pass on tensors that are bfloat16.
    """
    if math.prod(product) < MIN_PRODUCTS:
        return "float32"
    rounded = tuple(2 ** round(math.log2(size)) for size in product)
    seconds = [_seconds(rounded, precision, str(device), in_training) for precision in ("float32", "bfloat16")]
    return "bfloat16" if seconds[0] > MIN_GAIN * seconds[1] else "float32"


@cache
def _seconds(product: tuple[int, ...], precision: str, device: str, in_training: bool) -> float:
    """Seconds of one product, the best of a few measurements."""
    n, rows, n_in, n_out = product
    dtype = torch.bfloat16 if precision == "bfloat16" and not in_training else torch.float32
    inputs = torch.randn(n, rows, n_in, device=device).to(dtype)
    weights = torch.randn(n, n_in, n_out, device=device).to(dtype)
    deltas = torch.randn(n, rows, n_out, device=device)

    def run() -> None:
        torch.bmm(inputs, weights)
        if in_training:
            torch.bmm(inputs.transpose(1, 2), deltas)
            torch.bmm(deltas, weights.transpose(1, 2))

    with torch.inference_mode(), products_in(precision):
        run()
        n_runs = max(1, math.ceil(_MIN_SECONDS / max(_timed(run, 1, device), 1e-7)))
        return min(_timed(run, n_runs, device) for _ in range(_N_REPEATS))


def _timed(run: Callable[[], None], n_runs: int, device: str) -> float:
    """Seconds of one run. On a CPU only this thread's own time counts, whoever else keeps the processor busy."""
    is_cpu = device == "cpu"
    clock = time.thread_time if is_cpu else time.perf_counter
    started_s = clock()
    for _ in range(n_runs):
        run()
    if not is_cpu:
        torch.cuda.synchronize()
    return (clock() - started_s) / n_runs
