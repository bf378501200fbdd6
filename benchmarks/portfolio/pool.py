"""The pool from which the default portfolio is selected: configurations of every family."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

import numpy as np
from ConfigSpace import ConfigurationSpace, Constant

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.graph import Choice, choice_name
from autopytorch_lite.search.sampling import ConfigurationSampler
from autopytorch_lite.space.adapt import adapt_portfolio
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.types import Config, DatasetInfo, Task
from benchmarks.portfolio.published import LIBRARY, TABREPO, TUNED
from search_spaces import load_portfolio, load_ranges, with_edits

LEARNER, BACKBONE, NEURAL = choice_name("learner"), choice_name("backbone"), "neural"

DRAWS = {
    "hist_gradient_boosting": 5,
    "lightgbm": 5,
    "xgboost": 6,
    "catboost": 4,
    "extra_trees": 5,
    "random_forest": 3,
    "linear": 4,
    "support_vectors": 4,
    "tabm": 6,
    "realmlp": 5,
    "shaped_mlp": 4,
    "shaped_resnet": 4,
}
"""How many configurations of each family, a learner or a backbone of the networks, are drawn from the default space."""

_MADE_UP = DatasetInfo(Task.BINARY, 1000, 10, (5, 20), 2, (500, 500), has_missing=True)
"""Drawn from the space of such data; what does not apply to a table is left out there."""


@dataclass(frozen=True)
class Candidate:
    """One configuration that may become an entry of a portfolio.

    Attributes:
        name: unique in the pool.
        source: by_hand, published, drawn, or paper.
        config: full name -> value; what it leaves open takes the default of its space.
        space: name of its ranges file.
    """

    name: str
    source: str
    config: Config
    space: str = "default"

    @property
    def family(self) -> str:
        """The learner, or the backbone of a network."""
        learner = str(self.config[LEARNER])
        return str(self.config[BACKBONE]) if learner == NEURAL else learner

    @property
    def is_neural(self) -> bool:
        """Whether it is a network."""
        return self.config[LEARNER] == NEURAL

    @property
    def revision(self) -> str:
        """A short name of all that its results depend on and that is said here."""
        return hashlib.sha256(json.dumps([self.space, self.config], sort_keys=True).encode()).hexdigest()[:12]

    def fitted(self, info: DatasetInfo) -> Config | None:
        """The configuration in the space of such data, made as the estimators make it; None if it does not apply."""
        graph = default_graph()
        fitted = adapt_portfolio([self.config], _space(self.space, info), graph, info)
        return fitted[0] if fitted else None


def pool() -> list[Candidate]:
    """All candidates: those of the portfolio made by hand, published ones, drawn ones, and those of the paper."""
    return [*by_hand(), *published(), *drawn(), *of_paper()]


def chosen(sources: Collection[str], families: Collection[str]) -> list[Candidate]:
    """The candidates of these sources and families; all where nothing is named.

    Raises:
        UnknownNameError: no candidate has such a source or family.
    """
    candidates = pool()
    _check_known("source", sources, {c.source for c in candidates})
    _check_known("family", families, {c.family for c in candidates})
    return [c for c in candidates if (not sources or c.source in sources) and (not families or c.family in families)]


def _check_known(what: str, wanted: Collection[str], known: Collection[str]) -> None:
    for name in wanted:
        if name not in known:
            raise UnknownNameError(what, name, sorted(known))


def by_hand() -> list[Candidate]:
    """The fifteen entries of the portfolio `by_hand`, in its order."""
    return [Candidate(f"by_hand-{i:02}", "by_hand", config) for i, config in enumerate(load_portfolio("by_hand"))]


def published() -> list[Candidate]:
    """See `benchmarks.portfolio.published`."""
    return [Candidate(name, "published", config) for name, config in {**TUNED, **TABREPO, **LIBRARY}.items()]


def drawn(seed: int = 0) -> list[Candidate]:
    """Uniform draws from the default space, a first of every family before the second of any.

    Each draw has a generator of its own: asking for more of a family changes none of those that were there.
    """
    families = [list(_drawn(family, place, n, seed)) for place, (family, n) in enumerate(DRAWS.items())]
    return [candidate for turn in zip_longest(*families) for candidate in turn if candidate is not None]


def of_paper() -> list[Candidate]:
    """The sixteen networks of Auto-PyTorch Tabular, in the order of its portfolio and in its space."""
    return [Candidate(f"paper-{i:02}", "paper", config, "paper") for i, config in enumerate(load_portfolio("paper"))]


def _drawn(family: str, place: int, n: int, seed: int) -> Iterator[Candidate]:
    backbones = default_graph().find("backbone")
    assert isinstance(backbones, Choice), "networks choose a backbone"
    is_backbone = any(option.name == family for option in backbones.options)
    edits: Config = {LEARNER: NEURAL, BACKBONE: family} if is_backbone else {LEARNER: family}
    space = compile_space(default_graph(), with_edits(load_ranges("default"), edits), _MADE_UP)
    sampler = ConfigurationSampler(space)
    for i in range(n):
        config = sampler.sample(np.random.default_rng([seed, place, i]), is_known=lambda config: False)
        searched = {name: value for name, value in config.items() if not isinstance(space[name], Constant)}
        yield Candidate(f"drawn-{family}-{i}", "drawn", {**edits, **searched})


@lru_cache(maxsize=64)
def _space(name: str, info: DatasetInfo) -> ConfigurationSpace:
    return compile_space(default_graph(), load_ranges(name), info)
