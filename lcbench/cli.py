"""The command `lcbench`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from autopytorch_lite.errors import AutoPyTorchLiteError, NothingTrainedError
from autopytorch_lite.history.whole_files import replacing
from lcbench.benchmark import Benchmark
from lcbench.files import SUFFIXES, open_storage, save
from lcbench.storage import named_runs
from search_spaces import FileFormatError, UnknownFileError

_PATH = click.Path(exists=True, dir_okay=False)


class _ErrorsAsOneLine(click.Group):
    """Our own errors end a command with one line and exit status 1; click's usage errors with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command named on the command line."""
        try:
            return super().invoke(ctx)
        except (AutoPyTorchLiteError, FileFormatError, UnknownFileError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_ErrorsAsOneLine)
def main() -> None:
    """Learning curves of many configurations on many data sets.

    Example: lcbench query data_2k_lw.json adult final_val_accuracy 17
    """


@main.command()
@click.argument("path", type=_PATH)
def info(path: str) -> None:
    """Data sets, configurations and tags of the file PATH.

    Example: lcbench info data_2k_lw.json
    """
    benchmark = Benchmark(path)
    names = benchmark.get_dataset_names()
    width = max(map(len, names))
    click.echo(f"{'data set':<{width}}  OpenML task  configurations")
    for name in names:
        config_ids = benchmark.get_config_ids(name)
        has_task = "OpenML_task_id" in benchmark.get_queriable_tags(name)
        task_id = benchmark.query(name, "OpenML_task_id", config_ids[0]) if has_task else "-"
        click.echo(f"{name:<{width}}  {task_id:>11}  {len(config_ids):>14}")
    click.echo(f"\ntags: {', '.join(benchmark.get_queriable_tags())}")


@main.command()
@click.argument("path", type=_PATH)
@click.argument("dataset")
@click.argument("tag")
@click.argument("config_id", metavar="[CONFIG]", required=False)
def query(path: str, dataset: str, tag: str, config_id: str | None) -> None:
    """The value of TAG for configuration CONFIG on DATASET, as JSON; without CONFIG of all, by their ids.

    Example: lcbench query data_2k_lw.json adult Train/val_accuracy 17
    """
    benchmark = Benchmark(path)
    if config_id is not None:
        found = _plain(benchmark.query(dataset, tag, config_id))
    else:
        values = benchmark.query_all(dataset, tag)
        found = dict(zip(benchmark.get_config_ids(dataset), map(_plain, values), strict=True))
    click.echo(json.dumps(found))


