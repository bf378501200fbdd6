"""Facts that follow from the lines of a history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.types import Config


@dataclass(frozen=True)
class Incumbent:
    """The best finished trial on the largest budget that has one, by validation loss; ties: the lower config_id."""

    config_id: int
    config: Config
    budget: int
    loss: float

    @property
    def rank(self) -> tuple[int, float, int]:
        """Smaller is better."""
        return -self.budget, self.loss, self.config_id


def closed(lines: Iterable[Line]) -> list[Finished]:
    """Finished evaluations in order of their end, cancelled ones aside."""
    return [line for line in lines if isinstance(line, Finished) and line.status is not Status.CANCELLED]


def proposals(lines: Iterable[Line]) -> dict[TrialKey, Proposal]:
    """Every proposal by its key, in the order proposed."""
    return {line.key: line.proposal for line in lines if isinstance(line, Proposed)}


def open_proposals(lines: Iterable[Line]) -> list[Proposal]:
    """Proposals without a result, in the order proposed: interrupted, cancelled, or running in another process."""
    lines = list(lines)
    done = {line.key for line in closed(lines)}
    return [proposal for key, proposal in proposals(lines).items() if key not in done]


def elapsed_s(lines: Iterable[Line]) -> float:
    """Seconds of search time up to the last finished evaluation, summed over sittings."""
    return max((line.finished_s for line in lines if isinstance(line, Finished)), default=0.0)


def incumbent(lines: Iterable[Line]) -> Incumbent | None:
    """The best trial so far, None before the first success."""
    lines = list(lines)
    by_key = proposals(lines)
    candidates = [
        Incumbent(line.key.config_id, by_key[line.key].config, line.key.budget, line.loss)
        for line in lines
        if isinstance(line, Finished) and line.ok and line.loss is not None
    ]
    return min(candidates, key=lambda candidate: candidate.rank, default=None)


def failure_summary(lines: Iterable[Line], *, n_tracebacks: int = 3) -> str:
    """Text for people: failures counted by kind, then the first tracebacks; empty if nothing failed."""
    failures = [line for line in closed(lines) if line.failed]
    if not failures:
        return ""
    counts = Counter(line.status.value for line in failures)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    parts = [f"{len(failures)} of {len(closed(lines))} evaluations failed: {kinds}."]
    for line in [line for line in failures if line.traceback or line.error][:n_tracebacks]:
        parts.append(f"Trial {line.key} ({line.status}): {line.error}\n{line.traceback}".rstrip())
    return "\n\n".join(parts)
