"""From what a user typed to what a run needs: names looked up, defaults filled in, nonsense refused at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import BudgetError, DataError, SpaceError, UnknownNameError
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.graph import CHOICE_SUFFIX, Choice, Component, choice_name
from autopytorch_lite.space.adapt import adapt_portfolio
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.stopping import as_rules, as_trial_stopping
from autopytorch_lite.stored_run import RunRequest
from autopytorch_lite.types import Config, DatasetInfo
from search_spaces import FileFormatError, UnknownFileError, load_portfolio, load_ranges, with_edits

MIN_CELLS_FOR_CUDA = 2_000_000
"""Under device="auto", tables with fewer cells (rows x columns) stay on the CPU: a GPU costs more than it saves."""
EPOCHS_BY_ROWS = ((4_000, 81), (15_000, 54), (math.inf, 27))
"""Epochs of a full training for tables of at most so many rows."""
ETA_BY_ROWS = ((15_000, 2), (math.inf, 3))
"""How many times the epochs of the rung below a rung has, for tables of at most so many rows."""


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check what can be checked without data.

    Raises:
        BudgetError: limits or budgets contradict each other.
        DataError: another argument has an impossible value; the message names it.
    """
    for name in ("time_limit", "n_trials", "memory_limit_mb", "max_predict_ms_per_row"):
        _check_number(name, arguments[name], Real, _is_positive, "a positive number or None", optional=True)
    if not isinstance(arguments["refit"], bool) and arguments["refit"] != "auto":
        raise DataError(f"refit must be 'auto', True or False, got {arguments['refit']!r}.")
    has_rules = bool(as_rules(arguments["stop"]))
    as_trial_stopping(arguments["stop_trials"])
    if arguments["time_limit"] is None and arguments["n_trials"] is None and not has_rules:
        raise BudgetError(
            "Say when to stop: give time_limit (seconds), n_trials (evaluations), or both; both are None."
        )
    for name in ("min_budget", "max_budget"):
        _check_number(name, arguments[name], Integral, _is_positive, "an integer of at least 1 or None", optional=True)
    _check_number("ensemble_size", arguments["ensemble_size"], Integral, _is_positive, "an integer of at least 1")
    _check_number(
        "eta", arguments["eta"], Integral, lambda value: value >= 2, "an integer of at least 2 or None", optional=True
    )
    _check_number(
        "n_jobs", arguments["n_jobs"], Integral, lambda value: value != 0, "a non-zero integer or None", optional=True
    )


def _is_positive(value: Any) -> bool:
    return bool(value > 0)


def _check_number(
    name: str, value: Any, kind: type, holds: Callable[[Any], bool], expected: str, *, optional: bool = False
) -> None:
    if value is None and optional:
        return
    if not isinstance(value, kind) or isinstance(value, bool) or not holds(value):
        raise DataError(f"{name} must be {expected}, got {value!r}.")


def resolve_request(arguments: Mapping[str, Any], info: DatasetInfo) -> tuple[RunRequest, ConfigurationSpace]:
    """What a run needs and the space it searches, from an estimator's arguments and the facts about its data.

    Raises:
        UnknownNameError: no such metric, search space, portfolio, component or hyperparameter.
        MissingExtraError: a component that was asked for by name needs a package that is not installed.
        SpaceError: the search space or a configuration of the portfolio does not fit.
        DataError: the metric does not suit the task, or the device is not there.
    """
    metric = resolve_metric(arguments["metric"], info.task, info.n_outputs)
    ranges = installed_only(with_edits(_ranges(arguments["search_space"]), learner_edits(arguments["learners"])))
    min_budget, max_budget = resolve_budgets(arguments, ranges.pop("budgets", {}), info)
    limit_ms = arguments["max_predict_ms_per_row"]
    graph, seed = default_graph(), resolve_seed(arguments["random_state"])
    space = compile_space(graph, ranges, info, seed=seed)
    request = RunRequest(
        metric=metric.name,
        ranges=ranges,
        portfolio=tuple(adapt_portfolio(_configs(arguments["portfolio"]), space, graph, info)),
        min_budget=min_budget,
        max_budget=max_budget,
        eta=int(arguments["eta"] or _by_rows(ETA_BY_ROWS, info)),
        ensemble_size=int(arguments["ensemble_size"]),
        device=resolve_device(arguments["device"], info)[0],
        precision=_resolve_precision(arguments["precision"]),
        seed=seed,
        is_time_aware=arguments["n_trials"] is None,
        max_predict_ms_per_row=limit_ms if limit_ms is None else float(limit_ms),
    )
    return request, space


