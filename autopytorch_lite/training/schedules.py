"""Learning-rate schedules, stepped once per epoch; `cosine_log` changes the rate within epochs, too.

All but `plateau` and `adaptive` are pure functions of the number of finished epochs, laid out for the largest number of
epochs a configuration may be granted: a short training is a prefix of a long one, so it can be continued exactly. They
are not torch's classes, because some of those compute the rate from the previous one (and rise again after `T_max`),
and some keep functions in their state, which JSON cannot hold.

Each function here takes hyperparameters and returns a function (optimizer, max_epochs) -> Schedule. "Base rate" is the
learning rate the optimiser was made with; e counts finished epochs, so the first epoch runs with e = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from autopytorch_lite.networks.annealing import flat_cosine


class Schedule(Protocol):
    """Sets the learning rate of an optimiser, group by group."""

    def begin_step(self, share: float, /) -> None:
        """A step begins after this share of the epoch's steps, in [0, 1)."""
        ...

    def step(self, val_score: float, /) -> None:
        """An epoch ended with this validation score, lower is better."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """State as plain data."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Inverse of `state_dict`."""
        ...


ScheduleFactory: TypeAlias = Callable[[Optimizer, int], Schedule]


@dataclass(frozen=True)
class Whole:
    """A `ScheduleFactory` whose schedule is of use as a whole only: its beginning is no shorter training.

    Who trains to several budgets lays it out for each, and begins anew.

    Attributes:
        schedule: what it makes.
    """

    schedule: ScheduleFactory

    def __call__(self, optimizer: Optimizer, max_epochs: int) -> Schedule:
        """See `ScheduleFactory`."""
        return self.schedule(optimizer, max_epochs)


Rate: TypeAlias = Callable[[int, float], float]
"""(finished epochs, base rate) -> learning rate."""


class _ConstantWithinEpochs:
    """What the schedules share that change once per epoch."""

    def begin_step(self, share: float, /) -> None:
        """Nothing changes."""


