"""How much a training's result depends on its seed: `python -m benchmarks.seed_noise TABLE --target COLUMN`.

Random configurations are trained twice, on the same rows, with different seeds. The rank correlation between the two is
what any model of the results can be judged by: one that knew the mean of each configuration exactly would have about
its square root.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import search_spaces
from autopytorch_lite.data.dataset import Dataset, make_dataset
from autopytorch_lite.data.readers import read_table
from autopytorch_lite.data.target import guess_kind
from autopytorch_lite.execution.tabular import TabularObjective
from autopytorch_lite.execution.workers import ProcessExecutor
from autopytorch_lite.history.store import RunDirectory
from autopytorch_lite.history.summary import closed
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.search import RandomSearch
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.tuner import tune

VALIDATION_SHARE = 0.33


@click.command()
@click.argument("table")
@click.option("--target", help="Column to predict.")
@click.option("--space", default="lcbench", show_default=True, help="Search space of networks.")
@click.option("--configs", default=40, show_default=True, type=click.IntRange(min=3))
@click.option("--epochs", default=50, show_default=True, type=click.IntRange(min=1))
def main(table: str, target: str | None, space: str, configs: int, epochs: int) -> None:
    """Train random configurations of TABLE twice and compare the final validation results."""
    X, y, _ = read_table(table, target)
    dataset = make_dataset(X, y, kind=guess_kind(y), resampling=VALIDATION_SHARE, seed=0)
    first, second = (_results(dataset, space, configs, epochs, seed) for seed in (0, 1))
    both = first.index.intersection(second.index)
    rows = []
    for name in first.columns:
        a, b = first.loc[both, name].to_numpy(), second.loc[both, name].to_numpy()
        correlation = float(spearmanr(a, b).statistic)
        ceiling = float(np.sqrt(max(correlation, 0.0)))
        rows.append({"result": name, "Spearman between seeds": correlation, "of a perfect model": ceiling})
    click.echo(f"{len(both)} configurations, {epochs} epochs, seeds 0 and 1")
    click.echo(pd.DataFrame(rows).to_string(index=False, float_format="%.2f"))


def _results(dataset: Dataset, space: str, n_configs: int, n_epochs: int, seed: int) -> pd.DataFrame:
    """Loss and metrics of each configuration that was trained; the seed is that of the trainings only."""
    graph, info = default_graph(), dataset.info
    metric = resolve_metric(None, info.task, info.n_outputs)
    compiled = compile_space(graph, search_spaces.load_ranges(space), info, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(Path(folder) / "run")
        data_folder = directory.path.resolve() / "data"
        dataset.save(data_folder)
        objective = TabularObjective(str(data_folder), dataset.fingerprint, graph, metric, seed, n_epochs)
        executor = ProcessExecutor(objective, n_workers=1, files_root=directory.files)
        try:
            searcher = RandomSearch(compiled, max_budget=n_epochs, seed=0)
            lines = tune(searcher, executor=executor, run_dir=directory.path, n_trials=n_configs).lines
        finally:
            executor.close()
    good = [line for line in closed(lines) if line.ok]
    return pd.DataFrame([{"loss": line.loss, **line.metrics} for line in good], index=[line.key for line in good])


if __name__ == "__main__":
    main()
