import numpy as np
import pytest

from autopytorch_lite.history.trial import Finished, TrialKey
from autopytorch_lite.report.importance import explained_share, loss_ranks, merged_configs, rank_hyperparameters


def line(config_id: int, loss: float, budget: int = 5) -> Finished:
    return Finished(TrialKey(config_id, budget), loss=loss)


def test_ranks_are_within_budgets_so_that_budgets_compare():
    lines = [line(0, 10.0, 5), line(1, 30.0, 5), line(2, 20.0, 5), line(0, 0.2, 15), line(2, 0.1, 15), line(2, 0.1, 45)]
    assert loss_ranks(lines).tolist() == [0.0, 1.0, 0.5, 1.0, 0.0, 0.5]


def test_a_value_that_decides_the_rank_explains_nearly_all_of_it():
    ranks = np.linspace(0, 1, 60)
    assert explained_share(list(ranks), ranks) > 0.9
    assert explained_share(["a" if rank < 0.5 else "b" for rank in ranks], ranks) == pytest.approx(0.75, abs=0.03)


def test_noise_explains_nothing():
    rng = np.random.default_rng(0)
    shares = [explained_share(list(rng.normal(size=80)), rng.permutation(80) / 79) for _ in range(50)]
    assert np.mean(shares) < 0.04


def test_inactive_rows_lower_the_share_and_one_group_has_none():
    ranks = np.linspace(0, 1, 40)
    values = list(ranks)
    half = [value if i % 2 else None for i, value in enumerate(values)]
    assert explained_share(half, ranks) == pytest.approx(explained_share(values, ranks) / 2, rel=0.05)
    assert explained_share([3] * 40, ranks) == 0.0
    assert explained_share([None] * 40, ranks) == 0.0
    assert explained_share(values, np.full(40, 0.5)) == 0.0


def test_hyperparameters_are_ordered_by_what_they_explain():
    rng = np.random.default_rng(1)
    ranks = rng.permutation(50) / 49
    configs = [{"a:x:strong": float(rank), "a:x:noise": float(rng.normal()), "a:x:same": 1} for rank in ranks]
    assert [name for name, _ in rank_hyperparameters(configs, ranks)] == ["a:x:strong", "a:x:noise"]


def test_alternatives_of_a_choice_share_an_axis_unless_their_values_are_of_other_kinds():
    configs = [
        {
            "optimizer:__choice__": "sgd",
            "optimizer:sgd:learning_rate": 0.1,
            "optimizer:sgd:momentum": 0.9,
            "b:x:bias": "yes",
        },
        {"optimizer:__choice__": "adam", "optimizer:adam:learning_rate": 0.2, "b:y:bias": 1},
    ]
    assert merged_configs(configs) == [
        {
            "optimizer:__choice__": "sgd",
            "optimizer:*:learning_rate": 0.1,
            "optimizer:sgd:momentum": 0.9,
            "b:x:bias": "yes",
        },
        {"optimizer:__choice__": "adam", "optimizer:*:learning_rate": 0.2, "b:y:bias": 1},
    ]
