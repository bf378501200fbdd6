from __future__ import annotations

import json
from pathlib import Path

import pytest
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.identity import claim
from autopytorch_lite.history.store import RunDirectory, write_json_atomic

SPACE = ConfigurationSpace({"x": (0.0, 1.0), "kind": ["a", "b"]}, seed=1)
WIDER = ConfigurationSpace({"x": (0.0, 2.0), "kind": ["a", "b"]})
OTHER = ConfigurationSpace({"x": (0.0, 1.0), "y": (1, 3)})
SEARCHER = {"name": "BOHB", "eta": 3, "seed": 0}


def test_same_search_may_continue_and_the_space_is_configspaces_own_json(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    claim(directory, space=SPACE.to_serialized_dict(), searcher=SEARCHER)
    claim(directory, space=SPACE.to_serialized_dict(), searcher=SEARCHER)
    claim(directory, space=None, searcher=SEARCHER)
    assert ConfigurationSpace.from_json(directory.space) == SPACE
    assert json.loads(directory.run.read_text())["searcher"] == SEARCHER


@pytest.mark.parametrize(("space", "names"), [(WIDER, "x"), (OTHER, "kind, y")])
def test_other_space_is_refused_by_name(tmp_path: Path, space: ConfigurationSpace, names: str) -> None:
    directory = RunDirectory(tmp_path)
    claim(directory, space=SPACE.to_serialized_dict(), searcher=SEARCHER)
    with pytest.raises(HistoryError, match=f"another space; {names} differ"):
        claim(directory, space=space.to_serialized_dict(), searcher=SEARCHER)


def test_other_searcher_settings_are_refused_by_name(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    claim(directory, space=None, searcher=SEARCHER)
    with pytest.raises(HistoryError, match=r"another searcher; eta differ .*eta: 3 there, 2 now"):
        claim(directory, space=None, searcher={**SEARCHER, "eta": 2})


def test_description_written_by_someone_else_is_left_alone(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    write_json_atomic(directory.run, {"format": 1, "task": "binary"})
    claim(directory, space=None, searcher=SEARCHER)
    assert json.loads(directory.run.read_text()) == {"format": 1, "task": "binary"}
