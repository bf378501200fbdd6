"""BOHB proposes what HpBandSter's BOHB proposes after the same observations.

Two samples of proposals, in blocks of one model each, are compared by the largest gap between marginal distribution
functions and by the energy distance of the joint distributions. The yardstick is resampling noise: both statistics
after the blocks of both samples are shuffled, 400 times.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status
from autopytorch_lite.search import BOHB
from autopytorch_lite.space.encode import VectorCodec
from tests.golden import write_bohb

GOLDEN = Path(__file__).parents[1] / "golden"
Blocks = list[list[dict]]


@cache
def golden(name: str) -> tuple[list[tuple[dict, float | None]], Blocks]:
    """Observations and HpBandSter's proposals."""
    first, *blocks = map(json.loads, (GOLDEN / f"bohb_{name}.jsonl").read_text(encoding="utf-8").splitlines())
    return [(config, loss) for config, loss in first["observations"]], blocks


def our_proposals(name: str, n_blocks: int, n_per_block: int, **settings) -> Blocks:
    return [our_block(name, n_per_block, seed, **settings) for seed in range(n_blocks)]


def our_block(name: str, n: int, seed: int, **settings) -> list[dict]:
    searcher = BOHB(write_bohb.SPACES[name](), min_budget=50, max_budget=50, seed=seed, random_fraction=0.0, **settings)
    for i, (config, loss) in enumerate(golden(name)[0]):
        searcher.tell(Proposed(Proposal(i, config, 50, origin="user")))
        searcher.tell(Finished((i, 50), Status.CRASHED if loss is None else Status.OK, loss))
    block = []
    while len(block) < n:
        proposal = searcher.ask()
        searcher.tell(Proposed(proposal))
        if proposal.origin == "model":  # "random": the model offered a known one
            block.append(proposal.config)
    return block


def to_points(name: str, blocks: Blocks) -> np.ndarray:
    """Positions on the axes and indices of choices, -1 where inactive: shape (n_blocks, n_per_block, n_dims)."""
    codec = VectorCodec(write_bohb.SPACES[name]())
    return np.nan_to_num(np.stack([codec.encode_many(block) for block in blocks]), nan=-1.0)


def marginal_gap(a: np.ndarray, b: np.ndarray) -> float:
    """The largest Kolmogorov-Smirnov distance of any dimension."""
    gaps = []
    for x, y in zip(a.reshape(-1, a.shape[-1]).T, b.reshape(-1, b.shape[-1]).T, strict=True):
        grid = np.concatenate([x, y])
        below = [np.searchsorted(np.sort(z), grid, side="right") / len(z) for z in (x, y)]
        gaps.append(np.abs(below[0] - below[1]).max())
    return max(gaps)


def energy_of_blocks(points: np.ndarray) -> np.ndarray:
    """Mean distance between the points of each two blocks, every axis scaled to unit variance."""
    n_blocks, n, d = points.shape
    flat = points.reshape(-1, d)
    flat = flat / (flat.std(axis=0) + 1e-12)
    return cdist(flat, flat).reshape(n_blocks, n, n_blocks, n).mean(axis=(1, 3))


def energy_distance(distances: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    between = distances[np.ix_(first, second)].mean()
    return 2 * between - distances[np.ix_(first, first)].mean() - distances[np.ix_(second, second)].mean()


def compare(name: str, ours: Blocks, theirs: Blocks, n_shuffles: int = 400) -> dict[str, tuple[float, float]]:
    """Both statistics, each with the largest value that shuffled blocks gave."""
    points = np.concatenate([to_points(name, ours), to_points(name, theirs)])
    distances, order, rng = energy_of_blocks(points), np.arange(len(points)), np.random.default_rng(0)
    values = []
    for i in range(n_shuffles + 1):
        first, second = np.split(rng.permutation(order) if i else order, [len(ours)])
        values.append((marginal_gap(points[first], points[second]), energy_distance(distances, first, second)))
    noise = np.max(values[1:], axis=0)
    return {"marginal": (values[0][0], float(noise[0])), "joint": (values[0][1], float(noise[1]))}


def check_equal(compared: dict[str, tuple[float, float]]) -> None:
    for what, (value, noise) in compared.items():
        assert value < noise, f"{what}: {value:.3f}, resampling noise {noise:.3f}"


@pytest.mark.parametrize("name", write_bohb.SPACES)
def test_proposals_are_those_of_hpbandster(name: str) -> None:
    """600 proposals each, HpBandSter's from the golden files."""
    check_equal(compare(name, our_proposals(name, 20, 30), golden(name)[1]))


@pytest.mark.parametrize("settings", [{"bandwidth_factor": 2}, {"top_n_percent": 25}, {"num_samples": 24}])
def test_the_comparison_notices_other_settings(settings: dict) -> None:
    compared = compare("mixed", our_proposals("mixed", 20, 30, **settings), golden("mixed")[1], 50)
    assert all(value > noise for value, noise in compared.values())


@pytest.mark.parametrize("name", write_bohb.SPACES)
def test_observations_are_those_of_the_golden_file(name: str) -> None:
    """They hold what the comparison needs: failures, and every choice in the good group and in the bad one."""
    seen = golden(name)[0]
    space = write_bohb.SPACES[name]()
    ranked = [config for config, loss in sorted(seen, key=lambda pair: np.inf if pair[1] is None else pair[1])]
    assert len(seen) == write_bohb.N_OBSERVED
    assert sum(loss is None for _, loss in seen) == 8
    for name, hyperparameter in space.items():
        for group in (ranked[:12], ranked[12:]):
            values = {config[name] for config in group if name in config}
            assert len(values) > 1 and values >= set(getattr(hyperparameter, "choices", ()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", write_bohb.SPACES)
def test_proposals_are_those_of_the_installed_hpbandster(name: str) -> None:
    """Blocks of their own, fewer: HpBandSter takes 30 ms for each."""
    pytest.importorskip("hpbandster")
    check_equal(compare(name, our_proposals(name, 8, 15), write_bohb.proposals(name, 8, 15, seed=100)))
