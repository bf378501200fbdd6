from __future__ import annotations

import json
import math
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from ConfigSpace import ConfigurationSpace, Float, GreaterThanCondition, LessThanCondition, NotEqualsCondition
from ConfigSpace.hyperparameters import NormalFloatHyperparameter, OrdinalHyperparameter
from hypothesis import HealthCheck, given, settings

from autopytorch_lite.errors import DataError, MissingExtraError, UnknownNameError
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.space.domains import to_builtin
from benchmarks.hpo.__main__ import main
from benchmarks.hpo.aggregate import Entry, mean_ranks, parallel_speed_ups, speed_up, summarise
from benchmarks.hpo.anytime import Evaluation, cost_to_reach, evaluations_of, incumbent_steps, mean_steps, regret_at
from benchmarks.hpo.figures import anytime_figure
from benchmarks.hpo.lcbench import LCBenchTask
from benchmarks.hpo.lcbench import tasks as lcbench_tasks
from benchmarks.hpo.peers import PeerError, PeerProcess, run_peer
from benchmarks.hpo.peers.client import DRIVERS, describe
from benchmarks.hpo.problems import FAMILIES
from benchmarks.hpo.runs import RunKey, run
from benchmarks.hpo.searchers import SEARCHERS, ExactEarly, UnavailableError
from benchmarks.hpo.study import Rows, Study, run_study
from benchmarks.hpo.synthetic import ConditionalMixture, CountingOnes
from benchmarks.lcbench_surrogate import SurrogateFolder
from tests.search.spaces import spaces

