"""Build what search_spaces ships for the LCBench space: the performance matrix and the portfolio.

python -m benchmarks.portfolio lcbench DATA_FOLDER --date 2026-11-21
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from autopytorch_lite.errors import AutoPyTorchLiteError
from autopytorch_lite.portfolio import PerformanceMatrix, Portfolio, leave_one_task_out, select
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.types import Config
from benchmarks.lcbench_surrogate import BUDGETS, SurrogateFolder
from benchmarks.portfolio.lcbench_candidates import locally_best, space_filling

LICENSE = "Apache-2.0"
SOURCES = (
    "YAHPO Gym, github.com/slds-lmu/yahpo_data, lcbench/ (Apache-2.0): shapes of curves and times",
    "LCBench, github.com/automl/LCBench (Apache-2.0), in the form of LCBenchLite, github.com/ltiao/LCBenchLite "
    "(Apache-2.0): 2,000 final results of each task",
)
CITATIONS = (
    "L. Zimmer, M. Lindauer, F. Hutter: Auto-PyTorch Tabular. IEEE TPAMI 43(9), 2021",
    "F. Pfisterer et al.: YAHPO Gym. AutoML-Conf 2022",
)
FULL_NAMES = {
    "batch_size": "batching:minibatch:batch_size",
    "learning_rate": "optimizer:sgd:learning_rate",
    "max_dropout": "backbone:shaped_mlp:max_dropout",
    "max_units": "backbone:shaped_mlp:max_units",
    "momentum": "optimizer:sgd:momentum",
    "num_layers": "backbone:shaped_mlp:num_layers",
    "weight_decay": "optimizer:sgd:weight_decay",
}
FIXED = {
    "learner:__choice__": "neural",
    "imputation:__choice__": "mean",
    "scaling:__choice__": "standardize",
    "preprocessing:__choice__": "none",
    "embedding:__choice__": "none",
    "numeric_embedding:__choice__": "none",
    "backbone:__choice__": "shaped_mlp",
    "backbone:shaped_mlp:shape": "funnel",
    "backbone:shaped_mlp:activation": "relu",
    "backbone:shaped_mlp:use_dropout": True,
    "optimizer:__choice__": "sgd",
    "lr_schedule:__choice__": "cosine_annealing",
    "batch_technique:__choice__": "standard",
}
"""What every LCBench run had, in this package's names; see search_spaces/lcbench.json."""


@click.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("search_spaces"),
    show_default=True,
    help="Folder for portfolios/lcbench.json and priors/lcbench.npz.",
)
@click.option(
    "--even", default=512, show_default=True, type=click.IntRange(min=1), help="Evenly spread configurations."
)
@click.option("--starts", default=16, show_default=True, type=click.IntRange(min=0), help="Local searches per task.")
@click.option("--size", default=16, show_default=True, type=click.IntRange(min=1), help="Members of the portfolio.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--date", default="", help="Noted in both files.")
def lcbench(folder: Path, out: Path, even: int, starts: int, size: int, seed: int, date: str) -> None:
    """The LCBench space: configurations x tasks from the anchored surrogate in DATA_FOLDER (surrogate.py).

    Evaluates an even sample of the space and the best configurations of each task on all tasks, selects a portfolio,
    and prints what it promises on tasks it was not selected on.
    """
    try:
        surrogate = SurrogateFolder(folder, "anchored")
        command = f"python -m benchmarks.portfolio lcbench DATA_FOLDER --even {even} --starts {starts} --size {size}"
        about = {"sources": list(SOURCES), "cite": list(CITATIONS), "license": LICENSE, "seed": seed, "date": date}
        matrix = build_matrix(surrogate, even, starts, seed, {**about, "command": f"{command} --seed {seed}"})
        matrix.save(out / "priors" / "lcbench.npz", quantised=True)
        matrix = PerformanceMatrix.load(out / "priors" / "lcbench.npz")
        portfolio = build_portfolio(matrix, size)
        portfolio.save(out / "portfolios" / "lcbench.json")
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{matrix!r}\n{held_out_table(matrix, size)}")


def build_matrix(
    surrogate: SurrogateFolder, even: int, starts: int, seed: int, provenance: Mapping[str, Any]
) -> PerformanceMatrix:
    """All candidates on all tasks at all budgets. No candidate is one with recorded results."""
    tasks = {name: surrogate.task(name) for name in surrogate.tasks}
    configs, found_on = candidates(surrogate, tasks, even, starts, seed)
    values = []
    with click.progressbar(tasks.values(), label=f"{len(configs)} configurations") as bar:
        for task in bar:
            values.append(surrogate.curves(task, configs, BUDGETS))
    losses, seconds = (np.array(part) for part in zip(*values, strict=True))
    return PerformanceMatrix(
        surrogate.space, tuple(configs), surrogate.tasks, BUDGETS, losses, seconds, provenance, tuple(found_on)
    )


def candidates(
    surrogate: SurrogateFolder, tasks: Mapping[str, Any], even: int, starts: int, seed: int
) -> tuple[list[Config], list[str]]:
    """Different configurations, and the task each was found on."""
    codec = VectorCodec(surrogate.space)
    found = [("", config) for config in space_filling(codec, even, seed)]
    for number, (name, task) in enumerate(tasks.items() if starts else ()):

        def score(configs: Any, task: Any = task) -> Any:
            return surrogate.final_score(task, configs)

        best = locally_best(codec, score, starts, n_random=8000, seed=[seed, number])
        found += [(name, config) for config in best]
    distinct: dict[frozenset[tuple[str, object]], tuple[str, Config]] = {}
    for name, config in found:
        if not surrogate.is_recorded(config):
            distinct.setdefault(frozenset(config.items()), (name, config))
    return [config for _, config in distinct.values()], [name for name, _ in distinct.values()]


def build_portfolio(matrix: PerformanceMatrix, size: int) -> Portfolio:
    """The portfolio that ships, in the surrogate's names, with their translation to the component graph's."""
    return select(
        matrix,
        size,
        name="lcbench",
        description=(
            f"{size} configurations for the space of LCBench, chosen greedily on {len(matrix.tasks)} tasks of it: "
            "one funnel-shaped network trained with SGD for 50 epochs."
        ),
        source="YAHPO Gym and LCBench, anchored to LCBench's real results; see provenance",
        license=LICENSE,
        space_name="lcbench",
        translation={"names": FULL_NAMES, "fixed": FIXED},
    )


def held_out_table(matrix: PerformanceMatrix, size: int) -> str:
    """Regret x 100 on held-out tasks after so many members: mean, median and worst task, as text."""
    regrets = 100 * leave_one_task_out(matrix, size)
    kept = [n_members for n_members in (1, 2, 4, 8, 16, 32, 64) if n_members <= size]
    table = regrets[kept].agg(["mean", "median", "max"])
    return "Regret x 100 on held-out tasks, after so many members:\n" + table.round(2).to_string()
