import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.history.trial import Finished, Proposal, Proposed, TrialKey
from autopytorch_lite.report.families import error_correlations, families
from autopytorch_lite.report.family_figures import family_panels
from autopytorch_lite.report.record import RunRecord, read_run
from autopytorch_lite.report.tables import ensemble_weights, evaluations
from autopytorch_lite.types import Task


def trials(*losses_of_learners: tuple[str, list[float]]) -> list:
    """A history of a multi-class run: each learner with the losses of its configurations, one a second."""
    lines: list = []
    for learner, losses in losses_of_learners:
        for loss in losses:
            number = len(lines) // 2
            config = {"learner:__choice__": learner}
            lines.append(Proposed(Proposal(number, config, 1)))
            lines.append(Finished(TrialKey(number, 1), loss=loss, seconds=1.0, finished_s=number + 1.0))
    return lines


def record(lines: list, path: Path = Path("nowhere"), ensemble: dict | None = None) -> RunRecord:
    return RunRecord(path, {"task": "multiclass", "metric": "log_loss", "dataset": {}}, lines, ensemble, None, False)


@pytest.mark.parametrize("task", list(Task))
def test_families_share_out_all_there_is(finished_runs: dict[Task, Path], task: Task):
    run = read_run(finished_runs[task])
    found = families(run)
    assert {family.name for family in found.families} == {"shaped mlp", "shaped resnet"}
    assert sum(family.n_trials for family in found.families) == len(evaluations(run.lines))
    assert sum(family.weight for family in found.families) == pytest.approx(1)
    best = [family.best.loss for family in found.families]
    assert best == sorted(best)
    for family in found.families:
        assert family.loss_without >= found.loss - 1e-12, "an ensemble of fewer candidates cannot be better here"


def test_a_family_outside_of_the_ensemble_is_not_missed(finished_runs: dict[Task, Path]):
    run = read_run(finished_runs[Task.BINARY])
    ensemble = dict(run.ensemble)
    learners = {
        line.key: line.proposal.config["backbone:__choice__"] for line in run.lines if isinstance(line, Proposed)
    }
    mlps = [m for m in ensemble["members"] if learners[TrialKey(m["config_id"], m["budget"])] == "shaped_mlp"]
    assert mlps
    found = families(replace(run, ensemble={**ensemble, "members": mlps}))
    outside = next(family for family in found.families if family.name == "shaped resnet")
    assert outside.weight == 0 and outside.loss_without == found.loss


def test_without_files_there_is_no_selection_to_compare_with():
    ensemble = {"members": [{"config_id": 0, "budget": 1, "weight": 1.0}], "loss": 0.3}
    run = record(trials(("linear", [0.5, 0.4]), ("lightgbm", [0.3])), ensemble=ensemble)
    found = families(run)
    assert found.loss is None and all(family.loss_without is None for family in found.families)
    assert [panel.name for panel in family_panels(run)] == ["families", "shares"]


def test_a_race_needs_two():
    assert family_panels(record([])) == []
    assert family_panels(record(trials(("linear", [0.5, 0.4])))) == []
    titles = [panel.title for panel in family_panels(record(trials(("linear", [0.5, 0.4]), ("extra_trees", [0.3]))))]
    assert titles[0].startswith("The best single model is of the family extra trees")
    assert "linear comes next" in titles[0]


def test_lines_of_the_race_only_fall_and_end_together():
    lines = trials(("linear", [0.5, 0.6, 0.4]), ("extra_trees", [0.45, 0.44]))
    figure = family_panels(record(lines))[0].figure
    assert {trace.name for trace in figure.data} == {"linear", "extra trees"}
    for trace in figure.data:
        assert list(trace.y) == sorted(trace.y, reverse=True)
        assert trace.x[-1] == 5


def test_the_heat_map_shows_how_members_err_alike(finished_runs: dict[Task, Path]):
    for task in Task:
        run = read_run(finished_runs[task])
        panel = next(panel for panel in family_panels(run) if panel.name == "diversity")
        z = np.array(panel.figure.data[0].z)
        np.testing.assert_allclose(np.diag(z), 1)
        np.testing.assert_allclose(z, z.T)
        assert len(z) == len(run.ensemble["members"])


def test_errors_correlate_as_residuals_do(finished_runs: dict[Task, Path]):
    run = read_run(finished_runs[Task.REGRESSION])
    keys = list(ensemble_weights(run.ensemble))[:3]
    targets = np.load(run.path / "files" / "validation_targets.npy")[:, 0]
    predictions = [
        np.load(run.path / "files" / f"{k.config_id}_{k.budget}" / "validation_predictions.npy") for k in keys
    ]
    expected = np.corrcoef([values[:, 0] - targets for values in predictions])
    np.testing.assert_allclose(error_correlations(run, keys), expected)


def test_a_member_whose_files_are_gone_leaves_no_heat_map(finished_runs: dict[Task, Path], tmp_path: Path):
    path = shutil.copytree(finished_runs[Task.BINARY], tmp_path / "run")
    key = next(iter(ensemble_weights(read_run(path).ensemble)))
    shutil.rmtree(path / "files" / f"{key.config_id}_{key.budget}")
    assert [panel.name for panel in family_panels(read_run(path))] == ["families", "shares"]
