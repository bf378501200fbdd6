"""What HpBandSter's own optimizers (BOHB, HyperBand, RandomSearch) need to run with ConfigSpace 1.x and NumPy 2.

`HpBandSterExecutor` needs none of it. The optimizers send NumPy scalars to the workers, and then wait forever:
ConfigSpace 1.x gives choices as `numpy.str_`, which Pyro cannot send; budgets are `numpy.float64`, whose text is
"np.float64(1.0)" since NumPy 2, which workers cannot read.
"""

from __future__ import annotations

from typing import TypeVar

from hpbandster.core.master import Master

from autopytorch_lite.space.domains import to_builtin
from autopytorch_lite.types import Config

_M = TypeVar("_M", bound=Master)


def with_plain_values(optimizer: _M) -> _M:
    """Let an optimizer of HpBandSter work with plain Python values. Only this object is changed.

    >>> from hpbandster.optimizers import BOHB                                      # doctest: +SKIP
    >>> bohb = with_plain_values(BOHB(configspace=space, run_id="study", ...))      # doctest: +SKIP

    Args:
        optimizer: before its `run` is called.
    """
    sample = optimizer.config_generator.get_config

    def get_config(budget: float) -> tuple[Config, dict[str, object]]:
        config, info = sample(budget)
        return {name: to_builtin(value) for name, value in config.items()}, info

    optimizer.config_generator.get_config = get_config
    optimizer.budgets = [float(budget) for budget in optimizer.budgets]
    return optimizer
