"""What the real package reads, and its own optimizers."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ConfigSpace as cs
import pytest

from autopytorch_lite.history.hpbandster_logs import export_hpbandster, import_hpbandster
from autopytorch_lite.history.trial import Finished, Proposed
from autopytorch_lite.search import BOHB
from autopytorch_lite.tuner import TuneResult, tune
from autopytorch_lite.types import Config

pytest.importorskip("hpbandster")

from hpbandster.core.nameserver import NameServer
from hpbandster.core.result import json_result_logger, logged_results_to_HBS_result
from hpbandster.core.worker import Worker

from autopytorch_lite.execution.hpbandster.optimizers import with_plain_values

QUIET = logging.getLogger("tests.hpbandster")


def space() -> cs.ConfigurationSpace:
    kind, rate = cs.Categorical("kind", ["a", "b", "c"]), cs.Float("rate", (1e-3, 1.0), log=True)
    made = cs.ConfigurationSpace(seed=1)
    made.add(cs.Float("x", (-2.0, 2.0)), cs.Integer("n", (1, 9)), kind, rate)
    made.add(cs.EqualsCondition(rate, kind, "a"))
    return made


def value(config: Config, budget: float) -> float:
    if config["n"] == 9:
        raise ValueError("nine")
    return (config["x"] - 1) ** 2 + 1 / budget


@pytest.fixture(scope="module")
def searched() -> TuneResult:
    searcher = BOHB(space(), min_budget=1, max_budget=9, seed=0)
    return tune(searcher, lambda config, budget, checkpoint: value(config, budget), n_trials=80)


def test_results_of_an_export(searched: TuneResult, tmp_path: Path) -> None:
    result = logged_results_to_HBS_result(str(export_hpbandster(searched.lines, tmp_path)))
    found = searched.incumbent
    assert found is not None
    mapping = result.get_id2config_mapping()
    assert mapping[result.get_incumbent_id()]["config"] == found.config
    assert result.get_runs_by_id(result.get_incumbent_id())[-1].loss == found.loss
    runs = result.get_all_runs()
    finished = [line for line in searched.lines if isinstance(line, Finished)]
    assert sorted(run.loss for run in runs if run.loss is not None) == sorted(
        line.loss for line in finished if line.loss is not None
    )
    assert sum("nine" in (run.error_logs or "") for run in runs) == sum(not line.ok for line in finished) > 0
    assert result.HB_config["budgets"] == [1.0, 3.0, 9.0]
    assert result.get_incumbent_trajectory()["losses"][-1] == found.loss
    frame, losses = result.get_pandas_dataframe()
    assert len(frame) == len(losses) == sum(line.ok for line in finished)
    assert len(result.get_learning_curves()) == len(mapping)


@pytest.fixture
def pyplot() -> Iterator[Any]:
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def lines_of(axes: Any) -> list[list[tuple[float, float]]]:
    return [[(float(x), float(y)) for x, y in line.get_xydata()] for line in axes.lines]


def test_plots_over_time_hold_the_runs_of_an_export(searched: TuneResult, tmp_path: Path, pyplot: Any) -> None:
    from hpbandster import visualization

    result = logged_results_to_HBS_result(str(export_hpbandster(searched.lines, tmp_path)))
    finished = [line for line in searched.lines if isinstance(line, Finished)]
    budgets = sorted({line.key.budget for line in finished})
    runs = result.get_all_runs()

    _, axes = visualization.concurrent_runs_over_time(runs)
    ((*counts, last),) = lines_of(axes)  # one at a time, and none at the end of the last
    assert max(n for _, n in counts) == 1 and last[1] == 0
    assert last[0] == pytest.approx(max(run.time_stamps["finished"] for run in runs))

    _, axes = visualization.finished_runs_over_time(runs)
    ended = {budget: sorted(line.finished_s for line in finished if line.key.budget == budget) for budget in budgets}
    drawn = {int(float(line.get_label().removeprefix("b = "))): line.get_xydata().tolist() for line in axes.lines}
    start_s = drawn[budgets[0]][1][0] - ended[budgets[0]][0]  # the package's clock begins when the run was made
    assert {budget: len(points) for budget, points in drawn.items()} == {b: len(ended[b]) + 1 for b in budgets}
    for budget, points in drawn.items():
        assert [x - start_s for x, _ in points[1:]] == pytest.approx(ended[budget], abs=1e-3)

    _, axes = visualization.losses_over_time(runs)
    dots = sorted(float(y) for part in axes.collections for _, y in part.get_offsets())
    assert dots == sorted(line.loss for line in finished if line.loss is not None)
    best = {line[-1][1] for line in lines_of(axes)}
    assert best == {min(line.loss for line in finished if line.ok and line.key.budget == b) for b in budgets}


def test_plots_of_losses_hold_the_runs_of_an_export(searched: TuneResult, tmp_path: Path, pyplot: Any) -> None:
    from hpbandster import visualization

    result = logged_results_to_HBS_result(str(export_hpbandster(searched.lines, tmp_path)))
    finished = [line for line in searched.lines if isinstance(line, Finished)]
    ok = [line for line in finished if line.ok]
    origins = {line.key: line.proposal.origin for line in searched.lines if isinstance(line, Proposed)}
    budgets = sorted({line.key.budget for line in finished})
    configs, curves = result.get_id2config_mapping(), result.get_learning_curves()

    _, axes = visualization.performance_histogram_model_vs_random(result.get_all_runs(), configs)
    heights = [[sum(bar.get_height() for bar in panel.patches) for panel in row] for row in axes]
    counts = Counter((line.key.budget, origins[line.key] == "model") for line in ok)
    assert heights == [[counts[budget, True], counts[budget, False]] for budget in budgets]
    assert 0 < sum(counts[budget, True] for budget in budgets) < len(ok)

    _, axes = visualization.correlation_across_budgets(result)
    losses = {line.key: line.loss for line in ok}
    pairs = [
        sum((config_id, high) in losses and budget == low for config_id, budget in losses)
        for number, low in enumerate(budgets)
        for high in budgets[number + 1 :]
    ]
    assert [int(text.get_text().rpartition("n = ")[2].rstrip("$")) for text in axes.texts] == pairs

    tips = visualization.default_tool_tips(result, curves)
    assert set(tips) == {run.config_id for run in result.get_all_runs() if run.loss is not None}
    _, axes, *_ = visualization.interactive_HBS_plot(curves, tool_tip_strings=tips, show=False)
    assert sorted(y for line in lines_of(axes) for _, y in line) == sorted(losses.values())


class ThreadWorker(Worker):
    def compute(self, config_id: Any, config: Config, budget: float, working_directory: str) -> dict[str, Any]:
        assert not any(type(found).__module__ == "numpy" for found in (*config.values(), budget))
        return {"loss": value(config, budget), "info": {"kind": config["kind"]}}


@pytest.mark.filterwarnings("ignore")
def test_its_own_bohb_runs_and_its_live_logs_are_imported(tmp_path: Path) -> None:
    """Used to hang for ever: choices and budgets are NumPy scalars, which Pyro cannot send."""
    from hpbandster.optimizers import BOHB as TheirBOHB

    names = NameServer(run_id="study", host="127.0.0.1", port=0)
    host, port = names.start()
    for number in range(2):
        worker = ThreadWorker("study", nameserver=host, nameserver_port=port, host=host, id=number, logger=QUIET)
        worker.run(background=True)
    bohb = with_plain_values(
        TheirBOHB(
            configspace=space(),
            run_id="study",
            min_budget=1,
            max_budget=9,
            nameserver=host,
            nameserver_port=port,
            host=host,
            ping_interval=1,
            logger=QUIET,
            result_logger=json_result_logger(str(tmp_path)),
        )
    )
    results: list[Any] = []
    search = threading.Thread(target=lambda: results.append(bohb.run(2, min_n_workers=2)), daemon=True)
    search.start()
    search.join(60)
    assert results, "the search hangs"
    bohb.shutdown(shutdown_workers=True)
    names.shutdown()
    finished = {
        (line.key.budget, line.loss): line for line in import_hpbandster(tmp_path) if isinstance(line, Finished)
    }
    runs = results[0].get_all_runs()
    assert {(run.budget, run.loss) for run in runs} == set(finished)
    assert len(runs) == len([*(tmp_path / "results.json").open()])
