"""What every searcher must do, whatever it decides. Call `check_searcher` from the tests of each implementation.

`make()` returns a new searcher, the same each time it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from ConfigSpace import Configuration, ConfigurationSpace

from autopytorch_lite.history.trial import (
    Done,
    Finished,
    Line,
    Proposal,
    Proposed,
    Status,
    TrialKey,
    line_from_json,
)
from autopytorch_lite.search import Searcher
from autopytorch_lite.search.base import KnowsContinuable

MakeSearcher = Callable[[], Searcher]


def check_searcher(make: MakeSearcher, space: ConfigurationSpace, seed: int = 0, n_proposals: int = 60) -> None:
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
