from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from autopytorch_lite.errors import BudgetError, DataError, UnknownNameError
from autopytorch_lite.types import Array, Config
from lcbench import Benchmark
from lcbench.analysis import (
    Fanova,
    analyse,
    correlations_with_final,
    crossings,
    final_distribution,
    portfolio_transfer,
    rank_correlations,
    transfer_regrets,
)
from lcbench.analysis.fanova import Boxes
from lcbench.analysis.report import write_analysis
from lcbench.curves import CurveTable, read_curves
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
        return RunRecord(log, {"seed": 1, "budget": 4, "final_val_accuracy": float(values[4])}, config)


def table_of(losses: Any, name: str = "table") -> CurveTable:
    """Runs with these losses, shape (n_runs, n_epochs); the configurations are numbered."""
    losses = np.array(losses, dtype=float)
    configs = tuple({"number": number} for number in range(len(losses)))
    epochs = tuple(range(1, losses.shape[1] + 1))
    return CurveTable(name, "Train/loss", configs, epochs, losses, np.zeros(losses.shape, dtype=bool))


def sampled(function: Callable[[Array], Array], n_dims: int, n: int = 400) -> Fanova:
    points = np.random.default_rng(0).random((n, n_dims))
    configs: list[Config] = [{f"x{dim}": float(value) for dim, value in enumerate(point)} for point in points]
    return Fanova(configs, function(points))


def test_importances_are_those_of_a_sum_in_closed_form() -> None:
    found = sampled(lambda x: x[:, 0] + 2 * x[:, 1], n_dims=3)
    assert found.importances().to_dict() == pytest.approx({"x1": 4 / 5, "x0": 1 / 5, "x2": 0}, abs=0.03)
    assert list(found.importances().index) == ["x1", "x0", "x2"]
    assert found.importance("x0", "x1") == pytest.approx(0, abs=0.03)


def test_importances_are_those_of_a_product_in_closed_form() -> None:
    found = sampled(lambda x: x[:, 0] * x[:, 1], n_dims=2)
    assert [found.importance(name) for name in ("x0", "x1")] == pytest.approx([3 / 7, 3 / 7], abs=0.03)
    assert found.importance("x0", "x1") == pytest.approx(1 / 7, abs=0.03)
    assert found.pairs().to_dict() == {("x0", "x1"): found.importance("x0", "x1")}


def test_choices_have_equal_shares_and_logarithms_are_seen() -> None:
    rng = np.random.default_rng(0)
    configs: list[Config] = [
        {"rate": float(10 ** rng.uniform(-4, -1)), "kind": "abc"[rng.integers(3)], "flag": bool(rng.integers(2))}
        for _ in range(500)
    ]
    losses = np.array([(np.log10(float(c["rate"])) + 4) / 3 + (c["kind"] == "b") for c in configs])
    found = Fanova(configs, losses)
    variances = np.array([1 / 12, 2 / 9])
    expected = variances / variances.sum()
    assert [found.importance(name) for name in ("rate", "kind")] == pytest.approx(expected, abs=0.04)
    assert found.importance("flag") == pytest.approx(0, abs=0.01)
    effect = found.effect("kind").set_index("value")["mean"]
    assert effect["b"] - effect["a"] == pytest.approx(1, abs=0.05)
    effect = found.effect("rate", n_points=4)
    assert effect["value"].iloc[1] / effect["value"].iloc[0] == pytest.approx(10, rel=0.1)
    assert np.diff(effect["mean"]) == pytest.approx(1 / 3, abs=0.1)


