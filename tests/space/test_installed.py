"""Components whose packages are not installed: left out where nobody asks for them, an error where somebody does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.data.dataset import Dataset, make_dataset
from autopytorch_lite.errors import HistoryError, MissingExtraError
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.graph import Component, Float, choice_name
from autopytorch_lite.pipeline.learner import Learner
from autopytorch_lite.pipeline.registry import register, unregister
from autopytorch_lite.run import TableRun
from autopytorch_lite.settings import installed_only, learner_edits, resolve_request
from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.installed import require_installed
from autopytorch_lite.stored_run import RunRequest
from autopytorch_lite.types import ConfigValue, DatasetInfo
from tests.contracts.check_component import TABLES

PACKAGE = "a_package_that_comes_and_goes"
LEARNER = choice_name("learner")
INFO = TABLES["binary"].info


class Borrowed(Component):
    """A learner of a package."""

    name = "borrowed"
    package = PACKAGE
    extra = "boosting"

    def hyperparameters(self, info: DatasetInfo) -> tuple[Float, ...]:
        return (Float("rate", 0.0, 1.0),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Learner:
        raise AssertionError("nothing is trained here")


@pytest.fixture(autouse=True)
def borrowed() -> Iterator[None]:
    register("learner", Borrowed())
    yield
    unregister("learner", "borrowed")


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """The package, installed until its file is removed."""
    folder = tmp_path / "site"
    folder.mkdir()
    file = folder / f"{PACKAGE}.py"
    file.write_text("")
    sys.path.insert(0, str(folder))
    yield file
    sys.path.remove(str(folder))
    sys.path_importer_cache.pop(str(folder), None)
    sys.modules.pop(PACKAGE, None)


def uninstall(package: Path) -> None:
    package.unlink()
    sys.path_importer_cache.clear()
    sys.modules.pop(PACKAGE, None)


def left(ranges: Mapping[str, object]) -> tuple[str, ...]:
    return compile(default_graph(), installed_only({"edits": ranges}), INFO)[LEARNER].choices


def test_what_is_missing_is_left_out() -> None:
    assert "borrowed" not in left({})
    assert "borrowed" not in left({LEARNER: {"exclude": ["linear"]}})


def test_what_is_installed_is_offered(package: Path) -> None:
    assert "borrowed" in left({})


def test_edits_of_what_is_missing_are_no_errors() -> None:
    assert "borrowed" not in left({"learner:borrowed:rate": 0.5})


@pytest.mark.parametrize("edit", [["neural", "borrowed"], "borrowed", {"choices": ["neural", "borrowed"]}])
def test_asking_for_what_is_missing_names_the_extra(edit: object) -> None:
    with pytest.raises(MissingExtraError, match=r"'borrowed'.*autopytorch-lite\[boosting\]"):
        left({LEARNER: edit})


def test_naming_other_learners_is_no_error() -> None:
    assert left({LEARNER: ["neural", "hist_gradient_boosting"]}) == ("neural", "hist_gradient_boosting")


def test_traditional_learners_are_those_installed(package: Path) -> None:
    assert "borrowed" in learner_edits("traditional")[LEARNER]
    uninstall(package)
    assert "borrowed" not in learner_edits("traditional")[LEARNER]


def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    return make_dataset(rng.normal(size=(60, 2)), np.arange(60) % 2, kind="classification", seed=0)


def request_for(learners: object, info: DatasetInfo) -> RunRequest:
    arguments = {
        "metric": None,
        "search_space": "default",
        "portfolio": "default",
        "min_budget": 1,
        "max_budget": 3,
        "eta": 3,
        "ensemble_size": 5,
        "max_predict_ms_per_row": None,
        "learners": learners,
        "device": "cpu",
        "precision": "auto",
        "random_state": 0,
        "n_trials": 1,
    }
    return resolve_request(arguments, info)[0]


def search(run: TableRun) -> None:
    run.search(time_limit_s=None, n_trials=1, n_workers=1, n_threads=1, memory_limit_mb=None)


def test_a_run_that_needs_what_is_missing_now_is_not_continued(package: Path, tmp_path: Path) -> None:
    data = dataset()
    run = TableRun.create(tmp_path / "run", data, request_for("all", data.info), arguments={}, resampling="holdout")
    uninstall(package)
    for attempt in (lambda: search(run), lambda: run.check_same(data, request_for("all", data.info))):
        with pytest.raises(MissingExtraError, match=r"'borrowed'.*autopytorch-lite\[boosting\]"):
            attempt()


def test_a_package_installed_later_does_not_change_a_run(tmp_path: Path, package: Path) -> None:
    data = dataset()
    uninstall(package)
    run = TableRun.create(tmp_path / "run", data, request_for("all", data.info), arguments={}, resampling="holdout")
    package.write_text("")
    sys.path_importer_cache.clear()
    assert "borrowed" not in run.space[LEARNER].choices
    require_installed(run.space, default_graph())
    with pytest.raises(HistoryError, match="ranges"):
        run.check_same(data, request_for("all", data.info))
