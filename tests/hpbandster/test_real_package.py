"""What the real package reads, and its own optimizers."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import ConfigSpace as cs
import pytest

from autopytorch_lite.history.hpbandster_logs import export_hpbandster, import_hpbandster
from autopytorch_lite.history.trial import Finished
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


def test_plots_of_an_export(searched: TuneResult, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    from hpbandster import visualization
    from matplotlib import pyplot

    result = logged_results_to_HBS_result(str(export_hpbandster(searched.lines, tmp_path)))
    runs, configs, curves = result.get_all_runs(), result.get_id2config_mapping(), result.get_learning_curves()
    tips = visualization.default_tool_tips(result, curves)
    figures = [
        visualization.concurrent_runs_over_time(runs),
        visualization.finished_runs_over_time(runs),
        visualization.performance_histogram_model_vs_random(runs, configs),
        visualization.correlation_across_budgets(result),
        visualization.losses_over_time(runs),
        visualization.interactive_HBS_plot(curves, tool_tip_strings=tips, show=False),
    ]
    for number, (figure, *_) in enumerate(figures):
        figure.savefig(tmp_path / f"{number}.png")
    pyplot.close("all")


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
