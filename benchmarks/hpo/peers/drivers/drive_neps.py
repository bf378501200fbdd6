"""NePS: PriorBand, told a configuration that is good on other tasks."""

import logging
import random
import warnings
from typing import Any

import numpy as np
from neps.optimizers.algorithms import hyperband, priorband
from neps.optimizers.ask_and_tell import AskAndTell
from neps.space import HPOCategorical, HPOConstant, HPOFloat, HPOInteger, SearchSpace
from peer_protocol import Evaluate, Task, active, lowest_budget, serve

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
FIDELITY = "epochs_of_this_trial"


def optimise(task: Task, evaluate: Evaluate) -> None:
    """Ask, evaluate, tell. NePS draws from the global generators."""
    import torch  # here, as nothing of this repository loads torch at module level without need

    torch.set_num_threads(1)
    random.seed(task["seed"])
    np.random.seed(task["seed"])  # noqa: NPY002 (it draws from the global generator)
    torch.manual_seed(task["seed"])
    space = SearchSpace(
        {d["name"]: _parameter(d, task["prior"]) for d in task["space"]["dimensions"]}
        | {FIDELITY: HPOFloat(lowest_budget(task), task["budgets"][-1], is_fidelity=True)}
    )
    build: Any = priorband if task["prior"] else hyperband
    searcher = AskAndTell(build(space, eta=int(task["eta"])))
    while True:
        trial = searcher.ask()
        config = {name: value for name, value in trial.config.items() if name != FIDELITY}
        answer = evaluate(active(task, config), trial.config[FIDELITY])
        searcher.tell(trial, {"objective_to_minimize": answer["loss"], "cost": answer["seconds"]})


def _parameter(dimension: dict[str, Any], prior: Any) -> Any:
    if dimension["kind"] == "choice" and len(dimension["choices"]) == 1:
        return HPOConstant(dimension["choices"][0])
    is_told = prior is not None and dimension["name"] in prior
    told = {"prior": prior[dimension["name"]], "prior_confidence": "medium"} if is_told else {}
    if dimension["kind"] == "choice":
        return HPOCategorical(dimension["choices"], **told)
    kind = HPOInteger if dimension["kind"] == "integer" else HPOFloat
    return kind(dimension["low"], dimension["high"], log=dimension["log"], **told)


if __name__ == "__main__":
    serve(optimise)
