"""Figures of the search: incumbent over time, learning curves, ensemble weights, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autopytorch_lite.history.summary import open_proposals, proposals
from autopytorch_lite.history.trial import Finished, Proposal, Status, TrialKey
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.report.record import RunRecord
from autopytorch_lite.report.tables import Incumbent, ensemble_weights, evaluations, incumbents
from autopytorch_lite.report.theme import (
    ACCENT,
    FAILURE,
    INK,
    MUTED,
    WARM,
    Panel,
    budget_colors,
    loss_axis,
    new_figure,
    round_ticks,
    shortened,
)
from autopytorch_lite.report.words import counted, duration, listed, loss_words, measured

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_POINTS = 2000
MAX_CURVES = 120
LONG = 30
"""Epochs, from which on their axis is logarithmic."""


def incumbent_panel(run: RunRecord) -> Panel | None:
    """Loss of the incumbent and of the ensemble over search time, on top of every evaluation."""
    found = incumbents(run.lines)
    if not found:
        return None
    ok = [line for line in evaluations(run.lines) if line.ok and line.loss is not None]
    figure = new_figure(x="seconds of search", y=run.loss_label, hovermode="closest")
    _add_evaluations(figure, ok, proposals(run.lines))
    end = max(line.finished_s for line in ok)
    times = [step.seconds for step in found]
    losses = shortened([step.loss for step in found])
    figure.add_scatter(
        x=shortened([*times, end]),
        y=[*losses, losses[-1]],
        mode="lines",
        line={"shape": "hv", "color": INK, "width": 2.2},
        name="incumbent",
        text=[
            f"configuration {step.key.config_id} at {counted(step.key.budget, 'epoch')}" for step in [*found, found[-1]]
        ],
        hovertemplate="incumbent: %{y:.5g}<br>%{text}<br>after %{x:.0f} s<extra></extra>",
    )
    trajectory = _add_trajectory(figure, run, end)
    figure.update_yaxes(**loss_axis([*(line.loss for line in ok), *trajectory]))
    figure.update_xaxes(rangemode="tozero")
    title = _best_sentence(run, found[-1], min(ok, key=lambda line: float(line.loss or 0.0)))
    caption = (
        "Points are evaluations, darker for larger budgets. The line is the incumbent: the best on the largest budget "
        "so far, so it may rise when the first trial on a larger budget ends."
    )
    return Panel("incumbent", title, caption, figure)


def _best_sentence(run: RunRecord, incumbent: Incumbent, best: Finished) -> str:
    """The finding: a search over a function ends with the incumbent, one over tables may use any budget."""
    words = loss_words(run.metric)
    if run.task is None:
        budget, loss, after_s = incumbent.key.budget, incumbent.loss, incumbent.seconds
    else:
        budget, loss, after_s = best.key.budget, float(best.loss or 0.0), best.finished_s
    what, epochs = "configuration" if run.task is None else "model", counted(budget, "epoch")
    title = f"The best {what} has {words} {measured(loss)} at {epochs}, found after {duration(after_s)}"
    if run.ensemble:
        title += f"; the ensemble reaches {measured(run.ensemble['loss'])}"
    return f"{title}."


def _add_evaluations(figure: go.Figure, ok: Sequence[Finished], proposed: dict[TrialKey, Proposal]) -> None:
    shown = sorted(ok, key=lambda line: line.loss or 0.0)[:MAX_POINTS]
    colors = budget_colors([line.key.budget for line in shown])
    for budget, color in colors.items():
        of_budget = [line for line in shown if line.key.budget == budget]
        figure.add_scatter(
            x=shortened([line.finished_s for line in of_budget]),
            y=shortened([line.loss for line in of_budget]),
            mode="markers",
            marker={"color": color, "size": 7, "opacity": 0.85, "line": {"color": "white", "width": 0.7}},
            name=counted(budget, "epoch"),
            text=[_trial_words(line.key, proposed) for line in of_budget],
            hovertemplate="%{text}<br>%{y:.5g} after %{x:.0f} s<extra></extra>",
        )


def _trial_words(key: TrialKey, proposed: dict[TrialKey, Proposal]) -> str:
    proposal = proposed.get(key)
    learner = learner_of(proposal.config) if proposal else ""
    return f"configuration {key.config_id}, {learner}" if learner else f"configuration {key.config_id}"


def _add_trajectory(figure: go.Figure, run: RunRecord, end: float) -> list[float]:
    steps = (run.ensemble or {}).get("trajectory") or []
    if not steps:
        return []
    losses = shortened([step["loss"] for step in steps])
    figure.add_scatter(
        x=shortened([*(step["seconds"] for step in steps), max(end, steps[-1]["seconds"])]),
        y=[*losses, losses[-1]],
        mode="lines",
        line={"shape": "hv", "color": WARM, "width": 2.2},
        name="ensemble",
        customdata=[step["n_members"] for step in [*steps, steps[-1]]],
        hovertemplate="ensemble of %{customdata}: %{y:.5g}<br>after %{x:.0f} s<extra></extra>",
    )
    return losses


def curves_panel(run: RunRecord) -> Panel | None:
    """One learning curve per configuration, coloured by the largest budget it was given; failed ones end in a cross."""
    ended = evaluations(run.lines)
    longest = _longest_curves(ended)
    if not longest:
        return None
    shown = sorted(longest.values(), key=lambda line: min(line.curve))[:MAX_CURVES]
    proposed = proposals(run.lines)
    figure = new_figure(x="epoch", y=run.loss_label, height=420)
    reached = [line.key.budget for line in shown]
    for budget, color in budget_colors(reached).items():
        of_budget = [line for line in shown if line.key.budget == budget]
        _add_curves(figure, of_budget, proposed, color=color, name=f"up to {counted(budget, 'epoch')}")
    figure.update_traces(opacity=0.9 if len(shown) <= 30 else 0.55)
    _add_failed_ends(figure, ended, shown)
    if (n_epochs := max(len(line.curve) for line in shown)) > LONG:
        figure.update_xaxes(type="log", tickvals=round_ticks(1, n_epochs, is_log=True))
    figure.update_yaxes(**loss_axis(np.concatenate([line.curve for line in shown])))
    n_stopped = sum(line.status is Status.STOPPED for line in shown)
    n_long = sum(line.key.budget == max(reached) and line.status is not Status.STOPPED for line in shown)
    most = counted(max(reached), "epoch")
    title = f"{counted(n_long, 'configuration')} of {len(longest)} earned the largest budget, {most}."
    if n_long == len(shown):
        title = f"Every configuration was trained for {most}."
    caption = "Each line is one configuration, ending where its budget ended; a cross marks an evaluation that failed."
    if n_stopped:
        caption += f" {counted(n_stopped, 'training was', 'trainings were')} ended early by a stopping rule."
    if len(longest) > len(shown):
        caption += f" Shown are the best {len(shown)}."
    return Panel("curves", title, caption, figure)


def _longest_curves(ended: Iterable[Finished]) -> dict[int, Finished]:
    """The evaluation with the longest finite curve of each configuration."""
    longest: dict[int, Finished] = {}
    for line in ended:
        if not line.curve or not np.isfinite(line.curve).any():
            continue
        known = longest.get(line.key.config_id)
        if known is None or len(line.curve) >= len(known.curve):
            longest[line.key.config_id] = line
    return longest


def _add_curves(
    figure: go.Figure, lines: Sequence[Finished], proposed: dict[TrialKey, Proposal], *, color: str, name: str
) -> None:
    """All curves of one budget as one trace, with gaps between them."""
    x: list[int | None] = []
    y: list[float | None] = []
    which: list[str] = []
    for line in lines:
        epochs = _thinned(len(line.curve))
        x += [*(int(epoch) + 1 for epoch in epochs), None]
        y += [*(_finite_or_gap(line.curve[epoch]) for epoch in epochs), None]
        which += [_trial_words(line.key, proposed)] * (len(epochs) + 1)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines" if max(len(line.curve) for line in lines) > 1 else "markers",
        line={"color": color, "width": 1.4},
        marker={"color": color, "size": 6},
        name=name,
        text=which,
        hovertemplate="%{text}<br>epoch %{x}: %{y:.5g}<extra></extra>",
    )


def _thinned(n_epochs: int, most: int = 120) -> Sequence[int]:
    """Epochs to draw: all of a short curve, spread evenly over a long one, the last always included."""
    if n_epochs <= most:
        return range(n_epochs)
    return [int(epoch) for epoch in np.unique(np.linspace(0, n_epochs - 1, most).round())]


def _finite_or_gap(value: float) -> float | None:
    return shortened([value])[0] if np.isfinite(value) else None


def _add_failed_ends(figure: go.Figure, ended: Sequence[Finished], shown: Sequence[Finished]) -> None:
    curves = {line.key.config_id: line for line in shown}
    ends = []
    for line in ended:
        drawn = curves.get(line.key.config_id)
        if line.failed and drawn is not None:
            finite = [(i + 1, loss) for i, loss in enumerate(drawn.curve) if np.isfinite(loss)]
            ends.append(
                (*finite[-1], f"configuration {line.key.config_id}: {line.status.value} at budget {line.key.budget}")
            )
    if not ends:
        return
    x, y, text = zip(*ends, strict=True)
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"symbol": "x", "size": 9, "color": FAILURE},
        name="failed",
        text=text,
        hovertemplate="%{text}<extra></extra>",
    )


def ensemble_panel(run: RunRecord) -> Panel | None:
    """Weights of the ensemble's members."""
    weights = ensemble_weights(run.ensemble)
    if not weights or run.ensemble is None:
        return None
    proposed = proposals(run.lines)
    losses = {line.key: line.loss for line in evaluations(run.lines)}
    shown = list(weights.items())[:25][::-1]
    labels = [_member_words(key, proposed) for key, _ in shown]
    figure = new_figure(x="weight", height=90 + 30 * len(shown))
    figure.add_bar(
        y=labels,
        x=shortened([weight for _, weight in shown]),
        orientation="h",
        marker={"color": ACCENT},
        text=[f"{weight:.1%}" for _, weight in shown],
        textposition="outside",
        cliponaxis=False,
        customdata=[measured(losses.get(key)) for key, _ in shown],
        hovertemplate="%{y}<br>weight %{x:.3f}, own loss %{customdata}<extra></extra>",
    )
    figure.update_layout(bargap=0.35, showlegend=False)
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", range=[0, 1.15 * max(weights.values())])
    figure.update_yaxes(ticks="", showgrid=False, tickfont={"size": 12})
    return Panel("ensemble", _ensemble_sentence(run, weights, proposed), _ensemble_caption(run, len(weights)), figure)


