"""What the command lines of the benchmarks share."""

from __future__ import annotations

import click


class RunByDefault(click.Group):
    """`python -m benchmarks.NAME DATA_FOLDER ...` is short for `... run DATA_FOLDER ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default in front of what names no command."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
