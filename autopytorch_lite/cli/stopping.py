"""The options that say when to stop, and their texts as the plain data of `autopytorch_lite.stopping`."""

from __future__ import annotations

from typing import Any

import click

from autopytorch_lite.errors import BudgetError, UnknownNameError

_NONE = "none"


def _rules(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[dict[str, Any]] | None:
    """The rules in RULE:ARGUMENT=VALUE,... texts; an empty list for "none", None if nothing was said."""
    if not texts:
        return None
    from autopytorch_lite.stopping import as_rules

    rules = [] if texts == (_NONE,) else [_rule(text) for text in texts]
    try:
        as_rules(rules)
    except (BudgetError, UnknownNameError) as error:
        raise click.BadParameter(str(error)) from error
    return rules


def _rule(text: str) -> dict[str, Any]:
    name, _, given = text.partition(":")
    pairs = [argument.partition("=") for argument in given.split(",") if argument]
    return {"rule": name.strip(), **{argument.strip(): _number(value, text) for argument, _, value in pairs}}


def _number(value: str, text: str) -> float:
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        message = f"give RULE:ARGUMENT=NUMBER,... such as NoImprovement:n_evaluations=50, not {text!r}."
        raise click.BadParameter(message) from None


def _percentile(context: click.Context, parameter: click.Parameter, value: float | None) -> dict[str, Any] | None:
    """The rule for single trainings."""
    return None if value is None else {"rule": "PercentileStopping", "percentile": value}


STOP = click.option(
    "--stop",
    multiple=True,
    callback=_rules,
    metavar="RULE",
    help="Further rule that ends the search; repeatable, the first that says so ends it: "
    "NoImprovement:n_evaluations=50, NoImprovement:seconds=600, TargetLoss:value=0.03, MaxEvaluations:n=200, "
    "TimeLimit:seconds=3600 (earlier sittings included).",
)
STOP_ANEW = click.option(
    "--stop",
    multiple=True,
    callback=_rules,
    metavar="RULE",
    help="Rules instead of those the run was started with, as for fit; 'none' for none.",
)
STOP_TRIALS = click.option(
    "--stop-trials",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    callback=_percentile,
    metavar="PERCENTILE",
    help="End trainings early whose loss is worse than this percentile of the others' at the same epoch; 50: the "
    "median.",
)