def resolve_budgets(arguments: Mapping[str, Any], of_space: Mapping[str, int], info: DatasetInfo) -> tuple[int, int]:
    """Epochs of the lowest and of the highest rung.

    What is not said is taken from the search space if it was made for certain budgets, as those of the paper were;
    otherwise by the number of rows: the more rows, the more steps an epoch has, and the fewer epochs are needed. The
    lowest rung then has about a ninth of the epochs.

    Raises:
        BudgetError: the lowest rung would be above the highest.
    """
    max_budget = int(arguments["max_budget"] or of_space.get("max_budget", _by_rows(EPOCHS_BY_ROWS, info)))
    of_nothing = of_space.get("min_budget", max_budget // 9)
    min_budget = int(arguments["min_budget"] or max(1, min(of_nothing, max_budget)))
    if min_budget > max_budget:
        raise BudgetError(f"min_budget must not be above max_budget, got {min_budget=} and {max_budget=} epochs.")
    return min_budget, max_budget


def _by_rows(values: Sequence[tuple[float, int]], info: DatasetInfo) -> int:
    """The value of the first bound that the number of rows does not exceed."""
    return next(value for most, value in values if info.n_rows <= most)


def resolve_seed(random_state: Any) -> int:
    """An integer seed from None (fresh entropy), an integer, or a NumPy random state or generator (drawn from it)."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, Integral):
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    raise DataError(f"random_state must be None, an integer or a NumPy random state, got {random_state!r}.")


def resolve_device(device: str, info: DatasetInfo) -> tuple[str, str]:
    """The device to train on, and why.

    "auto" takes the first GPU that works for tables of at least `MIN_CELLS_FOR_CUDA` cells, and never fails.

    Raises:
        DataError: a GPU was asked for by name and is not usable.
    """
    n_cells = info.n_rows * (info.n_numeric + info.n_categorical)
    if device == "cpu":
        return "cpu", "asked for"
    if device == "auto" and n_cells < MIN_CELLS_FOR_CUDA:
        return "cpu", f"{n_cells} cells are too few for a GPU to pay"
    if device != "auto" and not str(device).startswith("cuda"):
        raise DataError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:0' and so on, got {device!r}.")
    trouble = _cuda_trouble(device)
    if not trouble:
        return ("cuda" if device == "auto" else device), "a GPU is available"
    if device == "auto":
        return "cpu", trouble
    raise DataError(f"device={device!r} was asked for, but {trouble}; use device='auto' or 'cpu'.")


def _cuda_trouble(device: str) -> str:
    """Why the GPU cannot be used; empty if it can."""
    import torch

    try:
        if not torch.cuda.is_available():
            return "torch finds no usable CUDA device"
        torch.zeros(1, device="cuda" if device == "auto" else device)
    except Exception as error:  # a broken driver raises many things; each means: not usable
        return f"CUDA fails here ({str(error).splitlines()[0]})"
    return ""


def _resolve_precision(precision: str) -> str:
    if precision not in ("auto", "float32", "bfloat16"):
        raise UnknownNameError("precision", precision, ("auto", "float32", "bfloat16"))
    return "float32" if precision == "auto" else precision


def _ranges(search_space: Any) -> dict[str, Any]:
    """A ranges file: a named or stored one, or a user's edits on top of the default."""
    if isinstance(search_space, Mapping):
        return with_edits(load_ranges("default"), search_space)
    if isinstance(search_space, str | Path):
        return _loaded(load_ranges, search_space)
    raise DataError(f"search_space must be a name, a path or a mapping of edits, got {type(search_space).__name__}.")


def learner_edits(learners: str | Sequence[str]) -> dict[str, list[str]]:
    """Edits that keep only the wanted learners.

    Args:
        learners: "all", "neural", "traditional" (all others that are installed), or names of learners and backbones.

    Raises:
        UnknownNameError: no learner or backbone has that name.
    """
    graph = default_graph()
    known = {name: _option_names(graph.find(name)) for name in ("learner", "backbone")}
    if isinstance(learners, str):
        groups = {
            "all": {},
            "neural": {"learner": ["neural"]},
            "traditional": {"learner": _traditional(graph)},
        }
        kept: dict[str, list[str]] = groups[learners] if learners in groups else _kept_options([learners], known)
    else:
        kept = _kept_options(list(learners), known)
    return {f"{node}:{CHOICE_SUFFIX}": names for node, names in kept.items()}


def _traditional(graph: Choice) -> list[str]:
    return [option.name for option in graph.options if isinstance(option, Component) and option.is_installed()]


def installed_only(ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Ranges without components whose packages are not installed.

    They are excluded by name: the space of a run follows from its ranges, whatever is installed later.

    Raises:
        MissingExtraError: the ranges ask for such a component by name.
    """
    excluded: dict[str, list[str]] = {}
    for node, component in default_graph().walk_components():
        if component.is_installed():
            continue
        name = choice_name(node.name)
        listed = _listed(ranges["edits"].get(name))
        if listed is None:
            excluded.setdefault(name, []).append(component.name)
        elif component.name in listed:
            component.load_package()
    return with_edits(ranges, {name: {"exclude": names} for name, names in excluded.items()})


def _listed(edit: Any) -> list[Any] | None:
    """The options that an edit of a choice names; None where it leaves all that it does not exclude."""
    if isinstance(edit, Mapping):
        return edit.get("choices")
    if edit is None:
        return None
    return list(edit) if isinstance(edit, list | tuple) else [edit]


def _kept_options(learners: list[str], known: Mapping[str, list[str]]) -> dict[str, list[str]]:
    everything = [*known["learner"], *known["backbone"]]
    for name in learners:
        if name not in everything:
            raise UnknownNameError("learner", name, ["all", "neural", "traditional", *everything])
    backbones = [name for name in known["backbone"] if name in learners]
    wanted = {"neural", *learners} if backbones else set(learners)
    kept = {"learner": [name for name in known["learner"] if name in wanted]}
    return kept | ({"backbone": backbones} if backbones else {})


def _option_names(choice: Any) -> list[str]:
    return [option.name for option in choice.options]


def _configs(portfolio: Any) -> list[Config]:
    """The configurations to evaluate first, as they were given or stored; they need not fit the space of the data."""
    if portfolio is None:
        return []
    return _loaded(load_portfolio, portfolio) if isinstance(portfolio, str | Path) else list(portfolio)


def _loaded(load: Callable[[str | Path], Any], name_or_path: str | Path) -> Any:
    """A stored file, its errors as ours: `search_spaces` knows the standard library only."""
    try:
        return load(name_or_path)
    except (UnknownFileError, FileFormatError) as error:
        raise SpaceError(str(error)) from error
