"""Workers for a search on another machine: ``python -m autopytorch_lite.execution.hpbandster worker --help``."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from autopytorch_lite.execution.hpbandster.objectives import check_reference
from autopytorch_lite.execution.hpbandster.worker import SearchWorker
from autopytorch_lite.execution.serving import end_with_parent


@click.group()
def main() -> None:
    """Evaluations through HpBandSter."""


@main.command()
@click.option("--nameserver", required=True, metavar="HOST:PORT", help="Where the name server of the search listens.")
@click.option("--run-id", required=True, help="Identity of the search.")
@click.option("--objective", required=True, metavar="REF", help="module:name, or FILE.pkl made by save_objective.")
@click.option("--host", default="127.0.0.1", show_default=True, help="This machine's address for the search.")
@click.option("--files", "files_root", help="The run's folder files/ as this machine sees it, if it sees it elsewhere.")
@click.option("--threads", "n_threads", default=1, show_default=True, help="Threads of numeric libraries.")
@click.option("--memory-limit-mb", type=float, help="Megabytes one evaluation may take.")
@click.option("--patience", "patience_s", default=60.0, show_default=True, help="Seconds to wait for the name server.")
@click.option("--verbose", is_flag=True, help="Show what evaluations print.")
@click.option("--parent-pid", type=int, hidden=True)
def worker(nameserver: str, run_id: str, parent_pid: int | None, verbose: bool, **settings: Any) -> None:
    """Evaluate for a search until it ends.

    Example: worker --nameserver 10.0.0.1:9090 --run-id study --objective my_package.training:objective --host 10.0.0.2
    """
    if parent_pid is not None:
        end_with_parent(parent_pid)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    host, _, port = nameserver.rpartition(":")
    if not host or not port.isdigit():
        raise click.BadParameter(f"A name server is given as HOST:PORT, got {nameserver!r}.")
    objective = settings.pop("objective")
    try:
        check_reference(objective)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    try:
        SearchWorker(objective, run_id, (host, int(port)), quiet=not verbose, **settings).run()
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(prog_name="python -m autopytorch_lite.execution.hpbandster")
