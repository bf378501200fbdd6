"""Python environments for programs of others, one each, so that nobody's versions bind ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

ALL = "all"


def installer(requirements: Mapping[str, Sequence[str]], text: str) -> click.Group:
    """The command line that makes environments: ``install NAMES --env FOLDER``.

    Args:
        requirements: name of an environment -> what pip installs there.
        text: what the help says.
    """
    group = click.Group(help=text)

    @group.command()
    @click.argument("names", nargs=-1, required=True, type=click.Choice([*requirements, ALL]))
    @click.option("--env", required=True, type=click.Path(path_type=Path), help="Folder of the environments.")
    @click.option(
        "--python", default=sys.executable, show_default=True, help="Interpreter to make them with, 3.11 to 3.13."
    )
    def install(names: tuple[str, ...], env: Path, python: str) -> None:
        """Install NAMES below the folder; what is there is brought to the pinned versions. All are tried."""
        _install_all({name: requirements[name] for name in (requirements if ALL in names else names)}, env, python)

    return group


def _install_all(requirements: Mapping[str, Sequence[str]], folder: Path, python: str) -> None:
    failed = [name for name, wanted in requirements.items() if not _install(name, wanted, folder / name, python)]
    if failed:
        raise click.ClickException(f"Not installed: {', '.join(failed)}. Their rows will say that they are missing.")


def _install(name: str, requirements: Sequence[str], folder: Path, python: str) -> bool:
    click.echo(f"{name}: {' '.join(requirements)} -> {folder}")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    commands = ([python, "-m", "venv", str(folder)], [*pip, *requirements])
    return all(subprocess.run(command, check=False).returncode == 0 for command in commands)
