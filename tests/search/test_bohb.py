from __future__ import annotations

from collections import Counter

import ConfigSpace as cs
import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status
from autopytorch_lite.search import BOHB, RandomSearch, Searcher
from tests.contracts.check_searcher import proposals_of, simulate
from tests.search.spaces import flat_space, tree_space, two_valleys


def one_dimension() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(cs.Float("x", (0.0, 1.0)), cs.Constant("c", 3))
    return space


def tell_own(searcher: Searcher, config: dict, budget: int, loss: float | None) -> None:
    """Tell a finished trial outside of brackets."""
    proposal = Proposal(searcher.ask().config_id, config, budget, origin="user")
    searcher.tell(Proposed(proposal))
    searcher.tell(Finished(proposal.key, Status.OK if loss is not None else Status.CRASHED, loss))


def answers(searcher: Searcher, n: int) -> list[Proposal]:
    """The next n proposals if nothing finishes."""
    found = []
    for _ in range(n):
        found.append(searcher.ask())
        searcher.tell(Proposed(found[-1]))
    return found


def test_first_model_after_twice_the_dimensions_plus_two_observations() -> None:
    """Constants do not count: flat_space has seven dimensions, so 16 finished trials are needed."""
    searcher = BOHB(flat_space(), random_fraction=0.0)
    origins = []
    for _ in range(20):
        proposal = searcher.ask()
        origins.append(proposal.origin)
        searcher.tell(Proposed(proposal))
        searcher.tell(Finished(proposal.key, loss=two_valleys(proposal)))
    assert origins == ["random"] * 16 + ["model"] * 4


def test_failures_count_as_observations_but_are_never_good() -> None:
    """Everything above 0.5 crashes; half of the first observations did."""
    searcher = BOHB(one_dimension(), random_fraction=0.0, min_points_in_model=3)
    for x in (0.9, 0.8, 0.7):
        tell_own(searcher, {"x": x, "c": 3}, 2, None)
    for x in (0.1, 0.2):
        tell_own(searcher, {"x": x, "c": 3}, 2, 0.0)
    assert searcher.ask().origin == "random", "a model of two successes"
    tell_own(searcher, {"x": 0.3, "c": 3}, 2, 0.0)
    proposals = answers(searcher, 27)
    assert {proposal.origin for proposal in proposals} == {"model"}
    assert all(proposal.config["x"] < 0.5 for proposal in proposals)


@pytest.mark.parametrize(
    ("n", "settings", "expected"),
    [
        (3, {}, (0, 0)),
        (4, {}, (2, 2)),  # one dimension: two and two
        (40, {}, (6, 34)),
        (47, {}, (7, 39)),  # the worst one is left out by rounding, as in HpBandSter
        (11, {"min_points_in_model": 10}, (0, 0)),
        (12, {"min_points_in_model": 10}, (10, 2)),
        (40, {"top_n_percent": 50}, (20, 20)),
    ],
)
def test_sizes_of_the_good_and_the_bad_group(n: int, settings: dict, expected: tuple[int, int]) -> None:
    ranking = [(float(i), i) for i in range(n)]
    assert BOHB(one_dimension(), **settings)._group_sizes(ranking) == expected


def test_thousands_of_observations_leave_the_model_as_it_is() -> None:
    """Of more than 1,024 a sample is used; the best region is found as before."""
    searcher = BOHB(one_dimension(), random_fraction=0.0, min_budget=2, max_budget=2)
    for i, x in enumerate(np.random.default_rng(0).random(9000).tolist()):
        searcher.tell(Proposed(Proposal(i, {"x": x, "c": 3}, 2, origin="user")))
        searcher.tell(Finished((i, 2), loss=abs(x - 0.7)))
    values = [proposal.config["x"] for proposal in answers(searcher, 50)]
    assert abs(np.mean(values) - 0.7) < 0.03
    assert max(np.abs(np.array(values) - 0.7)) < 0.2


def test_only_failures_make_no_model() -> None:
    searcher = BOHB(flat_space(), random_fraction=0.0)
    lines = simulate(searcher, 100, failure_rate=1.0, rng=np.random.default_rng(0))
    assert {proposal.origin for proposal in proposals_of(lines)} == {"random"}


def test_the_largest_budget_with_a_model_counts() -> None:
    """Low budgets say left, the high one says right, once it has enough observations."""
    searcher = BOHB(one_dimension(), random_fraction=0.0, min_points_in_model=3)
    for x in np.linspace(0, 1, 20):
        tell_own(searcher, {"x": x, "c": 3}, 2, x)
    assert searcher.ask().config["x"] < 0.5
    for x in (0.05, 0.1, 0.85, 0.9):  # three good and two bad ones make a model
        tell_own(searcher, {"x": x, "c": 3}, 50, 1 - x)
        assert searcher.ask().config["x"] < 0.5
    tell_own(searcher, {"x": 0.95, "c": 3}, 50, 0.05)
    assert all(proposal.config["x"] > 0.5 for proposal in answers(searcher, 20))


