"""Files of a saved learner: JSON, safetensors, and scikit-learn objects as skops. Reading them never runs code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# skops imports every module of scikit-learn, which takes about a second, so it is loaded when the first file is.

SAFE_TYPES = (
    "numpy.dtype",
    "functools.partial",  # of functions that are trusted themselves, as the next one
    "sklearn.utils.validation.check_array",
)
"""What scikit-learn's estimators hold beyond what skops trusts by itself."""


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write plain data, numbers exactly."""
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Inverse of `write_json`."""
    return json.loads(path.read_text(encoding="utf-8"))


def dump_objects(path: Path, objects: Mapping[str, Any]) -> None:
    """Write scikit-learn objects, arrays and plain data by name."""
    import skops.io

    skops.io.dump(dict(objects), path)


def load_objects(path: Path, classes: Iterable[type] = ()) -> dict[str, Any]:
    """Inverse of `dump_objects`.

    Args:
        path: file to read.
        classes: classes that the caller's own graph is made of. The file can add none: whatever else it holds must be
            scikit-learn's, numpy's or in `SAFE_TYPES`.

    Raises:
        UntrustedTypesFoundException: the file holds another type; nothing of it was loaded.
    """
    import skops.io

    return skops.io.load(path, trusted=[*SAFE_TYPES, *(f"{c.__module__}.{c.__qualname__}" for c in classes)])
