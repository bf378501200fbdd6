"""`lcbench generate` against a plain loop that trains the same configurations one after another, in one run.

python -m benchmarks.throughput_generation DATA_FOLDER --tables phoneme,car,credit-g --configs 200 --out FOLDER
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import psutil
import torch
from scipy.stats import ttest_rel, wilcoxon
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from autopytorch_lite.errors import AutoPyTorchLiteError
from autopytorch_lite.metrics import Metric
from autopytorch_lite.networks.layers import Dropout
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.training.loop import Trainer
from autopytorch_lite.training.stackable import DROPOUT_LEVELS, Perceptron
from autopytorch_lite.types import Config
from benchmarks.lcbench_surrogate import SurrogateFolder
from benchmarks.tables import choose, read_manifest
from lcbench.generation import GenerationRun, SourceTable, generate
from lcbench.generation.configurations import random_configurations, recorded_config
from lcbench.generation.processes import single_thread_executor
from lcbench.generation.sources import divided
from lcbench.generation.tables import NetworkRows, TrainingTable

METRICS = ("accuracy", "balanced_accuracy", "neg_log_loss")
WIDTHS = (128, 256, 512, 1024)
BATCHES = (32, 128, 512)


def plain_training(trainer: Trainer, rows: NetworkRows, n_epochs: int, n_classes: int) -> float:
    """Train as Auto-PyTorch does: DataLoader, autograd, float32, metrics of training batches as they come.

    Validation and test rows are evaluated after every epoch, in batches of the same size; no gradient is looked at.
    Row orders and dropped units are those of ours, so that final accuracies can be compared training by training.

    Returns:
        Validation accuracy at the end, in percent.
    """
    network = plain_network(trainer)
    group = trainer.optimizer.param_groups[0]
    optimizer = torch.optim.SGD(
        network.parameters(), lr=group["lr"], momentum=group["momentum"], weight_decay=group["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-8)
    n_train, n_val = len(rows.train), len(rows.val)
    parts = [TensorDataset(*pair) for pair in zip(
        rows.everything.dense.split([n_train, n_val, len(rows.everything) - n_train - n_val]),
        rows.everything.targets.split([n_train, n_val, len(rows.everything) - n_train - n_val]), strict=True,
    )]  # fmt: skip
    batch_size = trainer.plan.batch_size
    order = RowOrder(n_train, trainer.seed)
    own = torch.Generator()  # what the loader draws for itself leaves the sequence of dropped units alone
    train = DataLoader(parts[0], batch_size, sampler=order, drop_last=batch_size < n_train, generator=own)
    others = [DataLoader(part, batch_size) for part in parts[1:]]
    for epoch in range(1, n_epochs + 1):
        network.train()
        order.epoch = epoch
        outputs = []
        with seeded_rng(trainer.seed, epoch):
            for x, y in train:
                optimizer.zero_grad()
                batch_outputs = network(x)
                trainer.plan.loss(batch_outputs, y).mean().backward()
                optimizer.step()
                outputs.append((batch_outputs.detach(), y))
        schedule.step()
        scores(outputs, n_classes)
        network.eval()
        with torch.no_grad():
            val, _ = (scores([(network(x), y) for x, y in loader], n_classes) for loader in others)
    return 100 * val["accuracy"]


class RowOrder(Sampler[int]):
    """The order of training rows that a `Trainer` draws for an epoch.

    Args:
        n_rows: training rows.
        seed: of the trainer.
    """

    def __init__(self, n_rows: int, seed: int):
        self.epoch = 1
        self._n_rows = n_rows
        self._seed = seed

    def __len__(self) -> int:
        return self._n_rows

    def __iter__(self) -> Iterator[int]:
        yield from np.random.default_rng([self._seed, self.epoch]).permutation(self._n_rows).tolist()


def plain_network(trainer: Trainer) -> nn.Sequential:
    """The trainer's network as a plain sequence of layers, with the same weights."""
    perceptron = Perceptron.of(trainer.network)
    assert perceptron is not None, "the space has perceptrons only"
    layers: list[nn.Module] = []
    for linear, n_dropped in zip(perceptron.linears, (*perceptron.n_dropped, None), strict=True):
        copy = nn.Linear(linear.in_features, linear.out_features)
        copy.load_state_dict(linear.state_dict())
        dropout = [] if n_dropped is None else [Dropout(n_dropped / DROPOUT_LEVELS)]
        layers += [copy, nn.ReLU(), *dropout]
    return nn.Sequential(*layers[:-1])