def test_the_parts_of_a_trees_variance_sum_up_to_all_of_it() -> None:
    x = np.random.default_rng(0).random((80, 3))
    tree = Boxes.of(DecisionTreeRegressor().fit(x, np.sin(5 * x[:, 0]) * x[:, 1] + x[:, 2]).tree_, 3)
    assert (tree.high - tree.low).prod(axis=1).sum() == pytest.approx(1)
    assert tree.explained([0, 1, 2]) == pytest.approx(tree.variance)
    monte_carlo = np.random.default_rng(1).random((4000, 3))
    inside = (tree.low <= monte_carlo[:, None]) & (monte_carlo[:, None] < tree.high)
    values = inside.all(axis=2) @ tree.values
    assert (tree.mean, tree.variance) == pytest.approx((values.mean(), values.var()), rel=0.1)
    stump = Boxes(np.array([[0.0, 0], [0.25, 0]]), np.array([[0.25, 1], [1.0, 1]]), np.array([1.0, 0.0]))
    assert (stump.mean, stump.explained([0]), stump.explained([1])) == pytest.approx((0.25, 0.25 * 0.75, 0))


def test_a_hyperparameter_matters_as_far_as_it_is_active() -> None:
    rng = np.random.default_rng(0)
    configs: list[Config] = []
    for _ in range(400):
        momentum = {"momentum": float(rng.random())} if rng.random() < 0.5 else {}
        configs.append({"optimizer": "sgd" if momentum else "adam", **momentum, "other": float(rng.random())})
    found = Fanova(configs, np.array([float(config.get("momentum", 0.5)) for config in configs]))
    assert found.importance("momentum") > 0.6
    assert found.importance("other") < 0.02
    together = found.importance("optimizer") + found.importance("optimizer", "momentum")
    assert found.importance("momentum") + together > 0.97, "the parent says when it is active"
    best = {"optimizer": "adam", "other": 0.3}
    assert found.local_importances(best)["momentum"] == 0


def test_local_importance_is_that_around_one_configuration() -> None:
    found = sampled(lambda x: x[:, 0] * x[:, 1], n_dims=2)
    assert found.local_importances({"x0": 0.02, "x1": 0.98})["x0"] > 0.95
    assert found.local_importances({"x0": 0.98, "x1": 0.02})["x0"] < 0.05
    assert found.local_importances({"x0": 0.5, "x1": 0.5})["x0"] == pytest.approx(0.5, abs=0.1)


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
    assert scores.distribution.loc["b", "best"] == pytest.approx(-losses.distribution.loc["b", "best"])


def test_several_data_sets_are_averaged_and_all_are_the_default() -> None:
    benchmark = Benchmark(Recorded())
    a, b, both = (analyse(benchmark, names, TAG) for names in (["a"], ["b"], []))
    assert both.epochs == (2, 4), "the default ones as far as they are recorded, and the last"
    assert both.correlations.loc[2, 4] == pytest.approx((a.correlations.loc[2, 4] + b.correlations.loc[2, 4]) / 2)
    assert both.importances.loc["units", 4] == pytest.approx(
        (a.importances.loc["units", 4] + b.importances.loc["units", 4]) / 2
    )
    assert a.correlations.loc[2, 4] != b.correlations.loc[2, 4], "the run that diverged ranks last"
    assert a.transfer is None and both.transfer is not None


def test_final_values_alone_can_be_analysed() -> None:
    found = analyse(Benchmark(Recorded()), tag="final_val_accuracy")
    assert found.epochs == (4,)
    assert found.importances.index[0] == "units"
    curves = read_curves(Benchmark(Recorded()), "b", TAG)
    assert found.tables[1].final.tolist() == curves.final.tolist()


def test_among_the_best_runs_an_early_epoch_may_say_nothing() -> None:
    early, late = np.arange(20.0), np.arange(20.0)
    early[:10] = early[:10][::-1]
    table = table_of(np.column_stack([early, late]))
    assert rank_correlations(table, [1, 2], top=0.5).loc[1, 2] == pytest.approx(-1)
    assert 0.5 < rank_correlations(table, [1, 2]).loc[1, 2] < 1
    found = correlations_with_final(table, tops=(1.0, 0.5))
    assert found.loc[2].tolist() == pytest.approx([1, 1])
    assert found.loc[1, 0.5] == pytest.approx(-1)


