"""Build what search_spaces ships: portfolios, and performance matrices.

python -m benchmarks.portfolio build DATA_FOLDER --out FOLDER
python -m benchmarks.portfolio select FOLDER --out RESULTS
python -m benchmarks.portfolio replay FOLDER --time 5,15,60 --out ROWS
python -m benchmarks.portfolio worth ROWS
python -m benchmarks.portfolio lcbench DATA_FOLDER --date 2026-11-21
"""

from __future__ import annotations

import click

from benchmarks.portfolio.build import build
from benchmarks.portfolio.lcbench import lcbench
from benchmarks.portfolio.replay import replay
from benchmarks.portfolio.select import select
from benchmarks.portfolio.worth import worth


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Build portfolios and performance matrices, from trainings of our own and from benchmarks of others."""


main.add_command(build)
main.add_command(select)
main.add_command(replay)
main.add_command(worth)
main.add_command(lcbench)

if __name__ == "__main__":
    main()
