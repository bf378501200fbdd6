"""HpBandSter's BOHB: its own configuration generator and successive halving, driven without Master and network.

HpBandSter 0.7.4 calls names that ConfigSpace 1.0 removed; they are given back below, nothing else is changed.
"""

import logging
import types
import warnings
from typing import Any

import ConfigSpace
import hpbandster.optimizers.config_generators.bohb as generator_module
import numpy as np
from ConfigSpace.util import deactivate_inactive_hyperparameters
from hpbandster.core.dispatcher import Job
from hpbandster.optimizers.iterations import SuccessiveHalving
from peer_protocol import Evaluate, Task, lowest_budget, serve

warnings.simplefilter("ignore")
np.seterr(all="ignore")
logging.disable(logging.CRITICAL)


class OldConfiguration(ConfigSpace.Configuration):
    """A configuration with the method that HpBandSter calls."""

    def get_dictionary(self) -> dict[str, Any]:
        return dict(self)


class OldSpace(ConfigSpace.ConfigurationSpace):
    """A space with the methods that HpBandSter calls."""

    def get_hyperparameters(self) -> list[Any]:
        return list(self.values())

    def get_hyperparameter(self, name: str) -> Any:
        return self[name]

    def get_hyperparameter_by_idx(self, index: int) -> str:
        return list(self.keys())[index]

    def sample_configuration(self, size: Any = None) -> Any:
        return OldConfiguration(self, vector=super().sample_configuration().get_array())


def _deactivate(configuration: Any, configuration_space: Any, **_: Any) -> OldConfiguration:
    found = deactivate_inactive_hyperparameters(configuration, configuration_space)
    return OldConfiguration(configuration_space, vector=found.get_array())


generator_module.ConfigSpace = types.SimpleNamespace(
    Configuration=OldConfiguration,
    hyperparameters=ConfigSpace.hyperparameters,
    util=types.SimpleNamespace(deactivate_inactive_hyperparameters=_deactivate),
)


def optimise(task: Task, evaluate: Evaluate) -> None:
    """Hyperband's brackets with BOHB's proposals, as `hpbandster.optimizers.BOHB` makes them."""
    np.random.seed(task["seed"])  # noqa: NPY002 (it draws from the global generator)
    space = OldSpace.from_serialized_dict(task["space"]["configspace"])
    space.seed(task["seed"])
    generator = generator_module.BOHB(configspace=space)
    eta, largest, smallest = task["eta"], task["budgets"][-1], lowest_budget(task)
    n_rungs = -int(np.log(smallest / largest) / np.log(eta)) + 1
    budgets = largest * np.power(eta, -np.linspace(n_rungs - 1, 0, n_rungs))
    number = 0
    while True:
        s = n_rungs - 1 - number % n_rungs
        n_first = int(np.floor(n_rungs / (s + 1)) * eta**s)
        sizes = [max(int(n_first * eta ** (-i)), 1) for i in range(s + 1)]
        _race(SuccessiveHalving(number, sizes, budgets[-s - 1 :], generator.get_config), generator, evaluate)
        number += 1


def _race(iteration: Any, generator: Any, evaluate: Evaluate) -> None:
    while (run := iteration.get_next_run()) is not None:
        config_id, config, budget = run
        job = Job(config_id, config=config, budget=budget)
        job.timestamps = {}
        job.result = {"loss": evaluate(config, budget)["loss"], "info": {}}
        job.exception = None
        iteration.register_result(job)
        generator.new_result(job)


if __name__ == "__main__":
    serve(optimise)
