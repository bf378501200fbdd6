"""How many seconds an evaluation will take, predicted before it starts and corrected by those that have ended.

The prior is measured once (`python -m benchmarks.costs`) and shipped as `costs.json`: for each family of learners the
seconds that its operations take. What is seen on this machine and this table corrects it: the log of measured over
predicted seconds is taken as the sum of normal effects of the machine with the table, of the family, and of the
configuration, which is a Gaussian process with a covariance of three terms.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from autopytorch_lite.execution.work import Sizes, work
from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.types import Config, ConfigValue, FloatArray

PRIOR_FILE = Path(__file__).with_name("costs.json")

MACHINE_DEVIATION = 0.5
"""How machines, and what else runs on them, differ: standard deviation of the log of seconds."""
NOISE_DEVIATION = 0.15
"""How the same evaluation differs from time to time: standard deviation of the log of seconds."""
JITTER_S = 0.03
"""Seconds by which any evaluation may differ, which is much of a short one."""
MIN_S = 1e-3
"""No evaluation is predicted to take less."""
SAFETY = 1.3
"""Standard deviations between what is expected and what is relied on: nine of ten evaluations stay within it."""
LATENCY_S = 0.5
"""Seconds between a proposal and its evaluation, and between its end and when the search hears of it, at most."""
MAX_OBSERVATIONS = 200
"""So many evaluations, the latest, correct the prior."""
_MAX_REMEMBERED = 3000

Identity: TypeAlias = frozenset[tuple[str, ConfigValue]]


@dataclass(frozen=True)
class FamilyCosts:
    """What is known of a family of learners before a run.

    Attributes:
        seconds: kind of operation -> seconds that one takes.
        table_deviation: how tables differ from the prediction, standard deviation of the log of seconds.
        configuration_deviation: how configurations on one table differ from each other, likewise.
    """

    seconds: Mapping[str, float]
    table_deviation: float
    configuration_deviation: float

    def predict(self, amounts: Mapping[str, float]) -> float:
        """Seconds that so many operations take."""
        return max(sum(self.seconds.get(kind, 0.0) * amount for kind, amount in amounts.items()), MIN_S)


UNKNOWN = FamilyCosts({"fit": 0.05, "row epochs": 1e-7}, 1.5, 0.5)
"""What is assumed of learners that nothing is known of."""


def load_prior(path: Path = PRIOR_FILE) -> dict[str, FamilyCosts]:
    """What was measured, by family; see `UNKNOWN` for others."""
    families = json.loads(path.read_text(encoding="utf-8"))["families"]
    return {name: FamilyCosts(**facts) for name, facts in families.items()}


class EvaluationCosts:
    """Predicts the seconds of evaluations on one table, on one thread; a fold over the history.

    Args:
        sizes: what is trained on.
        prior: costs by family.
    """

    def __init__(self, sizes: Sizes, prior: Mapping[str, FamilyCosts]):
        self._sizes = sizes
        self._prior = prior
        self._log_prior = lru_cache(maxsize=_MAX_REMEMBERED)(self._log_prior_of)
        self._open: dict[TrialKey, Proposal] = {}
        self._correction = _Correction(prior)

    def tell(self, line: Line) -> None:
        """Take in one history line. Only evaluations that ended well, or at their limit, say how long they take."""
        if isinstance(line, Proposed):
            self._open[line.key] = line.proposal
        elif line.status is not Status.CANCELLED:
            proposal = self._open.pop(line.key)
            if line.status in (Status.OK, Status.TIMEOUT) and line.seconds > 0:
                self._observe(proposal, line)

    def expected_s(self, config: Config, budget: int, resume_from: int | None = None) -> float:
        """Seconds to expect, the median.

        Args:
            config: what is trained.
            budget: epochs in total.
            resume_from: epochs that it has already; None: it begins anew.
        """
        return self._quantile_s(config, budget, resume_from, 0.0)

    def safe_s(self, config: Config, budget: int, resume_from: int | None = None) -> float:
        """Seconds within which it very likely has ended and is known to have; arguments as in `expected_s`."""
        return LATENCY_S + self._quantile_s(config, budget, resume_from, SAFETY)

    def _quantile_s(self, config: Config, budget: int, resume_from: int | None, deviations: float) -> float:
        identity = frozenset(config.items())
        family, log_prior = self._log_prior(identity, budget, resume_from)
        belief = self._correction.belief(family, identity)
        return math.exp(log_prior + belief.mean + deviations * belief.deviation)

    def _log_prior_of(self, identity: Identity, budget: int, resume_from: int | None) -> tuple[str, float]:
        """Family, and the log of the seconds that the prior says."""
        todo = work(dict(identity), self._sizes, budget, resume_from)
        return todo.family, math.log(self._prior.get(todo.family, UNKNOWN).predict(todo.amounts))

    def _observe(self, proposal: Proposal, line: Finished) -> None:
        identity = frozenset(proposal.config.items())
        family, log_prior = self._log_prior(identity, proposal.budget, proposal.resume_from)
        surprise = math.log(line.seconds) - log_prior
        if line.status is Status.TIMEOUT:  # it would have taken longer
            surprise = max(surprise, self._correction.belief(family, identity).mean)
        noise = math.hypot(NOISE_DEVIATION, JITTER_S / line.seconds)
        self._correction.observe(family, identity, surprise, noise)


class _Belief(NamedTuple):
    """What to expect of the log of measured over predicted seconds."""

    mean: float
    deviation: float


class _Solution(NamedTuple):
    """Of what was seen: numbers of families and configurations, the inverse of its covariances, and its weights."""

    families: FloatArray
    configurations: FloatArray
    precision: FloatArray
    weights: FloatArray


class _Correction:
    """The Gaussian process of surprises: logs of measured over predicted seconds.

    Families and configurations are numbered as they come, so that covariances are comparisons of arrays.
    """

    def __init__(self, prior: Mapping[str, FamilyCosts]):
        self._prior = prior
        self._number_of: dict[str | Identity, int] = {}
        self._seen: list[tuple[int, int, float, float]] = []  # family, configuration, surprise, noise
        self._variances: list[tuple[float, float]] = []  # of the family and the configuration of each
        self._beliefs: dict[tuple[str, int], _Belief] = {}
        self._solved: _Solution | None = None

    def observe(self, family: str, identity: Identity, surprise: float, noise: float) -> None:
        """Take in an evaluation; `noise` is a standard deviation."""
        numbers = (self._number(family), self._number(identity))
        self._seen = [*self._seen, (*numbers, surprise, noise)][-MAX_OBSERVATIONS:]
        self._variances = [*self._variances, self._variances_of(family)][-MAX_OBSERVATIONS:]
        self._beliefs.clear()
        self._solved = None

    def belief(self, family: str, identity: Identity) -> _Belief:
        """What to expect of a configuration; those that were never trained are alike within a family."""
        key = (family, self._number_of.get(identity, -1))
        if key not in self._beliefs:
            self._beliefs[key] = self._posterior(*key)
        return self._beliefs[key]

    def _number(self, what: str | Identity) -> int:
        return self._number_of.setdefault(what, len(self._number_of))

    def _variances_of(self, family: str) -> tuple[float, float]:
        costs = self._prior.get(family, UNKNOWN)
        return costs.table_deviation**2, costs.configuration_deviation**2

    def _posterior(self, family: str, configuration: int) -> _Belief:
        of_family, of_configuration = self._variances_of(family)
        variance = MACHINE_DEVIATION**2 + of_family + of_configuration
        mean = 0.0
        if self._seen:
            seen = self._solution()
            shared = MACHINE_DEVIATION**2 + of_family * (seen.families == self._number_of.get(family, -1))
            shared = shared + of_configuration * (seen.configurations == configuration)
            mean = float(shared @ seen.weights)
            variance -= float(shared @ seen.precision @ shared)
        return _Belief(mean, math.sqrt(max(variance, 0.0) + NOISE_DEVIATION**2))

    def _solution(self) -> _Solution:
        if self._solved is None:
            families, configurations, surprises, noises = np.array(self._seen).T
            of_family, of_configuration = np.array(self._variances).T
            covariances = MACHINE_DEVIATION**2 + of_family * (families[:, None] == families)
            covariances += of_configuration * (configurations[:, None] == configurations)
            covariances[np.diag_indices(len(noises))] += noises**2
            precision = cho_solve(cho_factor(covariances, check_finite=False), np.eye(len(noises)))
            self._solved = _Solution(families, configurations, precision, precision @ surprises)
        return self._solved