SURROGATE = '''
import numpy as np
SPACE = {"learning_rate": (1e-4, 1e-1, True, False), "units": (1, 9, False, True)}
INSTANCES = ["7", "8"]

def from_unit(u):
    return {"learning_rate": float(10 ** (-4 + 3 * u[0])), "units": int(1 + round(8 * u[1]))}

class Surrogate:
    """Accuracy climbs towards 90 - 10 |log10(lr) + 2 + task / 10| - (9 - units); an epoch takes `units` seconds."""
    def __init__(self, task):
        self.shift = float(task) / 10
    def curve(self, config, epochs=52):
        best = 90 - 10 * abs(np.log10(config["learning_rate"]) + 2 + self.shift) - (9 - config["units"])
        e = np.arange(1, epochs + 1)
        return {"val_accuracy": best * (1 - 0.5 * np.exp(-e / 5)), "time": config["units"] * (e - 1.0)}
    def final(self, configs):
        curves = [self.curve(c) for c in configs]
        return {name: np.array([c[name][-1] for c in curves]) for name in ("val_accuracy", "time")}
'''
RECORDED = [[1e-3, 5], [1e-2, 9]]


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """A small smooth surrogate with two tasks, and two recorded configurations of accuracy 40 and 90."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "surrogate.py").write_text(SURROGATE)
    real = np.array([[40.0, 0], [90.0, 0]], dtype=np.float32)
    np.savez(folder / "lcbench_real_final.npz", configs=np.array(RECORDED), r7=real, r8=real)
    return folder


def evaluation(name: int, budget: int, loss: float | None, end_s: float) -> Evaluation:
    return Evaluation({"x": name}, budget, loss, 1.0, end_s)


def test_the_incumbent_is_the_best_at_the_highest_budget_and_changes_when_an_evaluation_ends() -> None:
    ended = [
        evaluation(1, 2, 0.5, 10),
        evaluation(2, 2, 0.4, 20),
        evaluation(3, 2, 0.6, 30),  # worse: nothing changes
        evaluation(3, 6, 0.9, 40),  # higher budget: changes, though the loss is larger
        evaluation(4, 2, 0.1, 50),  # lower budget: nothing changes
        evaluation(5, 6, None, 60),  # failed
        evaluation(2, 6, 0.3, 70),
    ]
    steps = incumbent_steps(ended, lambda config: config["x"] / 10, unit_s=20)
    assert steps == [(0.5, 0.1), (1.0, 0.2), (2.0, 0.3), (3.5, 0.2)]
    assert regret_at(steps, [0.4, 0.5, 1.9, 2.0, 99]).tolist() == [1.0, 0.1, 0.2, 0.3, 0.2]


def test_cancelled_evaluations_do_not_count() -> None:
    lines = [Proposed(Proposal(0, {"x": 1}, 2)), Proposed(Proposal(1, {"x": 2}, 2))]
    done = Finished(TrialKey(0, 2), loss=0.5, seconds=3, finished_s=3)
    cancelled = Finished(TrialKey(1, 2), Status.CANCELLED, seconds=1, finished_s=4)
    assert evaluations_of([*lines, done, cancelled]) == [Evaluation({"x": 1}, 2, 0.5, 3, 3)]


def test_the_mean_of_curves_changes_where_one_of_them_does() -> None:
    steps = mean_steps([[(1, 0.4), (3, 0.2)], [(2, 0.2)]])
    assert steps == [(1.0, pytest.approx(0.7)), (2.0, pytest.approx(0.3)), (3.0, pytest.approx(0.2))]
    assert cost_to_reach(steps, 0.3) == pytest.approx(2.0)
    assert math.isinf(cost_to_reach(steps, 0.1))
    rising = [(1, 0.5), (2, 0.1), (3, 0.4), (4, 0.2)]
    assert cost_to_reach(rising, 0.3) == 2
    assert cost_to_reach(rising, 0.3, lasting=True) == 4
    assert cost_to_reach(rising, 0.9, lasting=True) == 1
    assert math.isinf(cost_to_reach(rising, 0.1, lasting=True))


def test_ranks_are_means_over_what_all_entries_have() -> None:
    curves = {
        "a": {"t": {0: [(1, 0.1)], 1: [(1, 0.3)]}, "only a": {0: [(1, 0.9)]}},
        "b": {"t": {0: [(1, 0.2)], 1: [(1, 0.3)]}},
        "ideal": {"t": {0: [(1, 0.0)]}},
    }
    ranks = mean_ranks(curves, [0.5, 1])
    assert {name: list(values) for name, values in ranks.items()} == {"a": [1.5, 1.25], "b": [1.5, 1.75]}


def test_speed_up_is_the_median_over_tasks_of_budget_by_cost() -> None:
    reference = {"t1": {0: [(1, 0.5), (10, 0.2)]}, "t2": {0: [(1, 0.5)]}, "t3": {0: [(20, 0.1)]}}
    mine = {"t1": {0: [(2, 0.2)]}, "t2": {0: [(4, 0.5)]}, "t3": {0: [(5, 0.3)]}}
    # 20/2, 20/4, and never
    assert speed_up(mine, reference, 20) == 5
    assert math.isnan(speed_up(mine, {}, 20))


def test_workers_are_compared_with_one_worker_of_the_same_searcher() -> None:
    curves = {"bohb": {"t": {0: [(1, 0.5), (40, 0.2)]}}, "bohb x8": {"t": {0: [(5, 0.1)]}}, "paper x8": {}}
    assert parallel_speed_ups(curves, 50) == {"bohb x8": 10}


def test_lcbench_measures_regret_against_the_recorded_results(data_folder: Path) -> None:
    problem = LCBenchTask(data_folder, "8")
    assert lcbench_tasks(data_folder) == ["7", "8"]
    config = {"learning_rate": 10**-2.3, "units": 4}
    final = (90 - 5 - 5) * (1 - 0.5 * math.exp(-52 / 5))
    assert problem.regret(config) == pytest.approx((90 - final) / 50)
    curve = problem.curve(config, 6)
    assert curve.seconds.tolist() == [0, 4, 8, 12, 16, 20]
    assert curve.losses[-1] == pytest.approx(1 - 0.8 * (1 - 0.5 * math.exp(-6 / 5)))
    assert problem.unit_s == pytest.approx(51 * 5, rel=0.05)  # five units on average
    assert problem.is_forbidden({"learning_rate": 1e-3, "units": 5})
    assert not problem.is_forbidden({"learning_rate": 1.01e-3, "units": 5})
    assert ExactEarly(problem).curve(config, 2).losses[-1] == pytest.approx(1 - final / 100)


def test_a_folder_without_the_surrogate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must hold surrogate\.py"):
        lcbench_tasks(tmp_path)


def test_a_surrogate_that_needs_a_missing_package_names_the_extra(data_folder: Path) -> None:
    (data_folder / "surrogate.py").write_text("import a_package_that_is_missing")
    with pytest.raises(MissingExtraError, match=r"needs 'a_package_that_is_missing'.*\[hpo\]"):
        LCBenchTask(data_folder, "7")


def test_the_variant_of_the_surrogate_is_chosen_without_a_trace(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Used to stay in the environment, for whatever was loaded next."""
    monkeypatch.delenv("LCBENCH_VARIANT", raising=False)
    text = f"import os\n{SURROGATE}\nINSTANCES = [os.environ['LCBENCH_VARIANT']]"
    (data_folder / "surrogate.py").write_text(text)
    before = dict(os.environ)
    assert SurrogateFolder(data_folder, "yahpo").tasks == ("yahpo",)
    assert dict(os.environ) == before
    assert SurrogateFolder(data_folder).tasks == ("anchored",)


