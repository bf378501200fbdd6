from __future__ import annotations

from collections import Counter

import ConfigSpace as cs
import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import SpaceError
from autopytorch_lite.history.trial import Done
from autopytorch_lite.search import RandomSearch
from autopytorch_lite.search.sampling import ConfigurationSampler, search_rng
from tests.contracts.check_searcher import proposals_of, simulate
from tests.search.spaces import flat_space, small_space, tree_space


def draw(space: ConfigurationSpace, n: int) -> list[dict]:
    sampler, rng = ConfigurationSampler(space), np.random.default_rng(0)
    return [sampler.sample(rng, lambda config: False) for _ in range(n)]


def test_every_axis_is_drawn_uniformly_on_its_scale() -> None:
    configs = draw(flat_space(), 4000)
    decades = Counter(int(np.floor(np.log10(config["learning_rate"]))) for config in configs)
    assert all(abs(decades[decade] / 4000 - 1 / 3) < 0.03 for decade in (-4, -3, -2))
    layers = Counter(config["num_layers"] for config in configs)
    assert sorted(layers) == [1, 2, 3, 4, 5]
    assert all(abs(n / 4000 - 0.2) < 0.03 for n in layers.values())
    assert abs(np.mean([config["momentum"] for config in configs]) - 0.545) < 0.02
    assert abs(np.median([config["batch_size"] for config in configs]) - np.sqrt(16 * 512)) < 6


def test_choices_are_uniform_however_much_hangs_below_them() -> None:
    nets = Counter(config["net"] for config in draw(tree_space(), 6000))
    # linear is drawn half as often: its half with sgd is forbidden
    assert abs(nets["mlp"] / nets["resnet"] - 1) < 0.1
    assert abs(nets["linear"] / nets["resnet"] - 0.5) < 0.06


def test_forbidden_clauses_hold() -> None:
    assert not any(config["net"] == "linear" and config["optimizer"] == "sgd" for config in draw(tree_space(), 500))


def test_a_small_space_is_counted_without_what_is_inactive() -> None:
    assert ConfigurationSampler(small_space()).n_configurations == 7
    assert ConfigurationSampler(flat_space()).n_configurations is None


def test_forbidden_configurations_do_not_count() -> None:
    space = small_space()
    space.add(cs.ForbiddenEqualsClause(space["b"], "z"))
    assert ConfigurationSampler(space).n_configurations == 5


def test_constants_only_make_one_configuration() -> None:
    space = ConfigurationSpace()
    space.add(cs.Constant("a", 1), cs.Constant("b", "x"))
    searcher = RandomSearch(space)
    proposals = proposals_of(simulate(searcher, 10, rng=np.random.default_rng(0)))
    assert [proposal.config for proposal in proposals] == [{"a": 1, "b": "x"}]
    assert searcher.ask() == Done()


def test_random_search_visits_every_configuration_of_a_small_space_once() -> None:
    for seed in range(5):
        searcher = RandomSearch(small_space(), seed=seed)
        proposals = proposals_of(simulate(searcher, 100, rng=np.random.default_rng(0)))
        assert len({frozenset(proposal.config.items()) for proposal in proposals}) == len(proposals) == 7


def test_a_rare_configuration_is_found_when_it_is_the_last() -> None:
    """Drawing would have to hit one value of a 1000 in 64 draws."""
    space = ConfigurationSpace()
    space.add(cs.Integer("a", (1, 1000)))
    sampler = ConfigurationSampler(space)
    for seed in range(10):
        config = sampler.sample(np.random.default_rng(seed), lambda config: config != {"a": 700})
        assert config == {"a": 700}


def test_nothing_new_repeats_a_known_configuration() -> None:
    config = ConfigurationSampler(small_space()).sample(np.random.default_rng(0), lambda config: True)
    assert config["c"] == "only"


def test_forbidding_nearly_everything_is_an_error() -> None:
    space = ConfigurationSpace()
    a = cs.Float("a", (0.0, 1.0), default=1.0)
    space.add(a, cs.Float("b", (0.0, 1.0)))
    space.add(cs.ForbiddenLessThanClause(a, 1.0))
    with pytest.raises(SpaceError, match="Forbidden clauses"):
        draw(space, 1)


def test_the_generator_depends_on_seed_and_number_only() -> None:
    draws = {search_rng(seed, n).random() for seed in range(3) for n in range(3)}
    assert len(draws) == 9
    assert search_rng(4, 2).random() == np.random.default_rng([4, 0, 2]).random()
