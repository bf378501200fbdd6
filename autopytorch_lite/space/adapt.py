"""Configurations found elsewhere, made to fit the space at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.pipeline.graph import Categorical, Choice, Float, Hyperparameter, Int, Node, choice_name
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.space.domains import Domain
from autopytorch_lite.space.names import known_hyperparameters
from autopytorch_lite.types import Config, ConfigValue, DatasetInfo


def adapt(config: Mapping[str, ConfigValue], space: ConfigurationSpace, graph: Node, info: DatasetInfo) -> Config:
    """The configuration of `space` that is closest to `config`.

    What `config` leaves open takes its default; what does not apply to the data or is not in the space is left out; a
    number outside of the space's range moves to the nearest bound, an option that the space excludes becomes the
    default.

    Args:
        config: full name -> value, possibly partial, possibly made for other data.
        space: what `compile(graph, ..., info)` returned.
        graph: decides which names and options exist.
        info: facts about the data.

    Raises:
        UnknownNameError: a name or option does not exist in the graph.
        SpaceError: a value is of the wrong kind.
    """
    _check_known(config, known_hyperparameters(graph, info))
    return _fitted(config, SpaceWalk(space))


def adapt_portfolio(
    configs: Iterable[Mapping[str, ConfigValue]], space: ConfigurationSpace, graph: Node, info: DatasetInfo
) -> list[Config]:
    """A portfolio made to fit the space: every entry adapted, in order, each result once.

    An entry whose option at the top of the graph is not in the space (networks only, say) is left out: adapting it
    would only give the default of another learner.

    Raises:
        UnknownNameError, SpaceError: as `adapt`, saying which entry.
    """
    known = known_hyperparameters(graph, info)
    walk = SpaceWalk(space)
    root = choice_name(graph.name)
    adapted: list[Config] = []
    for i, config in enumerate(configs):
        _check_entry(i, config, known)
        if isinstance(graph, Choice) and root in config and not walk.domains[root].contains(config[root]):
            continue
        fitted = _fitted(config, walk)
        if fitted not in adapted:
            adapted.append(fitted)
    return adapted


def _fitted(config: Mapping[str, ConfigValue], walk: SpaceWalk) -> Config:
    def choose(name: str, domain: Domain) -> ConfigValue:
        return domain.nearest(config[name]) if name in config else domain.default

    return walk.fill(choose)


def _check_entry(i: int, config: Mapping[str, ConfigValue], known: Mapping[str, Hyperparameter]) -> None:
    try:
        _check_known(config, known)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error.what} in portfolio entry {i}", error.name, error.known) from None
    except SpaceError as error:
        raise SpaceError(f"Portfolio entry {i}: {error}") from None


def _check_known(config: Mapping[str, ConfigValue], known: Mapping[str, Hyperparameter]) -> None:
    for name, value in config.items():
        if name not in known:
            raise UnknownNameError("hyperparameter", name, known)
        _check_kind(name, value, known[name])


def _check_kind(name: str, value: object, declared: Hyperparameter) -> None:
    if isinstance(declared, Categorical):
        if value not in declared.choices:
            raise UnknownNameError(f"choice of {name}", value, declared.choices)
    elif isinstance(declared, Float | Int):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SpaceError(f"{name} must be a number, got {value!r}.")
    elif not isinstance(value, str | int | float | bool):
        raise SpaceError(f"{name} must be text, a number or true or false, got {value!r}.")
