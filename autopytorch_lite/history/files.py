"""Files of trials: a folder per trial key that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.trial import TrialKey
from autopytorch_lite.types import Array

CHECKPOINT = "checkpoint"
"""Name of the part of a trial's folder that only continuing the trial needs."""
VALIDATION_PREDICTIONS = "validation_predictions.npy"


class TrialFiles:
    """The folder `files/` of a run: one folder `{config_id}_{budget}` for each trial that left something behind.

    Args:
        root: the folder; made when the first trial is staged.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root).absolute()  # an objective may change the working folder

    def folder(self, key: TrialKey) -> Path:
        """Where the files of a trial are, whether or not there are any."""
        return self.root / f"{key.config_id}_{key.budget}"

    def existing(self, key: TrialKey) -> Path | None:
        """The folder of a trial that left files, otherwise None."""
        folder = self.folder(key)
        return folder if folder.is_dir() else None

    def staging_folder(self, key: TrialKey) -> Path:
        """Where a running trial writes; not part of the run until it is moved by `staging`."""
        return self.root / ".staging" / self.folder(key).name

    @contextmanager
    def staging(self, key: TrialKey) -> Iterator[Path]:
        """An empty folder to write into; it becomes the trial's folder at once when the block ends without an error.

        Remains of an earlier attempt at the same trial are replaced. After an error, nothing is left. A trial that
        wrote nothing gets no folder.
        """
        staged = self.staging_folder(key)
        self.discard(key)
        staged.mkdir(parents=True)
        try:
            yield staged
            self._commit(staged, self.folder(key))
        finally:
            self.discard(key)

    def discard(self, key: TrialKey) -> None:
        """Remove what a running or killed trial wrote so far."""
        shutil.rmtree(self.staging_folder(key), ignore_errors=True)

    def discard_all(self) -> None:
        """Remove what all killed trials left; only while no trial runs."""
        shutil.rmtree(self.root / ".staging", ignore_errors=True)

    def validation_predictions(self, key: TrialKey) -> Array:
        """Out-of-sample predictions of a trial: float array, shape (n_validation_rows, n_outputs).

        Raises:
            HistoryError: the trial left none, or the file is damaged.
        """
        path = self.folder(key) / VALIDATION_PREDICTIONS
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise HistoryError(f"Trial {key} has no readable validation predictions at {path}: {error}") from error

    def has_checkpoint(self, key: TrialKey) -> bool:
        """Whether the trial left what continuing it needs."""
        return (self.folder(key) / CHECKPOINT).is_dir()

    def drop_checkpoint(self, key: TrialKey) -> None:
        """Remove what only continuing the trial needs; model and predictions remain."""
        shutil.rmtree(self.folder(key) / CHECKPOINT, ignore_errors=True)

    def drop_results(self, key: TrialKey) -> None:
        """Remove model and predictions of a trial that no ensemble will take; what continuing it needs remains."""
        for path in self.folder(key).glob("*") if self.folder(key).is_dir() else ():
            if path.name != CHECKPOINT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @staticmethod
    def _commit(staged: Path, target: Path) -> None:
        if not any(staged.iterdir()):
            return
        if target.exists():
            replaced = staged.with_name(f"{staged.name}.replaced")
            target.rename(replaced)
            staged.rename(target)
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            staged.rename(target)
