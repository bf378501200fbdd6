"""Evaluations through HpBandSter's NameServer, Master, Dispatcher and Workers; needs the extra `hpbandster`.

    from autopytorch_lite.execution.hpbandster import HpBandSterExecutor

    with HpBandSterExecutor(objective, n_workers=2, files_root=RunDirectory(run_dir).files) as executor:
        result = tune(searcher, executor=executor, run_dir=run_dir)

docs/hpbandster.md has workers on other machines.
"""

from __future__ import annotations

from autopytorch_lite.errors import MissingExtraError

try:
    import hpbandster.core.master  # noqa: F401 (also tells whether Pyro is there)
except ImportError as error:
    raise MissingExtraError(error.name or "hpbandster", "hpbandster", "Running through HpBandSter") from error

from autopytorch_lite.execution.hpbandster.executor import HpBandSterExecutor
from autopytorch_lite.execution.hpbandster.objectives import save_objective

__all__ = ["HpBandSterExecutor", "save_objective"]
