"""DEHB: differential evolution in the unit cube with Hyperband, asked and told.

DEHB 0.1.2 calls names of ConfigSpace that ConfigSpace 1.0 removed, so it gets the number of dimensions, and its points
are mapped here as ConfigSpace maps them: equal intervals for choices and integers, log scales as logs.
"""

import math
import tempfile
import warnings
from typing import Any

from dehb import DEHB
from peer_protocol import Evaluate, Task, active, lowest_budget, serve

warnings.simplefilter("ignore")


def optimise(task: Task, evaluate: Evaluate) -> None:
    """Ask, evaluate, tell."""
    dimensions = task["space"]["dimensions"]
    with tempfile.TemporaryDirectory() as folder:
        dehb = DEHB(
            f=_never_called,
            dimensions=len(dimensions),
            min_fidelity=lowest_budget(task),
            max_fidelity=task["budgets"][-1],
            eta=int(task["eta"]),
            seed=task["seed"],
            n_workers=1,
            output_path=folder,
            save_freq="end",
            log_level="ERROR",
        )
        while True:
            job = dehb.ask()
            point = {d["name"]: _value(d, float(u)) for d, u in zip(dimensions, job["config"], strict=True)}
            answer = evaluate(active(task, point), job["fidelity"])
            dehb.tell(job, {"fitness": answer["loss"], "cost": answer["seconds"]})


def _value(dimension: dict[str, Any], u: float) -> Any:
    if dimension["kind"] == "choice":
        choices = dimension["choices"]
        return choices[min(int(u * len(choices)), len(choices) - 1)]
    low, high = float(dimension["low"]), float(dimension["high"])
    if dimension["kind"] == "integer":
        low, high = low - 0.4999, high + 0.4999
    value = math.exp(math.log(low) + u * math.log(high / low)) if dimension["log"] else low + u * (high - low)
    if dimension["kind"] == "integer":
        return round(value)
    return min(max(value, dimension["low"]), dimension["high"])


def _never_called(*_: Any, **__: Any) -> Any:
    raise RuntimeError("DEHB is asked and told, so it must not evaluate anything itself, but it tried to.")


if __name__ == "__main__":
    serve(optimise)
