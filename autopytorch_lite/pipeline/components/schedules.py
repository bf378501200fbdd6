"""How the learning rate changes during training.

`build` returns a `ScheduleFactory`: a function (optimiser, max_epochs) -> `training.schedules.Schedule`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from autopytorch_lite.pipeline.graph import Component, Constant, Float, Hyperparameter, Int
from autopytorch_lite.training import schedules
from autopytorch_lite.training.schedules import ScheduleFactory
from autopytorch_lite.types import ConfigValue, DatasetInfo

MAX_BUDGET = "max_budget"
"""As the value of `T_max`: the largest budget of the run, so that a short training is a prefix of a long one."""

_ETA_MIN = Constant("eta_min", 1e-8)
_T_MULT = Float("T_mult", 1.0, 2.0, default=1.5)


class _Schedule(Component):
    """Hyperparameters named as the arguments of one of `training.schedules`.

    Attributes:
        make: hyperparameters -> function (optimiser, max_epochs) -> schedule.
        own: the hyperparameters.
    """

    make: ClassVar[Callable[..., ScheduleFactory]]
    own: ClassVar[tuple[Hyperparameter, ...]] = ()

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """What the schedule takes; lengths are in epochs."""
        return self.own

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> ScheduleFactory:
        """A function (optimiser, max_epochs) -> schedule."""
        arguments: dict[str, Any] = dict(values)
        return type(self).make(**arguments)


class CosineAnnealing(_Schedule):
    """Half a cosine down to eta_min at T_max epochs, then flat."""

    name = "cosine_annealing"
    own = (Constant("T_max", MAX_BUDGET), _ETA_MIN)

    @staticmethod
    def make(T_max: int | str, eta_min: float) -> ScheduleFactory:
        """`T_max` in epochs, or "max_budget"."""
        return schedules.cosine_annealing(None if T_max == MAX_BUDGET else int(T_max), eta_min)


class CosineAnnealingWarmRestarts(_Schedule):
    """Half a cosine again and again, each T_mult times as long as the one before."""

    name = "cosine_annealing_warm_restarts"
    own = (Int("T_max", 1, 20, default=10), _T_MULT, _ETA_MIN)

    @staticmethod
    def make(T_max: int, T_mult: float, eta_min: float) -> ScheduleFactory:
        """`T_max` is the length of the first cycle."""
        return schedules.cosine_annealing_warm_restarts(T_max, T_mult, eta_min)


class Cyclic(_Schedule):
    """A triangle wave between two multiples of the learning rate."""

    name = "cyclic"
    make = staticmethod(schedules.cyclic)
    own = (
        Int("cycle_length", 3, 10, default=8),
        Float("min_factor", 0.001, 1.0, default=0.1),
        Float("max_factor", 1.0, 2.0, default=1.0),
    )


class Exponential(_Schedule):
    """The same factor after every epoch."""

    name = "exponential"
    make = staticmethod(schedules.exponential)
    own = (Float("gamma", 0.8, 0.9999, default=0.95),)


class StepDecay(_Schedule):
    """A factor after every few epochs."""

    name = "step"
    make = staticmethod(schedules.step)
    own = (Int("step_size", 1, 10, default=10), Float("gamma", 0.001, 0.9, default=0.5))


class Adaptive(_Schedule):
    """Half a cosine that starts again, longer, when the validation score stalls."""

    name = "adaptive"
    make = staticmethod(schedules.adaptive)
    own = (
        Int("T_max", 10, 1000, log=True, default=20),
        _T_MULT,
        Int("patience", 2, 5, default=5),
        Float("threshold", 0.001, 0.5, log=True, default=0.01),
        _ETA_MIN,
    )


class Plateau(_Schedule):
    """A factor whenever the validation score stalls."""

    name = "plateau"
    make = staticmethod(schedules.plateau)
    own = (Float("factor", 0.05, 0.5, default=0.1), Int("patience", 3, 10, default=5))


class AlternatingCosine(_Schedule):
    """Half cosines down and up, with falling peaks."""

    name = "alternating_cosine"
    make = staticmethod(schedules.alternating_cosine)
    own = (Int("T_max", 1, 20, default=10), _T_MULT, Float("amplitude_reduction", 0.1, 1.0, default=0.9), _ETA_MIN)


class CosineWithWarmup(_Schedule):
    """A linear rise over the first epochs, then half a cosine down over the rest."""

    name = "cosine_with_warmup"
    make = staticmethod(schedules.cosine_with_warmup)
    own = (Int("warmup_epochs", 1, 10, default=3), _ETA_MIN)


class OneCycle(_Schedule):
    """Up and down again along cosines, over all epochs."""

    name = "one_cycle"
    make = staticmethod(schedules.one_cycle)
    own = (Float("warmup_share", 0.05, 0.5, default=0.3),)


class CosineLog(_Schedule):
    """Waves between zero and the learning rate, each twice as long as the one before, step by step."""

    name = "cosine_log"
    make = staticmethod(schedules.cosine_log)
    own = (Int("n_cycles", 1, 6, default=4),)


class NoSchedule(_Schedule):
    """The learning rate stays."""

    name = "none"
    make = staticmethod(schedules.constant)


SCHEDULES = (
    CosineAnnealing(),
    CosineAnnealingWarmRestarts(),
    Cyclic(),
    Exponential(),
    StepDecay(),
    Adaptive(),
    Plateau(),
    AlternatingCosine(),
    CosineWithWarmup(),
    OneCycle(),
    CosineLog(),
    NoSchedule(),
)
