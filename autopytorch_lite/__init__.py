"""AutoDL for tables: networks, training and preprocessing chosen together, within a time limit.

Importing this package is quick: torch, scikit-learn and pandas are loaded when a name below is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autopytorch_lite.estimator import AutoTabularClassifier, AutoTabularRegressor, load
    from autopytorch_lite.pipeline.registry import register, unregister
    from autopytorch_lite.report.page import write_report
    from autopytorch_lite.report.progress import ProgressBar
    from autopytorch_lite.tuner import tune

    __version__: str

_HOMES = {
    "AutoTabularClassifier": "autopytorch_lite.estimator",
    "AutoTabularRegressor": "autopytorch_lite.estimator",
    "ProgressBar": "autopytorch_lite.report.progress",
    "load": "autopytorch_lite.estimator",
    "register": "autopytorch_lite.pipeline.registry",
    "tune": "autopytorch_lite.tuner",
    "unregister": "autopytorch_lite.pipeline.registry",
    "write_report": "autopytorch_lite.report.page",
}

__all__ = [
    "AutoTabularClassifier",
    "AutoTabularRegressor",
    "ProgressBar",
    "__version__",
    "load",
    "register",
    "tune",
    "unregister",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for (PEP 562)."""
    if name == "__version__":
        value: Any = _version()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The installed version, or "0+source" for a checkout that is on the path but not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("autopytorch-lite")
    except PackageNotFoundError:
        return "0+source"
