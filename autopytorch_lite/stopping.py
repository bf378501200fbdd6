"""When to stop: rules that end a search, and one that ends single trials early.

A rule is a value without state. What it looks at is a fold over the history, so a continued run stops where the
uninterrupted one would have.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from itertools import accumulate
from typing import Any, TypeAlias

from autopytorch_lite.errors import BudgetError, UnknownNameError
from autopytorch_lite.history.summary import Incumbent
from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey

POLL_S = 0.5
"""A rule that is a plain function is asked at least so often, in seconds."""


@dataclass
class BestLoss:
    """The best loss at one budget.

    Attributes:
        loss: infinite until a trial succeeds.
        found_s: search time at which it was found; until then, at which the first trial of the budget ended.
        n_since: evaluations of that budget that ended since then, however they ended.
    """

    loss: float = math.inf
    found_s: float = 0.0
    n_since: int = 0


class Standing:
    """Where a search stands: a fold over its history, and the time.

    Args:
        max_budget: the largest budget that the search will use; None if that is unknown.

    Attributes:
        lines: the history so far.
        elapsed_s: search time now, in seconds, summed over sittings.
        n_finished: evaluations that ended, cancelled ones aside.
        incumbent: the best trial on the largest budget so far; None before the first success.
    """

    def __init__(self, max_budget: int | None = None):
        self.max_budget = max_budget
        self.lines: list[Line] = []
        self.elapsed_s = 0.0
        self.n_finished = 0
        self.incumbent: Incumbent | None = None
        self._proposals: dict[TrialKey, Proposal] = {}
        self._best: dict[int, BestLoss] = {}

    def tell(self, line: Line) -> None:
        """Take in one line of the history."""
        self.lines.append(line)
        if isinstance(line, Proposed):
            self._proposals[line.key] = line.proposal
        elif line.status is not Status.CANCELLED:
            self.n_finished += 1
            self._take_in(line)

    def proposal(self, key: TrialKey) -> Proposal:
        """What was proposed under a key."""
        return self._proposals[key]

    def best(self, budget: int | None = None) -> BestLoss | None:
        """The best loss at a budget, by default at the largest one of the search; None if nothing has ended there."""
        if budget is None:
            budget = max(self._best, default=0) if self.max_budget is None else self.max_budget
        return self._best.get(budget)

    def _take_in(self, line: Finished) -> None:
        best = self._best.setdefault(line.key.budget, BestLoss(found_s=line.finished_s))
        best.n_since += 1
        if not line.ok or line.loss is None:
            return
        if line.loss < best.loss:
            self._best[line.key.budget] = BestLoss(line.loss, line.finished_s)
        proposal = self._proposals[line.key]
        candidate = Incumbent(proposal.config_id, proposal.config, proposal.budget, line.loss)
        if self.incumbent is None or candidate.rank < self.incumbent.rank:
            self.incumbent = candidate


class StoppingRule(ABC):
    """Says when a search is over."""

    @abstractmethod
    def reason(self, standing: Standing) -> str | None:
        """Why the search is over, a phrase for people; None: it goes on."""

    def deadline_s(self, standing: Standing) -> float:
        """Search time, in seconds, at which it is over even if no evaluation ends before; infinite: never."""
        return math.inf

    def n_useful(self, standing: Standing) -> float:
        """How many more evaluations, running ones included, can count before it is over; infinite: any number."""
        return math.inf

    @property
    def must_be_polled(self) -> bool:
        """Whether it may say so at any moment, and not only after an evaluation or at its deadline."""
        return False


@dataclass(frozen=True)
class TimeLimit(StoppingRule):
    """Stop at a time limit; what runs then is cancelled.

    Attributes:
        seconds: of search time after `since_s`, on the executor's clock.
        since_s: search time at which the limit begins to count; 0: sittings before this one count too.
    """

    seconds: float
    since_s: float = 0.0

    def __post_init__(self) -> None:
        _check("time_limit", self.seconds, "a number of seconds", 0)

    def reason(self, standing: Standing) -> str | None:
        """See `StoppingRule`."""
        return f"time limit of {self.seconds:g} seconds" if standing.elapsed_s >= self.deadline_s(standing) else None

    def deadline_s(self, standing: Standing) -> float:
        """See `StoppingRule`."""
        return self.since_s + self.seconds


@dataclass(frozen=True)
class MaxEvaluations(StoppingRule):
    """Stop after so many evaluations, failed ones included and cancelled ones aside."""

    n: int

    def __post_init__(self) -> None:
        _check("The number of evaluations (n_trials)", self.n, "a number of evaluations", 0)

    def reason(self, standing: Standing) -> str | None:
        """See `StoppingRule`."""
        return f"limit of {_evaluations(self.n)}" if standing.n_finished >= self.n else None

    def n_useful(self, standing: Standing) -> float:
        """See `StoppingRule`."""
        return self.n - standing.n_finished


@dataclass(frozen=True)
class TargetLoss(StoppingRule):
    """Stop once a loss is reached.

    Attributes:
        value: stop at this loss or below it.
        budget: budget of the trials that count; None: the largest of the search.
    """

    value: float
    budget: int | None = None

    def reason(self, standing: Standing) -> str | None:
        """See `StoppingRule`."""
        best = standing.best(self.budget)
        reached = best is not None and best.loss <= self.value
        return f"target loss of {self.value:g} reached" if reached else None


@dataclass(frozen=True)
class NoImprovement(StoppingRule):
    """Stop when the best loss has not improved for some evaluations or for some time, whichever comes first.

    Attributes:
        n_evaluations: evaluations of one budget without an improvement; None: any number.
        seconds: search time without one; None: any time.
        budget: budget of the trials that count; None: the largest of the search.
    """

    n_evaluations: int | None = None
    seconds: float | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        if self.n_evaluations is None and self.seconds is None:
            raise BudgetError("NoImprovement needs n_evaluations, seconds, or both; both are None.")
        _check("n_evaluations", self.n_evaluations, "a number of evaluations", 1)
        _check("seconds", self.seconds, "a number of seconds", 0)

    def reason(self, standing: Standing) -> str | None:
        """See `StoppingRule`."""
        best = standing.best(self.budget)
        if best is not None and self.n_evaluations is not None and best.n_since >= self.n_evaluations:
            return f"no improvement in {_evaluations(self.n_evaluations)}"
        is_late = standing.elapsed_s >= self.deadline_s(standing)
        return f"no improvement in {self.seconds:g} seconds" if is_late else None

    def deadline_s(self, standing: Standing) -> float:
        """See `StoppingRule`."""
        best = standing.best(self.budget)
        return math.inf if best is None or self.seconds is None else best.found_s + self.seconds


@dataclass(frozen=True)
class FunctionRule(StoppingRule):
    """A plain function as a rule: it is asked between evaluations and every `POLL_S` seconds.

    Attributes:
        function: given the `Standing`; true, or a phrase that says why, ends the search.
    """

    function: Callable[[Standing], object]

    def reason(self, standing: Standing) -> str | None:
        """See `StoppingRule`."""
        answer = self.function(standing)
        if not answer:
            return None
        return answer if isinstance(answer, str) else f"{getattr(self.function, '__name__', 'a rule')} said so"

    @property
    def must_be_polled(self) -> bool:
        """It must."""
        return True


@dataclass(frozen=True)
class AnyOf(StoppingRule):
    """Stop as soon as one of several rules says so; without rules, never."""

    rules: tuple[StoppingRule, ...]

    def reason(self, standing: Standing) -> str | None:
        """The reason of the first rule that has one."""
        reasons = (rule.reason(standing) for rule in self.rules)
        return next((reason for reason in reasons if reason is not None), None)

    def deadline_s(self, standing: Standing) -> float:
        """The earliest of all."""
        return min((rule.deadline_s(standing) for rule in self.rules), default=math.inf)

    def n_useful(self, standing: Standing) -> float:
        """The smallest of all."""
        return min((rule.n_useful(standing) for rule in self.rules), default=math.inf)

    @property
    def must_be_polled(self) -> bool:
        """Whether one of them must."""
        return any(rule.must_be_polled for rule in self.rules)


OneRule: TypeAlias = StoppingRule | Callable[[Standing], object] | Mapping[str, Any]
Stop: TypeAlias = OneRule | Sequence[OneRule]
"""What people may give: a rule, a function of the standing, a rule as plain data, or several of them."""


def as_rules(stop: Stop | None) -> tuple[StoppingRule, ...]:
    """The rules in what people may give.

    Raises:
        TypeError: something in it is neither a rule nor a function.
    """
    if stop is None:
        return ()
    given: Sequence[object]
    given = stop if isinstance(stop, Sequence) else (stop,)
    return tuple(_as_rule(rule) for rule in given)


def _as_rule(rule: object) -> StoppingRule:
    if isinstance(rule, Mapping):
        return _from_plain(rule, (TimeLimit, MaxEvaluations, TargetLoss, NoImprovement))
    if isinstance(rule, StoppingRule):
        return rule
    if callable(rule) and not isinstance(rule, type):
        return FunctionRule(rule)
    raise TypeError(f"A stopping rule is a StoppingRule or a function of the standing, got {rule!r}.")


class TrialLimits(ABC):
    """Limits on the learning curves of trials to come: a fold over the history."""

    @abstractmethod
    def tell(self, line: Line) -> None:
        """Take in one line of the history."""

    @abstractmethod
    def stop_above(self, proposal: Proposal) -> tuple[float | None, ...]:
        """For each epoch from 1 on the loss above which the trial ends early; None, or beyond the end: no limit."""


class TrialStopping(ABC):
    """Says when a single trial is ended before its budget."""

    @abstractmethod
    def begin(self) -> TrialLimits:
        """The fold of a search that begins."""


@dataclass(frozen=True)
class PercentileStopping(TrialStopping):
    """End a trial whose best loss so far is worse than a percentile of what other configurations had at that epoch.

    The limits of a trial are computed when it is proposed and are part of its history line. Configurations that were
    ended early keep counting with their best loss, so that a trial is compared with all others and not only with those
    that survived.

    Attributes:
        percentile: of the others' losses, between 0 and 100; 50: trials below the median end, 90: the worst tenth.
        min_trials: no limit at an epoch that fewer other configurations have reached.
        grace_epochs: no limit in these first epochs.

    Source: Golovin et al. (2017), "Google Vizier", section 3.2.2, the median rule; Ax's percentile early stopping.
    """

    percentile: float = 50.0
    min_trials: int = 5
    grace_epochs: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise BudgetError(f"percentile must be between 0 and 100, got {self.percentile!r}.")
        _check("min_trials", self.min_trials, "a number of trials", 1)
        _check("grace_epochs", self.grace_epochs, "a number of epochs", 0)

    def begin(self) -> TrialLimits:
        """See `TrialStopping`."""
        return _PercentileLimits(self)


class _PercentileLimits(TrialLimits):
    """For each epoch the sorted best losses so far of the configurations that have reached it."""

    def __init__(self, rule: PercentileStopping):
        self._rule = rule
        self._losses: list[list[float]] = []
        self._n_known: dict[int, int] = {}

    def tell(self, line: Line) -> None:
        """Add the epochs of a configuration that were not known; one that has ended keeps its best loss."""
        if isinstance(line, Proposed) or not line.curve or line.status not in (Status.OK, Status.STOPPED):
            return
        best = list(accumulate((math.inf if loss != loss else loss for loss in line.curve), min))
        best += [best[-1]] * (line.key.budget - len(best))
        self._losses += [[] for _ in range(len(best) - len(self._losses))]
        for epoch in range(self._n_known.get(line.key.config_id, 0), len(best)):
            insort(self._losses[epoch], best[epoch])
        self._n_known[line.key.config_id] = len(best)

    def stop_above(self, proposal: Proposal) -> tuple[float | None, ...]:
        """See `TrialLimits`; there is none at the last epoch, where ending early saves nothing."""
        n_free = max(self._rule.grace_epochs, proposal.resume_from or 0)
        limits = [self._limit(losses) for losses in self._losses[n_free : proposal.budget - 1]]
        while limits and limits[-1] is None:
            limits.pop()
        return (*(None for _ in range(n_free)), *limits) if limits else ()

    def _limit(self, losses: Sequence[float]) -> float | None:
        """The percentile, interpolated as NumPy does; None for too few losses."""
        if len(losses) < self._rule.min_trials:
            return None
        place = self._rule.percentile / 100 * (len(losses) - 1)
        below = math.floor(place)
        low, high = losses[below], losses[math.ceil(place)]
        limit = low if low == high else low + (high - low) * (place - below)
        return limit if math.isfinite(limit) else None


def as_trial_stopping(given: TrialStopping | Mapping[str, Any] | None) -> TrialStopping | None:
    """The rule for single trials, also from plain data.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(given, Mapping):
        return _from_plain(given, (PercentileStopping,))
    if given is None or isinstance(given, TrialStopping):
        return given
    raise TypeError(f"stop_trials must be None or a rule such as PercentileStopping(), got {given!r}.")


