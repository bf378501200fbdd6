"""Figures of who won and why: families over time, what each did, and how alike the members err."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autopytorch_lite.history.summary import proposals
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.report.families import Families, Family, error_correlations, families
from autopytorch_lite.report.record import RunRecord
from autopytorch_lite.report.tables import ensemble_weights
from autopytorch_lite.report.theme import (
    FAINT,
    GRID,
    INK,
    MUTED,
    QUALITATIVE,
    Panel,
    color_scale,
    loss_axis,
    new_figure,
    shortened,
)
from autopytorch_lite.report.words import counted, duration, loss_words, measured

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_FAMILIES = len(QUALITATIVE)
MAX_MEMBERS = 14
_GAP = 0.035


def family_panels(run: RunRecord) -> list[Panel]:
    """Who won, and why; empty where a single family, or none, took part."""
    if run.task is None:
        return []
    found = families(run)
    shown = [family for family in found.families if family.ok][:MAX_FAMILIES]
    panels = [race_panel(run, shown), shares_panel(run, found, shown)] if len(shown) > 1 else []
    members = diversity_panel(run)
    return [*panels, members] if members is not None else panels


def race_panel(run: RunRecord, shown: Sequence[Family]) -> Panel:
    """Best validation loss of each family over search time, and the ensemble's."""
    figure = new_figure(x="seconds of search", y=run.loss_label, height=440, hovermode="closest")
    end = max(line.finished_s for family in shown for line in family.ok)
    drawn: list[float] = []
    for family, color in zip(shown, QUALITATIVE, strict=False):
        times = [line.finished_s for line in family.ok]
        losses = list(np.minimum.accumulate([float(line.loss or 0.0) for line in family.ok]))
        drawn += losses
        _add_steps(figure, times, losses, end, name=family.name, color=color, width=2.0)
    steps = (run.ensemble or {}).get("trajectory") or []
    if steps:
        losses = [step["loss"] for step in steps]
        drawn += losses
        times = [step["seconds"] for step in steps]
        _add_steps(figure, times, losses, end, name="ensemble", color=INK, width=3.2)
    figure.update_yaxes(**loss_axis(drawn))
    figure.update_xaxes(rangemode="tozero")
    of_ensemble = "; the thick one is the ensemble" if steps else ""
    if steps and run.calibration.changes(run.metric):
        of_ensemble += ", whose probabilities are calibrated, even those of a single model"
    caption = f"Each line is the best model of a family so far, at whatever budget{of_ensemble}."
    return Panel("families", _race_sentence(run, shown), caption, figure)


def _add_steps(
    figure: go.Figure,
    times: Sequence[float],
    losses: Sequence[float],
    end: float,
    *,
    name: str,
    color: str,
    width: float,
) -> None:
    """A descending staircase, with a point where it gets better."""
    better = [i for i, loss in enumerate(losses) if i == 0 or loss < losses[i - 1]]
    figure.add_scatter(
        x=shortened([*(times[i] for i in better), max(end, times[-1])]),
        y=shortened([*(losses[i] for i in better), losses[better[-1]]]),
        mode="lines+markers",
        line={"shape": "hv", "color": color, "width": width},
        marker={"color": color, "size": [5] * len(better) + [0]},
        name=name,
        hovertemplate=f"{name}: %{{y:.5g}}<br>after %{{x:.0f}} s<extra></extra>",
    )


def _race_sentence(run: RunRecord, shown: Sequence[Family]) -> str:
    best = shown[0].best
    assert best is not None
    sentence = f"The best single model is of the family {shown[0].name}: {loss_words(run.metric)} {measured(best.loss)}"
    sentence += f" after {duration(best.finished_s)}"
    second = shown[1].best
    if second is not None:
        sentence += f"; {shown[1].name} comes next with {measured(second.loss)}"
    return f"{sentence}."


def shares_panel(run: RunRecord, found: Families, shown: Sequence[Family]) -> Panel:
    """A row for each family: trials, share of the time, best loss, weight, and what the ensemble loses without it."""
    columns = _columns(run, found, shown)
    figure = new_figure(height=96 + 34 * len(shown), showlegend=False, bargap=0.38)
    figure.update_layout(margin={"l": 20, "r": 24, "t": 44, "b": 16})
    width = (1 - _GAP * (len(columns) - 1)) / len(columns)
    for position, (heading, values, text) in enumerate(columns):
        _add_column(figure, position, width, heading, shown, values, text)
    return Panel("shares", _shares_sentence(found, shown), _shares_caption(run, found), figure, min_width=760)


Column = tuple[str, list[float], Callable[[float], str]]


def _columns(run: RunRecord, found: Families, shown: Sequence[Family]) -> list[Column]:
    """Heading, a value for each family, and how it is written."""
    total_s = sum(family.seconds for family in found.families) or 1.0
    losses = [float(family.best.loss) if family.best and family.best.loss is not None else 0.0 for family in shown]
    columns: list[Column] = [
        (f"best {loss_words(run.metric)}", losses, measured),
        ("trials", [float(family.n_trials) for family in shown], lambda value: f"{value:.0f}"),
        ("share of time", [family.seconds / total_s for family in shown], _percent),
    ]
    if run.ensemble is not None:
        columns.append(("weight in the ensemble", [family.weight for family in shown], _percent))
    if found.loss is not None:
        rises = [0.0 if family.loss_without is None else max(family.loss_without - found.loss, 0.0) for family in shown]
        columns.append(("ensemble without it", rises, lambda value: f"+{value:.2g}" if value else "as good"))
    return columns


def _percent(value: float) -> str:
    if not value:
        return "–"
    return f"{value:.0%}" if value >= 0.005 else "<1%"


