"""What an earlier run has to tell a new one: observations for its searcher, or a matrix of one task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import HistoryError, SpaceError, UnknownNameError
from autopytorch_lite.history.store import HistoryStore, RunDirectory, read_json
from autopytorch_lite.history.trial import EARLIER_RUN, Finished, Line, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.portfolio.matrix import PerformanceMatrix
from autopytorch_lite.portfolio.records import Results, results_of
from autopytorch_lite.space.activity import SpaceWalk


@dataclass(frozen=True)
class EarlierRun:
    """The history of a run with its space.

    Attributes:
        space: what was searched.
        lines: the history.
    """

    space: ConfigurationSpace
    lines: tuple[Line, ...]

    @classmethod
    def load(cls, run_dir: str | PathLike[str]) -> EarlierRun:
        """Read a run directory; changes nothing there, and works while the run is still going on.

        Raises:
            HistoryError: there is no run, or it is damaged.
        """
        directory = RunDirectory(Path(run_dir))
        content: Any = read_json(directory.space)
        try:
            space = ConfigurationSpace.from_serialized_dict(content)
        except Exception as error:  # whatever a wrong content leads to: the file is at fault
            raise HistoryError(f"{directory.space} is not a search space: {error!r}.") from error
        return cls(space, tuple(HistoryStore(directory.path).read()))

    def matrix(self, task: str) -> PerformanceMatrix:
        """The run as a performance matrix of one task, all rungs.

        Raises:
            PortfolioError: the run proposed nothing.
        """
        return PerformanceMatrix.from_histories(self.space, {task: self.lines})

    def observations(
        self,
        space: ConfigurationSpace | None = None,
        *,
        budgets: Sequence[int] | None = None,
        skip_misfits: bool = False,
    ) -> list[Line]:
        """Everything the run found out, as lines that a new searcher can be told first, all rungs.

        For a new search of the same problem: losses are taken as they are. `tune(..., warm_start=lines)` tells them to
        the searcher and makes them the first lines of the new history, so that the new run can be resumed without the
        old one. Searchers learn from them and do not continue them. Configurations are numbered from 0; proposals have
        the origin "earlier_run"; times count as none of the new search time.

        Args:
            space: the new run's space; by default this run's.
            budgets: epochs to keep, for example the new searcher's rungs; a rung that was passed is read off the
                learning curve. By default all at which trials were proposed.
            skip_misfits: leave out configurations that are not points of the new space.

        Raises:
            SpaceError: a configuration is not a point of the new space; the message names it.
        """
        results = results_of(self.lines)
        fitting = _fitting(results, space or self.space, skip_misfits)
        rungs = results.budgets if budgets is None else sorted(budgets)
        number, lines = 0, []
        for config_id in fitting:
            told = list(_told(results, config_id, number, rungs))
            number += bool(told)
            lines += told
        return lines


def _fitting(results: Results, space: ConfigurationSpace, skip_misfits: bool) -> Iterator[int]:
    walk = SpaceWalk(space)
    for config_id, config in enumerate(results.configs):
        try:
            walk.check(config)
        except (SpaceError, UnknownNameError) as error:
            if skip_misfits:
                continue
            raise SpaceError(
                f"Configuration {config_id} of the earlier run must be a point of the new space: {error}"
            ) from error
        yield config_id


def _told(results: Results, config_id: int, number: int, budgets: Sequence[int]) -> Iterator[Line]:
    """Proposals and results of one configuration, budgets ascending, each continuing the one before."""
    previous, seconds_before = None, 0.0
    for budget in budgets:
        outcome = results.outcome(config_id, budget)
        if outcome is None:
            continue
        proposal = Proposal(number, dict(results.configs[config_id]), budget, previous, EARLIER_RUN)
        measured = results.finished.get(TrialKey(config_id, budget))
        seconds = seconds_before if math.isnan(outcome.seconds) else outcome.seconds
        yield Proposed(proposal)
        yield Finished(
            proposal.key,
            measured.status if measured else Status.OK,
            None if math.isnan(outcome.loss) else outcome.loss,
            max(0.0, seconds - seconds_before),
            results.curve(config_id, budget),
            error=measured.error if measured else "",
        )
        previous, seconds_before = budget, seconds
