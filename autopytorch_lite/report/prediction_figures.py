"""Figures of predictions on validation rows: confusion, ROC, calibration; predicted against true, residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autopytorch_lite.report.record import RunRecord, Validation
from autopytorch_lite.report.theme import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    QUALITATIVE,
    Panel,
    color_scale,
    new_figure,
    shortened,
)
from autopytorch_lite.report.words import counted, number
from autopytorch_lite.types import Array, FloatArray, IntArray

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_CLASSES_SHOWN = 20
MAX_ROC_CLASSES = 8
MAX_ROC_POINTS = 200
MAX_SCATTER = 1500
MAX_TARGETS = 4
_MAX_CLASSES_WITH_TEXT = 12


def prediction_panels(run: RunRecord) -> list[Panel]:
    """The figures that suit the task; none before the first model."""
    validation = run.validation
    if run.task is None or validation is None or not len(validation.targets):
        return []
    if run.task.is_classification:
        labels = run.classes or [str(i) for i in range(validation.predictions.shape[1])]
        panels = [
            confusion_panel(validation, labels),
            roc_panel(validation, labels),
            calibration_panel(validation),
        ]
        return [panel for panel in panels if panel is not None]
    return regression_panels(validation, run.target_names)


def confusion_panel(validation: Validation, labels: Sequence[str]) -> Panel:
    """Confusion matrix, each row in shares of its true class; counts on hover."""
    predicted = validation.predictions.argmax(axis=1)
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(counts, (validation.targets, predicted), 1)
    accuracy = float(np.trace(counts) / counts.sum())
    rows = counted(int(counts.sum()), "validation row")
    title = f"{accuracy:.1%} of {rows} are classified right{_worst(counts, labels)}."
    shown, names = fold_classes(counts, labels)
    shares = shown / np.maximum(shown.sum(axis=1, keepdims=True), 1)
    figure = new_figure(x="predicted", y="true", height=int(np.clip(140 + 30 * len(names), 420, 720)))
    with_text = len(names) <= _MAX_CLASSES_WITH_TEXT
    figure.add_heatmap(
        z=[shortened(row, 3) for row in shares],
        x=names,
        y=names,
        customdata=shown,
        text=[[f"{share:.0%}" if share >= 0.005 else "" for share in row] for row in shares] if with_text else None,
        texttemplate="%{text}" if with_text else None,
        colorscale=color_scale(),
        zmin=0,
        zmax=1,
        xgap=1.5,
        ygap=1.5,
        showscale=False,
        hovertemplate="true %{y}, predicted %{x}<br>%{customdata} rows, %{z:.1%} of this class<extra></extra>",
    )
    figure.update_xaxes(type="category", showgrid=False, ticks="")
    figure.update_yaxes(type="category", showgrid=False, ticks="", autorange="reversed")
    return Panel("confusion", title, _confusion_caption(validation.source, len(labels), len(names)), figure)


def fold_classes(counts: IntArray, labels: Sequence[str]) -> tuple[IntArray, list[str]]:
    """Of many classes keep those with most errors, the rest summed up as "other"; few classes stay as they are.

    Args:
        counts: int array, shape (n_classes, n_classes), true class by row.
        labels: one per class.
    """
    n_classes = len(labels)
    if n_classes <= MAX_CLASSES_SHOWN:
        return counts, list(labels)
    errors = counts.sum(axis=1) + counts.sum(axis=0) - 2 * np.diag(counts)
    kept = np.sort(np.argsort(-errors, kind="stable")[: MAX_CLASSES_SHOWN - 1])
    group = np.full(n_classes, len(kept))
    group[kept] = np.arange(len(kept))
    folded = np.zeros((len(kept) + 1, len(kept) + 1), dtype=int)
    np.add.at(folded, (group[:, None], group[None, :]), counts)
    return folded, [*(labels[i] for i in kept), f"{n_classes - len(kept)} others"]


def _worst(counts: IntArray, labels: Sequence[str]) -> str:
    """The most frequent confusion, as the end of a sentence."""
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    if errors.max() == 0:
        return ""
    true, predicted = divmod(int(errors.argmax()), errors.shape[1])
    return f"; most often {labels[true]} is taken for {labels[predicted]}"


def _confusion_caption(source: str, n_classes: int, n_shown: int) -> str:
    caption = f"Predictions of {source} on rows it was not trained on; every row sums to 100 %."
    if n_classes > n_shown:
        caption += f" Of {n_classes} classes the {n_shown - 1} with most errors are shown."
    return caption


def roc_panel(validation: Validation, labels: Sequence[str]) -> Panel | None:
    """ROC curve of the second class, or of every class against the rest; None with many classes."""
    from sklearn.metrics import roc_auc_score, roc_curve

    classes = [1] if len(labels) == 2 else list(range(len(labels)))
    present = [c for c in classes if 0 < (validation.targets == c).sum() < len(validation.targets)]
    if not present or len(labels) > MAX_ROC_CLASSES:
        return None
    figure = new_figure(x="false positive rate", y="true positive rate", height=420)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": FAINT, "dash": "dot"}, hoverinfo="skip", showlegend=False
    )
    areas = {}
    for code, color in zip(present, QUALITATIVE, strict=False):
        is_class, score = validation.targets == code, validation.predictions[:, code]
        areas[labels[code]] = float(roc_auc_score(is_class, score))
        false_rate, true_rate, _ = roc_curve(is_class, score)
        kept = _spread(len(false_rate), MAX_ROC_POINTS)
        figure.add_scatter(
            x=shortened(false_rate[kept]),
            y=shortened(true_rate[kept]),
            mode="lines",
            line={"color": color, "width": 2},
            name=f"{labels[code]} ({areas[labels[code]]:.3f})",
            hovertemplate=f"{labels[code]}<br>true %{{y:.3f}} at false %{{x:.3f}}<extra></extra>",
        )
    figure.update_xaxes(range=[-0.01, 1.01], constrain="domain")
    figure.update_yaxes(range=[-0.01, 1.01])
    caption = f"Predictions of {validation.source} on validation rows; the dotted line is guessing."
    return Panel("roc", _roc_sentence(areas, len(labels) == 2), caption, figure)


def _roc_sentence(areas: dict[str, float], binary: bool) -> str:
    if binary:
        label, area = next(iter(areas.items()))
        return f"The area under the ROC curve is {area:.3f} (positive class: {label})."
    worst = min(areas, key=lambda label: areas[label])
    mean = float(np.mean(list(areas.values())))
    return f"One class against the rest, the mean ROC AUC is {mean:.3f}; hardest is {worst} with {areas[worst]:.3f}."


def calibration_panel(validation: Validation) -> Panel | None:
    """Share of right answers against the probability given, in ten groups of equal size; None with few rows."""
    if len(validation.targets) < 50:
        return None
    binary = validation.predictions.shape[1] == 2
    stated = validation.predictions[:, 1] if binary else validation.predictions.max(axis=1)
    happened = validation.targets == 1 if binary else validation.predictions.argmax(axis=1) == validation.targets
    bins = [bin_idx for bin_idx in np.array_split(np.argsort(stated, kind="stable"), 10) if len(bin_idx)]
    x = np.array([stated[bin_idx].mean() for bin_idx in bins])
    y = np.array([happened[bin_idx].mean() for bin_idx in bins])
    gap = float(np.average(np.abs(x - y), weights=[len(bin_idx) for bin_idx in bins]))
    what = "probability of the second class" if binary else "probability of the predicted class"
    figure = new_figure(x=what, y="share observed", height=420)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": FAINT, "dash": "dot"}, hoverinfo="skip", showlegend=False
    )
    figure.add_scatter(
        x=shortened(x),
        y=shortened(y),
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 8},
        customdata=[len(bin_idx) for bin_idx in bins],
        hovertemplate="stated %{x:.1%}, observed %{y:.1%}<br>%{customdata} rows<extra></extra>",
        showlegend=False,
    )
    low = min(0.0 if binary else float(min(x.min(), y.min())) - 0.05, 0.9)
    figure.update_xaxes(range=[low, 1.02], tickformat=".0%")
    figure.update_yaxes(range=[low, 1.02], tickformat=".0%")
    caption = (
        "Ten groups of equally many validation rows, by stated probability; on the dotted line statements hold exactly."
    )
    return Panel("calibration", f"Stated probabilities are off by {gap:.1%} on average.", caption, figure)


def regression_panels(validation: Validation, names: Sequence[str]) -> list[Panel]:
    """Predicted against true, and residuals, for each target (the first four)."""
    targets = _as_columns(validation.targets)
    predictions = _as_columns(validation.predictions)
    panels = []
    for i in range(min(targets.shape[1], MAX_TARGETS)):
        of_target = f" of {names[i]}" if i < len(names) and targets.shape[1] > 1 else ""
        anchor = f"-{i}" if i else ""
        panels += _target_panels(targets[:, i], predictions[:, i], of_target, anchor, validation.source)
    return panels


def _target_panels(true: FloatArray, predicted: FloatArray, of_target: str, anchor: str, source: str) -> list[Panel]:
    shown = np.sort(np.random.default_rng(0).permutation(len(true))[:MAX_SCATTER])
    variance = float(((true - true.mean()) ** 2).sum())
    explained = 1 - float(((true - predicted) ** 2).sum()) / variance if variance else float("nan")
    rmse = float(np.sqrt(((true - predicted) ** 2).mean()))
    rows = f"{counted(len(shown), 'validation row')}" + (f" drawn from {len(true)}" if len(shown) < len(true) else "")
    figure = _truth_figure(true[shown], predicted[shown])
    title = f"Predictions{of_target} explain {explained:.1%} of the variance."
    first = Panel(f"truth{anchor}", title, f"Predictions of {source} on {rows}; the dotted line is exact.", figure)
    bias = float((predicted - true).mean())
    side = "high" if bias > 0 else "low"
    spread = f"RMSE is {number(rmse, 3)}, and predictions are {number(abs(bias), 2)} too {side} on average."
    second = Panel(
        f"residuals{anchor}",
        f"Residuals{of_target}: {spread}",
        "Residual = true − predicted, against the prediction; the dark line is the median in groups of equal size.",
        _residual_figure(predicted[shown], (true - predicted)[shown]),
    )
    return [first, second]


def _truth_figure(true: FloatArray, predicted: FloatArray) -> go.Figure:
    figure = new_figure(x="predicted", y="true", height=420, showlegend=False)
    _add_points(figure, predicted, true, "predicted %{x:.5g}, true %{y:.5g}<extra></extra>")
    ends = [float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))]
    figure.add_scatter(x=ends, y=ends, mode="lines", line={"color": MUTED, "dash": "dot"}, hoverinfo="skip")
    return figure


def _residual_figure(predicted: FloatArray, residual: FloatArray) -> go.Figure:
    figure = new_figure(x="predicted", y="residual", height=420, showlegend=False)
    figure.add_hline(y=0, line={"color": MUTED, "dash": "dot", "width": 1.5})
    _add_points(figure, predicted, residual, "predicted %{x:.5g}, residual %{y:.5g}<extra></extra>")
    bins = np.array_split(np.argsort(predicted, kind="stable"), min(12, max(len(predicted) // 8, 1)))
    figure.add_scatter(
        x=shortened([np.median(predicted[bin_idx]) for bin_idx in bins]),
        y=shortened([np.median(residual[bin_idx]) for bin_idx in bins]),
        mode="lines",
        line={"color": INK, "width": 2},
        hovertemplate="median residual %{y:.4g}<extra></extra>",
    )
    figure.update_layout(
        xaxis={"domain": [0, 0.84]},
        xaxis2={"domain": [0.86, 1], "showticklabels": False, "showgrid": False, "zeroline": False},
        bargap=0.05,
    )
    figure.add_histogram(y=shortened(residual), xaxis="x2", marker={"color": FAINT}, nbinsy=30, hoverinfo="skip")
    return figure


def _add_points(figure: go.Figure, x: FloatArray, y: FloatArray, hover: str) -> None:
    figure.add_scatter(
        x=shortened(x),
        y=shortened(y),
        mode="markers",
        marker={"color": ACCENT, "size": 5, "opacity": 0.45},
        hovertemplate=hover,
    )


def _as_columns(values: Array) -> FloatArray:
    return np.asarray(values, dtype=float).reshape(len(values), -1)


def _spread(n: int, most: int) -> IntArray:
    """Positions of at most `most` of `n` ordered points, evenly spread, both ends included."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
