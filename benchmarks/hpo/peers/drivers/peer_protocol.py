"""The public searcher's side of the conversation. Runs in its environment, so it uses the standard library only.

One run: {"space", "budgets", "eta", "seed", "prior"} comes in; then {"config", "budget", "thought_ms"} goes out and
{"loss", "seconds"} comes back, until {"stop"} comes; {"finished"} ends the run. {"error"} ends it as well.
"""

from __future__ import annotations

import json
import operator
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Task = dict[str, Any]
Answer = dict[str, float]
Evaluate = Callable[[Mapping[str, Any], float], Answer]


class StopRun(BaseException):
    """The run is over. Not an Exception, so that no searcher takes it for a crashed evaluation."""


def serve(optimise: Callable[[Task, Evaluate], None]) -> None:
    """Run `optimise(task, evaluate)` for every task that comes in, until the input ends."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the searcher prints must not be taken for an answer

    def send(message: Mapping[str, Any]) -> None:
        output.write(json.dumps(message, default=_plain) + "\n")
        output.flush()

    for line in sys.stdin:
        try:
            optimise(json.loads(line), _evaluator(send))
            send({"finished": True})
        except StopRun:
            send({"finished": True})
        except Exception:
            send({"error": traceback.format_exc()})


def _evaluator(send: Callable[[Mapping[str, Any]], None]) -> Evaluate:
    start = time.perf_counter()

    def evaluate(config: Mapping[str, Any], budget: float) -> Answer:
        nonlocal start
        thought_ms = 1000 * (time.perf_counter() - start)
        send({"config": dict(config), "budget": round(budget), "thought_ms": thought_ms})
        line = sys.stdin.readline()
        if not line:
            raise SystemExit
        answer = json.loads(line)
        if "stop" in answer:
            raise StopRun
        start = time.perf_counter()
        return dict(answer)

    return evaluate


def _plain(value: Any) -> Any:
    """Numpy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else str(value)


def active(task: Task, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what its own values switch off; parents come before their children."""
    kept: dict[str, Any] = {}
    for dimension in task["space"]["dimensions"]:
        if holds(dimension["condition"], kept):
            kept[dimension["name"]] = config[dimension["name"]]
    return kept


def holds(condition: Mapping[str, Any] | None, config: Mapping[str, Any]) -> bool:
    """Whether a condition holds among the active values before it; of an inactive parent none does."""
    if condition is None:
        return True
    if condition["test"] in ("all", "any"):
        parts = [holds(part, config) for part in condition["parts"]]
        return all(parts) if condition["test"] == "all" else any(parts)
    parent = condition["parent"]
    return parent in config and bool(_TESTS[condition["test"]](config[parent], condition["value"]))


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "equal": operator.eq,
    "not equal": operator.ne,
    "in": lambda value, values: value in values,
    "less": operator.lt,
    "greater": operator.gt,
}


def lowest_budget(task: Task) -> float:
    """The lowest rung in the searchers' own arithmetic, max / eta^k, a little less so that rounding loses no rung."""
    return float(task["budgets"][-1]) / float(task["eta"]) ** (len(task["budgets"]) - 1) * (1 - 1e-9)
