from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from lcbench import RunRecord, save
from lcbench.cli import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_info_lists_data_sets_and_tags(benchmark_file: Path) -> None:
    result = run("info", benchmark_file)
    assert result.exit_code == 0
    assert "Australian       167104               6" in result.output
    assert "Train/val_accuracy" in result.output


def test_info_needs_no_task(tmp_path: Path) -> None:
    save(tmp_path / "own.lcb", [("own table", "0", RunRecord({"loss": [0.5]}, {}, {"p": 1}))])
    result = run("info", tmp_path / "own.lcb")
    assert (result.exit_code, result.output.splitlines()[1].split()) == (0, ["own", "table", "-", "1"])


def test_query_prints_a_curve_as_json(benchmark_file: Path) -> None:
    result = run("query", benchmark_file, "credit-g", "epoch", "1")
    assert result.exit_code == 0
    assert json.loads(result.output) == list(range(52))


def test_query_prints_a_configuration_as_json(benchmark_file: Path) -> None:
    assert json.loads(run("query", benchmark_file, "Australian", "config", "0").output)["num_layers"] == 1


def test_query_prints_all_runs_and_null_for_what_is_missing(benchmark_file: Path) -> None:
    found = json.loads(run("query", benchmark_file, "Australian", "Train/layer_wise_gradient_q10_layer_3").output)
    assert list(found) == ["0", "1", "2", "3", "4", "5"]
    assert [found[number] == [None] * 52 for number in found] == [True, True, True, False, True, True]
    assert json.loads(run("query", benchmark_file, "Australian", "num_layers").output)["5"] == 2


def test_convert_writes_the_same_runs(benchmark_file: Path, tmp_path: Path) -> None:
    compact, again = tmp_path / "data.lcb", tmp_path / "again.json"
    result = run("convert", benchmark_file, compact)
    assert result.exit_code == 0, result.output
    assert f"{compact}: 10 runs" in result.output
    assert run("convert", compact, again).exit_code == 0
    assert again.read_bytes() == benchmark_file.read_bytes()
    assert run("info", compact).output == run("info", benchmark_file).output
    arguments = ["credit-g", "Train/val_accuracy", "3"]
    assert run("query", compact, *arguments).output == run("query", benchmark_file, *arguments).output


def test_convert_names_what_is_wrong(benchmark_file: Path, tmp_path: Path) -> None:
    result = run("convert", benchmark_file, tmp_path / "data.csv")
    assert (result.exit_code, "must end in" in result.output) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_is_one_line_and_status_1(benchmark_file: Path) -> None:
    result = run("query", benchmark_file, "credit-h", "epoch", "1")
    assert result.exit_code == 1
    assert result.output.strip() == "Error: Unknown data set 'credit-h'; did you mean 'credit-g'?"


def test_a_misuse_is_status_2(benchmark_file: Path, tmp_path: Path) -> None:
    assert run("query", benchmark_file).exit_code == 2
    assert run("info", tmp_path / "absent.json").exit_code == 2


def test_analyse_prints_correlations_and_importances(benchmark_file: Path) -> None:
    result = run("analyse", benchmark_file, "Australian", "--epochs", "1,10,50")
    assert result.exit_code == 0, result.output
    header, *rows = [line.split() for line in result.output.splitlines()[1:5]]
    assert header == ["1", "10", "50"]
    assert [row[number + 1] for number, row in enumerate(rows)] == ["1.00"] * 3
    assert "max_dropout" in result.output and "max_units" not in result.output, "what never varies explains nothing"


def test_analyse_names_what_is_wrong(benchmark_file: Path) -> None:
    assert "Epochs must be between 1 and 50" in run("analyse", benchmark_file, "--epochs", "2,51").output
    assert run("analyse", benchmark_file, "--epochs", "two").exit_code == 2


def test_simulate_prints_a_row_for_each_searcher(benchmark_file: Path) -> None:
    options = ["--searchers", "random,hyperband", "--trainings", "3", "--seeds", "2"]
    result = run("simulate", benchmark_file, "Australian", *options)
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()[2:]] == ["random", "hyperband"]
    wrong = run("simulate", benchmark_file, "Australian", "--searchers", "bohp")
    assert (wrong.exit_code, "did you mean 'bohb'" in wrong.output) == (1, True)
