"""Ranges files: edits that fix, narrow or widen what the components declare, by full hyperparameter name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.pipeline.graph import Categorical, Choice, Constant, Float, Hyperparameter, Int, Node, choice_name
from autopytorch_lite.space.names import known_hyperparameters
from autopytorch_lite.types import ConfigValue, DatasetInfo

FORMAT = 1
_FILE_KEYS = ("format", "name", "description", "source", "license", "budgets", "edits")
_NUMBER_FIELDS = ("low", "high", "log", "default")
_CHOICE_FIELDS = ("choices", "exclude", "default")


class Ranges:
    """The edits of one ranges file, checked against a graph.

    An edit of a hyperparameter is a value (fix it), a list (the choices left), or a mapping: any of "low", "high",
    "log" and "default" for a number, "choices", "exclude" and "default" for a category or a choice of the graph. (What
    is only excluded leaves room for components that users register.) A constant takes a value, or becomes searched
    when given a list or both bounds. A name that ends in ``*`` edits the whole family; an edit of the exact name is
    applied after it.

    Args:
        ranges: a whole ranges file, or only its edits; None for no edits.
        graph: the graph whose names are edited.
        info: the data for which the space is made. Edits of what does not apply to such data are checked and then
            ignored.

    Raises:
        UnknownNameError: a name, option or field does not exist.
        SpaceError: an edit is not possible, for example low above high; the message names the hyperparameter.
    """

    def __init__(self, ranges: Mapping[str, Any] | None, graph: Node, info: DatasetInfo):
        self.name, self._edits = _read(ranges or {})
        known = known_hyperparameters(graph, info)
        for pattern in self._edits:
            if not any(_matches(pattern, name) for name in known):
                raise UnknownNameError(self._place("hyperparameter"), pattern, known)
        for name, hyperparameter in known.items():
            self.apply(name, hyperparameter)

    def apply(self, name: str, hyperparameter: Hyperparameter) -> Hyperparameter:
        """What is left of a declared hyperparameter after all edits that name it."""
        for pattern in sorted((p for p in self._edits if _matches(p, name)), key=lambda p: not p.endswith("*")):
            try:
                hyperparameter = edited(hyperparameter, self._edits[pattern])
            except UnknownNameError as error:
                raise UnknownNameError(self._place(f"{error.what} of {name}"), error.name, error.known) from None
            except (SpaceError, TypeError, ValueError) as error:
                raise SpaceError(f"{self._place(f'The edit of {name}')} is not possible. {error}") from None
        return hyperparameter

    def options(self, choice: Choice, info: DatasetInfo) -> Categorical:
        """The options left to a choice after edits, of those that apply to such data.

        Raises:
            SpaceError: none is left.
        """
        every = Categorical(choice.name, tuple(option.name for option in choice.options), choice.default)
        wanted = self.apply(choice_name(choice.name), every)
        assert isinstance(wanted, Categorical)
        applicable = {option.name for option in choice.applicable(info)}
        left = tuple(option for option in wanted.choices if option in applicable)
        if not left:
            raise SpaceError(
                f"{self._place(f'Choice {choice.name}')} is left without an option for {info.task.value} data: asked "
                f"for {_join(wanted.choices)}; such data allow {_join(sorted(applicable))}."
            )
        return Categorical(choice.name, left, wanted.default_value if wanted.default_value in left else None)

    def _place(self, what: str) -> str:
        return f"{what} in ranges {self.name!r}" if self.name else what


def edited(hyperparameter: Hyperparameter, edit: Any) -> Hyperparameter:
    """One hyperparameter after one edit; see `Ranges`.

    Raises:
        UnknownNameError: a choice or field does not exist.
        SpaceError: the edit does not fit this kind of hyperparameter, or leaves a range that cannot be.
    """
    if isinstance(hyperparameter, Constant):
        return _edited_constant(hyperparameter, edit)
    if isinstance(hyperparameter, Categorical):
        return _edited_categorical(hyperparameter, edit)
    return _edited_number(hyperparameter, edit)


def _edited_number(number: Float | Int, edit: Any) -> Hyperparameter:
    kind = int if isinstance(number, Int) else float
    if not isinstance(edit, Mapping):
        return Constant(number.name, _as_number(edit, kind), when=number.when)
    _check_fields(edit, _NUMBER_FIELDS)
    fields = {key: bool(value) if key == "log" else _as_number(value, kind) for key, value in edit.items()}
    low, high = fields.get("low", number.low), fields.get("high", number.high)
    if number.default is not None and low <= high:
        fields.setdefault("default", min(max(number.default, low), high))
    return replace(number, **fields)  # type: ignore[arg-type]


def _edited_categorical(categorical: Categorical, edit: Any) -> Categorical:
    if not isinstance(edit, Mapping):
        edit = {"choices": edit if _is_list(edit) else [edit]}
    _check_fields(edit, _CHOICE_FIELDS)
    listed, excluded = edit.get("choices", categorical.choices), edit.get("exclude", ())
    for values in (listed, excluded):
        _check_choices(values, categorical.choices)
    choices = tuple(value for value in listed if value not in excluded)
    kept = categorical.default if categorical.default in choices else None
    return replace(categorical, choices=choices, default=edit.get("default", kept))


def _check_choices(values: Any, allowed: Sequence[ConfigValue]) -> None:
    if not _is_list(values):
        raise SpaceError(f"Choices must be a list, got {values!r}.")
    for value in values:
        if value not in allowed:
            raise UnknownNameError("choice", value, allowed)


def _edited_constant(constant: Constant, edit: Any) -> Hyperparameter:
    if _is_list(edit):
        return Categorical(constant.name, tuple(edit), when=constant.when)
    if not isinstance(edit, Mapping):
        if not isinstance(edit, str | int | float | bool):
            raise SpaceError(f"A value must be text, a number or true or false, got {edit!r}.")
        return replace(constant, value=edit)
    _check_fields(edit, _NUMBER_FIELDS)
    if not {"low", "high"} <= set(edit):
        raise SpaceError(f"A constant becomes searched by giving both low and high, got {dict(edit)}.")
    whole = all(isinstance(edit[key], int) for key in ("low", "high"))
    return (Int if whole else Float)(constant.name, **edit, when=constant.when)


def _read(ranges: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Name and edits of a ranges file, or of bare edits."""
    if "edits" not in ranges and "format" not in ranges:
        return "", ranges
    _check_fields(ranges, _FILE_KEYS)
    if ranges.get("format", FORMAT) != FORMAT:
        raise SpaceError(f"Ranges files have format {FORMAT}, got {ranges['format']!r} in {ranges.get('name')!r}.")
    return str(ranges.get("name", "")), ranges.get("edits", {})


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == name


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _as_number(value: Any, kind: type[int] | type[float]) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or kind(value) != value:
        raise SpaceError(f"A {'whole number' if kind is int else 'number'} is needed, got {value!r}.")
    return kind(value)


def _check_fields(edit: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for key in edit:
        if key not in allowed:
            raise UnknownNameError("field", key, allowed)


def _join(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values)) or "nothing"
