from __future__ import annotations

from functools import partial

import numpy as np
from click.testing import CliRunner

from autopytorch_lite.search import BOHB, Hyperband
from autopytorch_lite.space.encode import VectorCodec
from benchmarks.hpo.overhead import ask_times, branching_space, lcbench_space, main, time_asks


def test_as_many_asks_as_wanted_are_timed() -> None:
    seconds = ask_times(partial(Hyperband, lcbench_space()), n_told=40, n_asks=7)
    assert seconds.shape == (7,)
    assert np.all(seconds > 0)
    assert time_asks(partial(BOHB, branching_space(), schedule="asynchronous"), n_told=20, n_asks=3) > 0


def test_spaces_have_the_promised_size() -> None:
    assert VectorCodec(lcbench_space()).n_dims == 7
    assert VectorCodec(branching_space()).n_dims == 100


def test_the_command_prints_a_line_for_each_case() -> None:
    result = CliRunner().invoke(main, ["--only", "Hyperband", "--asks", "3"], catch_exceptions=False)
    assert "Hyperband, LCBench" in result.output
    assert len(result.output.splitlines()) == 2
