"""What a searcher has been told, checked line by line: the memory that all searchers share."""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Mapping, Sequence

from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.types import Config


def loss_of(finished: Finished) -> float:
    """The loss a searcher ranks by: infinite if the trial failed or its loss is not a finite number."""
    if not finished.ok or finished.loss is None or not math.isfinite(finished.loss):
        return math.inf
    return float(finished.loss)


class Ledger:
    """Record of all lines told. It decides nothing; searchers keep one and add their own derived state beside it.

    Attributes:
        configs: configurations by config_id.
        origins: where they came from, by config_id.
        n_proposed: number of proposals told.
        n_by_origin: number of configurations (not of trials) by origin.
    """

    def __init__(self) -> None:
        self.configs: list[Config] = []
        self.origins: list[str] = []
        self.n_proposed = 0
        self.n_by_origin: Counter[str] = Counter()
        self._identities: set[frozenset[tuple[str, object]]] = set()
        self._open: dict[TrialKey, Proposal] = {}
        self._running: set[int] = set()  # configurations that have an open trial
        self._closed: set[TrialKey] = set()
        self._losses: dict[int, dict[int, float]] = {}
        self._ranking: dict[int, list[tuple[float, int]]] = {}
        self._incumbent: Finished | None = None

    def check(self, line: Line) -> None:
        """Check a line against what was told before.

        Raises:
            ValueError: a trial is proposed twice, out of order or beside another one of its configuration, or finished
                without being open; the message names it.
        """
        if isinstance(line, Proposed):
            self._check_proposal(line.proposal)
        elif line.key not in self._open:
            why = "finished before" if line.key in self._closed else "was never proposed"
            raise ValueError(f"Only an open trial can finish, but trial {line.key} {why}.")

    def record(self, line: Line) -> None:
        """Take in a checked line."""
        if isinstance(line, Proposed):
            self._record_proposal(line.proposal)
        elif line.status is not Status.CANCELLED:
            self._record_result(line)

    def open_proposals(self) -> list[Proposal]:
        """Proposals that have not finished, in the order proposed. A cancelled evaluation leaves its proposal open."""
        return list(self._open.values())

    def incumbent(self) -> Finished | None:
        """The best finished trial on the largest budget that has one; ties go to the lower config_id."""
        return self._incumbent

    def losses(self, budget: int) -> Mapping[int, float]:
        """Loss by config_id of the trials finished at a budget, in the order finished; infinite for failures."""
        return self._losses.get(budget, {})

    def ranking(self, budget: int) -> Sequence[tuple[float, int]]:
        """Loss and config_id of the trials finished at a budget, best first; failures last, with an infinite loss."""
        return self._ranking.get(budget, [])

    def budgets(self) -> list[int]:
        """Budgets at which trials have finished, largest first."""
        return sorted(self._losses, reverse=True)

    def knows(self, config: Config) -> bool:
        """Whether an equal configuration was proposed before."""
        return frozenset(config.items()) in self._identities

    @property
    def n_distinct(self) -> int:
        """Number of different configurations proposed."""
        return len(self._identities)

    def _check_proposal(self, proposal: Proposal) -> None:
        key, n_configs = proposal.key, len(self.configs)
        if key in self._open or key in self._closed:
            raise ValueError(f"A trial is proposed once, but trial {key} was proposed before.")
        if proposal.resume_from is None:
            if key.config_id != n_configs:
                raise ValueError(f"The next new configuration is number {n_configs}, but trial {key} was proposed.")
        elif TrialKey(key.config_id, proposal.resume_from) not in self._closed:
            raise ValueError(
                f"A trial continues a finished one, but trial {key} continues budget {proposal.resume_from}, "
                "at which this configuration has not finished."
            )
        elif key.config_id in self._running:
            raise ValueError(f"A configuration has one open trial at most, but trial {key} is its second.")

    def _record_proposal(self, proposal: Proposal) -> None:
        self.n_proposed += 1
        self._open[proposal.key] = proposal
        self._running.add(proposal.config_id)
        if proposal.resume_from is None:
            self.configs.append(dict(proposal.config))
            self.origins.append(proposal.origin)
            self.n_by_origin[proposal.origin] += 1
            self._identities.add(frozenset(proposal.config.items()))

    def _record_result(self, finished: Finished) -> None:
        key = finished.key
        del self._open[key]
        self._running.remove(key.config_id)
        self._closed.add(key)
        loss = loss_of(finished)
        self._losses.setdefault(key.budget, {})[key.config_id] = loss
        insort(self._ranking.setdefault(key.budget, []), (loss, key.config_id))
        if math.isfinite(loss) and (self._incumbent is None or _rank(finished) < _rank(self._incumbent)):
            self._incumbent = finished


def _rank(finished: Finished) -> tuple[int, float, int]:
    return -finished.key.budget, loss_of(finished), finished.key.config_id