@pytest.mark.parametrize("fraction", [0.0, 1 / 3, 1.0])
def test_share_of_random_proposals(fraction: float) -> None:
    searcher = BOHB(flat_space(), random_fraction=fraction)
    lines = simulate(searcher, 700, loss=two_valleys, rng=np.random.default_rng(0))
    new = [proposal for proposal in proposals_of(lines) if proposal.rung == 0][60:]
    assert abs(Counter(p.origin for p in new)["random"] / len(new) - fraction) < 0.05


def test_a_proposal_seen_before_is_replaced_by_a_random_one() -> None:
    """The model insists on what is known; what is proposed is new, and does not claim to come from the model."""
    space = ConfigurationSpace()
    space.add(cs.Integer("a", (1, 2000)))
    searcher = BOHB(space, random_fraction=0.0, min_points_in_model=3, min_bandwidth=1e-5, bandwidth_factor=1e-3)
    for a in (*range(1000, 1004), *range(1, 2000, 200)):
        tell_own(searcher, {"a": a}, 2, float(abs(a - 1000)))
    proposals = answers(searcher, 50)
    assert {proposal.origin for proposal in proposals} == {"random"}
    assert len({proposal.config["a"] for proposal in proposals}) == 50


def test_forbidden_candidates_are_passed_over() -> None:
    """The best side is forbidden together with b; the model proposes what is allowed."""
    space = tree_space()
    searcher = BOHB(space, random_fraction=0.0, min_points_in_model=5)
    lines = simulate(
        searcher,
        150,
        loss=lambda p: (p.config["net"] != "linear") + (p.config["optimizer"] != "sgd") + p.config.get("momentum", 0.0),
        cancel_rate=0.0,
        rng=np.random.default_rng(0),
    )
    origins = Counter(proposal.origin for proposal in proposals_of(lines))
    assert origins["model"] > 60


def test_conditional_parameters_are_learned() -> None:
    """Best: a resnet with 2 groups and little dropout. A single seed may settle on more dropout."""

    def loss(proposal: Proposal) -> float:
        config = proposal.config
        return (config["net"] != "resnet") + 0.3 * abs(config.get("groups", 4) - 2) + config.get("rate", 0.5)

    late = []
    for seed in range(5):
        searcher = BOHB(tree_space(), random_fraction=0.2, min_budget=9, max_budget=9, seed=seed)
        lines = simulate(searcher, 120, loss=loss, cancel_rate=0.0, rng=np.random.default_rng(seed))
        late += [proposal.config for proposal in proposals_of(lines)[75:] if proposal.origin == "model"]
    assert np.mean([config["net"] == "resnet" and config["groups"] == 2 for config in late]) > 0.7
    assert np.mean([config.get("rate", 1.0) < 0.2 for config in late]) > 0.5


def epochs_to_best(searcher: Searcher, n_epochs: int, seed: int) -> float:
    """Best loss at the full budget within a number of epochs; continuing costs the difference."""
    best, spent = np.inf, 0
    noise = np.random.default_rng(seed)
    while True:
        proposal = searcher.ask()
        spent += proposal.budget - (proposal.resume_from or 0)
        if spent > n_epochs:
            return best
        searcher.tell(Proposed(proposal))
        loss = two_valleys(proposal)
        searcher.tell(Finished(proposal.key, loss=loss + 0.02 * noise.standard_normal()))
        if proposal.budget == 50:
            best = min(best, loss)


def test_bohb_beats_random_search_on_average() -> None:
    seeds = range(10)
    bohb = [epochs_to_best(BOHB(flat_space(), seed=seed), 3000, seed) for seed in seeds]
    random = [epochs_to_best(RandomSearch(flat_space(), seed=seed), 3000, seed) for seed in seeds]
    assert np.mean(bohb) < 0.6 * np.mean(random)
    assert np.sum(np.array(bohb) < np.array(random)) >= 8


def test_the_model_beats_hyperband_alone() -> None:
    seeds = range(10)
    model = [epochs_to_best(BOHB(flat_space(), seed=seed), 3000, seed) for seed in seeds]
    plain = [epochs_to_best(BOHB(flat_space(), seed=seed, random_fraction=1.0), 3000, seed) for seed in seeds]
    assert np.mean(model) < np.mean(plain)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_n_percent", 0),
        ("top_n_percent", 100),
        ("num_samples", 0),
        ("random_fraction", -0.1),
        ("random_fraction", 1.1),
        ("bandwidth_factor", 0),
        ("min_bandwidth", 0),
        ("min_points_in_model", 1),
    ],
)
def test_bad_settings_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must .* got {value}"):
        BOHB(flat_space(), **{name: value})
