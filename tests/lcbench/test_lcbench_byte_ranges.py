from __future__ import annotations

import gzip
import random
import zipfile
import zlib
from pathlib import Path

import pytest

from lcbench import byte_ranges
from lcbench.byte_ranges import open_ranges

CONTENT = bytes(random.Random(0).choices(b"0123456789.,", k=25_000))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_ranges, "BLOCK_BYTES", 1000)


def zipped(path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("read me.txt", "not this one")
        archive.writestr("folder/data.json", CONTENT)
    return path


def made(name: str, folder: Path) -> Path:
    path = folder / name.split()[-1]
    if name == "stored d.zip":
        return zipped(path, zipfile.ZIP_STORED)
    if name == "d.zip":
        return zipped(path)
    joined = gzip.compress(CONTENT[:9000]) + gzip.compress(CONTENT[9000:])
    path.write_bytes({"d.json": CONTENT, "d.gz": gzip.compress(CONTENT), "joined d.gz": joined}[name])
    return path


@pytest.mark.parametrize("name", ["d.json", "d.gz", "joined d.gz", "d.zip", "stored d.zip"])
def test_every_part_of_every_kind_of_file_can_be_read(name: str, tmp_path: Path) -> None:
    ranges = open_ranges(made(name, tmp_path))
    blocks = list(ranges.blocks())
    assert b"".join(blocks) == CONTENT
    assert max(map(len, blocks)) == 1000
    for start, n_bytes in [(20_000, 10), (0, 1), (999, 2), (1000, 1000), (3, 12_345), (24_990, 10), (24_990, 50)]:
        assert ranges.read(start, n_bytes) == CONTENT[start : start + n_bytes]


def test_a_file_that_is_cut_off_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "d.gz"
    path.write_bytes(gzip.compress(CONTENT)[:-20])
    with pytest.raises(EOFError, match="cut off"):
        list(open_ranges(path).blocks())


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises((ValueError, EOFError, zlib.error)):
        list(open_ranges(path).blocks())


def test_a_wrong_checksum_is_noticed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip")
    checksum = zlib.crc32(CONTENT).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(checksum, bytes(4)))
    with pytest.raises(ValueError, match="checksum does not match"):
        list(open_ranges(path).blocks())


def test_archives_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'folder/data\.json' in it must be stored or deflated"):
        open_ranges(zipped(tmp_path / "d.zip", zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.json", "{}")
        archive.writestr("b.json", "{}")
    with pytest.raises(ValueError, match=r"exactly one \.json file, it holds \['a\.json', 'b\.json'\]"):
        open_ranges(tmp_path / "two.zip")
