"""Environments of the public searchers.

python -m benchmarks.hpo.peers install smac optuna --env ENVIRONMENTS     # or: install all
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmarks.environments import install_all

REQUIREMENTS = {
    "hpbandster": ("hpbandster==0.7.4", "ConfigSpace==1.2.2"),
    "smac": ("smac==2.4.1",),
    "optuna": ("optuna==5.0.0",),
    "dehb": ("dehb==0.1.2",),
    "neps": ("neural-pipeline-search==0.17.0",),
}
"""What was measured. HpBandSter (netifaces) and SMAC3 (pyrfr) may need a C++ compiler, depending on the platform."""
ALL = "all"


@click.group()
def main() -> None:
    """Install the public searchers, each in an environment of its own."""


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
