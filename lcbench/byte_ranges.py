"""Any part of a large file, plain or compressed, without holding more of it than a few megabytes."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

BLOCK_BYTES = 2**22
"""Of content. Reading a few bytes of a compressed file costs at most one block more."""
_INPUT_BYTES = 2**16
_RAW, _GZIP = -15, 31
"""What zlib calls window bits: a deflated stream alone, as in a zip archive, and one with gzip's frame around it."""
_LOCAL_HEADER_BYTES = 30


class ByteRanges(Protocol):
    """The content of a file."""

    def blocks(self) -> Iterator[bytes]:
        """The whole content in order, in pieces of `BLOCK_BYTES`."""
        ...

    def read(self, start: int, n_bytes: int) -> bytes:
        """A part of the content; shorter if the content ends before."""
        ...


def stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written: its time in nanoseconds and its size in bytes."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def open_ranges(path: Path) -> ByteRanges:
    """The content of a file; of ``.gz`` and ``.zip`` what is compressed in it.

    Args:
        path: of an archive with exactly one JSON file, of a gzipped file, or of any other file.

    Raises:
        ValueError: the archive cannot be used.
        zipfile.BadZipFile: it is none.
    """
    if path.suffix == ".gz":
        return InflatedRanges(path, 0, path.stat().st_size, window_bits=_GZIP)
    if path.suffix == ".zip":
        return _archive_member(path)
    return PlainRanges(path, 0, path.stat().st_size)


class PlainRanges:
    """A part of a file as it is.

    Args:
        path: of the file.
        start: the first byte.
        n_bytes: how many.
    """

    def __init__(self, path: Path, start: int, n_bytes: int):
        self._path = path
        self._start = start
        self._n_bytes = n_bytes

    def blocks(self) -> Iterator[bytes]:
        """The whole content in order."""
        for start in range(0, self._n_bytes, BLOCK_BYTES):
            yield self.read(start, BLOCK_BYTES)

    def read(self, start: int, n_bytes: int) -> bytes:
        """A part of the content."""
        with self._path.open("rb") as file:
            file.seek(self._start + start)
            return file.read(min(n_bytes, self._n_bytes - start))


class InflatedRanges:
    """What is deflated in a part of a file.

    Inflating has no random access, so its state is kept at the beginning of every block that was reached: about 40 kB
    for each `BLOCK_BYTES` of content.

    Args:
        path: of the file.
        start: first byte of the compressed content.
        n_bytes: of the compressed content.
        window_bits: as `zlib.decompressobj` takes them.
        checksum: CRC-32 of the content; None if the stream has its own.
    """

    def __init__(self, path: Path, start: int, n_bytes: int, *, window_bits: int, checksum: int | None = None):
        self._path = path
        self._end = start + n_bytes
        self._window_bits = window_bits
        self._checksum = checksum
        self._states: list[tuple[int, Any]] = [(start, zlib.decompressobj(window_bits))]
        self._block: Callable[[int], bytes] = lru_cache(maxsize=2)(self._inflated)

    def blocks(self) -> Iterator[bytes]:
        """The whole content in order.

        Raises:
            EOFError: the stream is cut off.
            zlib.error: it is damaged.
            ValueError: the checksum is not that of the content.
        """
        checksum, number = 0, 0
        while block := self._block(number):
            checksum, number = zlib.crc32(block, checksum), number + 1
            yield block
        if self._checksum not in (None, checksum):
            raise ValueError("its checksum does not match, so it is damaged.")

    def read(self, start: int, n_bytes: int) -> bytes:
        """A part of the content; fast for parts that follow each other."""
        first, last = start // BLOCK_BYTES, (start + n_bytes - 1) // BLOCK_BYTES
        content = b"".join(map(self._block, range(first, last + 1)))
        return content[start - first * BLOCK_BYTES :][:n_bytes]

    def _inflated(self, number: int) -> bytes:
        """A block whose predecessors were inflated before; empty behind the end."""
        position, state = self._states[number]
        state, parts, n_missing = state.copy(), [], BLOCK_BYTES
        with self._path.open("rb") as file:
            file.seek(position)
            while n_missing and not (state.eof and file.tell() >= self._end):
                if state.eof:  # gzip files may be joined
                    state = zlib.decompressobj(self._window_bits)
                source = file.read(min(_INPUT_BYTES, self._end - file.tell()))
                parts.append(state.decompress(source, n_missing))
                if not (source or parts[-1] or state.eof):
                    raise EOFError("the compressed content is cut off.")
                file.seek(-len(state.unused_data if state.eof else state.unconsumed_tail), 1)
                n_missing -= len(parts[-1])
            if number + 1 == len(self._states):
                self._states.append((file.tell(), state))
        return b"".join(parts)


def _archive_member(path: Path) -> ByteRanges:
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(_only_json_member(archive))
    if member.flag_bits & 1:
        raise ValueError(f"{member.filename!r} in it is encrypted.")
    with path.open("rb") as file:
        file.seek(member.header_offset)
        n_name, n_extra = struct.unpack_from("<HH", file.read(_LOCAL_HEADER_BYTES), 26)
        start = file.tell() + n_name + n_extra
    if member.compress_type == zipfile.ZIP_STORED:
        return PlainRanges(path, start, member.file_size)
    if member.compress_type == zipfile.ZIP_DEFLATED:
        return InflatedRanges(path, start, member.compress_size, window_bits=_RAW, checksum=member.CRC)
    raise ValueError(f"{member.filename!r} in it must be stored or deflated, not compressed by another method.")


def _only_json_member(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.endswith(".json")]
    if len(names) != 1:
        raise ValueError(f"the archive must hold exactly one .json file, it holds {names or 'none'}.")
    return names[0]
