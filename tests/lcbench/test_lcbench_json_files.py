from __future__ import annotations

import json
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from autopytorch_lite.errors import DataError
from lcbench import byte_ranges
from lcbench.json_files import JsonStorage, find_runs

Runs = dict[str, dict[str, Any]]
RUN = {"log": {}, "results": {}, "config": {}}
AWKWARD: Runs = {
    'quo"te } {': {"0": {"a": "}{", "b": '\\"}', "c": [{"d": {}}]}, "back\\": {"\\": "\\"}},
    "käfer \u2028": {"1": {}, "{": {"e": 'x\\\\"'}},
}


def blocks_of(text: str, n_bytes: int) -> list[bytes]:
    content = text.encode()
    return [content[start : start + n_bytes] for start in range(0, len(content), n_bytes)]


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("n_bytes", [1, 2, 3, 7, 1000])
def test_runs_are_found_wherever_blocks_end(n_bytes: int, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(AWKWARD, indent=indent, ensure_ascii=ascii_only)
    content = text.encode()
    found = find_runs(blocks_of(text, n_bytes))
    runs = {
        name: {i: json.loads(content[start : start + n]) for i, (start, n) in places.items()}
        for name, places in found.items()
    }
    assert runs == AWKWARD
    assert [list(places) for places in found.values()] == [list(places) for places in AWKWARD.values()]


@pytest.mark.parametrize("n_bytes", [1, 5, 1000])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must map"),
        ("[1]", "must map"),
        ('["a", {}]', "must map"),
        ("{}", "must map"),
        ('{"a": {}}', "must map"),
        ('{"a": {"0": {}}, "b": {}}', "must map"),
        ('{"a": [1]}', "must map"),
        ('{"a": {"0": 1}}', "must map"),
        ('{"a": {"0": {}, "1": 1}}', "must map"),
        ('{"a": {"0": {} "1": {}}}', "must map"),
        ('{"a": {, "0": {}}}', "must map"),
        ('{"a": {"0": {}}} {}', "must map"),
        ('{"a": {"0": {}}}}', "must map"),
        ('{"a": {"0": {}}} x', "must map"),
        ('{a: {"0": {}}}', "must map"),
        ("{", "too early"),
        ('{"a": {"0": {"log": [1, 2', "too early"),
        ('{"a": {"0": {"log": "}}}', "too early"),
    ],
)
def test_other_texts_are_refused(text: str, message: str, n_bytes: int) -> None:
    with pytest.raises(ValueError, match=message):
        find_runs(blocks_of(text, n_bytes))


def test_the_last_of_equal_names_counts_as_in_json() -> None:
    text = '{"a": {"0": {"x": 1}}, "b": {"0": {}, "0": {"y": 2}}, "a": {"1": {}}}'
    found = find_runs([text.encode()])
    assert {name: list(places) for name, places in found.items()} == {"a": ["1"], "b": ["0"]}
    start, n = found["b"]["0"]
    assert json.loads(text[start : start + n]) == {"y": 2}


def test_a_run_without_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps({"adult": {"17": {"results": {}, "config": {}}}}))
    with pytest.raises(DataError, match="configuration 17 of 'adult'"):
        JsonStorage(tmp_path / "data.json").run("adult", "17")


def test_a_run_that_is_no_json_is_named(tmp_path: Path) -> None:
    text = json.dumps({"adult": {"0": RUN | {"log": "nope"}, "1": RUN}})
    (tmp_path / "data.json").write_text(text.replace('"nope"', "nope"))
    storage = JsonStorage(tmp_path / "data.json")
    assert storage.run("adult", "1").log == {}
    with pytest.raises(DataError, match="must be JSON, but configuration 0 of 'adult'"):
        storage.run("adult", "0")


def test_a_file_that_changed_is_not_read_at_the_old_places(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"adult": {"0": RUN, "1": RUN}}))
    storage = JsonStorage(path)
    path.write_text(json.dumps({"albert": {"0": RUN, "1": RUN}}))
    with pytest.raises(DataError, match=r"must stay as it was .* configuration 1 of 'adult'"):
        storage.run("adult", "1")


def test_a_storage_goes_to_other_processes(tmp_path: Path, benchmark_file: Path) -> None:
    again = pickle.loads(pickle.dumps(JsonStorage(benchmark_file)))
    assert again.run("credit-g", "0") == JsonStorage(benchmark_file).run("credit-g", "0")


@pytest.mark.parametrize("name", ["large.json", "large.zip"])
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading used to hold the whole file, decoded: several times its size."""
    monkeypatch.setattr(byte_ranges, "BLOCK_BYTES", 2**19)
    run = json.dumps(RUN | {"log": {"Train/loss": [0.123456789] * 20_000}})
    text = json.dumps({"adult": {}})[:-2] + ", ".join(f'"{i}": {run}' for i in range(80)) + "}}"
    path = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("large.json", text)
    else:
        path.write_text(text)
    n_bytes = len(text)
    del text
    tracemalloc.start()
    try:
        storage = JsonStorage(path)
        assert len(storage.config_ids("adult")) == 80
        assert tracemalloc.get_traced_memory()[1] < n_bytes / 3
        assert len(storage.run("adult", "70").log["Train/loss"]) == 20_000
        assert tracemalloc.get_traced_memory()[1] < n_bytes / 3
    finally:
        tracemalloc.stop()
