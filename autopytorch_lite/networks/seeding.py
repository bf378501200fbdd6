"""Randomness of torch that is set for a block of code and leaves the program's own random state alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derived_seed(*entropy: int) -> int:
    """A 63-bit seed from non-negative integers, for example (seed, epoch); different numbers give unrelated seeds."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def seeded_rng(*entropy: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's global generators (CPU, and `device` if it is a GPU) for a block; afterwards they are as before.

    Layers such as dropout, and the construction of layers, draw from the global generators.

    Args:
        entropy: non-negative integers the seed is derived from.
        device: where else random numbers will be drawn.
    """
    device = torch.device(device)
    on_gpu = device.type == "cuda"
    seed = derived_seed(*entropy)
    index = (torch.cuda.current_device() if device.index is None else device.index) if on_gpu else 0
    with torch.random.fork_rng(devices=[index] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield
