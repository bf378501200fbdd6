"""The command that shows a search space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autopytorch_lite.cli.common import debuggable
from autopytorch_lite.errors import HistoryError

if TYPE_CHECKING:
    from autopytorch_lite.types import DatasetInfo


@click.command()
@click.argument("name_or_run_dir", default="default")
@click.option(
    "--task",
    type=click.Choice(["binary", "multiclass", "regression"]),
    default="multiclass",
    show_default=True,
    help="For a table with this task.",
)
@click.option(
    "--categorical",
    "n_categorical",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="For a table with so many categorical columns.",
)
@click.option(
    "--list", "names_only", is_flag=True, help="The names of the spaces and portfolios that come with the package."
)
@debuggable
def space(name_or_run_dir: str, task: str, n_categorical: int, names_only: bool) -> None:
    """The joint search space as a table: ranges, scales, conditions, defaults.

    NAME_OR_RUN_DIR is a name in search_spaces, a path to a .json file, or a run directory, which shows the space of
    that run's own table.

    \b
    Examples:
      autopytorch-lite space
      autopytorch-lite space paper --task binary --categorical 3
      autopytorch-lite space runs/price
    """
    from search_spaces import available

    if names_only:
        for kind, names in available().items():
            click.echo(f"{kind}: {', '.join(names)}")
        return
    from autopytorch_lite.space.table import to_text

    is_run = Path(name_or_run_dir).is_dir()
    found = _space_of_run(Path(name_or_run_dir)) if is_run else _space_by_name(name_or_run_dir, task, n_categorical)
    click.echo(to_text(found), nl=False)


def _space_of_run(run_dir: Path) -> Any:
    from ConfigSpace import ConfigurationSpace

    path = run_dir / "space.json"
    if not path.exists():
        raise HistoryError(f"A run directory holds space.json; {str(run_dir)!r} does not.")
    return ConfigurationSpace.from_json(path)


def _space_by_name(name: str, task: str, n_categorical: int) -> Any:
    from autopytorch_lite.pipeline.build import default_graph
    from autopytorch_lite.space.compile import compile as compile_space
    from search_spaces import load_ranges

    ranges = load_ranges(name)
    return compile_space(default_graph(), ranges, generic_info(task, n_categorical))


def generic_info(task: str, n_categorical: int) -> DatasetInfo:
    """Facts of a made-up table: columns enough that no range is cut, rows so few that no component is left out."""
    from autopytorch_lite.types import DatasetInfo, Task

    n_classes = {Task.BINARY: 2, Task.MULTICLASS: 10, Task.REGRESSION: 0}[Task(task)]
    return DatasetInfo(
        task=Task(task),
        n_rows=5_000,
        n_numeric=1_000,
        cardinalities=(50,) * n_categorical,
        n_outputs=n_classes or 1,
        class_counts=(5_000 // n_classes,) * n_classes if n_classes else (),
        has_missing=True,
    )
