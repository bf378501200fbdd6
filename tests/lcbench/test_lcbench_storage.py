from __future__ import annotations

import gzip
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from autopytorch_lite.errors import DataError
from lcbench import Benchmark
from lcbench.storage import JsonStorage, RunRecord

Runs = dict[str, dict[str, Any]]


def write(path: Path, runs: Runs) -> Path:
    text = json.dumps(runs)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("folder/data.json", text)
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["data.json", "data.json.gz", "data.zip"])
def test_all_endings_hold_the_same_runs(name: str, tmp_path: Path, runs: Runs) -> None:
    storage = JsonStorage(write(tmp_path / name, runs))
    assert {d: list(storage.config_ids(d)) for d in storage.dataset_names()} == {d: list(r) for d, r in runs.items()}
    assert storage.run("credit-g", "1").log == runs["credit-g"]["1"]["log"]


def test_the_cache_shares_a_file_until_it_changes(tmp_path: Path, runs: Runs) -> None:
    path = write(tmp_path / "data.json", runs)
    first, second = (JsonStorage(path, cache=True).run("credit-g", "1").log for _ in range(2))
    assert first is second
    write(path, {"credit-g": runs["credit-g"]})
    os.utime(path, ns=(1, 1))
    assert JsonStorage(path, cache=True).dataset_names() == ["credit-g"]


def test_without_the_cache_the_file_is_read_again(tmp_path: Path, runs: Runs) -> None:
    path = write(tmp_path / "data.json", runs)
    first, second = (JsonStorage(path).run("credit-g", "1").log for _ in range(2))
    assert first is not second
    assert first == second


def test_any_storage_can_stand_behind_the_reader() -> None:
    class TwoRuns:
        def dataset_names(self) -> list[str]:
            return ["table"]

        def config_ids(self, dataset_name: str) -> list[str]:
            return ["0", "1"]

        def run(self, dataset_name: str, config_id: str) -> RunRecord:
            return RunRecord({"Train/loss": [float(config_id)]}, {"seed": 7}, {"num_layers": True})

    benchmark = Benchmark(TwoRuns())
    assert benchmark.query("table", "Train/loss", 1).tolist() == [1.0]
    assert benchmark.get_config("table", 0) == {"num_layers": 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.csv", b"a,b", "must be a file that ends in"),
        ("data.json", b"{", "cannot be read as an LCBench file"),
        ("data.json", b"[1]", "must map data set names"),
        ("data.json", b"{}", "must map data set names"),
        ("data.json", b'{"adult": [1]}', "must map data set names"),
        ("data.json.gz", b"no gzip", "cannot be read as an LCBench file"),
        ("data.zip", b"no zip", "cannot be read as an LCBench file"),
    ],
)
def test_other_content_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        JsonStorage(tmp_path / name)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.json"):
        JsonStorage(tmp_path / "absent.json")


def test_an_archive_with_two_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("a.json", "{}")
        archive.writestr("b.json", "{}")
    with pytest.raises(DataError, match="exactly one"):
        JsonStorage(tmp_path / "data.zip")


def test_a_run_without_log_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "data.json", {"adult": {"17": {"results": {}, "config": {}}}})
    with pytest.raises(DataError, match="configuration 17 of 'adult'"):
        JsonStorage(path).run("adult", "17")