def _plain(value: Any) -> Any:
    """For JSON, which has no NaN: lists and null."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else None
    return value


@main.command()
@click.argument("source", type=_PATH)
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
def convert(source: str, target: Path) -> None:
    """Write the runs of SOURCE to TARGET, each in the format of its ending: .json, .json.gz, .zip or .lcb.

    The first three are the original's format. .lcb is ours: the same values exactly, small, and fast to query.

    Example: lcbench convert data_2k_lw.zip data_2k_lw.lcb
    """
    storage = open_storage(source)
    n_runs = sum(len(storage.config_ids(name)) for name in storage.dataset_names())
    with click.progressbar(named_runs(storage), length=n_runs, label="Converting", file=sys.stderr) as runs:
        save(target, runs)
    sizes = [Path(path).stat().st_size / 1e6 for path in (source, target)]
    click.echo(f"{target}: {n_runs} runs, {sizes[1]:.3g} MB; {source} has {sizes[0]:.3g} MB")


def _for_each(n_tables: int, values: tuple[str, ...], option: str) -> tuple[str | None, ...]:
    """One value for each table; None where the option is not used."""
    if len(values) not in (0, n_tables):
        raise click.UsageError(f"{option} must be given once for each of the {n_tables} tables, got {len(values)}.")
    return values or (None,) * n_tables


@main.command()
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option("--target", "targets", multiple=True, help="Column to predict: one for all tables, or one for each.")
@click.option("--name", "names", multiple=True, help="Name of each data set in the file.  [default: that of the table]")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The .lcb or .json file to write."
)
@click.option(
    "--configs", "n_configs", default=100, show_default=True, type=click.IntRange(min=1), help="On each table."
)
@click.option(
    "--epochs", "n_epochs", default=50, show_default=True, type=click.IntRange(min=2), help="Of each training."
)
@click.option("--space", default="lcbench", show_default=True, help="Search space of networks: a name or a path.")
@click.option("--jobs", "n_jobs", default=-1, show_default=True, help="Processes; -1: as many as there are cores.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option(
    "--repeats",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Trainings of each configuration with other seeds, whose mean is recorded.",
)
@click.option("--gradients/--no-gradients", default=True, help="Record statistics of gradients.  [default: yes]")
@click.option("--precision", default="auto", show_default=True, help="Of matrix products: auto, float32 or bfloat16.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:i, or auto.")
@click.option(
    "--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Where the run is kept.  [default: OUT.run]"
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def generate(
    tables: tuple[str, ...],
    targets: tuple[str, ...],
    names: tuple[str, ...],
    out: Path,
    n_jobs: int,
    run_dir: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Record learning curves of random configurations on every TABLE, in the format that the other commands read.

    TABLE is the path of a csv or parquet file, openml:TASK_ID, or sklearn:NAME. A run that was killed goes on where it
    was when the command is repeated.

    Example: lcbench generate phoneme.csv car.csv --target Class --configs 2000 --out data.lcb
    """
    from autopytorch_lite.execution.limits import resolve_n_jobs
    from lcbench.generation import generate as generated
    from lcbench.generation.progress import Progress
    from lcbench.generation.sources import read_source

    if not out.name.endswith(SUFFIXES):
        raise click.UsageError(f"--out must end in {', '.join(SUFFIXES)}, got {str(out)!r}.")
    each_target = _for_each(len(tables), targets * len(tables) if len(targets) == 1 else targets, "--target")
    each_name = _for_each(len(tables), names, "--name")
    run = generated(
        [read_source(*source) for source in zip(tables, each_target, each_name, strict=True)],
        n_jobs=resolve_n_jobs(n_jobs),
        run_dir=run_dir or out.with_name(f"{out.name}.run"),
        progress=Progress(quiet=quiet),
        **options,
    )
    n_runs = run.n_records(options["n_configs"])
    if n_runs == 0:
        raise NothingTrainedError("No configuration could be trained: there are no learning curves to write.")
    save(out, run.records(options["n_configs"]))
    click.echo(f"{out}: {n_runs} of {options['n_configs'] * len(tables)} configurations have learning curves")


@main.command()
@click.argument("path", type=click.Path(exists=True))
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@click.option(
    "--searcher",
    "--searchers",
    "searchers",
    default="freeze_thaw,bohb,hyperband,random",
    show_default=True,
    help="Separated by commas.",
)
@click.option("--tag", help="What is searched for.  [default: Train/val_accuracy, or what a surrogate predicts]")
@click.option("--trainings", default=20.0, show_default=True, help="Simulated time of a run, in full trainings.")
@click.option("--seeds", default=1, show_default=True, help="Runs of each searcher.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Evaluations at once.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with anytime curves.")
def simulate(
    path: str,
    datasets: tuple[str, ...],
    searchers: str,
    tag: str | None,
    trainings: float,
    seeds: int,
    workers: int,
    report: Path | None,
) -> None:
    """Run searchers on the curves of each DATASET (all, unless named) in simulated time.

    PATH is a file of recorded runs, where a configuration has the curve of the recorded one that is nearest; the folder
    of a surrogate; or a folder with YAHPO's. Shown is the regret of the incumbent: how much worse it is than the best
    recorded run, in units of the tag.

    Example: lcbench simulate data_2k_lw.json adult --searcher bohb,random --seeds 5
    """
    from lcbench.simulation import compare, open_tasks, over_datasets

    comparisons = []
    for task in open_tasks(path, datasets, tag):
        found = compare(task, searchers.split(","), n_trainings=trainings, n_seeds=seeds, n_workers=workers)
        click.echo(
            f"{task.dataset_name}: regret of {task.tag} after parts of {trainings:g} full "
            f"trainings' time, mean of {seeds} runs"
        )
        click.echo(found.table().to_string(float_format="%.4g"))
        comparisons.append(found)
    if len(comparisons) > 1:
        click.echo(f"\nMean over {len(comparisons)} data sets, as a share of the worst run's regret")
        click.echo(over_datasets(comparisons).to_string(float_format="%.4g"))
    if report is not None:
        from lcbench.simulation_report import write_comparisons

        click.echo(write_comparisons(report, comparisons, source=Path(path).name))


