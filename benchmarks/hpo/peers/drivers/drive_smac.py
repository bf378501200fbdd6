"""SMAC3: its multi-fidelity facade (random forest over all budgets, Hyperband), asked and told."""

import logging
import tempfile
import warnings

from ConfigSpace import ConfigurationSpace
from peer_protocol import Evaluate, Task, lowest_budget, serve
from smac import MultiFidelityFacade, Scenario
from smac.runhistory.dataclasses import TrialValue

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


def optimise(task: Task, evaluate: Evaluate) -> None:
    """Ask, evaluate, tell."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            ConfigurationSpace.from_serialized_dict(task["space"]["configspace"]),
            output_directory=folder,
            deterministic=True,
            n_trials=1_000_000,
            min_budget=lowest_budget(task),
            max_budget=task["budgets"][-1],
            seed=task["seed"],
        )
        facade = MultiFidelityFacade(
            scenario,
            _never_called,
            intensifier=MultiFidelityFacade.get_intensifier(scenario, eta=int(task["eta"])),
            overwrite=True,
            logging_level=False,
        )
        while True:
            trial = facade.ask()
            answer = evaluate(dict(trial.config), trial.budget)
            facade.tell(trial, TrialValue(cost=answer["loss"], time=answer["seconds"]), save=False)


def _never_called(config: object, seed: int = 0, budget: float = 0) -> float:
    raise RuntimeError("SMAC is asked and told, so it must not evaluate anything itself, but it tried to.")


if __name__ == "__main__":
    serve(optimise)
