import json
import re
from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.store import HistoryStore, write_json_atomic
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.report.page import write_report
from autopytorch_lite.report.record import read_run
from autopytorch_lite.report.words import measured
from autopytorch_lite.types import Task

PLOTLY_IS_ABOUT = 4_000_000


def body(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("<body>")[2]


@pytest.mark.parametrize("task", list(Task))
def test_the_page_holds_all_it_shows(finished_runs: dict[Task, Path], tmp_path: Path, task: Task):
    page = write_report(finished_runs[task], tmp_path / "pages" / "report.html")
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(http|//)", text)
    assert text.count("plotly.js v") == 1
    assert len(text) - PLOTLY_IS_ABOUT < 2_000_000
    shown = body(page)
    assert 'id="figure-incumbent"' in shown and 'id="figure-configurations"' in shown
    assert "had not ended" not in shown
    assert "0.1.0" in shown


def test_numbers_at_the_top_are_those_of_the_run(finished_runs: dict[Task, Path], tmp_path: Path):
    run_dir = finished_runs[Task.MULTICLASS]
    shown = body(write_report(run_dir, tmp_path / "report.html"))
    ensemble = json.loads((run_dir / "ensemble.json").read_text())
    assert measured(ensemble["loss"]) in shown
    assert measured(ensemble["best_single"]["loss"]) in shown
    assert "held-out accuracy" in shown and "0.951" in shown
    assert len(re.findall(r'<tr class="[^"]*member[^"]*"', shown)) == len(ensemble["members"])


def test_the_report_goes_into_the_run_directory_by_default_and_leaves_nothing_else(small_search, tmp_path: Path):
    run_dir = small_search(tmp_path / "run", Task.BINARY, n_configurations=4).run(n_rungs=1)
    before = {path.name for path in run_dir.iterdir()}
    assert write_report(run_dir) == run_dir / "report.html"
    assert {path.name for path in run_dir.iterdir()} == before | {"report.html"}


def test_a_run_that_has_just_begun_has_a_page(small_search, tmp_path: Path):
    search = small_search(tmp_path, Task.BINARY)
    search.write_description()
    assert "No evaluation has ended yet" in body(write_report(tmp_path))
    with HistoryStore(tmp_path) as store:
        store.append(Proposed(Proposal(0, {"learner:__choice__": "neural"}, 5)))
    shown = body(write_report(tmp_path))
    assert "1 evaluation had no result yet" in shown


def test_configurations_that_were_given_are_counted_instead_of_printed(small_search, tmp_path: Path):
    small_search(tmp_path, Task.BINARY, n_configurations=4).run(n_rungs=1)
    description = json.loads((tmp_path / "run.json").read_text())
    description["arguments"]["portfolio"] = [{"learner:__choice__": "linear"}, {"learner:__choice__": "neural"}]
    write_json_atomic(tmp_path / "run.json", description)
    assert "<dt>portfolio</dt><dd>2 configurations</dd>" in body(write_report(tmp_path))


def test_a_run_without_its_ensemble_yet_shows_the_best_model_so_far(small_search, tmp_path: Path):
    search = small_search(tmp_path, Task.BINARY, n_configurations=6)
    search.run(n_rungs=2)
    (tmp_path / "ensemble.json").unlink()
    run = read_run(tmp_path)
    shown = body(write_report(tmp_path))
    assert "best model so far" in shown and "had not ended" in shown
    best = min((line for line in run.lines if isinstance(line, Finished) and line.ok and line.key.budget == 9),
               key=lambda line: line.loss)  # fmt: skip
    np.testing.assert_array_equal(run.validation.predictions, search.files.validation_predictions(best.key))


def test_validation_predictions_are_the_weighted_mean_of_the_members(finished_runs: dict[Task, Path]):
    run = read_run(finished_runs[Task.REGRESSION])
    rmse = float(np.sqrt(((run.validation.predictions - run.validation.targets) ** 2).mean()))
    assert rmse == pytest.approx(run.ensemble["loss"], rel=1e-9)


def test_names_from_the_data_cannot_break_out_of_the_page(small_search, tmp_path: Path):
    search = small_search(tmp_path, Task.BINARY, n_configurations=4)
    evil = "</script><script>alert(1)</script>"
    search.columns[0], search.classes = evil, [evil, "good"]
    search.run(n_rungs=1)
    with HistoryStore(tmp_path) as store:
        store.append(Proposed(Proposal(90, {"learner:__choice__": evil}, 3)))
        store.append(Finished(TrialKey(90, 3), Status.CRASHED, error=evil, traceback=evil))
    assert "alert(1)</script>" not in body(write_report(tmp_path))


def test_a_long_leaderboard_is_folded(small_search, tmp_path: Path):
    search = small_search(tmp_path, Task.BINARY)
    search.write_description()
    with HistoryStore(tmp_path) as store:
        for i in range(600):
            store.append(Proposed(Proposal(i, {"learner:__choice__": "neural", "optimizer:adam:x": i / 600}, 5)))
            store.append(Finished(TrialKey(i, 5), loss=1 + i / 600, finished_s=float(i)))
    page = write_report(tmp_path)
    assert "480 more" in body(page) and "and 100 more in history.jsonl" in body(page)
    assert len(page.read_text(encoding="utf-8")) - PLOTLY_IS_ABOUT < 2_000_000


def test_a_folder_without_a_run_is_refused_by_name(tmp_path: Path):
    with pytest.raises(HistoryError, match=re.escape("holds run.json")):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text("[1, 2")
    with pytest.raises(HistoryError, match=re.escape("run.json in")):
        read_run(tmp_path)


def test_a_held_out_plan_without_scores_is_not_shown(small_search, tmp_path: Path):
    search = small_search(tmp_path, Task.BINARY, n_configurations=4)
    search.run(n_rungs=1)
    write_json_atomic(tmp_path / "holdout.json", {"rows": 10, "metrics": {}})
    assert "held-out" not in body(write_report(tmp_path)).lower()