def _ensemble_sentence(run: RunRecord, weights: dict[TrialKey, float], proposed: dict[TrialKey, Proposal]) -> str:
    heaviest, weight = next(iter(weights.items()))
    if len(weights) == 1:
        return f"The ensemble is one model: {_member_words(heaviest, proposed)}."
    name = _member_words(heaviest, proposed)
    return f"The ensemble mixes {len(weights)} models; the heaviest, {name}, has {weight:.0%}."


def _ensemble_caption(run: RunRecord, n_members: int) -> str:
    caption = "Bars are named by learner, configuration @ epochs. Weights by selection on validation predictions"
    n_candidates = (run.ensemble or {}).get("n_candidates")
    if n_candidates:
        caption += f", from {counted(int(n_candidates), 'candidate')}"
    return f"{caption}." + (" Shown are the 25 heaviest." if n_members > 25 else "")


def _member_words(key: TrialKey, proposed: dict[TrialKey, Proposal]) -> str:
    proposal = proposed.get(key)
    learner = learner_of(proposal.config).removeprefix("neural: ") if proposal else ""
    return f"{learner} {key.config_id} @ {key.budget}".strip()


def failures_panel(run: RunRecord) -> Panel:
    """Evaluations by how they ended, failures split by kind; a sentence alone where nothing failed."""
    ended = evaluations(run.lines)
    failed = Counter(line.status.value for line in ended if line.failed)
    still_open = open_proposals(run.lines)
    if not failed:
        return Panel("failures", f"None of the {counted(len(ended), 'evaluation')} failed.", "", None)
    proposed = proposals(run.lines)
    kinds = [kind for kind, _ in failed.most_common()][::-1]
    figure = new_figure(x="evaluations", height=110 + 34 * len(kinds), barmode="stack", bargap=0.35)
    for learner, color in zip(_learners(ended, proposed), _learner_colors(), strict=False):
        of_learner = Counter(line.status.value for line in ended if _learner(line, proposed) == learner and line.failed)
        figure.add_bar(
            y=kinds,
            x=[of_learner[kind] for kind in kinds],
            orientation="h",
            name=learner or "failed",
            showlegend=bool(learner),
            marker={"color": color},
            hovertemplate=f"{learner}<br>%{{y}}: %{{x}}<extra></extra>",
        )
    figure.update_xaxes(rangemode="tozero", tickformat="d", dtick=_whole_ticks(max(failed.values())))
    figure.update_yaxes(ticks="", showgrid=False)
    share = sum(failed.values()) / max(len(ended), 1)
    n_failed = sum(failed.values())
    title = (
        f"{n_failed} of {counted(len(ended), 'evaluation')} failed ({share:.0%}): {listed(dict(failed.most_common()))}."
    )
    by_what = "kind and learner" if any(_learners(ended, proposed)) else "kind"
    caption = f"Failures by {by_what}. A failed evaluation costs its time and is told to the search as a failure."
    if still_open:
        caption += f" {counted(len(still_open), 'evaluation')} had no end yet."
    return Panel("failures", title, caption, figure)


def _learner(line: Finished, proposed: dict[TrialKey, Proposal]) -> str:
    proposal = proposed.get(line.key)
    return learner_of(proposal.config) if proposal else ""


def _learners(ended: Iterable[Finished], proposed: dict[TrialKey, Proposal]) -> list[str]:
    counts = Counter(_learner(line, proposed) for line in ended if line.failed)
    return [learner for learner, _ in counts.most_common()]


def _learner_colors() -> list[str]:
    return [FAILURE, "#d98a92", MUTED, WARM, "#c3cad3", "#7a6a4f", "#e9c9cc", "#8a5fae"]


def _whole_ticks(largest: int) -> int | Any:
    return max(1, -(-largest // 8))
