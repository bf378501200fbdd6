"""What every searcher must do, whatever it decides. Call `check_searcher` from the tests of each implementation.

`make()` returns a new searcher, the same each time it is called. For tests over random spaces and histories there is
`check_any_history(make, space, events)`, `space` from `tests.search.spaces.spaces()` and `events` from
`histories()`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from ConfigSpace import Configuration, ConfigurationSpace
from hypothesis import strategies as st

from autopytorch_lite.history.trial import (
    Done,
    Finished,
    Line,
    Proposal,
    Proposed,
    Status,
    TrialKey,
    Wait,
    line_from_json,
)
from autopytorch_lite.search import Searcher
from autopytorch_lite.search.base import KnowsContinuable
from autopytorch_lite.search.sampling import ConfigurationSampler

MakeSearcher = Callable[[], Searcher]


def check_searcher(make: MakeSearcher, space: ConfigurationSpace, seed: int = 0, n_proposals: int = 40) -> None:
    """Run all checks on one kind of searcher."""
    assert isinstance(make(), Searcher)
    for n_workers, failure_rate in ((1, 0.0), (4, 0.3), (3, 1.0)):
        lines = simulate(
            make(), n_proposals, n_workers=n_workers, failure_rate=failure_rate, rng=np.random.default_rng(seed)
        )
        check_proposals(lines, space)
        check_trials(lines)
        check_replay(make, lines)
        check_continuable(make(), lines)
    check_contradictions(make)
    check_cancelled(make)


def simulate(
    searcher: Searcher,
    n_proposals: int,
    *,
    n_workers: int = 1,
    failure_rate: float = 0.0,
    cancel_rate: float = 0.1,
    loss: Callable[[Proposal], float] | None = None,
    rng: np.random.Generator,
) -> list[Line]:
    """Lines of a run in which workers finish in random order, fail at random, and are now and then cancelled.

    Asks twice for everything and demands the same answer. Ends when the searcher is done or has proposed enough.
    """
    lines: list[Line] = []
    running: list[Proposal] = []

    def tell(line: Line) -> None:
        searcher.tell(line)
        lines.append(line)

    def finish_one() -> None:
        proposal = running.pop(int(rng.integers(len(running))))
        if rng.random() < cancel_rate:
            running.append(proposal)
            tell(Finished(proposal.key, Status.CANCELLED))
        elif rng.random() < failure_rate:
            tell(Finished(proposal.key, Status(str(rng.choice(["crashed", "diverged", "timeout", "memory"])))))
        else:
            tell(Finished(proposal.key, loss=float(rng.random()) if loss is None else loss(proposal)))

    n_told = 0
    while n_told < n_proposals:
        answer = searcher.ask()
        assert searcher.ask() == answer, "asking changed the searcher"
        if isinstance(answer, Proposal) and len(running) < n_workers:
            tell(Proposed(answer))
            running.append(answer)
            n_told += 1
        elif running:
            finish_one()
        else:
            assert isinstance(answer, Done), f"nothing is running, but the answer is {answer}"
            break
    while running:
        finish_one()
    return lines


@dataclass(frozen=True)
class Event:
    """One thing that happens in a run.

    Attributes:
        what: "ask": the searcher's proposal is started; "user": a trial outside of brackets is started; else the status
            with which a running trial ends.
        which: number of the running trial, modulo how many there are; of a user's trial, the seed of its configuration.
        loss: of a trial that ends well, or is stopped early.
    """

    what: str
    which: int = 0
    loss: float = 0.0


def histories(max_size: int = 80, *, user: bool = True) -> st.SearchStrategy[list[Event]]:
    """Random events: several open trials, out-of-order ends, failures, cancellations, ties, a user's own trials.

    Args:
        max_size: largest number of events; the smallest is half of it.
        user: whether there may be trials that the searcher did not propose.
    """
    return st.builds(
        _random_events,
        n=st.integers(max_size // 2, max_size),
        share_of_starts=st.sampled_from([0.3, 0.5, 0.7]),
        share_of_failures=st.sampled_from([0.0, 0.2, 0.5]),
        user=st.booleans() if user else st.just(False),
        seed=st.integers(0, 2**32 - 1),
    )


def _random_events(n: int, share_of_starts: float, share_of_failures: float, user: bool, seed: int) -> list[Event]:
    rng = np.random.default_rng(seed)
    failures = ["crashed", "timeout", "diverged", "memory", "stopped", "cancelled"]

    def what() -> str:
        if rng.random() < share_of_starts:
            return "user" if user and rng.random() < 0.1 else "ask"
        return str(rng.choice(failures)) if rng.random() < share_of_failures else "ok"

    return [Event(what(), int(rng.integers(10)), round(float(rng.normal()), 1)) for _ in range(n)]


def check_any_history(
    make: MakeSearcher, space: ConfigurationSpace, events: Sequence[Event], n_prefixes: int = 6
) -> list[Line]:
    """Play events on a searcher and check its proposals and trials, and that replay of prefixes goes on as it did.

    Args:
        make: makes the searcher.
        space: what it searches.
        events: from `histories()`.
        n_prefixes: how many prefixes are told to new searchers, evenly spread; the whole is always one of them.

    Returns:
        The lines of the run.
    """
    lines, answers = _play(make(), space, events)
    check_proposals(lines, space)
    check_trials(lines)
    check_continuable(make(), lines)
    for n_lines in {round(i * len(lines) / n_prefixes) for i in range(1, n_prefixes + 1)}:
        replayed = make()
        for line in lines[:n_lines]:
            replayed.tell(line_from_json(json.loads(json.dumps(line.to_json()))))
        assert replayed.ask() == answers[n_lines], f"after {n_lines} of {len(lines)} lines"
    return lines


def _play(
    searcher: Searcher, space: ConfigurationSpace, events: Sequence[Event]
) -> tuple[list[Line], list[Proposal | Wait | Done]]:
    """The lines of a run, and what the searcher answered before the first and after each of them."""
    lines: list[Line] = []
    answers = [searcher.ask()]
    running: list[Proposal] = []
    for event in events:
        line = _next_line(event, answers[-1], running, space, _n_configs(lines))
        if line is None:
            continue
        searcher.tell(line)
        lines.append(line)
        answers.append(searcher.ask())
        assert searcher.ask() == answers[-1], "asking changed the searcher"
        if isinstance(answers[-1], Done) and not running:
            break
        assert running or not isinstance(answers[-1], Wait), "nothing is running, but the searcher waits"
    return lines, answers


def _next_line(
    event: Event, answer: Proposal | Wait | Done, running: list[Proposal], space: ConfigurationSpace, n_configs: int
) -> Line | None:
    """The line an event adds, None if it cannot happen now; keeps `running` up to date."""
    if event.what in ("ask", "user"):
        proposal = answer if event.what == "ask" else _user_trial(event, space, n_configs)
        if not isinstance(proposal, Proposal):
            return None
        running.append(proposal)
        return Proposed(proposal)
    if not running:
        return None
    proposal = running[event.which % len(running)]
    status = Status(event.what)
    if status is not Status.CANCELLED:
        running.remove(proposal)
    return Finished(proposal.key, status, event.loss if status in (Status.OK, Status.STOPPED) else None)


def _user_trial(event: Event, space: ConfigurationSpace, n_configs: int) -> Proposal:
    config = ConfigurationSampler(space).sample(np.random.default_rng(event.which), lambda config: False)
    return Proposal(n_configs, config, 1 + event.which, origin="user")


def _n_configs(lines: Sequence[Line]) -> int:
    return sum(proposal.resume_from is None for proposal in proposals_of(lines))


def check_proposals(lines: Sequence[Line], space: ConfigurationSpace) -> None:
    """Every configuration is a point of the space, as ConfigSpace sees it, made of plain Python values."""
    for proposal in proposals_of(lines):
        Configuration(space, values=proposal.config).check_valid_configuration()
        assert all(type(value) in (str, int, float, bool) for value in proposal.config.values())
        assert proposal.origin in ("portfolio", "model", "random", "user")


def check_trials(lines: Sequence[Line]) -> None:
    """No trial is proposed twice, numbers have no gaps, and what is continued has finished well."""
    configs: dict[int, dict] = {}
    finished: dict[TrialKey, Finished] = {}
    proposed: set[TrialKey] = set()
    for line in lines:
        if isinstance(line, Finished):
            finished[line.key] = line
            continue
        proposal = line.proposal
        assert proposal.key not in proposed
        proposed.add(proposal.key)
        if proposal.resume_from is None:
            assert proposal.config_id == len(configs)
            configs[proposal.config_id] = proposal.config
        else:
            assert proposal.resume_from < proposal.budget
            assert finished[TrialKey(proposal.config_id, proposal.resume_from)].ok
            assert proposal.config == configs[proposal.config_id]


def check_replay(make: MakeSearcher, lines: Sequence[Line]) -> None:
    """After any prefix of the lines, read back from JSON, a new searcher proposes what this one proposed."""
    replayed = make()
    for line in lines:
        if isinstance(line, Proposed):
            assert replayed.ask() == line.proposal
        replayed.tell(line_from_json(line.to_json()))
    for n_lines in {0, 1, len(lines) // 3, len(lines) // 2, len(lines) - 1, len(lines)}:
        check_restart(make, lines, n_lines)


def check_continuable(searcher: Searcher, lines: Sequence[Line]) -> None:
    """A trial that is continued was continuable from its end until its continuation has ended."""
    assert isinstance(searcher, KnowsContinuable)
    needed_by = {
        line.key: TrialKey(line.key.config_id, line.proposal.resume_from)
        for line in lines
        if isinstance(line, Proposed) and line.proposal.resume_from is not None
    }
    closed: set[TrialKey] = set()
    for line in lines:
        searcher.tell(line)
        if isinstance(line, Finished) and line.status is not Status.CANCELLED:
            closed.add(line.key)
        needed = {key for continuation, key in needed_by.items() if key in closed and continuation not in closed}
        assert needed <= searcher.continuable()


def check_restart(make: MakeSearcher, lines: Sequence[Line], n_lines: int) -> None:
    """A searcher that is told n lines without ever being asked goes on as the uninterrupted one did."""
    searcher = make()
    for line in lines[:n_lines]:
        searcher.tell(line)
    for line in lines[n_lines : n_lines + 5]:
        if isinstance(line, Proposed):
            assert searcher.ask() == line.proposal
        searcher.tell(line)


def check_contradictions(make: MakeSearcher) -> None:
    """Lines that contradict the past are refused, the message names the trial, and nothing changes."""
    searcher = make()
    first = searcher.ask()
    assert isinstance(first, Proposal)
    _check_refused(searcher, Finished(first.key, loss=0.0))
    other = Proposal(first.config_id + 7, first.config, first.budget, bracket=first.bracket, rung=first.rung)
    _check_refused(searcher, Proposed(other))
    searcher.tell(Proposed(first))
    _check_refused(searcher, Proposed(first))
    _check_refused(searcher, Finished(TrialKey(first.config_id, first.budget + 1), loss=0.0))
    searcher.tell(Finished(first.key, loss=0.0))
    _check_refused(searcher, Finished(first.key, loss=0.0))


def _check_refused(searcher: Searcher, line: Line) -> None:
    answer = searcher.ask()
    with pytest.raises(ValueError, match=str(line.key)):
        searcher.tell(line)
    assert searcher.ask() == answer


def check_cancelled(make: MakeSearcher) -> None:
    """A cancelled trial stays open: it can finish later, and what is proposed is as if it had not been cancelled."""
    plain, cancelled = make(), make()
    first = plain.ask()
    assert isinstance(first, Proposal)
    for searcher in (plain, cancelled):
        searcher.tell(Proposed(first))
    cancelled.tell(Finished(first.key, Status.CANCELLED))
    assert cancelled.ask() == plain.ask()
    for searcher in (plain, cancelled):
        searcher.tell(Finished(first.key, loss=0.5))
    assert cancelled.ask() == plain.ask()


def proposals_of(lines: Sequence[Line]) -> list[Proposal]:
    """The proposals among the lines, in order."""
    return [line.proposal for line in lines if isinstance(line, Proposed)]
