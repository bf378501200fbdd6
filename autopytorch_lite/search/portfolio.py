"""Warm start: configurations from the user or found offline to be good are evaluated before anything else, in order."""

from __future__ import annotations

from collections.abc import Sequence

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.search.ledger import Ledger
from autopytorch_lite.search.sampling import ConfigurationSampler
from autopytorch_lite.types import Config

ORIGIN = "portfolio"
BASELINE_ORIGIN = "user"


class Portfolio:
    """An ordered, checked portfolio. How far it has been handed out follows from the ledger.

    Args:
        entries: configurations, most useful first; of equal ones only the first is kept.
        sampler: of the space they must be valid in.
        what: what an entry is called in a message.
        without: configurations that are left out, because they are evaluated anyway.

    Raises:
        SpaceError: an entry is not valid in the space; the message names its number, from 0, and the hyperparameter.
    """

    def __init__(
        self,
        entries: Sequence[Config],
        sampler: ConfigurationSampler,
        what: str = "Portfolio",
        without: Sequence[Config] = (),
    ):
        distinct: dict[frozenset[tuple[str, object]], Config] = {}
        for number, entry in enumerate(entries):
            try:
                sampler.check(entry)
            except (SpaceError, UnknownNameError) as error:
                raise SpaceError(
                    f"{what} entry {number} (counted from 0) must be valid in the space: {error}"
                ) from error
            distinct.setdefault(frozenset(entry.items()), dict(entry))
        self.entries: tuple[Config, ...] = tuple(entry for entry in distinct.values() if entry not in without)

    def __len__(self) -> int:
        return len(self.entries)

    def next_unknown(self, ledger: Ledger) -> Config | None:
        """The first entry that no proposal had, wherever that came from; None if all have been proposed."""
        return next((dict(entry) for entry in self.entries if not ledger.knows(entry)), None)

    def next_entry(self, ledger: Ledger) -> Config | None:
        """The first entry that has not been proposed yet; None if all have."""
        n_proposed = ledger.n_by_origin[ORIGIN]
        return dict(self.entries[n_proposed]) if n_proposed < len(self) else None