def test_counting_ones_ends_at_its_expectation() -> None:
    problem = CountingOnes(Path(), "1+1")
    assert problem.regret({"choice_0": 1, "float_0": 1.0}) == 0
    assert problem.regret({"choice_0": 0, "float_0": 0.5}) == 0.75
    curve = problem.curve({"choice_0": 1, "float_0": 0.5}, 243)
    assert curve.losses[0] in (0, 0.5)
    assert curve.losses[-1] == pytest.approx(0.25, abs=0.06)
    assert (problem.curve({"float_0": 0.5, "choice_0": 1}, 9).losses == curve.losses[:9]).all()


def test_the_mixture_has_regret_zero_at_its_optimum_only() -> None:
    problem = ConditionalMixture(Path(), "3x3/0")
    regrets = [problem.regret(dict(config)) for config in problem.space.sample_configuration(300)]
    assert 0 < min(regrets) < 0.2 < max(regrets) <= 1
    config = dict(problem.space.sample_configuration())
    curve = problem.curve(config, 81)
    assert curve.losses[0] > curve.losses[-1]
    best = (1 - problem.regret(config)) * (1 - 0.05)  # the best floor is 0.05
    assert 1 - curve.losses[-1] == pytest.approx(best, abs=5 * problem.noise)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "lcbench"])
def test_all_synthetic_tasks_can_be_searched(family: str) -> None:
    for task in FAMILIES[family].tasks(Path()):
        problem = FAMILIES[family].make(Path(), task)
        row = run(RunKey(family, task, "hyperband", 0, 1), problem, 2)
        assert row["status"] == "ok", row
        assert 0 <= row["steps"][-1][1] <= 1


def test_random_search_pays_whole_trainings(data_folder: Path) -> None:
    problem = LCBenchTask(data_folder, "7")
    row = run(RunKey("lcbench", "7", "random", 3, 1), problem, 10)
    again = run(RunKey("lcbench", "7", "random", 3, 1), problem, 10)
    assert row["status"] == "ok"
    assert row["steps"] == again["steps"]
    assert row["n_evaluations"] == row["n_full"]
    costs = [cost for cost, _ in row["steps"]]
    assert all(
        (cost * problem.unit_s / 51) == pytest.approx(round(cost * problem.unit_s / 51), abs=1e-3) for cost in costs
    )
    assert 0.8 < row["utilisation"] <= 1.0
    assert row["ask_ms_mean"] > 0


def test_several_workers_train_at_once(data_folder: Path) -> None:
    problem = LCBenchTask(data_folder, "7")
    one, four = (run(RunKey("lcbench", "7", "random", 0, n), problem, 10) for n in (1, 4))
    assert four["n_evaluations"] > 3 * one["n_evaluations"]
    assert four["utilisation"] > 0.8