@main.command()
@click.argument("path", type=_PATH)
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder to write.")
@click.option("--tag", default="Train/val_accuracy", show_default=True, help="A tag with learning curves.")
@click.option("--held-out", default=0.2, show_default=True, help="Share of the runs for the report; 0: no report.")
@click.option(
    "--families",
    default="forest,boosting,network,gaussian_process",
    show_default=True,
    help="Of regression, to choose from; separated by commas.",
)
@click.option("--onnx", is_flag=True, help="Write an ONNX file for each data set too; needs the extra onnx.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
def surrogate(
    path: str,
    datasets: tuple[str, ...],
    out: Path,
    tag: str,
    held_out: float,
    families: str,
    onnx: bool,
    seed: int,
) -> None:
    """Fit a model that predicts whole learning curves of PATH's runs for other configurations.

    First some runs are held out: what the model says about them is the report, which is printed and written to
    report.csv. Then the model is fitted to all runs and written to the folder, ready for `lcbench simulate`.

    Example: lcbench surrogate curves.json --out surrogates/mine
    """
    from lcbench.surrogate import Surrogate, evaluate
    from lcbench.surrogate.onnx_export import export_onnx

    benchmark, compared = Benchmark(path), families.split(",")
    if held_out:
        quality = evaluate(benchmark, datasets, tag=tag, families=compared, share=held_out, seed=seed)
        click.echo(f"Fitted to {1 - held_out:.0%} of the runs, {tag} of the others:")
        click.echo(quality.to_string(index=False, float_format="%.3f") + "\n")
        with replacing(out / "report.csv") as file:
            file.write(quality.to_csv(index=False).encode())
    fitted = Surrogate.fit(benchmark, datasets, tag=tag, families=compared, seed=seed)
    click.echo("Families of regression, five-fold cross-validation over all runs:")
    click.echo(fitted.comparison.to_string(index=False, float_format="%.3f") + "\n")
    click.echo(fitted.save(out))
    for name in fitted.dataset_names if onnx else ():
        click.echo(export_onnx(fitted, name, out / f"{name}.onnx"))


def _epochs(context: click.Context, parameter: click.Parameter, text: str | None) -> list[int]:
    """Numbers separated by commas; none: no numbers."""
    try:
        return [int(number) for number in text.split(",")] if text else []
    except ValueError:
        raise click.BadParameter(f"give epochs separated by commas, not {text!r}.") from None


@main.command()
@click.argument("path", type=_PATH)
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@click.option("--tag", default="Train/val_accuracy", show_default=True, help="A learning curve, or a final value.")
@click.option("--epochs", callback=_epochs, help="Which to compare.  [default: 2,6,17,50 if recorded, and the last]")
@click.option(
    "--scale",
    default="ranks",
    show_default=True,
    type=click.Choice(["ranks", "values"]),
    help="Of the losses, for importances.",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with every analysis.")
def analyse(path: str, datasets: tuple[str, ...], tag: str, epochs: list[int], scale: str, report: Path | None) -> None:
    """Rank correlation between epochs and importance per epoch, mean over the data sets (all, unless named).

    The page shows more: the distribution of final values, effects of hyperparameters, importance around the best
    configuration, rank correlations of the best runs, curves that cross, and what transfers between data sets.

    Example: lcbench analyse data_2k_lw.json adult higgs --epochs 1,10,50 --report analysis.html
    """
    from lcbench.analysis import analyse as analysis_of

    found = analysis_of(Benchmark(path), datasets, tag, epochs, scale=scale)
    click.echo(f"Rank correlation of {tag} between epochs\n{found.correlations.to_string(float_format='%.2f')}\n")
    click.echo(
        f"Share of the variance of {scale} that a hyperparameter explains alone, by epoch\n"
        f"{found.importances.to_string(float_format='%.2f')}"
    )
    if report is not None:
        from lcbench.analysis.report import write_analysis

        click.echo(write_analysis(report, found, source=Path(path).name))


if __name__ == "__main__":
    main()
