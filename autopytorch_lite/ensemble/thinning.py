"""Which members of an ensemble, and which of their models, vote where all would take long for a table of many rows.

Greedy selection takes whatever lowers the loss on the validation rows, however little. So members are left out whose
time is not worth that, as long as the loss hardly grows.

A member has a model for each fold, or some of all rows. Its vote is their mean. Taken as independent and equally noisy,
n models add to the ensemble's variance the square of the member's weight over n: nearly all that five models of a light
member are worth, one of them is worth, too. So models are left out that save most time for what they add, as long as
the variance stays within a multiple of that of all models, or the time is above a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autopytorch_lite.ensemble.library import Member, reweighted
from autopytorch_lite.ensemble.predictor import EnsemblePredictor, FittedMember
from autopytorch_lite.history.trial import TrialKey

MANY_ROWS = 10_000
"""What a table has that should be predicted soon."""

SOON_S = 0.5
"""Processor seconds for so many rows; an ensemble that takes no longer keeps all models."""

SOON_AFTER_FOLDS_S = 3.0
"""The same for its members after cross-validation: rows are few then and tell little of a member, and many models are
left out anyway."""

LATE_S = 2.0
"""Processor seconds for `MANY_ROWS`; an ensemble that takes longer loses models, as long as members have several,
whatever that adds to the variance."""

MAX_LOSS = 0.002
"""By this share the loss on the validation rows may grow without the members that are left out."""

MIN_MEMBERS = 3
"""So many members stay."""

MAX_GROWTH = 1.0
"""By this share the variance may grow."""

MAX_GROWTH_OF_FOLDS = 1.5
"""The same where models of five folds vote, which leaves two of equal members: they lose 1 % to all five."""

Voters = dict[TrialKey, tuple[int, ...]]
"""Positions of the models that vote, of each member of which some do not."""


def worthwhile(
    members: Sequence[Member],
    seconds: Mapping[TrialKey, float],
    loss_of: Callable[[Sequence[Member]], float],
    *,
    n_folds: int = 1,
) -> tuple[Member, ...]:
    """The members without those that take more time than they are worth; weights sum to one.

    Args:
        members: of the ensemble.
        seconds: that all models of each take for `MANY_ROWS`.
        loss_of: of an ensemble, on the validation rows.
        n_folds: models of a member.
    """
    soon_s = SOON_S if n_folds == 1 else SOON_AFTER_FOLDS_S
    kept, loss = tuple(members), loss_of(members)
    most, unit = loss + MAX_LOSS * abs(loss), MAX_LOSS * abs(loss) / 100
    while sum(seconds[member.key] for member in kept) > soon_s and len(kept) > MIN_MEMBERS:
        losses = {member: loss_of(_without(kept, member)) for member in kept}
        allowed = [member for member in kept if losses[member] <= most]
        if not allowed:
            break
        left_out = max(allowed, key=lambda member: seconds[member.key] / max(losses[member] - loss, unit, 1e-300))
        kept, loss = _without(kept, left_out), losses[left_out]
    return kept


def _without(members: Sequence[Member], left_out: Member) -> tuple[Member, ...]:
    return reweighted(member for member in members if member.key != left_out.key)


def choose_voters(
    predictor: EnsemblePredictor, seconds: Mapping[TrialKey, float], *, max_growth: float = MAX_GROWTH
) -> Voters:
    """The models that vote; at least one of each member.

    Args:
        predictor: all models.
        seconds: that one model of each member takes for `MANY_ROWS`.
        max_growth: by this share the variance may grow.
    """
    weights = {member.key: member.weight for member in predictor.members}
    n_left = {member.key: len(member.learners) for member in predictor.members}
    may_grow_by = max_growth * sum(weights[key] ** 2 / n for key, n in n_left.items())

    def growth(key: TrialKey) -> float:
        """Of the variance, without another model of the member."""
        n = n_left[key]
        return weights[key] ** 2 * (1 / (n - 1) - 1 / n)

    while (total_s := sum(n * seconds[key] for key, n in n_left.items())) > SOON_S:
        allowed = [key for key, n in n_left.items() if n > 1 and (total_s > LATE_S or growth(key) <= may_grow_by)]
        if not allowed:
            break
        key = min(allowed, key=lambda key: growth(key) / max(seconds[key], 1e-9))
        may_grow_by -= growth(key)
        n_left[key] -= 1
    return _positions(predictor.members, n_left)


def _positions(members: Sequence[FittedMember], n_left: Mapping[TrialKey, int]) -> Voters:
    """Those whose turn it is, so that each fold is heard about as often."""
    voters, n_before = {}, 0
    for member in members:
        n, n_models = n_left[member.key], len(member.learners)
        if n < n_models:
            voters[member.key] = tuple(sorted((n_before + i) % n_models for i in range(n)))
            n_before += n
    return voters
