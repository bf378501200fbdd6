"""Tables of OpenML tasks, through OpenML's own client and its cache."""

from __future__ import annotations

import pandas as pd

from autopytorch_lite.errors import DataError


def read_openml_task(task_id: int) -> tuple[pd.DataFrame, pd.Series, str]:
    """Table, target and target name of a supervised OpenML task.

    Downloaded once and then read from the client's cache; server, key and cache folder are the client's configuration.
    Columns that the data set marks as row number or as to be ignored are left out.

    Raises:
        DataError: the task does not exist, has no target, or cannot be downloaded.
    """
    import openml

    options = {"download_data": True, "download_qualities": False, "download_features_meta_data": True}
    try:
        task = openml.tasks.get_task(task_id, download_splits=False, **options)
        target = getattr(task, "target_name", None)
        if target is None:
            raise DataError(f"OpenML task {task_id} must be a classification or regression task, it has no target.")
        X, y, _, _ = task.get_dataset(**options).get_data(target=target)
        assert isinstance(X, pd.DataFrame)
    except DataError:
        raise
    except (openml.exceptions.PyOpenMLError, OSError, NotImplementedError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"OpenML task {task_id} cannot be read: {type(error).__name__}: {reason}") from error
    return X, pd.Series(y, name=target), target
