"""Environments of the public systems.

python -m benchmarks.tabular.peers install autogluon flaml --env ENVIRONMENTS     # or: install all
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmarks.environments import install_all
from benchmarks.tabular.systems import REQUIREMENTS

ALL = "all"


@click.group()
def main() -> None:
    """Install the public systems, each kind in an environment of its own."""


@main.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice([*REQUIREMENTS, ALL]))
@click.option("--env", required=True, type=click.Path(path_type=Path), help="Folder of the environments.")
@click.option(
    "--python", default=sys.executable, show_default=True, help="Interpreter to make them with, 3.11 to 3.13."
)
def install(names: tuple[str, ...], env: Path, python: str) -> None:
    """Install NAMES below the folder; what is there is brought to the pinned versions. All are tried."""
    install_all({name: REQUIREMENTS[name] for name in (REQUIREMENTS if ALL in names else names)}, env, python)


if __name__ == "__main__":
    main()
