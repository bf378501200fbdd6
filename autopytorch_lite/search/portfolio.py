"""Warm start: configurations from the user or found offline to be good are evaluated before anything else, in order."""

from __future__ import annotations

from collections.abc import Sequence

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.search.base import Costs
from autopytorch_lite.search.ledger import Ledger
from autopytorch_lite.search.sampling import ConfigurationSampler
from autopytorch_lite.types import Config

ORIGIN = "portfolio"
BASELINE_ORIGIN = "user"

OPENING_S = 1.0
"""The first entry may take so many seconds, if there is one that takes no more."""
LARGEST_SHARE = 1 / 3
"""An entry that takes more than this share of what an evaluation may take is left out: there would be no time to go on
with it, to twice and four times its budget."""


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

    def next_affordable(self, ledger: Ledger, costs: Costs, budget: int, limit_s: float) -> Config | None:
        """The entry that comes next where time counts; None: all that can be afforded have been proposed.

        It is the first that takes no longer than all proposed before it together, or `OPENING_S`, and the shortest if
        all that are left take longer. So there are results early, and none waits long for an entry that happens to be
        slow on this table; where all are short the order stays. The first of all is proposed even if it fits nowhere:
        an attempt is better than nothing.

        Args:
            ledger: what was proposed.
            costs: what evaluations take.
            budget: of the entries, epochs.
            limit_s: what an evaluation may take; see `LARGEST_SHARE`.
        """
        seconds = [costs.expected_s(entry, budget) for entry in self.entries]
        is_known = [ledger.knows(entry) for entry in self.entries]
        allowed_s = max(OPENING_S, sum(s for s, known in zip(seconds, is_known, strict=True) if known))
        left = [
            number
            for number, entry in enumerate(self.entries)
            if not is_known[number]
            and seconds[number] <= LARGEST_SHARE * limit_s
            and costs.safe_s(entry, budget) <= limit_s
        ]
        if not left and not ledger.configs:
            left = list(range(len(self.entries)))
        if not left:
            return None
        shortest = min(left, key=lambda number: (seconds[number], number))
        return dict(self.entries[next((n for n in left if seconds[n] <= allowed_s), shortest)])

    def next_entry(self, ledger: Ledger) -> Config | None:
        """The first entry that has not been proposed yet; None if all have."""
        n_proposed = ledger.n_by_origin[ORIGIN]
        return dict(self.entries[n_proposed]) if n_proposed < len(self) else None