def test_curves_that_cross_are_counted() -> None:
    table = table_of([[3, 1], [2, 2], [1, 3], [9, 9], [9, 9]])
    assert crossings(table)[1.0].tolist() == pytest.approx([3 / 9, 0]), "ties at the end are left out"
    assert np.isnan(crossings(table_of([[1, 1], [2, 1]]))[1.0]).all(), "nobody is better in the end"


def test_the_distribution_of_final_values() -> None:
    (row,) = final_distribution([table_of(np.arange(101.0)[:, None])]).to_dict("records")
    assert (row["runs"], row["best"], row["median"], row["worst 5%"], row["worst"]) == (101, 0, 50, 95, 100)
    assert row["near best"] == pytest.approx(2 / 101)


def test_what_is_best_on_one_data_set_is_used_on_the_others() -> None:
    tables = [table_of([[0], [1], [2]], "x"), table_of([[4], [0], [8]], "y")]
    found = transfer_regrets(tables)
    assert found.loc["x"].tolist() == [0, 0.5]
    assert found.loc["y"].tolist() == [0.5, 0]
    with pytest.raises(DataError, match="at least two data sets"):
        transfer_regrets(tables[:1])
    with pytest.raises(DataError, match="of 4 needs as many"):
        portfolio_transfer(tables, 4)


def test_a_portfolio_is_selected_without_the_data_set_it_is_used_on() -> None:
    rng = np.random.default_rng(0)
    losses = rng.random((3, 6, 1))
    tables = [table_of(of_one, name) for of_one, name in zip(losses, "xyz", strict=True)]
    found = portfolio_transfer(tables, 3)
    regrets = (losses[0, :, 0] - losses[0].min()) / np.ptp(losses[0])
    draws = [min(regrets[list(drawn)]) for drawn in combinations(range(6), 2)]
    assert found.loc["x", ("random", 2)] == pytest.approx(np.mean(draws))
    first = np.argmin(sum((of_one - of_one.min()) / np.ptp(of_one) for of_one in losses[1:])[:, 0])
    assert found.loc["x", ("portfolio", 1)] == pytest.approx(regrets[first])
    assert (np.diff(found["portfolio"], axis=1) <= 0).all()


def test_the_page_shows_every_analysis(tmp_path: Path) -> None:
    path = write_analysis(tmp_path / "analysis.html", analyse(Benchmark(Recorded())), source="made up")
    text = path.read_text(encoding="utf-8")
    for name in ("distribution", "importance", "effects-a", "local", "correlations", "crossings", "transfer"):
        assert f'id="figure-{name}"' in text, name
    assert "1 run without a value" in text and "validation accuracy (%)" in text
    only_final = analyse(Benchmark(Recorded()), ["b"], "final_val_accuracy")
    text = write_analysis(path, only_final, source="made up").read_text(encoding="utf-8")
    assert 'id="figure-effects-b"' in text and 'id="figure-crossings"' not in text


def test_what_cannot_be_compared_is_named() -> None:
    benchmark = Benchmark(Recorded())
    with pytest.raises(BudgetError, match=r"between 1 and 4, .* got 5"):
        analyse(benchmark, epochs=(1, 5))
    with pytest.raises(DataError, match="'config' of 'a' has none"):
        read_curves(benchmark, "a", "config")
    with pytest.raises(UnknownNameError, match="data set 'c'"):
        analyse(benchmark, ["c"])
    with pytest.raises(UnknownNameError, match="scale of importances"):
        analyse(benchmark, scale="rank")
    with pytest.raises(BudgetError, match="share of the best runs"):
        rank_correlations(table_of([[1], [2]]), [1], top=0)
    with pytest.raises(UnknownNameError, match="did you mean 'x0'"):
        sampled(lambda x: x[:, 0], n_dims=1, n=20).importance("x00")
