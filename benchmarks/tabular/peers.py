"""Environments of the public systems.

python -m benchmarks.tabular.peers install autogluon flaml --env ENVIRONMENTS     # or: install all
"""

from __future__ import annotations

from benchmarks.environments import installer
from benchmarks.tabular.systems import REQUIREMENTS

main = installer(REQUIREMENTS, "Install the public systems, each kind in an environment of its own.")

if __name__ == "__main__":
    main()
