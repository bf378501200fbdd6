"""The protocol of every searcher."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from autopytorch_lite.history.trial import Done, Finished, Proposal, Proposed, TrialKey, Wait


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
