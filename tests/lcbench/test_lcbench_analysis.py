from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autopytorch_lite.errors import BudgetError, DataError, UnknownNameError
from lcbench import Benchmark
from lcbench.analysis import analyse
from lcbench.storage import RunRecord

N_RUNS = 60
TAG = "Train/val_accuracy"


class Recorded:
    """Two data sets. Early the learning rate decides, late the units; "noise" never does. One run of "a" diverges."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.configs = [
            {"learning_rate": rng.random(), "units": rng.random(), "noise": rng.random(), "epochs": 4}
            for _ in range(N_RUNS)
        ]

    def dataset_names(self) -> list[str]:
        return ["a", "b"]

    def config_ids(self, dataset_name: str) -> list[str]:
        return [f"run {number}" for number in range(N_RUNS)]

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        number = int(config_id.split()[1])
        config: dict[str, Any] = self.configs[number]
        shares = np.array([0, 1, 0.9, 0.1, 0, 0])  # of the learning rate: before, four epochs, final evaluation
        values = 100 * (shares * config["learning_rate"] + (1 - shares) * config["units"])
        if (dataset_name, number) == ("a", 7):
            values[2:] = np.nan
        log = {TAG: values.tolist(), "Train/loss": (-values).tolist()}
        return RunRecord(log, {"seed": 1}, config)


def test_ranks_and_importances_change_between_epochs() -> None:
    found = analyse(Benchmark(Recorded()), ["b"], epochs=(1, 2, 4))
    assert found.correlations.loc[1, 2] > 0.95 > 0.3 > abs(found.correlations.loc[1, 4])
    assert np.diag(found.correlations) == pytest.approx(1)
    assert found.importances.index[0] == "units", "the most important one at the last epoch is first"
    assert found.importances.loc["learning_rate", 1] > 0.8 > 0.2 > found.importances.loc["learning_rate", 4]
    assert found.importances.loc["units", 4] > 0.8
    assert found.importances.loc["noise"].max() < 0.2
    assert "epochs" not in found.importances.index


def test_losses_rank_as_scores_do() -> None:
    benchmark = Benchmark(Recorded())
    scores, losses = (analyse(benchmark, ["b"], tag, (1, 3)) for tag in (TAG, "Train/loss"))
    assert scores.correlations.to_numpy() == pytest.approx(losses.correlations.to_numpy())
    assert scores.importances.equals(losses.importances)


def test_several_data_sets_are_averaged_and_all_are_the_default() -> None:
    benchmark = Benchmark(Recorded())
    a, b, both = (analyse(benchmark, names, TAG, (1, 4)) for names in (["a"], ["b"], []))
    assert both.correlations.loc[1, 4] == pytest.approx((a.correlations.loc[1, 4] + b.correlations.loc[1, 4]) / 2)
    assert both.importances.loc["units", 4] == pytest.approx(
        (a.importances.loc["units", 4] + b.importances.loc["units", 4]) / 2
    )
    assert a.correlations.loc[1, 4] != b.correlations.loc[1, 4], "the run that diverged ranks last"


def test_what_cannot_be_compared_is_named() -> None:
    benchmark = Benchmark(Recorded())
    with pytest.raises(BudgetError, match=r"between 1 and 4, .* got 5"):
        analyse(benchmark, epochs=(1, 5))
    with pytest.raises(BudgetError, match="At least two"):
        analyse(benchmark, epochs=(1,))
    with pytest.raises(DataError, match="'seed' has none"):
        analyse(benchmark, tag="seed", epochs=(1, 2))
    with pytest.raises(UnknownNameError, match="data set 'c'"):
        analyse(benchmark, ["c"])
