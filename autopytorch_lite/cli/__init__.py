"""The command `autopytorch-lite`: search on a table, continue, predict, look at what was found.

Results go to standard output, progress and messages to standard error. Exit status: 0 done, 1 failed, 2 misused.
Everything heavy is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import click

from autopytorch_lite.cli.common import run
from autopytorch_lite.cli.results import leaderboard, predict, report
from autopytorch_lite.cli.search import fit, resume
from autopytorch_lite.cli.spaces import space


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(version("autopytorch-lite"))
    except PackageNotFoundError:
        click.echo("not installed, run from source")
    context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli() -> None:
    """AutoDL for tables: networks, boosting and preprocessing chosen together, within a time limit.

    \b
    Example:
      autopytorch-lite fit sklearn:digits --time 60 --holdout 0.25

    A TABLE is the path of a csv or parquet file, openml:TASK_ID, or sklearn:NAME.
    """


for command in (fit, resume, predict, leaderboard, report, space):
    cli.add_command(command)


def main() -> None:
    """Entry point of the command."""
    run(cli, "autopytorch-lite")
