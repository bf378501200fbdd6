from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.report.configuration_figures import configurations_panel, hyperparameter_axis
from autopytorch_lite.report.figures import panels
from autopytorch_lite.report.prediction_figures import (
    MAX_SCATTER,
    calibration_panel,
    confusion_panel,
    fold_classes,
    regression_panels,
    roc_panel,
)
from autopytorch_lite.report.record import RunRecord, Validation, read_run
from autopytorch_lite.report.search_figures import MAX_CURVES, curves_panel, incumbent_panel
from autopytorch_lite.report.theme import budget_colors, loss_axis, round_ticks
from autopytorch_lite.types import Task

SEARCH = ["incumbent", "ensemble", "curves", "configurations"]
PREDICTIONS = {
    Task.BINARY: ["confusion", "roc", "calibration"],
    Task.MULTICLASS: ["confusion", "calibration"],
    Task.REGRESSION: ["truth", "residuals"],
}


def record(lines: list, path: Path = Path("nowhere"), ensemble: dict | None = None) -> RunRecord:
    about = {"task": "multiclass", "metric": "log_loss", "dataset": {}}
    return RunRecord(path, about, lines, ensemble, None, False)


def trial(config_id: int, curve: list[float], status: Status = Status.OK, **config) -> list:
    key, loss = TrialKey(config_id, len(curve)), curve[-1] if status is Status.OK else None
    ended = Finished(key, status, loss, curve=tuple(curve), started_s=config_id, finished_s=config_id + 1.0)
    return [Proposed(Proposal(config_id, config, len(curve))), ended]


@pytest.mark.parametrize("task", list(Task))
def test_every_figure_of_a_finished_run_is_there_and_speaks_in_sentences(finished_runs: dict[Task, Path], task: Task):
    sections = panels(read_run(finished_runs[task]))
    assert [panel.name for panel in sections["search"]] == SEARCH
    assert [panel.name for panel in sections["predictions"]] == PREDICTIONS[task]
    for panel in [panel for section in sections.values() for panel in section]:
        assert panel.title.endswith(".") and panel.title[0] not in " ;", panel.title
        assert panel.figure is None or panel.figure.data, panel.name


def test_before_the_first_result_only_the_failures_panel_has_something_to_say():
    sections = panels(record([]))
    assert sections["search"] == [] and sections["predictions"] == []
    assert sections["failures"][0].title == "None of the 0 evaluations failed."


def test_the_incumbent_line_follows_the_history(finished_runs: dict[Task, Path]):
    run = read_run(finished_runs[Task.BINARY])
    figure = incumbent_panel(run).figure
    line = next(trace for trace in figure.data if trace.name == "incumbent")
    ok = [item for item in run.lines if isinstance(item, Finished) and item.ok]
    largest = max(item.key.budget for item in ok)
    assert line.y[-1] == pytest.approx(min(item.loss for item in ok if item.key.budget == largest), rel=1e-4)
    assert list(line.x) == sorted(line.x)
    assert "ensemble" in {trace.name for trace in figure.data}


def test_a_failed_evaluation_ends_its_curve_with_a_cross():
    lines = [*trial(0, [3.0, 2.0]), *trial(1, [3.0, 2.5, float("nan")], Status.DIVERGED)]
    figure = curves_panel(record(lines)).figure
    cross = next(trace for trace in figure.data if trace.name == "failed")
    assert (cross.x[0], cross.y[0]) == (2, 2.5)
    assert "diverged" in cross.text[0]


def test_many_and_long_curves_stay_small():
    lines = [item for i in range(300) for item in trial(i, list(np.linspace(2, 1 + i / 300, 400)))]
    panel = curves_panel(record(lines))
    assert f"best {MAX_CURVES}" in panel.caption
    assert sum(len(trace.x) for trace in panel.figure.data) <= MAX_CURVES * 121


def test_an_inactive_hyperparameter_has_its_own_place_below_all_values():
    axis = hyperparameter_axis("optimizer:sgd:momentum", [0.1, None, 0.9])
    assert axis.label == "sgd momentum"
    assert axis.positions[1] < 0.1
    assert axis.tick_texts[axis.ticks.index(axis.positions[1])] == "inactive"
    assert axis.span[0] == axis.positions[1]


def test_numbers_over_decades_get_a_logarithmic_axis():
    axis = hyperparameter_axis("optimizer:sgd:learning_rate", [1e-4, 1e-2, 1e-1, 3e-3, 5e-4, 2e-2, 7e-3])
    assert axis.positions[:3] == pytest.approx([-4, -2, -1])
    assert "0.001" in axis.tick_texts


def test_words_and_truth_values_become_levels():
    axis = hyperparameter_axis("backbone:shaped_mlp:use_dropout", [True, False, True])
    assert (axis.positions, axis.tick_texts) == ([1.0, 0.0, 1.0], ["false", "true"])
    assert hyperparameter_axis("n", [1, 2, 4, 2]).tick_texts == ["1", "2", "4"]


def test_of_many_classes_those_with_most_errors_are_kept_and_no_row_is_lost():
    rng = np.random.default_rng(0)
    counts = np.diag(rng.integers(5, 50, 30))
    counts[3, 7] = 20
    folded, names = fold_classes(counts, [f"c{i}" for i in range(30)])
    assert len(names) == 20 and names[-1] == "11 others"
    assert {"c3", "c7"} <= set(names)
    assert folded.sum() == counts.sum()
    assert fold_classes(counts[:5, :5], list("abcde"))[1] == list("abcde")


