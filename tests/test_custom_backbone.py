"""The example in examples/custom_backbone.py: a user's backbone joins the space, trains, is searched and saved."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from autopytorch_lite import AutoTabularClassifier, load
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.registry import unregister
from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.types import DatasetInfo, Task
from search_spaces import load_ranges

EXAMPLE = Path(__file__).parents[1] / "examples" / "custom_backbone.py"
INFO = DatasetInfo(Task.BINARY, 100, n_numeric=4, cardinalities=(), n_outputs=2, class_counts=(50, 50))
NAME = "periodic_mlp"


@pytest.fixture
def example():
    """The example as a module that workers could not import; what it registers is taken back afterwards."""
    spec = importlib.util.spec_from_file_location("custom_backbone", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    unregister("backbone", NAME)


def test_is_absent_until_registered():
    assert NAME not in default_graph().tree()


@pytest.mark.parametrize("name", ["default", "paper"])
def test_takes_part_where_the_ranges_leave_room(example, name):
    """The default space only excludes; the paper's space is a closed list."""
    space = compile(default_graph(), load_ranges(name), INFO)
    assert (NAME in space["backbone:__choice__"].choices) == (name == "default")
    assert (f"backbone:{NAME}:width" in space) == (name == "default")


def test_samples_build_and_forward(example):
    space = compile(default_graph(), {"learner:__choice__": "neural", "backbone:__choice__": NAME}, INFO)
    config = VectorCodec(space).sample(np.random.default_rng(0))
    component = default_graph().find("backbone").option(NAME)
    prefix = f"backbone:{NAME}:"
    values = {name.removeprefix(prefix): value for name, value in config.items() if name.startswith(prefix)}
    network = component.build(values, INFO)(7)
    assert network(torch.zeros(5, 7)).shape == (5, values["width"]) == (5, network.d_out)


def test_is_searched_saved_and_loaded(example, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = np.where(np.sin(3 * X[:, 0]) > 0, "high", "low")
    clf = AutoTabularClassifier(
        time_limit=None,
        n_trials=3,
        portfolio=[{"backbone:__choice__": NAME}],
        search_space={"backbone:__choice__": NAME, "preprocessing:__choice__": "none"},
        learners="neural",
        min_budget=1,
        max_budget=3,
        n_jobs=1,
        random_state=0,
        verbose=0,
    ).fit(X, y)
    history = clf.history_
    own = history[history["config:backbone:__choice__"] == NAME]
    assert len(own) == 3
    assert (own["status"] == "ok").all()
    assert {"portfolio", "model"} <= set(own["origin"])
    clf.save(tmp_path / "model")
    assert np.allclose(load(tmp_path / "model").predict_proba(X), clf.predict_proba(X), atol=1e-6)