class EpochSchedule(_ConstantWithinEpochs):
    """The rate as a pure function of the epoch."""

    def __init__(self, optimizer: Optimizer, rate: Rate):
        self._optimizer = optimizer
        self._rate = rate
        self._base_rates = [group["lr"] for group in optimizer.param_groups]
        self._set_epoch(0)

    def step(self, val_score: float, /) -> None:
        """Go to the next epoch."""
        self._set_epoch(self._epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """The number of finished epochs."""
        return {"epoch": self._epoch}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go to a stored epoch."""
        self._set_epoch(state_dict["epoch"])

    def _set_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        for group, base in zip(self._optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = self._rate(epoch, base)


class StepSchedule:
    """Rate and weight decay as pure functions of the share of the whole training that is done.

    Args:
        optimizer: its groups' rates and decays at this moment are the base.
        max_epochs: the whole training.
        rate_share: progress in [0, 1] -> share of the base rate.
        decay_share: the same for the weight decay.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_epochs: int,
        rate_share: Callable[[float], float],
        decay_share: Callable[[float], float],
    ):
        self._optimizer = optimizer
        self._max_epochs = max_epochs
        self._shares = {"lr": rate_share, "weight_decay": decay_share}
        self._bases = [{name: group[name] for name in self._shares} for group in optimizer.param_groups]
        self._epoch = 0
        self.begin_step(0.0)

    def begin_step(self, share: float, /) -> None:
        """Set rate and decay for a step."""
        progress = (self._epoch + share) / self._max_epochs
        now = {name: share_at(progress) for name, share_at in self._shares.items()}
        for group, base in zip(self._optimizer.param_groups, self._bases, strict=True):
            group.update({name: base[name] * now[name] for name in now})

    def step(self, val_score: float, /) -> None:
        """Go to the next epoch."""
        self._epoch += 1
        self.begin_step(0.0)

    def state_dict(self) -> dict[str, Any]:
        """The number of finished epochs."""
        return {"epoch": self._epoch}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go to a stored epoch."""
        self._epoch = state_dict["epoch"]
        self.begin_step(0.0)


class AdaptiveSchedule(_ConstantWithinEpochs):
    """Cosine annealing that starts a new, longer cycle when the validation score stalls; see `adaptive`."""

    def __init__(
        self, optimizer: Optimizer, *, T_max: float, T_mult: float, patience: int, threshold: float, eta_min: float
    ):
        self._optimizer = optimizer
        self._base_rates = [group["lr"] for group in optimizer.param_groups]
        self._T_mult, self._patience, self._threshold, self._eta_min = T_mult, patience, threshold, eta_min
        self._state = {"epoch": 0, "length": float(T_max), "best": math.inf, "n_stalled": 0}

    def step(self, val_score: float, /) -> None:
        """Go on in the cycle, or start a new one."""
        state = self._state
        state["epoch"] += 1
        state["n_stalled"] += 1
        if _improves(val_score, state["best"], self._threshold):
            state.update(best=val_score, n_stalled=0)
        elif state["n_stalled"] > self._patience:
            state.update(epoch=0, n_stalled=0, length=state["length"] * self._T_mult)
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Position in the cycle, its length, the best score and the epochs since."""
        return dict(self._state)

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take up a stored state."""
        self._state = dict(state_dict)
        self._apply()

    def _apply(self) -> None:
        for group, base in zip(self._optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = _cosine(self._state["epoch"] / self._state["length"], base, self._eta_min)


def _improves(score: float, best: float, threshold: float) -> bool:
    """Whether `score` is lower than `best` by more than a share of it; the first finite score is."""
    return score < best if math.isinf(best) else score < best - threshold * abs(best)


def _cosine(progress: float, start: float, end: float) -> float:
    """From `start` at progress 0 to `end` at progress 1 along half a cosine; flat afterwards."""
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


def _by_epoch(rate_for: Callable[[int], Rate]) -> ScheduleFactory:
    return lambda optimizer, max_epochs: EpochSchedule(optimizer, rate_for(max_epochs))


def constant() -> ScheduleFactory:
    """The base rate at every epoch; the choice named "none"."""
    return _by_epoch(lambda max_epochs: lambda e, base: base)


def cosine_annealing(T_max: int | None = None, eta_min: float = 1e-8) -> ScheduleFactory:
    """From the base rate to `eta_min` along half a cosine in `T_max` epochs, then flat.

    Args:
        T_max: epochs; None for `max_epochs`.
        eta_min: final rate.

    Source: Loshchilov, Hutter, 2017, SGDR, equation 5 without restarts; Auto-PyTorch 0.0.2 sets T_max 50, eta_min 1e-8.
    """
    return _by_epoch(lambda max_epochs: lambda e, base: _cosine(e / (T_max or max_epochs), base, eta_min))


def cosine_annealing_warm_restarts(T_0: int = 10, T_mult: float = 2.0, eta_min: float = 1e-8) -> ScheduleFactory:
    """Cosine annealing that starts again at the base rate after `T_0` epochs, after `T_mult` times as many, and so on.

    Source: Loshchilov, Hutter, 2017, SGDR, section 3.
    """

    def rate(e: int, base: float) -> float:
        _, progress = _cycle(e, T_0, T_mult)
        return _cosine(progress, base, eta_min)

    return _by_epoch(lambda max_epochs: rate)


def alternating_cosine(
    T_max: int = 10, T_mult: float = 1.0, amplitude_reduction: float = 0.9, eta_min: float = 1e-8
) -> ScheduleFactory:
    """The rate falls along half a cosine for `T_max` epochs, rises along one, falls, and so on.

    Each half cycle is `T_mult` times as long as the one before; each peak, measured from `eta_min`, is
    `amplitude_reduction` times as high as the one before.

    Source: the name and the hyperparameters are Auto-PyTorch's; the definition is this one.
    """

    def rate(e: int, base: float) -> float:
        half, progress = _cycle(e, T_max, T_mult)
        peak = eta_min + (base - eta_min) * amplitude_reduction ** ((half + 1) // 2)
        return _cosine(progress if half % 2 == 0 else 1 - progress, peak, eta_min)

    return _by_epoch(lambda max_epochs: rate)


def _cycle(e: int, first_length: float, growth: float) -> tuple[int, float]:
    """Finished cycles and the share done of the current one, if each is `growth` >= 1 times as long as the last."""
    n_cycles, length, remaining = 0, float(first_length), float(e)
    while remaining >= length:
        remaining -= length
        length *= growth
        n_cycles += 1
    return n_cycles, remaining / length


def cyclic(cycle_length: int = 8, min_factor: float = 0.1, max_factor: float = 1.0) -> ScheduleFactory:
    """A triangle wave: from `min_factor` to `max_factor` times the base rate and back within `cycle_length` epochs.

    Source: Smith, 2017, Cyclical learning rates, section 3 ("triangular").
    """

    def rate(e: int, base: float) -> float:
        height = 1 - abs(2 * (e % cycle_length) / cycle_length - 1)
        return base * (min_factor + (max_factor - min_factor) * height)

    return _by_epoch(lambda max_epochs: rate)


def exponential(gamma: float = 0.95) -> ScheduleFactory:
    """The rate is multiplied by `gamma` after every epoch."""
    return _by_epoch(lambda max_epochs: lambda e, base: base * gamma**e)


def step(step_size: int = 10, gamma: float = 0.5) -> ScheduleFactory:
    """The rate is multiplied by `gamma` after every `step_size` epochs."""
    return _by_epoch(lambda max_epochs: lambda e, base: base * gamma ** (e // step_size))


def cosine_with_warmup(warmup_epochs: int = 5, eta_min: float = 1e-8) -> ScheduleFactory:
    """The rate rises linearly to the base rate in `warmup_epochs`, then falls to `eta_min` along half a cosine.

    The warm-up takes at most half of `max_epochs`.

    Source: Goyal et al., 2017, Accurate, large minibatch SGD, section 2.2 (gradual warm-up).
    """

    def rate_for(max_epochs: int) -> Rate:
        n_warm = min(warmup_epochs, max_epochs // 2)

        def rate(e: int, base: float) -> float:
            if e < n_warm:
                return base * (e + 1) / (n_warm + 1)
            return _cosine((e - n_warm) / (max_epochs - n_warm), base, eta_min)

        return rate

    return _by_epoch(rate_for)


def one_cycle(warmup_share: float = 0.3, initial_divisor: float = 25.0, final_divisor: float = 1e4) -> ScheduleFactory:
    """Up to the base rate along half a cosine in the first `warmup_share` of `max_epochs`, then down along another.

    It starts at base / `initial_divisor` and ends at base / (`initial_divisor` * `final_divisor`). Momentum stays as it
    is.

    Source: Smith, Topin, 2018, Super-convergence; defaults of torch's OneCycleLR.
    """

    def rate_for(max_epochs: int) -> Rate:
        n_up = warmup_share * max_epochs

        def rate(e: int, base: float) -> float:
            low = base / initial_divisor
            if e < n_up:
                return _cosine(e / n_up, low, base)
            return _cosine((e - n_up) / (max_epochs - n_up), base, low / final_divisor)

        return rate

    return _by_epoch(rate_for)


def cosine_log(n_cycles: int = 4) -> ScheduleFactory:
    """`n_cycles` waves between 0 and the base rate, each twice as long as the one before; the decay fades at the end.

    With progress t from 0 to 1 the rate is base * (1 - cos(2 pi log2(1 + (2 ** n_cycles - 1) t))) / 2; the weight decay
    follows `networks.annealing.flat_cosine`. Both change with every step, for the first wave may be shorter than an
    epoch.

    It is `Whole`: up to a third of the way the rate has come down twice, and the longest wave is yet to come.

    Source: Holzmueller, Grinsztajn, Steinwart, 2024, Better by default, section 3 ("coslog4" and "flat_cos").
    """

    def share(progress: float) -> float:
        return (1 - math.cos(2 * math.pi * math.log2(1 + (2**n_cycles - 1) * progress))) / 2

    return Whole(lambda optimizer, max_epochs: StepSchedule(optimizer, max_epochs, share, flat_cosine))


def plateau(factor: float = 0.1, patience: int = 5, threshold: float = 1e-4) -> ScheduleFactory:
    """The rate is multiplied by `factor` when the validation score has not improved for more than `patience` epochs.

    Args:
        factor: in (0, 1).
        patience: epochs without improvement that are tolerated.
        threshold: share of the best score by which a score must be lower to count.
    """
    return lambda optimizer, max_epochs: _Plateau(optimizer, factor=factor, patience=patience, threshold=threshold)


class _Plateau(_ConstantWithinEpochs, ReduceLROnPlateau):
    """Torch's schedule, whose state holds no objects."""

    def step(self, val_score: float, /) -> None:  # type: ignore[override]
        super().step(val_score)


def adaptive(
    T_max: int = 20, T_mult: float = 1.5, patience: int = 5, threshold: float = 0.01, eta_min: float = 1e-8
) -> ScheduleFactory:
    """Cosine annealing that restarts when learning stalls instead of after a fixed time.

    The rate falls from the base rate to `eta_min` along half a cosine of `T_max` epochs and stays there. When the
    validation score has not improved by `threshold` of itself for more than `patience` epochs, it starts again at the
    base rate, along a cosine `T_mult` times as long.

    Source: the name and the hyperparameters are Auto-PyTorch's; the definition is this one.
    """

    def build(optimizer: Optimizer, max_epochs: int) -> Schedule:
        return AdaptiveSchedule(
            optimizer, T_max=T_max, T_mult=T_mult, patience=patience, threshold=threshold, eta_min=eta_min
        )

    return build
