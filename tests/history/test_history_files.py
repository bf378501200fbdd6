from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.files import CHECKPOINT, TrialFiles
from autopytorch_lite.history.trial import TrialKey

KEY = TrialKey(3, 9)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_folder_appears_whole_at_the_end(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path / "files")
    with files.staging(KEY) as folder:
        np.save(folder / "validation_predictions.npy", np.eye(2))
        assert files.existing(KEY) is None
    assert files.existing(KEY) == tmp_path / "files" / "3_9"
    np.testing.assert_array_equal(files.validation_predictions(KEY), np.eye(2))
    assert names(tmp_path / "files") == ["3_9/validation_predictions.npy"]


def test_failure_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    with pytest.raises(RuntimeError), files.staging(KEY) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert names(tmp_path) == []
    with files.staging(KEY) as folder:
        (folder / "whole").write_text("x")
    with pytest.raises(RuntimeError), files.staging(KEY):
        raise RuntimeError
    assert names(tmp_path) == ["3_9/whole"]


def test_repeated_trial_replaces_its_folder_and_ignores_remains(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    with files.staging(KEY) as folder:
        (folder / "first").write_text("x")
    files.staging_folder(KEY).mkdir(parents=True)
    (files.staging_folder(KEY) / "of a killed process").write_text("x")
    with files.staging(KEY) as folder:
        (folder / "second").write_text("x")
    assert names(tmp_path) == ["3_9/second"]


def test_trial_without_files_has_no_folder(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    with files.staging(KEY):
        pass
    assert files.existing(KEY) is None
    with pytest.raises(HistoryError, match="3@9"):
        files.validation_predictions(KEY)


def test_dropping_the_checkpoint_keeps_the_rest(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    with files.staging(KEY) as folder:
        (folder / CHECKPOINT).mkdir()
        (folder / CHECKPOINT / "optimizer").write_text("x")
        (folder / "model").write_text("x")
    files.drop_checkpoint(KEY)
    files.drop_checkpoint(TrialKey(0, 1))
    assert names(tmp_path) == ["3_9/model"]


def test_remains_of_killed_trials_can_be_discarded(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    for key in (KEY, TrialKey(0, 1)):
        files.staging_folder(key).mkdir(parents=True)
    files.discard(KEY)
    assert not files.staging_folder(KEY).exists()
    files.discard_all()
    assert list(tmp_path.iterdir()) == []


def test_dropping_results_keeps_the_checkpoint(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    with files.staging(KEY) as folder:
        (folder / CHECKPOINT).mkdir()
        (folder / CHECKPOINT / "optimizer").write_text("x")
        (folder / "model").write_text("x")
        (folder / "fold0").mkdir()
    files.drop_results(KEY)
    files.drop_results(TrialKey(0, 1))
    assert names(tmp_path) == ["3_9/checkpoint/optimizer"]