def to_plain(given: Any) -> Any:
    """Rules as plain data, which `as_rules` and `as_trial_stopping` read; what is no rule of this module stays."""
    if isinstance(given, list | tuple):
        return [to_plain(rule) for rule in given]
    known = (TimeLimit, MaxEvaluations, TargetLoss, NoImprovement, PercentileStopping)
    return {"rule": type(given).__name__, **asdict(given)} if isinstance(given, known) else given


def _from_plain(data: Mapping[str, Any], kinds: Sequence[type]) -> Any:
    """Inverse of `to_plain` of one rule.

    Raises:
        UnknownNameError: there is no rule of that name, or it has no argument of some name.
        BudgetError: an argument that it needs is missing.
    """
    by_name = {kind.__name__: kind for kind in kinds}
    name = str(data.get("rule"))
    if name not in by_name:
        raise UnknownNameError("stopping rule", name, list(by_name))
    arguments = {key: value for key, value in data.items() if key != "rule"}
    known = {field.name: field for field in fields(by_name[name])}
    for key in arguments:
        if key not in known:
            raise UnknownNameError(f"argument of {name}", key, known)
    missing = [key for key, field in known.items() if field.default is MISSING and key not in arguments]
    if missing:
        raise BudgetError(f"{name} needs {' and '.join(map(repr, missing))}.")
    return by_name[name](**arguments)


def _evaluations(n: int) -> str:
    return f"{n} evaluation" if n == 1 else f"{n} evaluations"


def _check(name: str, value: float | None, what: str, least: float) -> None:
    if value is not None and not value >= least:
        raise BudgetError(f"{name} must be None or {what}, at least {least}, got {value!r}.")
