"""The systems compared: ours whole and in parts, public ones, and models with their authors' defaults."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.types import Config

DRIVERS = Path(__file__).parent / "drivers"

BASELINE = "hgb"
"""What results.txt compares with."""

OURS = "ours-"
"""Followed by the name of a variant, or by a value of the estimator's `learners`."""

REQUIREMENTS = {
    "boosting": ("lightgbm==4.7.0", "catboost==1.2.10", "scikit-learn==1.9.1"),
    "pytabkit": ("torch==2.13.0", "pytabkit[models]==1.7.3"),
    "autogluon": ("torch==2.13.0", "autogluon.tabular[lightgbm,catboost,xgboost,fastai,tabm,realmlp,ray]==1.6.3"),
    "flaml": ("flaml[automl]==2.7.0",),
}
"""What was measured, by environment. `python -m benchmarks.tabular.peers install` makes them."""


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        title: how tables call it.
        driver: the script `drive_{driver}.py` of `drivers`.
        environment: name of its environment; None: this interpreter.
        options: for the driver.
        is_timed: whether it takes a time limit; others are models with fixed hyperparameters.
    """

    title: str
    driver: str
    environment: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    is_timed: bool = True

    @property
    def script(self) -> Path:
        """The driver."""
        return DRIVERS / f"drive_{self.driver}.py"

    def python(self, environments: Path | None) -> Path:
        """The interpreter of its environment.

        Raises:
            UnavailableError: there is none.
        """
        if self.environment is None:
            return Path(sys.executable)
        python = None if environments is None else environments / self.environment / "bin" / "python"
        if python is None or not python.exists():
            raise UnavailableError(
                f"Environment {self.environment!r} is missing: python -m benchmarks.tabular.peers install "
                f"{self.environment} --env ENVIRONMENTS, and give --environments."
            )
        return python

    def beginning_with(self, portfolio: Sequence[Config]) -> System:
        """The same, its default portfolio replaced; itself if it is none of ours or says what its portfolio is."""
        if self.driver != "ours" or "portfolio" in self.options:
            return self
        return replace(self, options={**self.options, "portfolio": list(portfolio)})

    def revision(self) -> str:
        """A short name of everything on our side that its rows depend on: options, driver, pinned versions."""
        pins = REQUIREMENTS.get(self.environment or "", ())
        text = json.dumps([asdict(self) | {"title": ""}, pins], sort_keys=True)
        code = self.script.read_bytes() + (DRIVERS / "driver_protocol.py").read_bytes()
        return hashlib.sha256(text.encode() + code).hexdigest()[:12]


class UnavailableError(Exception):
    """The environment of a system is not there."""


def _model(title: str, driver: str, environment: str | None, model: str) -> System:
    return System(title, driver, environment, {"model": model}, is_timed=False)


def _ours(title: str, **options: Any) -> System:
    return System(title, "ours", options=options)


_NETWORKS: dict[str, dict[str, Any]] = {"NN_TORCH": {}, "FASTAI": {}, "TABM": {}, "REALMLP": {}}

SYSTEMS: dict[str, System] = {
    "hgb": _model("scikit-learn HistGradientBoosting, defaults", "sklearn", None, "hgb"),
    "mlp": _model("scikit-learn MLP, defaults", "sklearn", None, "mlp"),
    "lightgbm": _model("LightGBM, defaults", "boosting", "boosting", "lightgbm"),
    "catboost": _model("CatBoost, defaults", "boosting", "boosting", "catboost"),
    "lightgbm-td": _model("LightGBM, tuned defaults", "pytabkit", "pytabkit", "LGBM_TD"),
    "catboost-td": _model("CatBoost, tuned defaults", "pytabkit", "pytabkit", "CatBoost_TD"),
    "realmlp": _model("RealMLP-TD", "pytabkit", "pytabkit", "RealMLP_TD"),
    "tabm": _model("TabM-D", "pytabkit", "pytabkit", "TabM_D"),
    "flaml": System("FLAML", "flaml", "flaml"),
    "autogluon-medium": System("AutoGluon medium_quality", "autogluon", "autogluon", {"presets": "medium_quality"}),
    "autogluon-best": System("AutoGluon best_quality", "autogluon", "autogluon", {"presets": "best_quality"}),
    "autogluon-neural": System("AutoGluon, networks only", "autogluon", "autogluon", {"hyperparameters": _NETWORKS}),
    "ours-all": _ours("ours", learners="all"),
    "ours-neural": _ours("ours, networks only", learners="neural"),
    "ours-traditional": _ours("ours, without networks", learners="traditional"),
    "ours-no-portfolio": _ours("ours, without portfolio", portfolio=None),
    "ours-random": _ours("ours, random search without portfolio", searcher="random", portfolio=None),
    "ours-bohb": _ours("ours, BOHB", searcher="bohb"),
    "ours-random-portfolio": _ours("ours, random search after the portfolio", searcher="random"),
    "ours-no-refit": _ours("ours, models of the search only", refit=False),
    "ours-single": _ours("ours, best model instead of an ensemble", ensemble_size=1),
}

GROUPS: dict[str, tuple[str, ...]] = {
    "comparison": (
        *(name for name in SYSTEMS if not name.startswith(OURS)),
        *("ours-all", "ours-neural", "ours-no-portfolio", "ours-random"),
    ),
    "ablation": tuple(name for name in SYSTEMS if name.startswith(OURS)),
}
"""Names that stand for several."""


def find_system(name: str) -> System:
    """The system of a name; ours with any learners has one.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in SYSTEMS and name.startswith(OURS):
        learners = name.removeprefix(OURS)
        return _ours(f"ours, learners {learners}", learners=learners)
    if name not in SYSTEMS:
        raise UnknownNameError("system", name, [*GROUPS, *SYSTEMS])
    return SYSTEMS[name]


def expand(names: Iterable[str]) -> list[str]:
    """Names of systems, groups replaced by their members, each once.

    Raises:
        UnknownNameError: one is neither.
    """
    members = list(dict.fromkeys(member for name in names for member in GROUPS.get(name, (name,))))
    for name in members:
        find_system(name)
    return members
