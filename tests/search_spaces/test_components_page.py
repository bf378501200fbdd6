"""What docs/components.md shows must be so: the picture of the graph, the ranges file, the component."""

import json
import re
from pathlib import Path

import pytest

from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.registry import unregister
from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.table import describe
from autopytorch_lite.types import DatasetInfo, Task
from search_spaces import load_ranges

PAGE = (Path(__file__).parents[2] / "docs" / "components.md").read_text(encoding="utf-8")
INFO = DatasetInfo(Task.BINARY, 1000, n_numeric=3, cardinalities=(4,), n_outputs=2, class_counts=(500, 500))


def block(language, containing):
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if containing in text)


def test_picture_is_the_graphs():
    assert block("text", "learner (one of)").rstrip("\n") == str(default_graph())


def test_ranges_file_compiles_to_what_it_says(tmp_path):
    content = block("json", "extends")
    (tmp_path / "small.json").write_text(content)
    space = compile(default_graph(), load_ranges(tmp_path / "small.json"), INFO)
    assert space.name == json.loads(content)["name"]
    assert space["optimizer:__choice__"].choices == ("adam", "adamw")
    assert space["optimizer:adamw:weight_decay"].value == 0.01
    assert space["backbone:shaped_mlp:num_layers"].upper == 3


@pytest.fixture
def shown_component():
    exec(block("python", "class MyBackbone"), {})
    yield
    unregister("backbone", "my_backbone")


def test_component_joins_the_space(shown_component):
    rows = {row.name: row for row in describe(compile(default_graph(), load_ranges("default"), INFO))}
    assert rows["backbone:my_backbone:width"].active_when == "backbone = my_backbone"
    assert rows["backbone:my_backbone:gate_dropout"].active_when == "gated = true"
