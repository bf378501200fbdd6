"""Ensembles that keep a limit on the time of one row: selected by what is known, measured, selected again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from autopytorch_lite.ensemble.latency import Latency, Timing
from autopytorch_lite.ensemble.library import Ensemble, Library, reweighted
from autopytorch_lite.ensemble.predictor import EnsemblePredictor

MAX_ROUNDS = 6
"""Ensembles that are loaded and measured, at most."""


class Served(NamedTuple):
    """An ensemble, ready to predict, and how long it takes."""

    ensemble: Ensemble
    predictor: EnsemblePredictor
    timing: Timing


def select_under_limit(
    library: Library,
    latency: Latency,
    *,
    select: Callable[[Latency], Ensemble],
    load: Callable[[Ensemble], EnsemblePredictor],
    rows: Sequence[Any],
    out_of_time: Callable[[], bool] = lambda: False,
) -> Served:
    """The best ensemble whose measured time for one row is within the limit; if there is none, the fastest one tried.

    Each ensemble that is loaded corrects what is known of its members and of the machine, and thereby the next
    selection; there is none once a selection repeats itself.

    Args:
        library: the candidates.
        latency: the limit; what is measured is added to it.
        select: an ensemble for what is known.
        load: its models.
        rows: raw tables of one row each, like those that will be predicted.
        out_of_time: asked before another ensemble is tried.
    """
    tried: list[Served] = []
    while len(tried) < MAX_ROUNDS and not (tried and out_of_time()):
        ensemble = select(latency)
        if any(served.ensemble.members == ensemble.members for served in tried):
            break
        tried.append(_measured(ensemble, load(ensemble), rows))
        latency.learn(tried[-1].timing)
    within = [served for served in tried if latency.total_ms(served.timing) <= latency.limit_ms]
    if within:
        best = min(within, key=lambda served: served.ensemble.loss)
    else:
        best = _pruned(min(tried, key=lambda served: served.timing.total), library, latency, rows)
    return best._replace(ensemble=replace(best.ensemble, predict_ms=latency.total_ms(best.timing)))


def _measured(ensemble: Ensemble, predictor: EnsemblePredictor, rows: Sequence[Any]) -> Served:
    return Served(ensemble, predictor, predictor.timing(rows))


def _pruned(served: Served, library: Library, latency: Latency, rows: Sequence[Any]) -> Served:
    """The same ensemble without the members that take most time for their weight, as many as it takes."""
    while latency.total_ms(served.timing) > latency.limit_ms and len(served.ensemble.members) > 1:
        left, timing = list(served.ensemble.members), served.timing
        while latency.total_ms(timing) > latency.limit_ms and len(left) > 1:
            worst = max(left, key=lambda member: served.timing.members[member.key] / member.weight)
            left.remove(worst)
            timing = replace(timing, total=timing.total - timing.members[worst.key])
        members = reweighted(left)
        ensemble = replace(served.ensemble, members=members, loss=library.loss(members, served.ensemble.calibration))
        served = _measured(ensemble, served.predictor.with_weights(dict(members)), rows)
    return served
