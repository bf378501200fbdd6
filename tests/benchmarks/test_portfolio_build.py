from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from click.testing import CliRunner, Result

from autopytorch_lite.errors import DataError
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.types import DatasetInfo, Task
from benchmarks.costs import main as costs
from benchmarks.portfolio.__main__ import main
from benchmarks.portfolio.cells import PoolFolder
from benchmarks.portfolio.files import read_portfolio, write_portfolios
from benchmarks.portfolio.pool import Candidate, by_hand, drawn, pool
from benchmarks.portfolio.recorded import RecordedTable, is_of
from benchmarks.portfolio.tasks import open_task
from benchmarks.tabular.__main__ import Plan
from benchmarks.tabular.fits import Constraint
from benchmarks.tabular.results import RowKey
from search_spaces import load_portfolio, load_ranges

TABLES = ("cancer", "diabetes")
INFOS = {
    Task.BINARY: DatasetInfo(Task.BINARY, 900, 3, (), 2, (500, 400)),
    Task.MULTICLASS: DatasetInfo(Task.MULTICLASS, 9000, 0, (3, 50), 3, (3000, 3000, 3000)),
    Task.REGRESSION: DatasetInfo(Task.REGRESSION, 9000, 5, (4,), 1, has_missing=True),
}


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Linear models on two tables."""
    folder = tmp_path_factory.mktemp("pool")
    result = build(data_folder, folder)
    assert result.exit_code == 0, result.output
    return folder


def build(data_folder: Path, folder: Path, *more: str) -> Result:
    chosen = ("--tables", ",".join(TABLES), "--families", "linear")
    return invoke("build", data_folder, "--out", folder, *chosen, *more)


@pytest.mark.parametrize("task", Task)
def test_every_candidate_is_a_point_of_the_space_of_any_table(task: Task) -> None:
    candidates = pool()
    assert len({c.name for c in candidates}) == len({c.revision for c in candidates}) == len(candidates)
    walks = {
        name: SpaceWalk(compile_space(default_graph(), load_ranges(name), INFOS[task])) for name in ("default", "paper")
    }
    excluded = load_ranges("default")["edits"]["learner:__choice__"]["exclude"]
    for candidate in candidates:
        fitted = candidate.fitted(INFOS[task])
        assert (fitted is None) == (candidate.family in excluded), candidate.name
        if fitted is not None:
            walks[candidate.space].check(fitted)


def test_drawn_candidates_stay_the_same_and_follow_each_other_by_family() -> None:
    candidates = drawn()
    assert candidates == drawn()
    assert len({c.family for c in candidates[:12]}) == 12
    assert drawn(seed=1)[0].config != candidates[0].config


def test_every_cell_has_a_row_and_predictions(trained: Path) -> None:
    rows = [json.loads(line) for line in (trained / "results.jsonl").read_text().splitlines()]
    linear = {c.name for c in pool() if c.family == "linear"}
    assert {(row["table"], row["system"]) for row in rows} == {(table, name) for table in TABLES for name in linear}
    assert {row["status"] for row in rows} == {"ok"}
    assert all(row["cpu_seconds"] > 0 for row in rows)
    assert all(0 < row["unseen_loss"] < 0.1 for row in rows if row["metric"] == "roc_auc")
    assert len(list((trained / "predictions").rglob("*.npz"))) == len(rows)
    assert not [path for path in (trained / "files").rglob("*") if path.is_file()]  # models are not kept


def test_every_rung_is_predicted_and_its_predictions_have_its_loss(trained: Path) -> None:
    folder = PoolFolder.open(trained)
    candidate = next(c for c in pool() if c.family == "linear")
    for name in TABLES:
        task = open_task(folder.task_folder(name))
        rungs = folder.row(name, candidate)["rungs"]
        assert [rung["budget"] for rung in rungs] == list(task.rungs)
        assert len(rungs) == 3
        for rung in rungs:
            validation, unseen = folder.predictions(task, candidate.name, rung["budget"])
            assert task.metric.loss(task.validation_targets, validation) == pytest.approx(rung["loss"], rel=1e-4)
            assert task.metric.loss(task.unseen[1], unseen) == pytest.approx(rung["unseen_loss"], rel=1e-4)


def test_costs_take_over_what_trainings_of_a_pool_took(trained: Path, tmp_path: Path) -> None:
    """Every rung of every training is an evaluation; rows of other families stay, those of the same one go."""
    path = tmp_path / "rows.jsonl"
    kept = {"family": "xgboost", "table": 4, "amounts": {"fit": 1}, "seconds": 1.0}
    path.write_text("".join(json.dumps(row) + "\n" for row in (kept, kept | {"family": "linear"})))
    result = CliRunner().invoke(costs, ["from-pool", str(trained), str(path), "--only", "linear"])
    assert result.exit_code == 0, result.output
    first, *added = [json.loads(line) for line in path.read_text().splitlines()]
    assert first == kept
    cells = [json.loads(line) for line in (trained / "results.jsonl").read_text().splitlines()]
    assert [row["seconds"] for row in added] == [rung["cpu_seconds"] for cell in cells for rung in cell["rungs"]]
    assert {row["family"] for row in added} == {"linear"}
    assert {row["table"] for row in added} == {5, 6}
    assert all(row["amounts"]["fit"] >= 1 for row in added[::3])


def test_rows_stay_where_a_pool_has_none_of_their_family(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"family": "xgboost", "table": 4, "amounts": {"fit": 1}, "seconds": 1.0}) + "\n")
    before = path.read_bytes()
    result = CliRunner().invoke(costs, ["from-pool", str(trained), str(path), "--only", "xgboost"])
    assert result.exit_code == 1
    assert "trainings of xgboost" in result.output
    assert path.read_bytes() == before


def replay(folder: Path, out: Path, seconds: str) -> Result:
    result = invoke("replay", folder, "--time", seconds, "--seeds", "1", "--set", "foresight=2", "--out", out)
    assert result.exit_code == 0, result.output
    return result


def test_searches_are_replayed_over_what_was_trained(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    result = replay(trained, out, "2,6")
    assert [line.split(" | ")[0] for line in result.stdout.splitlines()[2:]] == [f"| {t}" for t in (*TABLES, "all")]
    replay(trained, out, "2")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    cells = [json.loads(line) for line in (trained / "results.jsonl").read_text().splitlines()]
    rows, again = rows[:4], rows[4:]
    assert again == rows[::2], "the same search, whenever it is replayed"
    for short, long in zip(rows[::2], rows[1::2], strict=True):
        assert (short["table"], short["time"], long["time"]) == (long["table"], 2, 6)
        assert short["n_finished"] < long["n_finished"]
        single = [cell["rungs"][-1]["loss"] for cell in cells if cell["table"] == long["table"]]
        assert long["validation_loss"] <= median(single), "no worse than an ordinary configuration, trained in full"
        assert {row["foresight"] for row in (short, long)} == {2}


def test_a_search_is_replayed_with_a_part_taken_away(trained: Path, tmp_path: Path) -> None:
    """A single model instead of an ensemble; random search, every configuration with all its epochs."""
    out = tmp_path / "rows.jsonl"
    few = ("--time", "3", "--seeds", "1", "--tables", "diabetes", "--out", out)
    for more in ((), ("--ensemble-size", "1"), ("--no-portfolio",), ("--searcher", "random"), ("--searcher", "bohb")):
        result = invoke("replay", trained, *few, *more)
        assert result.exit_code == 0, result.output
    whole, single, *others = [json.loads(line) for line in out.read_text().splitlines()]
    assert whole["validation_loss"] != single["validation_loss"], "several candidates vote"
    assert [row["searcher"] for row in others] == ["freeze_thaw", "random", "bohb"]
    assert [row["n_entries"] > 0 for row in others] == [False, True, True]
    assert others[1]["n_finished"] < whole["n_finished"], "it begins with the dearest rung"
    assert all(row["loss"] > 0 for row in others)
    lines = invoke("worth", out, "--time", "3").stdout.splitlines()[2:]
    assert {line.split(" | ")[0].removeprefix("| ") for line in lines} == {
        "ensemble of 1",
        "without portfolio",
        "searcher random",
        "searcher bohb",
    }
    change = {row["ensemble_size"]: row["normalised"] - whole["normalised"] for row in (whole, single)}
    assert f" | {change[1]:+.4f} | " in next(line for line in lines if "ensemble" in line)
    assert invoke("worth", out).exit_code == 1, "no search of 60 s"


@pytest.mark.parametrize(
    "options", [("--set", "foresight=2", "--searcher", "bohb"), ("--portfolios", __file__, "--no-portfolio")]
)
def test_options_that_would_change_nothing_are_refused(trained: Path, options: tuple[str, ...]) -> None:
    result = invoke("replay", trained, *options)
    assert result.exit_code == 2
    assert options[0] in result.output


def test_a_family_is_left_out_of_space_portfolio_and_trainings(trained: Path) -> None:
    folder = PoolFolder.open(trained)
    linear = [c for c in pool() if c.family == "linear"]
    task = open_task(folder.task_folder(TABLES[0]))
    table = RecordedTable(folder, task, linear, ("catboost", "tabm"))
    assert "catboost" not in table.space["learner:__choice__"].choices
    assert "tabm" not in table.space["backbone:__choice__"].choices
    assert is_of(by_hand()[0].config, {by_hand()[0].family})
    result = invoke("replay", trained, "--without", "linear")
    assert result.exit_code == 1
    assert "Leaves no training" in result.output
    result = invoke("replay", trained, "--without", "catbost")
    assert result.exit_code == 1
    assert "did you mean 'catboost'" in result.output


def test_an_unknown_option_of_the_search_is_one_line(trained: Path) -> None:
    result = invoke("replay", trained, "--set", "foresigt=2")
    assert result.exit_code == 1
    assert "did you mean 'foresight'" in result.output


def test_a_configuration_goes_as_the_nearest_one_of_its_family(trained: Path) -> None:
    folder = PoolFolder.open(trained)
    linear = [c for c in pool() if c.family == "linear"]
    task = open_task(folder.task_folder(TABLES[0]))
    table = RecordedTable(folder, task, linear)
    for candidate in linear:
        config = candidate.fitted(task.info)
        rungs = folder.row(task.name, candidate)["rungs"]
        curve = table.curves(config, task.max_budget)
        assert curve.losses[[rung["budget"] - 1 for rung in rungs]].tolist() == [rung["loss"] for rung in rungs]
        assert (np.diff(curve.seconds) > 0).all()
        moved = {name: value * 1.001 if isinstance(value, float) else value for name, value in config.items()}
        assert table.nearest(moved) == table.nearest(config)


def test_a_second_sitting_trains_only_what_is_missing(trained: Path, data_folder: Path) -> None:
    path = trained / "results.jsonl"
    whole = path.read_text().splitlines()
    path.write_text("\n".join(whole[:-1]) + "\n" + whole[-1][:20])  # killed while it wrote
    result = build(data_folder, trained)
    assert len(result.stderr.splitlines()) == 1
    again = json.loads(path.read_text().splitlines()[-1])
    before = json.loads(whole[-1])
    assert (again["system"], again["unseen_loss"]) == (before["system"], before["unseen_loss"])


def test_seconds_for_each_table_end_a_sitting(trained: Path, data_folder: Path, tmp_path: Path) -> None:
    result = build(data_folder, tmp_path, "--seconds-per-table", "0.001")
    assert len(result.stderr.splitlines()) == len(TABLES)


def test_another_sample_is_refused(trained: Path, data_folder: Path) -> None:
    result = build(data_folder, trained, "--max-rows", "100")
    assert result.exit_code == 1
    assert "holds results under" in result.output


def test_an_unknown_family_or_table_is_one_line(data_folder: Path, tmp_path: Path) -> None:
    for option, name, close in (("--families", "lineer", "linear"), ("--tables", "sklearn-digit", "sklearn-digits")):
        result = invoke("build", data_folder, "--out", tmp_path, "--max-rows", "50", "--tables", "iris", option, name)
        assert result.exit_code == 1
        assert f"did you mean {close!r}" in result.output


def test_a_folder_that_is_no_pool_is_one_line(tmp_path: Path) -> None:
    result = invoke("select", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "must be a folder of `benchmarks.portfolio build`" in result.output


def test_what_is_selected_is_judged_on_tables_that_had_no_part_in_it(trained: Path, tmp_path: Path) -> None:
    result = invoke("select", trained, "--out", tmp_path, "--size", "3", "--save", tmp_path / "mine.json")
    assert result.exit_code == 0, result.output
    kept = json.loads((tmp_path / "portfolios.json").read_text())
    assert set(kept["without"]) == set(TABLES)
    mine = json.loads((tmp_path / "mine.json").read_text())
    assert mine["members"] == kept["all"]
    assert mine["provenance"]["tables"] == list(TABLES)
    assert load_portfolio(tmp_path / "mine.json") == [kept["configurations"][name] for name in kept["all"]]
    judged = json.loads((tmp_path / "held_out.json").read_text())["rows"]
    assert {(row["system"], row["table"]) for row in judged} == {
        (system, table) for system in ("learned", "by_hand", "random") for table in TABLES
    }
    assert all(row["anytime"] <= 1 for row in judged)
    assert "| learned |" in result.output
    with (tmp_path / "matrix.csv").open() as file:
        matrix = list(csv.DictReader(file))
    assert len(matrix) == len(TABLES) * len(json.loads((tmp_path / "candidates.json").read_text()))
    assert all(float(row["cpu_seconds"]) > 0 for row in matrix)


def test_a_table_gets_the_portfolio_of_all_others(tmp_path: Path) -> None:
    path = tmp_path / "portfolios.json"
    configurations = {name: {"learner:__choice__": name} for name in ("linear", "extra_trees", "unused")}
    write_portfolios(path, ["linear", "extra_trees"], {"iris": ["extra_trees"]}, configurations)
    assert read_portfolio(path, "iris") == [configurations["extra_trees"]]
    assert read_portfolio(path, "new") == [configurations["linear"], configurations["extra_trees"]]
    assert "unused" not in path.read_text()

    plan = Plan((), (), 1, Constraint(60), portfolios=path)
    assert plan.system(RowKey("iris", "ours-all", 0)).options["portfolio"] == [configurations["extra_trees"]]
    revisions = {plan.system(RowKey(table, "ours-all", 0)).revision() for table in ("iris", "new")}
    assert len(revisions | {Plan((), (), 1, Constraint(60)).system(RowKey("iris", "ours-all", 0)).revision()}) == 3
    assert plan.system(RowKey("iris", "ours-no-portfolio", 0)).options["portfolio"] is None
    assert "portfolio" not in plan.system(RowKey("iris", "flaml", 0)).options


def test_the_portfolios_that_are_kept_fit_any_table() -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "portfolio" / "portfolios.json"
    kept = json.loads(path.read_text())
    assert all(len(read_portfolio(path, table)) == 20 for table in kept["without"])
    for info in INFOS.values():
        assert all(Candidate("x", "kept", c).fitted(info) is not None for c in kept["configurations"].values())


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 1}', '{"format": 2, "all": [], "without": {}, "configurations": {}}']
)
def test_a_file_that_is_no_such_portfolios_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(DataError, match=r"p\.json"):
        read_portfolio(tmp_path / "p.json", "iris")