def scores(outputs: list[tuple[Tensor, Tensor]], n_classes: int) -> dict[str, float]:
    """The three metrics of the original files."""
    predictions = torch.cat([batch for batch, _ in outputs]).double().softmax(dim=1).numpy()
    targets = torch.cat([y for _, y in outputs]).numpy()
    task: Any = None  # these metrics do not ask
    return {name: Metric(name, task, n_classes).value(targets, predictions) for name in METRICS}


_TABLES: dict[tuple[Path, int], Any] = {}


def plain_run(path: Path, table_number: int, config_id: int, config: Config) -> dict[str, Any]:
    """One configuration of a table by the plain loop."""
    torch.set_num_threads(1)
    run = GenerationRun(path)
    key = (path, table_number)
    if key not in _TABLES:
        _TABLES[key] = TrainingTable(run.table_folder(table_number), run.settings)
    table = _TABLES[key]
    prepared, rows = table.prepare(config_id, config)
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    info = table.dataset.info
    accuracy = plain_training(prepared.trainer, rows, run.settings.n_epochs, info.n_outputs)
    perceptron = Perceptron.of(prepared.trainer.network)
    assert perceptron is not None
    return {
        "table": table.name,
        "config_id": config_id,
        "n_layers": len(perceptron.linears),
        "width": max(perceptron.widths[1:-1], default=0),
        "batch_size": prepared.trainer.plan.batch_size,
        "plain_s": time.perf_counter() - started_s,
        "plain_cpu_s": time.process_time() - started_cpu_s,
        "plain_val_accuracy": accuracy,
    }


def plain_runs(path: Path, tasks: Iterable[tuple[int, int, Config]], n_jobs: int) -> Iterator[dict[str, Any]]:
    """All configurations by the plain loop, in `n_jobs` processes of one thread each."""
    executor = single_thread_executor(n_jobs)
    futures = [executor.submit(plain_run, path, *task) for task in tasks]
    for future in futures:
        yield future.result()
    executor.shutdown()


class Clock:
    """Seconds of wall clock and of processor time of this process and its children, ended ones included."""

    def __init__(self) -> None:
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        own = psutil.Process().cpu_times()
        return time.perf_counter(), own.user + own.system + own.children_user + own.children_system

    def read(self) -> dict[str, float]:
        """Seconds since the start."""
        return dict(zip(("wall_s", "cpu_s"), np.subtract(self._now(), self._start).tolist(), strict=True))


