"""One exception hierarchy; every message says what must hold, what came, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AutoPyTorchLiteError(Exception):
    """Base of every error this package raises on purpose."""


class DataError(AutoPyTorchLiteError, ValueError):
    """The table, its target, or a column of it cannot be used; the message names the column or value."""


class SpaceError(AutoPyTorchLiteError, ValueError):
    """A search space, an edit of one, or a configuration does not fit the component graph."""


class UnknownNameError(AutoPyTorchLiteError, ValueError):
    """A name (metric, hyperparameter, component, portfolio, tag) does not exist; the message offers the closest."""

    def __init__(self, what: str, name: object, known: Iterable[object]):
        self.what = what
        self.name = name
        self.known = tuple(str(k) for k in known)
        closest = difflib.get_close_matches(str(name), self.known, n=1, cutoff=0.4)
        hint = f"; did you mean {closest[0]!r}?" if closest else f"; known: {', '.join(self.known[:20])}."
        super().__init__(f"Unknown {what} {name!r}{hint}")


class BudgetError(AutoPyTorchLiteError, ValueError):
    """Budgets or time limits contradict each other."""


class PortfolioError(AutoPyTorchLiteError, ValueError):
    """A portfolio or a performance matrix is damaged, inconsistent, or too small for what was asked of it."""


class HistoryError(AutoPyTorchLiteError):
    """A run directory cannot be read, is damaged in the middle, or belongs to another run."""


class NothingTrainedError(AutoPyTorchLiteError, RuntimeError):
    """A search ended without a usable model; the message counts failures by kind and shows the first tracebacks."""


class MissingExtraError(AutoPyTorchLiteError, ImportError):
    """An optional dependency is absent; the message names the extra that installs it."""

    def __init__(self, package: str, extra: str, purpose: str):
        self.package = package
        self.extra = extra
        super().__init__(f"{purpose} needs {package!r}: pip install 'autopytorch-lite[{extra}]'.", name=package)


class DivergedError(AutoPyTorchLiteError, ArithmeticError):
    """Training produced a loss or weights that are not finite."""
