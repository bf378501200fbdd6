"""Which configurations the matrix holds: an even sample of the space, and the best of each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import qmc

from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.types import Array, Config, FloatArray

_GRID = 4096
"""Positions on every axis are multiples of 1 / _GRID: they fit into a float32 exactly and compress well."""
_STEPS = (0.2, 0.1, 0.05, 0.02, 0.01)
"""Widths of the local search's steps, each used for some rounds, on axes of length 1."""
_ROUNDS = 6
_NEIGHBOURS = 24
_TWINS = 0.05
"""Two ends of local searches that differ by no more than this on every axis are one."""

Score = Callable[[Sequence[Config]], FloatArray]


def on_grid(positions: Array) -> Array:
    """Positions in [0, 1] moved to the nearest point of the grid."""
    return np.clip(np.rint(positions * _GRID) / _GRID, 0, 1)


def space_filling(codec: VectorCodec, n: int, seed: int) -> list[Config]:
    """A scrambled Sobol sample over the axes of a space of numbers without conditions."""
    sampler = qmc.Sobol(codec.n_dims, scramble=True, rng=np.random.default_rng(seed))
    return [codec.decode(row) for row in on_grid(sampler.random_base2(int(np.ceil(np.log2(max(n, 2)))))[:n])]


def locally_best(codec: VectorCodec, score: Score, n: int, *, n_random: int, seed: int | Sequence[int]) -> list[Config]:
    """Good configurations that differ: local searches from the best of a large random sample that lie apart.

    Args:
        codec: of a space of numbers without conditions.
        score: of several configurations, higher is better, shape (n_configs,).
        n: how many; fewer where two searches end at the same place.
        n_random: size of the random sample.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    sample = on_grid(rng.random((n_random, codec.n_dims)))
    starts = _apart(sample[np.argsort(-_scores(codec, score, sample), kind="stable")[: 50 * n]], n)
    ends, values = _climb(codec, score, starts, rng)
    configs = [codec.decode(row) for row in ends[np.argsort(-values, kind="stable")]]
    return _without_twins(configs, codec)


def _without_twins(configs: Sequence[Config], codec: VectorCodec) -> list[Config]:
    """The configurations less those close to an earlier one."""
    vectors = codec.encode_many(configs)
    kept: list[int] = []
    for number, vector in enumerate(vectors):
        if all(np.max(np.abs(vector - vectors[other])) > _TWINS for other in kept):
            kept.append(number)
    return [configs[number] for number in kept]


def _apart(ordered: Array, n: int) -> Array:
    """The first row, then always the row of the good half farthest from those chosen. Shape (n, n_dims)."""
    chosen = [0]
    while len(chosen) < min(n, len(ordered)):
        distances = np.min(((ordered[:, None, :] - ordered[chosen][None]) ** 2).sum(-1), axis=1)
        chosen.append(int(np.argmax(distances)))
    return ordered[chosen]


def _climb(codec: VectorCodec, score: Score, starts: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """All starts at once: each moves to the best of its neighbours while that is better. Where they end, and scores."""
    best, values = starts.copy(), _scores(codec, score, starts)
    for step in np.repeat(_STEPS, _ROUNDS):
        moves = rng.normal(0, step, (len(best), _NEIGHBOURS, codec.n_dims))
        moves *= rng.random(moves.shape) < 0.5
        neighbours = on_grid(np.clip(best[:, None, :] + moves, 0, 1))
        found = _scores(codec, score, neighbours.reshape(-1, codec.n_dims)).reshape(len(best), _NEIGHBOURS)
        at = found.argmax(1)
        better = found.max(1) > values
        best[better] = neighbours[np.arange(len(best)), at][better]
        values = np.maximum(values, found.max(1))
    return best, values


def _scores(codec: VectorCodec, score: Score, positions: Array) -> FloatArray:
    return score([codec.decode(row) for row in positions])
