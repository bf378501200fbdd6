from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopytorch_lite.errors import DataError
from lcbench import convert, named_runs, open_storage, save
from lcbench.files import SUFFIXES
from lcbench.storage import RunRecord

Runs = dict[str, dict[str, Any]]
EMPTY = RunRecord({}, {}, {})


@pytest.mark.parametrize("ending", SUFFIXES)
def test_every_ending_gives_back_every_byte(ending: str, tmp_path: Path, benchmark_file: Path) -> None:
    between, again = tmp_path / f"between{ending}", tmp_path / "again.json"
    convert(benchmark_file, between)
    convert(between, again)
    assert again.read_bytes() == benchmark_file.read_bytes()


@pytest.mark.parametrize("ending", SUFFIXES)
def test_what_differs_between_runs_is_kept(ending: str, tmp_path: Path, runs: Runs) -> None:
    odd = json.loads(json.dumps(runs))
    odd["Australian"]["0"]["log"]["empty"] = []
    odd["Australian"]["1"]["log"]["mixed"] = [None, 1, True, 2.5, "x", 10**30, -0.0, float("nan"), float("inf")]
    odd["credit-g"]["3"]["results"]['nä {}\\"'] = {"a": [1, 2]}
    odd["credit-g"]["2"]["config"] = {}
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    convert(tmp_path / "odd.json", tmp_path / f"between{ending}")
    convert(tmp_path / f"between{ending}", tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == json.dumps(odd)


def test_curves_like_the_original_ones_are_ten_times_smaller(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n_rows, n_runs, steps = 8_000, 200, np.arange(52)
    final = rng.uniform(60, 90, n_runs)[:, None] * (1 - np.exp(-0.1 * steps)) / 100
    counts = rng.binomial(n_rows, final)
    losses = 1.5 - final + rng.normal(0, 1e-4, final.shape)
    logs = {"Train/val_accuracy": 100 * counts / n_rows, "Train/loss": losses, "epoch": steps + 0 * losses}
    single = {tag: curves.astype(np.float32).astype(float) for tag, curves in logs.items()}
    save(
        tmp_path / "data.json",
        (("a", str(i), RunRecord({t: c[i].tolist() for t, c in single.items()}, {}, {})) for i in range(n_runs)),
    )
    convert(tmp_path / "data.json", tmp_path / "data.lcb")
    assert (tmp_path / "data.lcb").stat().st_size * 10 < (tmp_path / "data.json").stat().st_size


@pytest.mark.parametrize("ending", [".json", ".lcb"])
def test_the_cache_shares_a_file_until_it_changes(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{ending}"
    save(path, [("a", "0", EMPTY)])
    assert open_storage(path, cache=True) is open_storage(path, cache=True)
    assert open_storage(path) is not open_storage(path)
    save(path, [("b", "0", EMPTY)])
    os.utime(path, ns=(1, 1))
    assert open_storage(path, cache=True).dataset_names() == ["b"]


@pytest.mark.parametrize("ending", [".json", ".lcb"])
def test_runs_can_be_added_to_a_file(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{ending}"
    save(path, [("a", "0", EMPTY)])
    save(path, itertools.chain(named_runs(open_storage(path)), [("a", "1", EMPTY)]))
    assert open_storage(path).config_ids("a") == ["0", "1"]


@pytest.mark.parametrize("ending", [".json", ".lcb"])
@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([], "at least one run"),
        (["a0", "a0"], "configuration 0 of 'a' comes again"),
        (["a0", "b0", "a1"], "configuration 1 of 'a' comes after another"),
    ],
)
def test_runs_that_cannot_be_saved_leave_the_file_alone(
    places: list[str], message: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"data{ending}"
    path.write_text("as it was")
    with pytest.raises(DataError, match=message):
        save(path, ((name, config_id, EMPTY) for name, config_id in places))
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".json", ".lcb"])
def test_values_that_json_does_not_have_are_named(ending: str, tmp_path: Path) -> None:
    for record in (RunRecord({"loss": [np.float32(1)]}, {}, {}), RunRecord({}, {"seed": np.int64(1)}, {})):
        with pytest.raises(DataError, match=r"what JSON can hold, but configuration 3 of 'a': .*not JSON serializable"):
            save(tmp_path / f"data{ending}", [("a", "3", record)])


def test_other_endings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(DataError, match=r"must end in .*\.lcb, got '.*data\.csv'"):
        open_storage(tmp_path / "data.csv")
    with pytest.raises(DataError, match="must end in"):
        save(tmp_path / "data.csv", [("a", "0", EMPTY)])


@pytest.mark.parametrize("ending", SUFFIXES)
def test_files_that_are_absent_or_hold_something_else_are_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{ending}"
    with pytest.raises(DataError, match="there is none"):
        open_storage(path)
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read as an"):
        open_storage(path)
