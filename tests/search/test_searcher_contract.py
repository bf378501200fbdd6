from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autopytorch_lite.search import BOHB, FreezeThaw, Hyperband, RandomSearch
from autopytorch_lite.space.encode import VectorCodec
from tests.contracts.check_searcher import (
    Event,
    check_any_history,
    check_proposals,
    check_replay,
    check_searcher,
    check_trials,
    histories,
    simulate,
)
from tests.search.spaces import flat_space, small_space, spaces, tree_space

pytestmark = pytest.mark.slow

EARLY_MODEL = {"min_points_in_model": 2, "random_fraction": 0.1}
KINDS = {
    "random": partial(RandomSearch, max_budget=9),
    "random_limited": partial(RandomSearch, max_budget=9, n_configurations=20),
    "hyperband": partial(Hyperband, min_budget=1, max_budget=9),
    "hyperband_limited": partial(Hyperband, min_budget=1, max_budget=9, max_brackets=3),
    "asynchronous": partial(Hyperband, min_budget=1, max_budget=9, schedule="asynchronous"),
    "asynchronous_limited": partial(Hyperband, min_budget=1, max_budget=9, schedule="asynchronous", max_brackets=3),
    "asynchronous_bohb": partial(BOHB, min_budget=1, max_budget=9, schedule="asynchronous", **EARLY_MODEL),
    "bohb": partial(BOHB, min_budget=1, max_budget=9, **EARLY_MODEL),
    "freeze_thaw": partial(FreezeThaw, min_budget=1, max_budget=9, n_candidates=20, n_local=15),
    "bohb_eta_2": partial(BOHB, min_budget=10, max_budget=50, eta=2, **EARLY_MODEL),
}
SPACES = {"flat": flat_space, "tree": tree_space, "small": small_space}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SPACES)
def test_contract(kind: str, name: str) -> None:
    space = SPACES[name]()
    check_searcher(lambda: KINDS[kind](space, seed=3), space)


@pytest.mark.parametrize("kind", KINDS)
def test_contract_with_portfolio(kind: str) -> None:
    space = tree_space()
    codec, rng = VectorCodec(space), np.random.default_rng(0)
    portfolio = [config for config in (codec.sample(rng) for _ in range(9)) if config["net"] != "linear"]
    check_searcher(lambda: KINDS[kind](space, seed=3, portfolio=portfolio), space)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(space=spaces(), kind=st.sampled_from(sorted(KINDS)), events=histories(), seed=st.integers(0, 99))
def test_any_history_in_any_space(space: ConfigurationSpace, kind: str, events: list[Event], seed: int) -> None:
    """Valid proposals, and replay of prefixes, with open trials, failures, cancellations and ends out of order."""
    check_any_history(lambda: KINDS[kind](space, seed=seed), space, events)


@settings(max_examples=16, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(space=spaces(), kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 99))
def test_long_runs_in_any_space(space: ConfigurationSpace, kind: str, seed: int) -> None:
    def make():
        return KINDS[kind](space, seed=seed)

    lines = simulate(make(), 60, n_workers=1 + seed % 5, failure_rate=0.2, rng=np.random.default_rng(seed))
    check_proposals(lines, space)
    check_trials(lines)
    check_replay(make, lines)


def test_searching_leaves_the_global_generator_and_the_space_alone() -> None:
    space = tree_space()
    global_state, space_state = np.random.get_state(), space.random.get_state()  # noqa: NPY002
    simulate(KINDS["bohb"](space), 60, rng=np.random.default_rng(0))
    assert np.array_equal(global_state[1], np.random.get_state()[1])  # noqa: NPY002
    assert np.array_equal(space_state[1], space.random.get_state()[1])


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_differ(kind: str) -> None:
    space = flat_space()
    assert KINDS[kind](space, seed=0).ask() != KINDS[kind](space, seed=1).ask()


@pytest.mark.parametrize("kind", KINDS)
def test_space_and_settings_identify_a_searcher(kind: str) -> None:
    space = flat_space()
    searcher = KINDS[kind](space, seed=3, portfolio=[dict(space.get_default_configuration())])
    assert searcher.space is space
    assert json.loads(json.dumps(searcher.settings)) == searcher.settings
    assert searcher.settings == KINDS[kind](space, seed=3, portfolio=searcher.settings["portfolio"]).settings
    assert searcher.settings != KINDS[kind](space, seed=4, portfolio=searcher.settings["portfolio"]).settings
    assert searcher.settings != KINDS[kind](space, seed=3).settings


def test_a_larger_number_of_proposals_is_the_same_searcher() -> None:
    space = flat_space()
    assert Hyperband(space, max_brackets=1).settings == Hyperband(space).settings
    assert RandomSearch(space, n_configurations=1).settings == RandomSearch(space).settings
    assert BOHB(space, eta=2).settings != BOHB(space).settings
    assert BOHB(space, num_samples=8).settings != BOHB(space).settings
