"""Compare searchers.

python -m benchmarks.hpo run DATA_FOLDER --problems lcbench --searchers freeze_thaw,bohb_portfolio,random --out RESULTS
python -m benchmarks.hpo table RESULTS          # again, from the runs that are there
python -m benchmarks.hpo pictures RESULTS       # figures as PNG
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from autopytorch_lite.errors import AutoPyTorchLiteError
from benchmarks.commands import RunByDefault, names
from benchmarks.hpo.aggregate import Summary, summarise
from benchmarks.hpo.figures import write_page, write_picture
from benchmarks.hpo.problems import FAMILIES
from benchmarks.hpo.searchers import SEARCHERS
from benchmarks.hpo.study import Rows, Study, run_study
from benchmarks.hpo.tables import markdown

_BUDGETS = "5,20,50"


@click.group(cls=RunByDefault)
def main() -> None:
    """Compare searchers on simulated time: regret, ranks, speed-up over random search, thinking time."""


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = sorted(float(part) for part in names(text))
    except ValueError:
        numbers = []
    if not numbers or not numbers[0] > 0:
        raise click.BadParameter(f"--budgets takes positive numbers separated by commas, got {text!r}.")
    return tuple(numbers)


@main.command()
@click.argument("data_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the results; continued if there."
)
@click.option("--problems", default="lcbench", show_default=True, help="lcbench, counting_ones, mixture.")
@click.option("--searchers", default=",".join(SEARCHERS), help="Rows of the table; by default all.")
@click.option("--tasks", default="", help="Names of tasks; by default all.")
@click.option("--seeds", default=10, show_default=True, type=click.IntRange(min=1), help="How many, from 0.")
@click.option("--budgets", default=_BUDGETS, show_default=True, help="Where to look, in full trainings.")
@click.option(
    "--limit", type=click.FloatRange(min=0, min_open=True), help="End of each run; by default the last budget."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Simulated workers.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Processes.")
@click.option("--environments", type=click.Path(path_type=Path), help="Folder of `benchmarks.hpo.peers install`.")
def run(
    data_folder: Path,
    out: Path,
    problems: str,
    searchers: str,
    tasks: str,
    seeds: int,
    budgets: str,
    limit: float | None,
    workers: int,
    jobs: int,
    environments: Path | None,
) -> None:
    """Do every run that OUT does not have yet, then write tables and figures there.

    DATA_FOLDER holds the data of the problem; the synthetic ones need none of it. Several calls may fill one OUT with
    different searchers, seeds and workers.
    """
    at = _numbers(budgets)
    try:
        study = Study(
            data_folder.resolve(), names(problems), names(searchers), seeds, limit or at[-1], workers, names(tasks),
            environments.resolve() if environments is not None else None,
        )  # fmt: skip
        run_study(study, out, jobs, click.echo)
        _write(out, at)
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--budgets", default=_BUDGETS, show_default=True, help="Where to look, in full trainings.")
def table(out: Path, budgets: str) -> None:
    """Write tables and figures of OUT again, from the runs that are there."""
    at = _numbers(budgets)
    try:
        _write(out, at)
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("out", type=click.Path(exists=True, file_okay=False, path_type=Path))
def pictures(out: Path) -> None:
    """Draw the figures of OUT as PNG, with a Chromium that is on the path."""
    for page in sorted(out.glob("anytime_*.html")):
        path = page.with_suffix(".png")
        click.echo(f"{path}" if write_picture(page, path) else f"No browser drew {page}.")


def _write(out: Path, budgets: Sequence[float]) -> None:
    """The tables as results.md, the numbers as summary.json, one page of curves for each family."""
    simulated = [row for row in Rows(out).read().values() if row["problem"] in FAMILIES]  # not those of `real`
    summaries = summarise(simulated, budgets)
    text = "\n".join(map(markdown, summaries))
    (out / "results.md").write_text(text, encoding="utf-8")
    (out / "summary.json").write_text(json.dumps([_plain(summary) for summary in summaries], indent=1) + "\n")
    for summary in summaries:
        write_page(summary, out / f"anytime_{summary.problem}.html")
    click.echo(text)


def _plain(summary: Summary) -> dict[str, object]:
    return {
        "problem": summary.problem,
        "budgets": summary.budgets,
        "parallel": dict(summary.parallel),
        "entries": [asdict(entry) for entry in summary.entries],
    }


if __name__ == "__main__":
    main()
