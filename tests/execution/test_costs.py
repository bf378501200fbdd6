"""Predicted costs: what is counted, what is learned from evaluations that ended, how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from autopytorch_lite.execution.costs import (
    LATENCY_S,
    MACHINE_DEVIATION,
    UNKNOWN,
    EvaluationCosts,
    FamilyCosts,
    load_prior,
)
from autopytorch_lite.execution.work import FAMILIES, OTHER, Sizes, work
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.graph import choice_name
from autopytorch_lite.search.sampling import ConfigurationSampler
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.types import Config, DatasetInfo, Task
from search_spaces import load_ranges, with_edits

INFO = DatasetInfo(Task.MULTICLASS, 5_000, 12, (3, 40, 2000), 3, (2_000, 2_000, 1_000))
SMALL = Sizes(INFO, 4_000, 1_000, 1, 54)
LARGE = Sizes(INFO, 80_000, 20_000, 1, 54)


def config_of(family: str, seed: int = 0) -> Config:
    learner, _, backbone = family.partition(":")
    edits = {choice_name("learner"): [learner]} | ({choice_name("backbone"): [backbone]} if backbone else {})
    space = compile_space(default_graph(), with_edits(load_ranges("default"), edits), INFO)
    return ConfigurationSampler(space).sample(np.random.default_rng(seed), lambda config: False)


def ended(config_id: int, config: Config, seconds: float, status: Status = Status.OK, budget: int = 6) -> list:
    proposal = Proposal(config_id, config, budget)
    return [Proposed(proposal), Finished(proposal.key, status, loss=0.5, seconds=seconds)]


@pytest.fixture(scope="module")
def boosting() -> Config:
    return config_of("hist_gradient_boosting")


@pytest.fixture(scope="module")
def linear() -> Config:
    return config_of("linear")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prior_knows_every_family_and_more_is_never_cheaper(family: str) -> None:
    prior, config = load_prior(), config_of(family)
    assert prior[family].seconds
    seconds = [
        EvaluationCosts(sizes, prior).expected_s(config, budget)
        for sizes, budget in ((SMALL, 6), (SMALL, 54), (LARGE, 54))
    ]
    assert 1e-3 < seconds[0] <= seconds[1] <= seconds[2]
    assert seconds[2] > 2 * seconds[0], "twenty times the rows"


@pytest.mark.parametrize("family", ["random_forest", "extra_trees", "neural:tabm"])
def test_going_on_is_cheaper_than_beginning_anew(family: str) -> None:
    costs, config = EvaluationCosts(LARGE, load_prior()), config_of(family) | {"lr_schedule:__choice__": "step"}
    assert costs.expected_s(config, 54, 18) < 0.9 * costs.expected_s(config, 54)


@pytest.mark.parametrize("family", ["xgboost", "lightgbm", "catboost", "hist_gradient_boosting"])
def test_boosters_begin_anew(family: str) -> None:
    costs, config = EvaluationCosts(LARGE, load_prior()), config_of(family)
    assert costs.expected_s(config, 54, 18) == costs.expected_s(config, 54)


def test_catboost_takes_longer_for_categories_that_are_coded_by_statistics() -> None:
    """Columns of 3, 40 and 2,000 levels: those of few are one-hot."""
    costs, config = EvaluationCosts(SMALL, load_prior()), config_of("catboost")
    seconds = [
        costs.expected_s(config | {"learner:catboost:one_hot_max_size": most}, 54) for most in (2, 3, 40, 2000, 5000)
    ]
    assert seconds[0] > seconds[1] > seconds[2] > seconds[3] == seconds[4]
    assert seconds[0] > 1.5 * seconds[4]


def test_networks_whose_schedule_is_whole_begin_anew() -> None:
    costs, config = EvaluationCosts(LARGE, load_prior()), config_of("neural:realmlp")
    for schedule, begins_anew in (("cosine_log", True), ("step", False)):
        scheduled = config | {"lr_schedule:__choice__": schedule}
        assert (costs.expected_s(scheduled, 54, 18) == costs.expected_s(scheduled, 54)) == begins_anew


def test_folds_are_trainings(boosting: Config) -> None:
    folds = Sizes(INFO, 4_000, 1_000, 5, 54)
    one, five = (EvaluationCosts(sizes, load_prior()).expected_s(boosting, 6) for sizes in (SMALL, folds))
    assert five == pytest.approx(5 * one)


def test_a_slow_machine_is_noticed_for_all_families_but_most_for_the_one_seen(boosting: Config, linear: Config) -> None:
    costs = EvaluationCosts(SMALL, load_prior())
    before = costs.expected_s(boosting, 6), costs.expected_s(linear, 6)
    for config_id, seed in enumerate((1, 2, 3)):
        config = config_of("hist_gradient_boosting", seed)
        for line in ended(config_id, config, 3 * costs.expected_s(config, 6)):
            costs.tell(line)
    after = costs.expected_s(boosting, 6), costs.expected_s(linear, 6)
    assert after[0] > 2 * before[0]
    assert 1.2 * before[1] < after[1] < after[0] / before[0] * before[1]


def test_the_more_was_seen_the_less_is_added_for_safety(boosting: Config) -> None:
    costs = EvaluationCosts(SMALL, load_prior())

    def margin() -> float:
        return (costs.safe_s(boosting, 18, 6) - LATENCY_S) / costs.expected_s(boosting, 18, 6)

    margins = [margin()]
    for line in ended(0, boosting, 2.0):
        costs.tell(line)
    margins.append(margin())
    for config_id in range(1, 8):
        for line in ended(config_id, config_of("hist_gradient_boosting", config_id), 2.0):
            costs.tell(line)
    margins.append(margin())
    assert margins[0] > np.exp(MACHINE_DEVIATION) > margins[1] > margins[2] > 1


def test_one_that_ran_into_its_limit_takes_at_least_so_long(boosting: Config) -> None:
    costs = EvaluationCosts(SMALL, load_prior())
    for line in ended(0, boosting, 100.0, Status.TIMEOUT):
        costs.tell(line)
    assert costs.expected_s(boosting, 6) > 50
    one = EvaluationCosts(SMALL, load_prior())
    expected = one.expected_s(boosting, 6)
    for line in ended(0, boosting, expected / 100, Status.TIMEOUT):
        one.tell(line)
    assert one.expected_s(boosting, 6) == pytest.approx(expected), "a limit below says nothing"


@pytest.mark.parametrize("status", [Status.CRASHED, Status.DIVERGED, Status.STOPPED, Status.CANCELLED, Status.MEMORY])
def test_what_ended_before_its_end_says_nothing(boosting: Config, status: Status) -> None:
    costs = EvaluationCosts(SMALL, load_prior())
    before = costs.expected_s(boosting, 6)
    for line in ended(0, boosting, 1e-3, status):
        costs.tell(line)
    assert costs.expected_s(boosting, 6) == before


def test_a_learner_of_the_user_is_learned_from_what_it_takes() -> None:
    costs = EvaluationCosts(SMALL, load_prior())
    config: Config = {"learner:__choice__": "mine", "learner:mine:size": 3}
    assert work(config, SMALL, 6).family == OTHER
    assert costs.expected_s(config, 6) == pytest.approx(UNKNOWN.predict(work(config, SMALL, 6).amounts))
    for line in ended(0, config, 20.0):
        costs.tell(line)
    assert costs.expected_s(config | {"learner:mine:size": 4}, 6) > 8


def test_many_evaluations_keep_the_latest(boosting: Config) -> None:
    costs = EvaluationCosts(SMALL, {"hist_gradient_boosting": FamilyCosts({"fit": 1.0}, 0.1, 0.1)})
    for config_id in range(260):
        for line in ended(config_id, boosting, 1.0 if config_id < 60 else 4.0):
            costs.tell(line)
    assert costs.expected_s(boosting, 6) == pytest.approx(4.0, rel=0.05)
