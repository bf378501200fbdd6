from __future__ import annotations

from pathlib import Path

import pytest

from autopytorch_lite.history.whole_files import replacing


def test_a_file_appears_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "data.bin"
    with replacing(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    """Used to be readable by its owner only, as a temporary file is."""
    (tmp_path / "other").touch()
    with replacing(tmp_path / "data.bin") as file:
        file.write(b"new")
    assert (tmp_path / "data.bin").stat().st_mode == (tmp_path / "other").stat().st_mode