def measure(
    sources: list[SourceTable],
    n_configs: int,
    n_epochs: int,
    n_jobs: int,
    seed: int,
    earlier: list[dict[str, Any]] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Per configuration the seconds and final accuracies of both, and totals.

    Args:
        sources: tables.
        n_configs: on each of them.
        n_epochs: of each training.
        n_jobs: processes.
        seed: of everything random.
        earlier: rows of an earlier run with the same arguments, whose plain loop is not repeated; of that only the
            processor time of the trainings is known.
    """
    arguments: dict[str, Any] = {"n_configs": n_configs, "n_epochs": n_epochs, "n_jobs": n_jobs, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        run = generate(sources, run_dir=Path(folder), **arguments)
        ours = clock.read()
        records = {(name, int(config_id)): record for name, config_id, record in run.records(n_configs)}
        tasks = [
            (number, config_id, plan.configs[config_id])
            for number in range(run.n_tables)
            for plan in run.plans(number)
            for config_id in range(n_configs)
        ]
        clock = Clock()
        rows = earlier or list(plain_runs(Path(folder).resolve(), tasks, n_jobs))
        plain = {"cpu_s": sum(row["plain_cpu_s"] for row in rows)} if earlier else clock.read()
    for row in rows:
        record = records[row["table"], row["config_id"]]
        row["ours_s"] = record.log["time"][-1]
        row["ours_cpu_s"] = record.results["processor_seconds"]
        row["ours_val_accuracy"] = record.results["final_val_accuracy"]
        row |= {name: record.results[name] for name in ("stack_size", "bfloat16_layers")}
    return rows, {"plain": plain, "ours": ours, **arguments}


def recorded_seconds(surrogate: SurrogateFolder, sources: list[SourceTable], n_configs: int, seed: int) -> str:
    """What LCBench's own machines took for the same configurations, as its surrogate predicts it, in words.

    Args:
        surrogate: of LCBench.
        sources: tables; those that are not among the surrogate's tasks are left out.
        n_configs: on each of them.
        seed: of the generation.
    """
    seconds, task_of = {}, surrogate.task_of()
    for source in sources:
        if source.name in task_of:
            task = surrogate.task(task_of[source.name])
            configs = random_configurations("lcbench", divided(source, seed).info, n_configs, seed)
            named = [recorded_config(config, "lcbench") for config in configs]
            seconds[source.name] = sum(float(task.curve(config)["time"][-1]) for config in named)
    parts = ", ".join(f"{name} {value:,.0f} s" for name, value in seconds.items())
    return (
        f"LCBench's own trainings of these configurations, by its surrogate: {sum(seconds.values()):,.0f} s ({parts})"
    )


def summary(rows: list[dict[str, Any]], totals: dict[str, Any]) -> str:
    """What is published."""
    frame = pd.DataFrame(rows)
    plain, ours = totals["plain"], totals["ours"]
    lines = [
        f"{len(frame)} configurations x {totals['n_epochs']} epochs, {totals['n_jobs']} processes of one thread each",
        f"processor time: plain loop {plain['cpu_s']:.0f} s, ours {ours['cpu_s']:.0f} s,"
        f" {plain['cpu_s'] / ours['cpu_s']:.1f} times less",
        "",
    ]
    if "wall_s" in plain:
        ratio = plain["wall_s"] / ours["wall_s"]
        lines[1:1] = [f"wall clock: plain loop {plain['wall_s']:.0f} s, ours {ours['wall_s']:.0f} s: {ratio:.1f} times"]
    frame["width up to"] = pd.cut(frame["width"], [-1, *WIDTHS], labels=WIDTHS)
    frame["batch up to"] = pd.cut(frame["batch_size"], [0, *BATCHES], labels=BATCHES)
    for columns in (["table"], ["width up to"], ["table", "width up to", "batch up to"]):
        found = frame.groupby(columns, observed=True)[["plain_cpu_s", "ours_cpu_s"]].sum()
        found["runs"] = frame.groupby(columns, observed=True).size()
        found["times less"] = found["plain_cpu_s"] / found["ours_cpu_s"]
        lines += [found.round(1).to_string(), ""]
    return "\n".join([*lines, *(accuracies(name, part) for name, part in frame.groupby("table"))])


def accuracies(name: Any, frame: pd.DataFrame) -> str:
    """Whether final validation accuracies have the same distribution."""
    known = frame.dropna(subset=["ours_val_accuracy"])
    ours, plain = known["ours_val_accuracy"].to_numpy(), known["plain_val_accuracy"].to_numpy()
    difference = ours - plain
    return (
        f"{name}: final validation accuracy, ours minus plain: mean {difference.mean():+.2f} points, standard error"
        f" {difference.std(ddof=1) / len(difference) ** 0.5:.2f}, median {np.median(difference):+.2f},"
        f" t-test p {ttest_rel(ours, plain).pvalue:.2f}, Wilcoxon p {wilcoxon(ours, plain).pvalue:.2f}"
        f" ({len(known)} of {len(frame)} did not diverge)"
    )


@click.command()
@click.argument("folder", metavar="DATA_FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tables", default="phoneme,car,credit-g", show_default=True, help="Names from the manifest.")
@click.option("--configs", default=200, show_default=True, type=click.IntRange(min=2))
@click.option("--epochs", default=50, show_default=True, type=click.IntRange(min=1))
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--earlier",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="runs.jsonl of an earlier run with the same options: its plain loop is not repeated.",
)
@click.option(
    "--surrogate",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of LCBench's surrogate: adds the seconds that LCBench itself took.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for runs.jsonl and summary.txt.")
def main(
    folder: Path,
    tables: str,
    configs: int,
    epochs: int,
    jobs: int,
    seed: int,
    earlier: Path | None,
    surrogate: Path | None,
    out: Path | None,
) -> None:
    """Time `lcbench generate` and a plain loop on tables of DATA_FOLDER, and compare their final accuracies."""
    try:
        chosen = choose(read_manifest(folder), tables.split(","))
        sources = [SourceTable(table.name, *table.read()) for table in chosen]
        known = [json.loads(line) for line in earlier.read_text().splitlines()] if earlier else None
        theirs = None if surrogate is None else recorded_seconds(SurrogateFolder(surrogate), sources, configs, seed)
        rows, totals = measure(sources, configs, epochs, jobs, seed, known)
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    text = "\n".join([summary(rows, totals), *([] if theirs is None else ["", theirs])])
    click.echo(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "runs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (out / "summary.txt").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