def _add_column(
    figure: go.Figure,
    position: int,
    width: float,
    heading: str,
    shown: Sequence[Family],
    values: Sequence[float],
    text: Callable[[float], str],
) -> None:
    """One column of bars; that of losses has points, as a bar of a loss would have no natural beginning."""
    suffix = "" if position == 0 else str(position + 1)
    start = position * (width + _GAP)
    names, colors = [family.name for family in shown], list(QUALITATIVE[: len(shown)])
    words = [text(value) for value in values]
    common = {
        "y": names,
        "x": shortened(values),
        "xaxis": f"x{suffix}",
        "text": words,
        "hovertemplate": "%{y}<br>" + heading + ": %{text}<extra></extra>",
    }
    axis: dict[str, Any] = {
        "showgrid": False,
        "showticklabels": False,
        "ticks": "",
        "showline": False,
        "zeroline": False,
    }
    if position == 0:
        low, high = min(values), max(values)
        figure.add_scatter(
            **common, mode="markers+text", marker={"color": colors, "size": 11}, textposition="middle right"
        )
        spread = (high - low) or abs(high) or 1.0
        axis |= {"range": [low - 0.12 * spread, high + 0.85 * spread]}
    else:
        figure.add_bar(**common, orientation="h", marker={"color": colors}, textposition="outside", cliponaxis=False)
        axis |= {"range": [0, 1.45 * (max(values) or 1.0)]}
    figure.update_layout({f"xaxis{suffix}": {**axis, "domain": [start, start + width], "anchor": "y", "title": None}})
    figure.add_annotation(
        text=heading, x=start, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
        yshift=10, showarrow=False, font={"size": 12, "color": MUTED},
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=True, gridcolor=GRID, linecolor=FAINT, title=None)


def _shares_sentence(found: Families, shown: Sequence[Family]) -> str:
    in_ensemble = [family for family in shown if family.weight > 0]
    if not in_ensemble:
        return f"{counted(len(shown), 'family', 'families')} took part."
    heaviest = max(in_ensemble, key=lambda family: family.weight)
    sentence = f"Most weight in the ensemble has {heaviest.name}, {heaviest.weight:.0%}"
    if found.loss is None:
        return f"{sentence}."
    missed = max(in_ensemble, key=lambda family: family.loss_without or 0.0)
    if missed.loss_without is None or missed.loss_without <= found.loss:
        return f"{sentence}; without any one of its families it would be as good."
    losses = f"{measured(found.loss)} would become {measured(missed.loss_without)}"
    return f"{sentence}; it would miss {missed.name} most: {losses}."


def _shares_caption(run: RunRecord, found: Families) -> str:
    n_hidden = sum(not family.ok for family in found.families)
    caption = "Points: lower losses lie to the left. "
    if found.loss is not None:
        caption += "The last column is how much the loss rises when the ensemble is selected again without the family. "
    if n_hidden:
        caption += f"{counted(n_hidden, 'family', 'families')} without a result left out."
    return caption.strip()


def diversity_panel(run: RunRecord) -> Panel | None:
    """Correlations of the members' errors as a heat map; None with fewer than two members."""
    weights = ensemble_weights(run.ensemble) or {}
    proposed = proposals(run.lines)
    heaviest = [key for key in weights if key in proposed][:MAX_MEMBERS]
    names = {key: learner_of(proposed[key].config) for key in heaviest}
    keys = sorted(heaviest, key=lambda key: (-_weight_of_family(key, names, weights), names[key], -weights[key]))
    correlations = error_correlations(run, keys) if len(keys) > 1 else None
    if correlations is None:
        return None
    labels = [f"{names[key].removeprefix('neural: ').replace('_', ' ')} {key.config_id} @ {key.budget}" for key in keys]
    figure = new_figure(height=int(np.clip(140 + 42 * len(keys), 300, 720)))
    lowest = float(np.floor(10 * correlations.min()) / 10)
    figure.add_heatmap(
        z=[shortened(row, 3) for row in correlations],
        x=labels,
        y=labels,
        text=[["" if i == j else f"{value:.2f}" for j, value in enumerate(row)] for i, row in enumerate(correlations)],
        texttemplate="%{text}",
        textfont={"size": 11},
        colorscale=color_scale(),
        zmin=min(lowest, 0.9),
        zmax=1,
        xgap=1.5,
        ygap=1.5,
        showscale=False,
        hovertemplate="%{y}<br>%{x}<br>correlation of errors %{z:.3f}<extra></extra>",
    )
    quiet = {"type": "category", "showgrid": False, "showline": False, "ticks": "", "constrain": "domain"}
    figure.update_xaxes(**quiet, tickangle=-35, tickfont={"size": 11})
    figure.update_yaxes(**quiet, autorange="reversed", scaleanchor="x", tickfont={"size": 11})
    caption = (
        "Correlation of the members' errors on validation rows: dark pairs err alike, pale ones help each other. "
        "Members are named by learner, configuration @ epochs, and stand beside others of their family."
    )
    caption += f" Shown are the {MAX_MEMBERS} heaviest." if len(weights) > len(keys) else ""
    return Panel(
        "diversity", _diversity_sentence(correlations, labels), caption, figure, min_width=46 * len(keys) + 220
    )


def _weight_of_family(key: TrialKey, names: Mapping[TrialKey, str], weights: Mapping[TrialKey, float]) -> float:
    return sum(weights[other] for other in names if names[other] == names[key])


def _diversity_sentence(correlations: np.ndarray, labels: Sequence[str]) -> str:
    pairs = correlations[np.triu_indices(len(labels), 1)]
    i, j = divmod(int(np.argmin(correlations)), len(labels))
    mean = f"The members' errors correlate by {pairs.mean():.2f} on average"
    return f"{mean}; least alike are {labels[i]} and {labels[j]}, {correlations[i, j]:.2f}."
