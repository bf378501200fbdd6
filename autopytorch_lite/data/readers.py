"""Tables by name: a file, a data set bundled with scikit-learn, or an OpenML task."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autopytorch_lite.data.csv_files import read_csv
from autopytorch_lite.data.openml_tasks import read_openml_task
from autopytorch_lite.errors import DataError, MissingExtraError, UnknownNameError

SKLEARN_SETS = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
"""Data sets that come with scikit-learn, so that no network is needed."""

_PARQUET_SUFFIXES = (".parquet", ".pq")


def read_table(
    source: str | os.PathLike[str], target: str | None = None
) -> tuple[pd.DataFrame, pd.Series | None, str | None]:
    """Read a table and set its target apart.

    Args:
        source: path of a text table (see `read_csv`) or of a .parquet file; "sklearn:NAME" with a name of
            `SKLEARN_SETS`; or "openml:TASK_ID".
        target: name of the column to predict. None: the source's own target; a file has none, and all its columns are
            returned as X, as needed for prediction.

    Returns:
        The columns but the target, the target (None without one), and its name (None without one). Class labels of
        scikit-learn's sets are their names ("setosa"); of its three-target set "linnerud" one target is taken.

    Raises:
        DataError: the source cannot be read, or no column is left beside the target; one line that names the source.
        UnknownNameError: no such column or bundled set; the message offers the closest.
        MissingExtraError: a .parquet file without pyarrow.
    """
    scheme, _, name = str(source).partition(":")
    if scheme == "sklearn":
        frame, own = _sklearn_set(name)
    elif scheme == "openml":
        X, y, own = read_openml_task(_task_id(source, name))
        frame = X.assign(**{own: y})
    else:
        frame, own = read_file(Path(source)), None
    wanted = own if target is None else target
    return (frame, None, None) if wanted is None else (*_split(frame, wanted, source), wanted)


def read_file(path: Path) -> pd.DataFrame:
    """Read a text table or a .parquet file; see `read_table`."""
    return _read_parquet(path) if path.suffix.lower() in _PARQUET_SUFFIXES else read_csv(path)


def _split(frame: pd.DataFrame, target: str, source: Any) -> tuple[pd.DataFrame, pd.Series]:
    if target not in frame.columns:
        raise UnknownNameError(f"target column of {source}:", target, frame.columns)
    if len(frame.columns) == 1:
        raise DataError(f"{source} must have columns beside the target; {target!r} is its only one.")
    return frame.drop(columns=target), frame[target]


def _read_parquet(path: Path) -> pd.DataFrame:
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "parquet", f"Reading {path}")
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as parquet: {' '.join(str(error).split())}") from error


def _sklearn_set(name: str) -> tuple[pd.DataFrame, str]:
    """A bundled set as one frame, and the name of its target."""
    if name not in SKLEARN_SETS:
        raise UnknownNameError("scikit-learn data set", name, SKLEARN_SETS)
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    if name == "linnerud":
        return bunch.data.join(bunch.target["Weight"]), "Weight"
    labels = getattr(bunch, "target_names", None)
    target = bunch.target if labels is None else np.asarray(labels)[bunch.target]
    return bunch.data.assign(target=target), "target"


def _task_id(source: Any, text: str) -> int:
    if not text.isdecimal():
        raise DataError(f"An OpenML task is named by its number, as in 'openml:31'; got {str(source)!r}.")
    return int(text)