def test_a_recorded_configuration_makes_the_run_fail(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = LCBenchTask(data_folder, "7")
    monkeypatch.setattr(problem, "is_forbidden", lambda config: config["units"] == 5)
    row = run(RunKey("lcbench", "7", "random", 0, 1), problem, 50)
    assert row["status"] == "failed"
    assert "No recorded configuration may be proposed" in row["reason"]


def test_a_searcher_that_cannot_be_made_is_a_row_with_a_reason(data_folder: Path) -> None:
    problem = CountingOnes(Path(), "4+4")
    row = run(RunKey("counting_ones", "4+4", "bohb_portfolio", 0, 1), problem, 5)
    assert (row["status"], "Nothing is known" in row["reason"]) == ("unavailable", True)
    row = run(RunKey("lcbench", "7", "smac", 0, 1), LCBenchTask(data_folder, "7"), 5)
    assert (row["status"], "no environment" in row["reason"]) == ("unavailable", True)


def study(data_folder: Path, **changes: Any) -> Study:
    asked: dict[str, Any] = {"problems": ("lcbench",), "searchers": ("random", "hyperband"), "n_seeds": 2, "limit": 6}
    return Study(data_folder, **{**asked, **changes})


def test_a_killed_study_goes_on_where_it_was(data_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_study(study(data_folder), out, 1, show=lambda text: None)
    whole = Rows(out).read()
    assert len(whole) == 2 * 2 * 2
    path = out / "results.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]) + lines[5][:40])  # killed while the sixth row was written
    said: list[str] = []
    run_study(study(data_folder), out, 1, show=said.append)
    assert said[0].startswith("3 runs to do")
    assert path.read_text().startswith("".join(lines[:5]))
    assert {key: row["steps"] for key, row in Rows(out).read().items()} == {
        key: row["steps"] for key, row in whole.items()
    }
    assert Rows(out).to_do(study(data_folder).keys(), 6) == []
    assert len(Rows(out).to_do(study(data_folder).keys(), 7)) == 8  # a longer study repeats all


def test_unknown_names_are_refused(data_folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="hyperbond"):
        study(data_folder, searchers=("hyperbond",))
    with pytest.raises(UnknownNameError, match="9"):
        list(study(data_folder, tasks=("9",)).keys())


def test_the_command_measures_and_writes_tables_and_figures(data_folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    arguments = [str(data_folder), "--searchers", "random,bohb,smac", "--seeds", "2", "--budgets", "2,8", "--out", out]
    first = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(main, ["table", out, "--budgets", "2,8"], catch_exceptions=False)
    assert again.output in first.output
    assert "SMAC3 2.4 multi-fidelity: no number" in again.output
    assert {path.name for path in Path(out).iterdir()} == {
        "results.jsonl", "results.md", "summary.json", "anytime_lcbench.html",
    }  # fmt: skip
    (summary,) = json.loads((Path(out) / "summary.json").read_text())
    random = next(entry for entry in summary["entries"] if entry["label"] == "random")
    assert (random["n_tasks"], random["n_runs"]) == (2, 4)


@pytest.mark.parametrize("budgets", ["", "five", "0,5"])
def test_budgets_that_are_none_are_a_misuse(budgets: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["table", str(tmp_path), "--budgets", budgets])
    assert (result.exit_code, "positive numbers" in result.output) == (2, True), result.output


def test_rows_of_real_trainings_have_a_table_of_their_own_and_unknown_searchers_are_named(tmp_path: Path) -> None:
    """Used to end in a KeyError."""
    Rows(tmp_path).append({**RunKey("real", "digits", "bohb", 0, 1)._asdict(), "status": "ok", "limit": 60})
    result = CliRunner().invoke(main, ["table", str(tmp_path)])
    assert (result.exit_code, result.output.strip()) == (0, "")
    Rows(tmp_path).append({**RunKey("mixture", "3x3/0", "bohp", 0, 1)._asdict(), "status": "failed", "limit": 60})
    result = CliRunner().invoke(main, ["table", str(tmp_path)])
    assert (result.exit_code, "did you mean 'bohb'" in result.output) == (1, True), result.output


def test_a_summary_has_the_numbers_of_its_rows() -> None:
    def row(searcher: str, task: str, seed: int, value: float, workers: int = 1) -> dict[str, Any]:
        key = RunKey("lcbench", task, searcher, seed, workers)
        facts = {"status": "ok", "n_evaluations": 3, "utilisation": 1.0, "ask_ms_median": 1.0, "ask_ms_mean": 2.0}
        return {**key._asdict(), **facts, "limit": 10, "steps": [[1, value + 0.1], [4, value]]}

    rows = [
        row("random", "a", 0, 0.2),
        row("random", "a", 1, 0.4),
        row("random", "b", 0, 0.1),
        row("bohb", "a", 0, 0.1),
    ]
    rows.append(row("bohb", "a", 0, 0.0, workers=8))
    (later,) = summarise(rows, [5, 20])
    assert [math.isnan(interval.mean) for interval in later.entries[0].regrets] == [False, True]  # runs end at 10
    assert math.isnan(later.entries[0].ranks[0])
    (summary,) = summarise(rows, [1, 5])
    entries: dict[str, Entry] = {entry.label: entry for entry in summary.entries}
    assert list(entries) == ["random", "bohb", "bohb x8"]
    assert [interval.mean for interval in entries["random"].regrets] == pytest.approx([0.3, 0.2])  # (0.3 + 0.1) / 2
    assert entries["random"].regrets[1].low == pytest.approx(0.1)
    assert entries["random"].regrets[1].high == pytest.approx(0.3)
    assert entries["bohb"].ranks == (1, 1)
    assert entries["bohb"].speed_ups == (1, 5)  # random is at 0.4 and 0.3 on a; bohb has 0.2 from cost 1 on
    assert math.isnan(entries["bohb x8"].ranks[0])
    assert summary.parallel == {"bohb x8": 5}
    assert len(anytime_figure(summary).data) == 6


PEER = """
from peer_protocol import serve

def optimise(task, evaluate):
    low = task["space"]["dimensions"][0]["low"]
    for k in range(100):
        config = {"learning_rate": low * (1 + k), "units": 3}
        for budget in (2, 6, 6, 2):
            answer = evaluate(config, budget)
        if task["seed"] == 13:
            raise ValueError("unlucky")

serve(optimise)
"""


@pytest.fixture
def make_peer(tmp_path: Path) -> Callable[[], PeerProcess]:
    driver = tmp_path / "drive_test.py"
    driver.write_text(f"import sys; sys.path.insert(0, {str(DRIVERS)!r})\n{PEER}")
    return lambda: PeerProcess(Path(sys.executable), driver)


def test_a_peer_pays_additional_epochs_only_and_is_stopped_at_the_limit(
    data_folder: Path, make_peer: Callable[[], PeerProcess]
) -> None:
    peer, problem = make_peer(), LCBenchTask(data_folder, "7")
    for seed in (0, 1):  # one process, two runs
        evaluations, thinking_ms = run_peer(peer, problem, seed, limit_s=35)
        # an epoch takes 3 s, the first nothing: 3 s for two epochs, 12 s for four more, nothing for what is known
        assert [e.seconds for e in evaluations] == [3, 12, 0, 0, 3, 12, 0, 0, 3]
        assert [e.end_s for e in evaluations] == [3, 15, 15, 15, 18, 30, 30, 30, 33]
        assert [e.budget for e in evaluations] == [2, 6, 6, 2, 2, 6, 6, 2, 2]
        assert len(thinking_ms) == len(evaluations)
    peer.close()


def test_a_peer_that_fails_says_why(data_folder: Path, make_peer: Callable[[], PeerProcess], tmp_path: Path) -> None:
    problem = LCBenchTask(data_folder, "7")
    with pytest.raises(PeerError, match="unlucky"):
        run_peer(make_peer(), problem, 13, limit_s=1000)
    broken = tmp_path / "broken.py"
    broken.write_text("import a_package_that_is_missing")
    with pytest.raises(PeerError, match="exit code 1"):
        run_peer(PeerProcess(Path(sys.executable), broken), problem, 0, limit_s=10)


@given(space=spaces())
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_space_of_any_conditions_is_told_to_peers(space: ConfigurationSpace) -> None:
    """Used to refuse every condition but those of equality."""
    if space.forbidden_clauses:
        with pytest.raises(PeerError, match="forbidden"):
            describe(space)
        return
    protocol = runpy.run_path(str(DRIVERS / "peer_protocol.py"))
    task = json.loads(json.dumps({"space": describe(space)}))
    rng = np.random.RandomState(0)  # ConfigSpace takes no Generator
    for _ in range(10):
        values = {name: to_builtin(space[name].sample_value(seed=rng)) for name in space}
        expected = SpaceWalk(space).fill(lambda name, domain, values=values: values[name])
        assert protocol["active"](task, values) == expected


def test_orders_and_exceptions_are_told_to_peers() -> None:
    """The values of an ordinal hyperparameter have an order of their own: "high" < "low" as text."""
    space = ConfigurationSpace({"n": (1, 9)})
    level, children = (
        OrdinalHyperparameter("level", ["low", "middle", "high"]),
        [Float(name, (0.0, 1.0)) for name in "abcd"],
    )
    space.add(level, *children)
    a, b, c, d = children
    space.add(GreaterThanCondition(a, level, "low"), LessThanCondition(b, level, "high"))
    space.add(NotEqualsCondition(c, level, "middle"), LessThanCondition(d, space["n"], 5))
    protocol = runpy.run_path(str(DRIVERS / "peer_protocol.py"))
    task = json.loads(json.dumps({"space": describe(space)}))

    def names(**values: object) -> str:
        return "".join(
            name for name in protocol["active"](task, {**values, **dict.fromkeys("abcd", 0.5)}) if name in "abcd"
        )

    assert [names(level=name, n=5) for name in ("low", "middle", "high")] == ["bc", "ab", "ac"]
    assert names(level="low", n=4) == "bcd"


def test_what_a_peer_cannot_be_told_is_named() -> None:
    space = ConfigurationSpace()
    space.add(NormalFloatHyperparameter("rate", mu=0.5, sigma=0.1, lower=0, upper=1))
    with pytest.raises(PeerError, match="'rate'"):
        describe(space)


def test_every_peer_has_a_driver_and_a_row() -> None:
    from benchmarks.hpo.peers.__main__ import REQUIREMENTS

    assert {row.peer for row in SEARCHERS.values() if row.peer} == set(REQUIREMENTS)
    assert all((DRIVERS / f"drive_{name}.py").exists() for name in REQUIREMENTS)


def test_the_real_study_trains_and_shows_the_loss_of_full_trainings(tmp_path: Path) -> None:
    from benchmarks.hpo import real

    table = real.RealTable("wine")
    table.budgets = (1, 2)
    for searcher in ("smac", "ideal"):
        with pytest.raises(UnavailableError, match="simulated time only"):
            real.measure(RunKey("real", "wine", searcher, 0, 1), table, 1)
    with pytest.raises(UnknownNameError, match="did you mean 'random'"):
        real.measure(RunKey("real", "wine", "randon", 0, 1), table, 1)
    row = real.measure(RunKey("real", "wine", "random", 0, 1), table, 3600, n_trials=3)
    losses = [loss for _, loss in row["steps"]]
    assert (row["n_evaluations"], row["n_full"]) == (3, 3)
    assert losses == sorted(losses, reverse=True)
    text = real.table_of([{**row, "steps": [[4, 0.5], [30, 0.25]], "limit": 40}])
    assert text.splitlines()[-1].split(" | ")[2:5] == ["0.5000", "0.5000", "0.2500"]
