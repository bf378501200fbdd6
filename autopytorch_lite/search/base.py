"""The protocol of every searcher."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from autopytorch_lite.history.trial import Done, Finished, Line, Proposal, Proposed, TrialKey, Wait
from autopytorch_lite.types import Config


class Costs(Protocol):
    """How long evaluations take, asked before they start. Like a searcher a fold over the lines told."""

    def tell(self, line: Line) -> None:
        """Take in one history line."""
        ...

    def expected_s(self, config: Config, budget: int, resume_from: int | None = None) -> float:
        """Seconds to expect of training a configuration up to `budget` epochs in total, from `resume_from` on."""
        ...

    def safe_s(self, config: Config, budget: int, resume_from: int | None = None) -> float:
        """Seconds within which that very likely ends."""
        ...


@runtime_checkable
class AsksWithin(Protocol):
    """A searcher that can keep to the time that is left."""

    def ask_within(self, limit_s: float) -> Proposal | Wait | Done:
        """The next proposal among those that very likely end within `limit_s` seconds. Changes nothing.

        Without such a proposal the answer is to wait while something runs, and that nothing is left otherwise. With an
        infinite limit it is the answer of `ask`. What was proposed under which limit makes no difference to a replay.
        """
        ...


@runtime_checkable
class KnowsContinuable(Protocol):
    """A searcher that can say which finished trials it may still ask to continue; checkpoints of others can go."""

    def continuable(self) -> set[TrialKey]:
        """Trials that a proposal, made or yet to come, may continue. Changes nothing."""
        ...


@runtime_checkable
class Searcher(Protocol):
    """Decides what to evaluate next. Its state is a fold over the lines told, so telling a history again restores it.

    Any number of proposals may be open at once. Losses are minimised; a failed trial is told with its status, without a
    loss. A cancelled evaluation leaves its proposal open: it will be evaluated again and finish then.

    The searchers of this package also offer ``open_proposals()`` and ``incumbent()``. They show their ``space`` and
    ``settings``, by which the tuner tells whether a run is continued with the searcher that began it.
    """

    def ask(self) -> Proposal | Wait | Done:
        """The next proposal. Changes nothing: asking twice without telling gives the same answer.

        Randomness is drawn from ``numpy.random.default_rng([seed, 0, n_proposed])``.
        """
        ...

    def tell(self, line: Proposed | Finished) -> None:
        """Take in one history line.

        Raises:
            ValueError: the line contradicts what was told before (a trial finished that was never proposed); the
                message names the trial, and nothing has changed.
        """
        ...
