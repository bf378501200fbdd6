from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from autopytorch_lite.errors import DataError
from lcbench import columnar
from lcbench.columnar import ColumnarStorage
from lcbench.files import save
from lcbench.storage import NamedRun, RunRecord, named_runs

Runs = dict[str, dict[str, Any]]


def named(runs: Runs) -> list[NamedRun]:
    return [(name, i, RunRecord(**run)) for name, records in runs.items() for i, run in records.items()]


def plain(storage: ColumnarStorage) -> Runs:
    found: Runs = {}
    for name, config_id, record in named_runs(storage):
        parts = {part: dict(getattr(record, part)) for part in ("log", "results", "config")}
        found.setdefault(name, {})[config_id] = parts
    return found


@pytest.fixture
def path(tmp_path: Path, runs: Runs) -> Path:
    save(tmp_path / "data.lcb", named(runs))
    return tmp_path / "data.lcb"


def test_everything_comes_back(path: Path, runs: Runs) -> None:
    assert json.dumps(plain(ColumnarStorage(path))) == json.dumps(runs), "the order of keys too"


def test_large_data_sets_are_split_and_look_whole(tmp_path: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar, "_MAX_BLOCK_VALUES", 8_000)
    save(tmp_path / "data.lcb", named(runs))
    with zipfile.ZipFile(tmp_path / "data.lcb") as archive:
        assert sum(name.endswith("runs.json") for name in archive.namelist()) > 2
    assert json.dumps(plain(ColumnarStorage(tmp_path / "data.lcb"))) == json.dumps(runs)


def test_runs_may_differ_in_what_they_have(tmp_path: Path) -> None:
    runs: Runs = {
        "a": {
            "x": {"log": {"t": [1.0], "u": [2]}, "results": {}, "config": {"p": 1, "q": "k"}},
            "y": {"log": {}, "results": {"r": None}, "config": {}},
            "z": {"log": {"u": [3, 4], "t": []}, "results": {"r": True}, "config": {"q": "l", "p": 2.0}},
        }
    }
    save(tmp_path / "data.lcb", named(runs))
    storage = ColumnarStorage(tmp_path / "data.lcb")
    assert json.dumps(plain(storage)) == json.dumps(runs)
    assert "t" not in storage.run("a", "y").log
    assert len(storage.run("a", "z").config) == 2


def test_a_query_reads_only_its_column(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, members = ColumnarStorage(path), []
    read = zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda archive, name: members.append(name) or read(archive, name))
    for config_id in storage.config_ids("credit-g"):
        assert len(storage.run("credit-g", config_id).log["Train/loss"]) == 52
    assert members == ["1/log/2"]


def test_columns_that_were_used_last_stay_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, members = ColumnarStorage(path), []
    monkeypatch.setattr(columnar, "_MAX_BYTES_KEPT", 2 * 6 * 52 * 8 + 10)
    read = zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda archive, name: members.append(name) or read(archive, name))
    log = storage.run("Australian", "0").log
    first, second, third = list(log)[:3]
    for tag in (first, second, first, third, first, second):
        assert len(log[tag]) == 52
    assert members == ["0/log/0", "0/log/1", "0/log/2", "0/log/1"]


def test_a_storage_goes_to_other_processes(path: Path) -> None:
    storage = ColumnarStorage(path)
    assert plain(pickle.loads(pickle.dumps(storage))) == plain(storage)


def test_a_log_without_curves_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'Train/loss' of configuration 3 of 'adult' has 0\.5"):
        save(tmp_path / "data.lcb", [("adult", "3", RunRecord({"Train/loss": 0.5}, {}, {}))])
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.lcb").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "b.lcb", "w") as archive:
        archive.writestr("a.json", "{}")
    for name in ("a.lcb", "b.lcb", "absent.lcb"):
        with pytest.raises(DataError, match=f"{name}' cannot be read as an .lcb file"):
            ColumnarStorage(tmp_path / name)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.lcb", "w") as archive:
        archive.writestr("format.json", '{"format": 2}')
    with pytest.raises(DataError, match="must have format 1, which this version reads; it has 2"):
        ColumnarStorage(tmp_path / "a.lcb")


def test_damage_is_noticed_when_it_is_read(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("0/log/5")
    content = bytearray(path.read_bytes())
    content[member.header_offset + 40 + member.compress_size // 2] ^= 1
    path.write_bytes(content)
    record = ColumnarStorage(path).run("Australian", "0")
    tags = list(record.log)
    assert len(record.log[tags[4]]) == 52
    with pytest.raises(DataError, match="is damaged"):
        record.log[tags[5]]
