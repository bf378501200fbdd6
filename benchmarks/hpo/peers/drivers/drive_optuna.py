"""Optuna: TPE with its Hyperband pruner. A trial is trained from rung to rung until the pruner ends it."""

import warnings
from typing import Any

import optuna
from peer_protocol import Evaluate, Task, holds, serve

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.CRITICAL)


def optimise(task: Task, evaluate: Evaluate) -> None:
    """Ask, train to the next rung, report, prune."""
    smallest, largest, eta = task["budgets"][0], task["budgets"][-1], int(task["eta"])
    pruner = optuna.pruners.HyperbandPruner(min_resource=smallest, max_resource=largest, reduction_factor=eta)
    sampler = optuna.samplers.TPESampler(seed=task["seed"])
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    while True:
        trial = study.ask()
        config = _suggest(task, trial)
        budget, loss = smallest, float("inf")
        while True:
            loss = evaluate(config, budget)["loss"]
            trial.report(loss, step=budget)
            if budget == largest or trial.should_prune():
                break
            budget = min(budget * eta, largest)
        is_whole = budget == largest
        study.tell(trial, loss if is_whole else None, state=None if is_whole else optuna.trial.TrialState.PRUNED)


def _suggest(task: Task, trial: Any) -> dict[str, Any]:
    """One configuration; conditions are followed as the trial is built up."""
    config: dict[str, Any] = {}
    for dimension in task["space"]["dimensions"]:
        name = dimension["name"]
        if not holds(dimension["condition"], config):
            continue
        if dimension["kind"] == "choice":
            config[name] = trial.suggest_categorical(name, dimension["choices"])
        else:
            suggest = trial.suggest_int if dimension["kind"] == "integer" else trial.suggest_float
            config[name] = suggest(name, dimension["low"], dimension["high"], log=dimension["log"])
    return config


if __name__ == "__main__":
    serve(optimise)
