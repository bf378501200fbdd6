"""What a run found in a few lines of text: ensemble, failures, scores on rows kept aside."""

from __future__ import annotations

from collections import Counter

from autopytorch_lite.ensemble.calibration import Calibration
from autopytorch_lite.history.summary import proposals
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.report.record import RunRecord
from autopytorch_lite.report.tables import ensemble_weights, evaluations
from autopytorch_lite.report.words import counted, listed, loss_words, measured, metric_words

_NOTABLE = 0.02
"""Temperatures that differ less from 1 are not worth a line."""


def ensemble_text(run: RunRecord) -> str:
    """The ensemble's loss beside that of the best single model, then each member with its weight; "" without one."""
    weights = ensemble_weights(run.ensemble)
    if run.ensemble is None or not weights:
        return ""
    best = run.ensemble.get("best_single") or {}
    predict_ms = run.ensemble.get("predict_ms")
    lines = [
        f"Ensemble of {counted(len(weights), 'model')}: validation {loss_words(run.metric)} "
        f"{measured(run.ensemble['loss'])}, best single model {measured(best.get('loss'))}"
        + ("" if predict_ms is None else f", up to {predict_ms:.3g} ms for one row")
    ]
    lines += _calibration_words(run.calibration)
    n_refitted = len(run.ensemble.get("refitted", ()))
    if n_refitted:
        lines.append(f"  {n_refitted} of them {'is' if n_refitted == 1 else 'are'} trained again on all rows")
    proposed = proposals(run.lines)
    for key, weight in weights.items():
        learner = learner_of(proposed[key].config) if key in proposed else ""
        lines.append(
            f"  {weight:.3f}  configuration {key.config_id} at {counted(key.budget, 'epoch')}  {learner}".rstrip()
        )
    return "\n".join(lines)


def _calibration_words(calibration: Calibration) -> list[str]:
    """A line, if there is a correction worth one."""
    done = []
    if abs(calibration.temperature - 1) > _NOTABLE:
        surer = "surer" if calibration.temperature < 1 else "less sure"
        done.append(f"{surer} (temperature {calibration.temperature:.2f})")
    if abs(calibration.shift) > _NOTABLE:
        higher = "higher" if calibration.shift > 0 else "lower"
        done.append(f"{higher} for the second class (log odds {calibration.shift:+.2f})")
    return [f"  its probabilities are made {' and '.join(done)} than the mean of its models"] if done else []


def failures_text(run: RunRecord) -> str:
    """How many evaluations failed, by kind; "" if none did."""
    ended = evaluations(run.lines)
    failed = Counter(line.status.value for line in ended if line.failed)
    if not failed:
        return ""
    kinds = listed(dict(failed.most_common()))
    return f"{sum(failed.values())} of {counted(len(ended), 'evaluation')} failed: {kinds}"


def holdout_text(run: RunRecord) -> str:
    """Scores on the rows kept aside; "" if there are none."""
    if run.holdout is None or not run.holdout.get("metrics"):
        return ""
    scores = ", ".join(f"{metric_words(name)} {measured(value)}" for name, value in run.holdout["metrics"].items())
    return f"Held-out score on {counted(int(run.holdout['rows']), 'row')}: {scores}"
