from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from autopytorch_lite.errors import DataError
from autopytorch_lite.space.encode import VectorCodec
from benchmarks.lcbench_surrogate import SurrogateFolder
from benchmarks.portfolio.__main__ import main
from benchmarks.portfolio.lcbench_candidates import locally_best, space_filling
from tests.search.spaces import flat_space


def test_the_even_sample_is_even_and_the_same_each_time():
    codec = VectorCodec(flat_space())
    configs = space_filling(codec, 100, seed=0)
    assert configs == space_filling(codec, 100, seed=0)
    assert len({frozenset(config.items()) for config in configs}) == 100
    rates = codec.encode_many(configs)[:, codec.names.index("learning_rate")]
    assert np.abs(np.sort(rates) - (np.arange(100) + 0.5) / 100).max() < 0.05


def test_local_searches_end_on_the_peaks_and_on_each_once():
    codec = VectorCodec(flat_space())
    peaks = np.array([[0.2] * 7, [0.8] * 7])

    def score(configs):
        distances = ((codec.encode_many(configs)[:, None] - peaks) ** 2).sum(-1)
        return -distances.min(axis=1)

    found = locally_best(codec, score, 4, n_random=500, seed=0)
    vectors = codec.encode_many(found)
    for peak in peaks:
        assert np.abs(vectors - peak).max(axis=1).min() < 0.15
    apart = np.abs(vectors[:, None] - vectors).max(-1) + np.eye(len(vectors))
    assert apart.min() > 0.05


def test_a_folder_without_the_surrogate_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"surrogate\.py"):
        SurrogateFolder(tmp_path)
    result = CliRunner().invoke(main, ["lcbench", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "surrogate.py" in result.output
