"""What the commands share: options, errors, and the summary of a run."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from autopytorch_lite.errors import AutoPyTorchLiteError

Command = TypeVar("Command", bound=Callable[..., None])


def debuggable(command: Command) -> Command:
    """Add `--debug`, and turn the errors that a user can act on into one line on standard error and exit status 1."""

    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(command)
    def wrapped(*args: Any, debug: bool, **kwargs: Any) -> None:
        from search_spaces import FileFormatError, UnknownFileError

        try:
            command(*args, **kwargs)
        except (AutoPyTorchLiteError, FileFormatError, UnknownFileError, OSError) as error:
            if debug:
                raise
            raise click.ClickException(str(error)) from error

    return wrapped  # type: ignore[return-value]


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command line and exit: 0 done, 1 failed, 2 misused; an error is one line on standard error."""
    try:
        sys.exit(command.main(prog_name=name, standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else name
        click.echo(f"Error: {' '.join(error.format_message().split())} See {path} --help.", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("Aborted.", err=True)
        sys.exit(1)


RUN_DIR = click.argument("run_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
QUIET = click.option("--quiet", is_flag=True, help="No progress; results only.")
JOBS = click.option("--jobs", type=int, help="Worker processes, one thread each.  [default: all cores]")


def print_run(run_dir: Path, n_rows: int) -> None:
    """Leaderboard, failures, ensemble and held-out scores of a run, on standard output."""
    from autopytorch_lite.report.record import read_run
    from autopytorch_lite.report.summary import ensemble_text, failures_text, holdout_text
    from autopytorch_lite.report.tables import leaderboard, print_table, without_repeats

    run = read_run(run_dir)
    frame = without_repeats(leaderboard(run.lines, run.ensemble), run.metric)
    if run.ensemble is None:
        frame = frame.drop(columns="weight")
    shown = min(n_rows, len(frame))
    print_table(frame.head(n_rows), title=f"Leaderboard: {shown} of {len(frame)} evaluations", stream=sys.stdout)
    for text in (failures_text(run), ensemble_text(run), holdout_text(run)):
        if text:
            click.echo(f"\n{text}")
