"""Python environments for programs of others, one each, so that nobody's versions bind ours."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import click


def install_all(requirements: Mapping[str, Sequence[str]], folder: Path, python: str) -> None:
    """Make an environment below `folder` for each name; what is there is brought to the versions asked for.

    Raises:
        click.ClickException: some could not be made; all were tried.
    """
    failed = [name for name, wanted in requirements.items() if not _install(name, wanted, folder / name, python)]
    if failed:
        raise click.ClickException(f"Not installed: {', '.join(failed)}. Their rows will say that they are missing.")


def _install(name: str, requirements: Sequence[str], folder: Path, python: str) -> bool:
    click.echo(f"{name}: {' '.join(requirements)} -> {folder}")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    commands = ([python, "-m", "venv", str(folder)], [*pip, *requirements])
    return all(subprocess.run(command, check=False).returncode == 0 for command in commands)
