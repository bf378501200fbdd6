"""Our side of the conversation with a public searcher: answers evaluations, keeps time, ends the run."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import (
    AndConjunction,
    EqualsCondition,
    GreaterThanCondition,
    InCondition,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
)
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Constant,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from autopytorch_lite.history.lines import to_plain
from autopytorch_lite.types import Config
from benchmarks.hpo.anytime import Evaluation
from benchmarks.hpo.problems import Problem

DRIVERS = Path(__file__).parent / "drivers"
_N_MOST = 50_000
"""Evaluations of one run; a searcher that only repeats itself pays nothing and would never end."""
_N_LAST_LINES = 15


class PeerError(Exception):
    """A public searcher failed or does not support the problem; the message has its last words."""


class PeerProcess:
    """A process that runs one public searcher, several runs one after the other. Started when first needed.

    Args:
        python: the interpreter of its environment.
        driver: the script of `drivers` to run.
    """

    def __init__(self, python: Path, driver: Path):
        self._command = [str(python), str(driver)]
        self._process: subprocess.Popen[str] | None = None
        self._last_lines: deque[str] = deque(maxlen=_N_LAST_LINES)

    def send(self, message: Mapping[str, Any]) -> None:
        """Say something.

        Raises:
            PeerError: the process has ended.
        """
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def receive(self) -> dict[str, Any]:
        """Hear something.

        Raises:
            PeerError: the process has ended, or the searcher raised.
        """
        process = self._started()
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise self._ended()
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise PeerError(message["error"])
        return message

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            Thread(target=self._listen, args=(self._process,), daemon=True).start()
        return self._process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Keep the last lines of what goes to stderr."""
        assert process.stderr is not None
        self._last_lines.extend(process.stderr)

    def _ended(self) -> PeerError:
        code = None if self._process is None else self._process.wait()
        self._process = None
        return PeerError(f"The process ended with exit code {code}: {''.join(self._last_lines)}")


def run_peer(
    peer: PeerProcess,
    problem: Problem,
    seed: int,
    limit_s: float,
    prior_of: Callable[[Problem], Config] | None = None,
) -> tuple[list[Evaluation], list[float]]:
    """One run of a public searcher.

    Epochs that a configuration has been trained for are paid once: a larger budget pays the additional ones, a smaller
    or equal one nothing. An evaluation that would end after the limit does not count, and the run is over.

    Args:
        peer: its process.
        problem: what to search.
        seed: given to the searcher.
        limit_s: simulated seconds.
        prior_of: the configuration that the searcher is told to be good, if it can be told.

    Returns:
        The evaluations, and for each the milliseconds the searcher thought before it.

    Raises:
        PeerError: the searcher failed.
    """
    try:
        peer.send(
            {
                "space": describe(problem.space),
                "budgets": list(problem.budgets),
                "eta": problem.eta,
                "seed": seed,
                "prior": to_plain(dict(prior_of(problem))) if prior_of is not None else None,
            }
        )
        return _converse(peer, problem, limit_s)
    except BaseException:
        peer.close()
        raise


def _converse(peer: PeerProcess, problem: Problem, limit_s: float) -> tuple[list[Evaluation], list[float]]:
    evaluations: list[Evaluation] = []
    thinking_ms: list[float] = []
    paid: dict[frozenset[tuple[str, Any]], int] = {}
    now_s = 0.0
    while True:
        request = peer.receive()
        if "finished" in request:
            return evaluations, thinking_ms
        config, budget = request["config"], int(request["budget"])
        identity = frozenset(config.items())
        curve = problem.curve(config, budget)
        n_paid = min(paid.get(identity, 0), budget)
        seconds = float(curve.seconds[-1]) - (float(curve.seconds[n_paid - 1]) if n_paid else 0.0)
        if now_s + seconds > limit_s or len(evaluations) >= _N_MOST:
            peer.send({"stop": True})
            while "finished" not in peer.receive():
                pass
            return evaluations, thinking_ms
        paid[identity] = max(paid.get(identity, 0), budget)
        now_s += seconds
        loss = float(curve.losses[-1])
        evaluations.append(Evaluation(config, budget, loss, seconds, now_s))
        thinking_ms.append(float(request["thought_ms"]))
        peer.send({"loss": loss, "seconds": seconds})


def describe(space: ConfigurationSpace) -> dict[str, Any]:
    """A space as plain data, for ConfigSpace ("configspace") and for searchers with a space of their own.

    Raises:
        PeerError: a hyperparameter or a condition is of a kind that not every searcher can be told, or something is
            forbidden.
    """
    if space.forbidden_clauses:
        clauses = "; ".join(map(str, space.forbidden_clauses))
        raise PeerError(f"Not every public searcher knows forbidden clauses, but the space has: {clauses}.")
    return {
        "configspace": to_plain(space.to_serialized_dict()),
        "dimensions": [
            {"name": name, **_range(space[name]), "condition": _condition_of(space, name)} for name in space
        ],
    }


def _range(hyperparameter: Any) -> dict[str, Any]:
    values = _values_of(hyperparameter)
    if values:
        return {"kind": "choice", "choices": values}
    if not isinstance(hyperparameter, UniformIntegerHyperparameter | UniformFloatHyperparameter):
        raise PeerError(f"Public searchers cannot be told of {hyperparameter.name!r}: {hyperparameter}.")
    kind = "integer" if isinstance(hyperparameter, UniformIntegerHyperparameter) else "float"
    low, high, log = hyperparameter.lower, hyperparameter.upper, hyperparameter.log
    return {"kind": kind, "low": to_plain(low), "high": to_plain(high), "log": bool(log)}


def _values_of(hyperparameter: Any) -> list[Any]:
    """The values of a hyperparameter that has no range; empty for others."""
    if isinstance(hyperparameter, CategoricalHyperparameter):
        return to_plain(list(hyperparameter.choices))
    if isinstance(hyperparameter, OrdinalHyperparameter):
        return to_plain(list(hyperparameter.sequence))
    return [to_plain(hyperparameter.value)] if isinstance(hyperparameter, Constant) else []


def _condition_of(space: ConfigurationSpace, name: str) -> dict[str, Any] | None:
    conditions = [_condition(condition) for condition in space.parent_conditions_of[name]]
    return {"test": "all", "parts": conditions} if conditions else None


def _condition(condition: Any) -> dict[str, Any]:
    """A condition as plain data; `holds` of `peer_protocol` reads it."""
    if isinstance(condition, AndConjunction | OrConjunction):
        test = "all" if isinstance(condition, AndConjunction) else "any"
        return {"test": test, "parts": [_condition(part) for part in condition.components]}
    if type(condition) not in _TESTS:
        name, kind = condition.child.name, type(condition).__name__
        raise PeerError(f"Public searchers cannot be told the {kind} of {name!r}: {condition}.")
    test, parent = _TESTS[type(condition)], condition.parent
    value = condition.values if test == "in" else condition.value
    if test in ("less", "greater") and (values := _values_of(parent)):  # an order of its own, not that of the values
        test, value = "in", [known for known in values if condition.satisfied_by_value({parent.name: known})]
    return {"test": test, "parent": parent.name, "value": to_plain(value)}


_TESTS: dict[type, str] = {
    EqualsCondition: "equal",
    NotEqualsCondition: "not equal",
    InCondition: "in",
    LessThanCondition: "less",
    GreaterThanCondition: "greater",
}
