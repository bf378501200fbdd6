"""Parallel coordinates of the configurations, over the hyperparameters that matter most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autopytorch_lite.history.summary import proposals
from autopytorch_lite.history.trial import Finished, Proposal, TrialKey
from autopytorch_lite.report.importance import loss_ranks, merged_configs, rank_hyperparameters
from autopytorch_lite.report.record import RunRecord
from autopytorch_lite.report.tables import evaluations
from autopytorch_lite.report.theme import INK, MUTED, Panel, new_figure, round_ticks, shortened
from autopytorch_lite.report.words import hyperparameter_words, loss_words, number
from autopytorch_lite.types import ConfigValue

MAX_AXES = 7
MAX_LINES = 600
MIN_CONFIGURATIONS = 4
_INACTIVE_GAP = 0.14
_MIN_TICK_GAP = 0.08


@dataclass(frozen=True)
class Axis:
    """One vertical axis of the drawing.

    Attributes:
        label: heading.
        positions: one per configuration, in axis units.
        ticks: where labels stand.
        tick_texts: the labels.
        span: lowest and highest position drawn.
    """

    label: str
    positions: list[float]
    ticks: list[float]
    tick_texts: list[str]
    span: tuple[float, float]


def configurations_panel(run: RunRecord) -> Panel | None:
    """One line per configuration across its most important hyperparameters, ending at its loss."""
    proposed = proposals(run.lines)
    ok = [line for line in evaluations(run.lines) if line.ok and line.loss is not None and line.key in proposed]
    shown = _one_per_configuration(ok)
    configs = dict(
        zip((line.key for line in ok), merged_configs([proposed[line.key].config for line in ok]), strict=True)
    )
    ranked = rank_hyperparameters(list(configs.values()), loss_ranks(ok))
    if len(shown) < MIN_CONFIGURATIONS or not ranked:
        return None
    names = [name for name, _ in ranked[:MAX_AXES]]
    axes = [hyperparameter_axis(name, [configs[line.key].get(name) for line in shown]) for name in names]
    axes.append(_loss_axis([float(line.loss or 0.0) for line in shown], loss_words(run.metric)))
    longest = max(len(text) for text in axes[0].tick_texts)
    figure = new_figure(height=460, margin={"l": max(70, 16 + 6 * longest), "r": 80, "t": 70, "b": 30})
    figure.add_parcoords(
        dimensions=[_dimension(axis) for axis in axes],
        line={"color": shortened(_order(shown)), "colorscale": _best_is_dark(), "cmin": 0, "cmax": 1},
        labelfont={"size": 12, "color": INK},
        tickfont={"size": 11, "color": MUTED},
        rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
        labelside="top",
        unselected={"line": {"color": "#dfe3e8", "opacity": 0.35}},
    )
    return Panel("configurations", _sentence(ranked), _caption(len(shown), ok, proposed), figure, min_width=900)


def _one_per_configuration(ok: Sequence[Finished]) -> list[Finished]:
    """The evaluation on the largest budget of each configuration, worst first, so that good lines are drawn on top."""
    largest: dict[int, Finished] = {}
    for line in sorted(ok, key=lambda line: line.key.budget):
        largest[line.key.config_id] = line
    best_first = sorted(largest.values(), key=lambda line: float(line.loss or 0.0))
    return best_first[:MAX_LINES][::-1]


def _order(shown: Sequence[Finished]) -> list[float]:
    losses = np.array([line.loss for line in shown], dtype=float)
    return list(losses.argsort().argsort() / max(len(losses) - 1, 1))


def hyperparameter_axis(name: str, values: Sequence[ConfigValue | None]) -> Axis:
    """The axis of one hyperparameter; None stands for inactive, and has its own place below all values."""
    active = [value for value in values if value is not None]
    if any(isinstance(value, str | bool) for value in active):
        axis = _level_axis(values, sorted({str(value) for value in active}))
    else:
        axis = _number_axis([None if value is None else float(value) for value in values])
    return Axis(_two_lines(hyperparameter_words(name)), *axis)


_Drawn = tuple[list[float], list[float], list[str], tuple[float, float]]


def _level_axis(values: Sequence[ConfigValue | None], levels: Sequence[str]) -> _Drawn:
    places = {level: float(i) for i, level in enumerate(levels)}
    texts = [level.lower() if level in ("True", "False") else level.replace("_", " ") for level in levels]
    positions = [None if value is None else places[str(value)] for value in values]
    return _with_inactive(positions, list(places.values()), texts, (0.0, max(len(levels) - 1.0, 1.0)))


def _number_axis(values: Sequence[float | None], log_from_ratio: float = 20.0) -> _Drawn:
    """Positions of numbers, logarithmic where the largest is `log_from_ratio` times the smallest, or more."""
    active = np.array([value for value in values if value is not None])
    low, high = float(active.min()), float(active.max())
    is_log = low > 0 and high / low >= log_from_ratio
    positions = [None if value is None else float(np.log10(value)) if is_log else value for value in values]
    distinct = np.unique(active)
    span = (float(np.log10(low)), float(np.log10(high))) if is_log else (low, high)
    ticks = [float(value) for value in distinct]
    places = [float(np.log10(tick)) if is_log else tick for tick in ticks]
    if len(ticks) > 1 and min(np.diff(places)) < _MIN_TICK_GAP * (span[1] - span[0]):
        ticks = round_ticks(low, high, is_log=is_log)
        places = [float(np.log10(tick)) if is_log else tick for tick in ticks]
    return _with_inactive(positions, places, [number(tick, 3) for tick in ticks], span)


def _with_inactive(
    positions: Sequence[float | None], ticks: list[float], texts: list[str], span: tuple[float, float]
) -> _Drawn:
    """Give configurations without the hyperparameter a place of their own below the others."""
    low, high = span
    if None not in positions:
        return [float(position or 0.0) for position in positions], ticks, texts, span
    below = low - _INACTIVE_GAP * ((high - low) or 1.0)
    placed = [below if position is None else position for position in positions]
    return placed, [below, *ticks], ["inactive", *texts], (below, high)


def _loss_axis(losses: Sequence[float], label: str) -> Axis:
    """The last axis; losses beyond the upper tail are drawn at its top, so that the good ones stay apart."""
    values = np.array(losses)
    top = float(np.quantile(values, 0.9))
    drawn = _number_axis([float(min(value, top)) for value in values], log_from_ratio=4.0)
    return Axis(_two_lines(label), *drawn)


def _dimension(axis: Axis) -> dict[str, object]:
    low, high = axis.span
    return {
        "label": axis.label,
        "values": shortened(axis.positions),
        "tickvals": shortened(axis.ticks),
        "ticktext": axis.tick_texts,
        "range": [low, high if high > low else low + 1.0],
    }


def _two_lines(text: str) -> str:
    words = text.split(" ")
    if len(text) <= 12 or len(words) == 1:
        return text
    cut = min(range(1, len(words)), key=lambda i: abs(len(" ".join(words[:i])) - len(text) / 2))
    return f"{' '.join(words[:cut])}<br>{' '.join(words[cut:])}"


def _best_is_dark() -> list[list[object]]:
    return [[0.0, "#0b2f52"], [0.25, "#1f6fb2"], [0.6, "#6aa6d4"], [1.0, "#bccbd8"]]


def _sentence(ranked: Sequence[tuple[str, float]]) -> str:
    """The finding: the strongest one or two hyperparameters, or that none stands out."""
    strong = [hyperparameter_words(name) for name, share in ranked[:2] if share >= 0.05]
    if not strong:
        return "No single hyperparameter stands out in this run."
    return f"Loss went most with the {' and the '.join(strong)}."


def _caption(n_shown: int, ok: Sequence[Finished], proposed: dict[TrialKey, Proposal]) -> str:
    n_all = len({proposed[line.key].config_id for line in ok})
    shown = f"all {n_all}" if n_shown == n_all else f"the best {n_shown} of {n_all}"
    return (
        f"One line per configuration ({shown}), dark for low loss, at its largest budget; axes are ordered by how much "
        "of the variation of loss ranks they explain. Drag along an axis to select. “Inactive” means that the "
        "configuration does not have the hyperparameter. This is association within one run, not proof of cause."
    )