def test_confusion_shows_shares_of_the_true_class_and_names_the_worst():
    targets = np.array([0, 0, 0, 0, 1, 1])
    predictions = np.eye(2)[[0, 0, 0, 1, 1, 1]]
    panel = confusion_panel(Validation(targets, predictions, "the ensemble"), ["cat", "dog"])
    assert panel.title == "83.3% of 6 validation rows are classified right; most often cat is taken for dog."
    heatmap = panel.figure.data[0]
    assert [list(row) for row in heatmap.z] == [[0.75, 0.25], [0.0, 1.0]]
    assert heatmap.customdata[0][1] == 1


def test_roc_is_one_curve_for_two_classes_one_per_class_for_a_few_and_none_for_many():
    rng = np.random.default_rng(0)
    for n_classes, n_curves in ((2, 1), (3, 3), (9, 0)):
        targets = np.arange(180) % n_classes
        predictions = np.eye(n_classes)[targets] + rng.uniform(0, 0.5, (180, n_classes))
        panel = roc_panel(Validation(targets, predictions, "x"), [str(i) for i in range(n_classes)])
        assert (0 if panel is None else len(panel.figure.data) - 1) == n_curves
    binary = Validation(np.arange(20) % 2, np.eye(2)[np.arange(20) % 2], "x")
    assert "is 1.000 (positive class: yes)" in roc_panel(binary, ["no", "yes"]).title


def test_calibration_measures_the_gap_between_stated_and_observed():
    rng = np.random.default_rng(0)
    stated = rng.uniform(0.05, 0.95, 20_000)
    happened = (rng.uniform(size=20_000) < stated**2).astype(int)
    off = calibration_panel(Validation(happened, np.column_stack([1 - stated, stated]), "x"))
    expected = np.mean(stated - stated**2)
    assert float(off.title.split("by ")[1].split("%")[0]) / 100 == pytest.approx(expected, abs=0.01)
    assert calibration_panel(Validation(happened[:10], np.full((10, 2), 0.5), "x")) is None


def test_loss_axes_are_logarithmic_for_wide_spreads_and_cut_the_tail_of_narrow_ones():
    wide = loss_axis([0.01, 1.0, 10.0])
    assert wide["type"] == "log" and 0.1 in wide["tickvals"]
    narrow = loss_axis([-1.0, *np.linspace(0.9, 1.1, 50), 1e3])
    assert narrow["range"][1] < 2
    assert loss_axis([float("nan")]) == {}
    assert loss_axis([1.0, 1.0])["range"] == [0.95, 1.05]


def test_a_narrow_logarithmic_axis_has_several_labels_within_its_bounds():
    axis = loss_axis([0.0574, 0.0681, 0.25])
    low, high = (10**bound for bound in axis["range"])
    assert low < 0.0574 < 0.25 < high
    assert len(axis["tickvals"]) >= 4 and all(low <= tick <= high for tick in axis["tickvals"])


def test_the_title_names_the_best_model_at_whatever_budget():
    lines = [*trial(0, [3.0, 0.5]), *trial(1, [3.0, 2.0, 1.0])]
    assert incumbent_panel(record(lines)).title.startswith("The best model has log loss 0.5000 at 2 epochs")


def test_the_axis_of_many_epochs_is_labelled_with_whole_epochs():
    axis = curves_panel(record(trial(0, list(np.linspace(3.0, 1.0, 81))))).figure.layout.xaxis
    assert axis.type == "log" and list(axis.tickvals) == [1, 3, 10, 30]


def test_long_names_of_levels_have_room():
    learners = ("hist_gradient_boosting", "linear", "extra_trees")
    lines = [line for i in range(21) for line in trial(i, [1.0 + i % 3], **{"learner:__choice__": learners[i % 3]})]
    panel = configurations_panel(record(lines))
    assert panel is not None and panel.figure.data[0].dimensions[0].label == "learner"
    assert panel.figure.layout.margin.l > 6 * len("hist gradient boosting")


def test_ticks_are_round_few_and_inside():
    for low, high, is_log in ((0, 7.3, False), (-30, 160, False), (1e-5, 0.1, True), (0.3, 0.9, True), (16, 512, True)):
        ticks = round_ticks(low, high, is_log=is_log)
        assert 1 <= len(ticks) <= 8
        assert all(low <= tick <= high for tick in ticks)
        assert ticks == sorted(ticks)


def test_larger_budgets_are_darker():
    colors = budget_colors([50, 5, 15])
    brightness = [int(colors[budget][1:3], 16) for budget in (5, 15, 50)]
    assert brightness == sorted(brightness, reverse=True)


def test_several_targets_have_two_figures_each_named_in_the_title():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(2000, 2))
    shown = regression_panels(Validation(targets, targets + 0.1, "x"), ["height", "width"])
    assert [panel.name for panel in shown] == ["truth", "residuals", "truth-1", "residuals-1"]
    assert "of width" in shown[2].title and "0.1 too high" in shown[3].title
    assert max(len(trace.x) for trace in shown[0].figure.data) == MAX_SCATTER


def test_roc_needs_rows_of_the_class_and_of_others():
    assert roc_panel(Validation(np.zeros(10, dtype=int), np.full((10, 2), 0.5), "x"), ["no", "yes"]) is None
