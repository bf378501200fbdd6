"""Tags in words, with their units, for the axes of figures."""

from __future__ import annotations

_PARTS = {"train": "training", "val": "validation", "test": "test"}
_UNITS = {
    "balanced_accuracy": "0 to 1",
    "accuracy": "%",
    "cross_entropy": "nats",
    "time": "s",
    "root_mean_squared_error": "units of the target",
}


def tag_words(tag: str) -> str:
    """A tag for people, without its unit: "Train/val_accuracy" -> "validation accuracy"."""
    name = tag.removeprefix("Train/").removeprefix("final_")
    part, _, rest = name.partition("_")
    words = f"{_PARTS[part]} {rest}" if part in _PARTS and rest else name
    return words.replace("_", " ")


def unit_of(tag: str) -> str:
    """The unit of a tag's values in LCBench's files; empty if it is not known."""
    return next((unit for name, unit in _UNITS.items() if tag.endswith(name)), "")


def axis_words(tag: str) -> str:
    """An axis title: "validation accuracy (%)"."""
    unit = unit_of(tag)
    return f"{tag_words(tag)} ({unit})" if unit else tag_words(tag)


def regret_unit(tag: str) -> str:
    """The unit of differences of a tag's values: "percentage points" of percent."""
    unit = unit_of(tag)
    return {"%": "percentage points", "0 to 1": "points of 1"}.get(unit, unit) or tag_words(tag)


def anchor(name: str) -> str:
    """A name as part of an identifier in a page."""
    return "".join(character if character.isalnum() else "-" for character in name)
