"""Environments of the public searchers.

python -m benchmarks.hpo.peers install smac optuna --env ENVIRONMENTS     # or: install all
"""

from __future__ import annotations

from benchmarks.environments import installer

REQUIREMENTS = {
    "hpbandster": ("hpbandster==0.7.4", "ConfigSpace==1.2.2"),
    "smac": ("smac==2.4.1",),
    "optuna": ("optuna==5.0.0",),
    "dehb": ("dehb==0.1.2",),
    "neps": ("neural-pipeline-search==0.17.0",),
}
"""What was measured. HpBandSter (netifaces) and SMAC3 (pyrfr) may need a C++ compiler, depending on the platform."""

main = installer(REQUIREMENTS, "Install the public searchers, each in an environment of its own.")

if __name__ == "__main__":
    main()
