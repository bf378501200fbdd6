"""Text tables: separator, encoding and types found out, and anything that is no text table refused in one line."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from pandas.api import types as dtypes

from autopytorch_lite.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 64 * 1024
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$")


def read_csv(path: Path) -> pd.DataFrame:
    """Read a text table with a header line.

    - Compressed files (.gz, .bz2, .xz, .zip with one member) are opened.
    - The separator is that of , ; tab | which divides most lines into equally many fields. After ";" a comma may be the
      decimal mark.
    - UTF-8, else Latin-1. Blanks after separators are skipped.
    - Empty fields and the usual words (NA, NaN, null, ...) are missing. "?" is missing in a column that holds only
      numbers otherwise, and a value like any other elsewhere.
    - A column whose every value is an ISO 8601 date becomes a datetime column.
    - A first column without a name that numbers the rows from 0 is left out.

    Raises:
        DataError: there is no such file, or it is empty, binary, a web page, has a repeated column name or lines of
            different lengths. One line that names the file.
    """
    content = _read_bytes(path)
    _check_is_text(content[:_SAMPLE_BYTES], path)
    text = _decode(content)
    lines = _sample_lines(text)
    separator = find_separator(lines)
    _check_header(lines[0], separator, path)
    decimal = "," if separator == ";" and _has_decimal_commas(lines) else "."
    frame = _parse(text, separator, decimal, path)
    if frame.empty:
        raise DataError(f"{path} has a header line but no rows.")
    return _without_row_numbers(frame.apply(_refine))


def find_separator(lines: list[str]) -> str:
    """The separator that divides most of the lines into equally many fields, at least two; a comma if none does."""

    def quality(separator: str) -> tuple[float, int]:
        widths = Counter(len(fields) for fields in csv.reader(lines, delimiter=separator))
        width, n_lines = max(widths.items(), key=lambda item: (item[1], item[0]))
        return (n_lines / sum(widths.values()), width) if width > 1 else (0.0, 1)

    return max(SEPARATORS, key=quality)


def _read_bytes(path: Path) -> bytes:
    try:
        return _DECOMPRESS.get(path.suffix.lower(), bytes)(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _only_member(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        members = [info for info in opened.infolist() if not info.is_dir()]
        if len(members) != 1:
            raise ValueError(f"the archive must hold exactly one table, it holds {len(members)} files.")
        return opened.read(members[0])


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zip": _only_member,
}


def _check_is_text(sample: bytes, path: Path) -> None:
    if not sample.strip():
        raise DataError(f"{path} is empty.")
    if b"\0" in sample:
        raise DataError(f"{path} must be a text table; it is a binary file.")
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head|body)", sample, re.IGNORECASE):
        raise DataError(f"{path} must be a text table; it is a web page or XML.")


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _sample_lines(text: str) -> list[str]:
    """The first lines that have something in them, without a last one that may be cut."""
    lines = text[:_SAMPLE_BYTES].splitlines()
    whole = lines[:-1] if len(text) > _SAMPLE_BYTES and len(lines) > 1 else lines
    return [line for line in whole if line.strip()][:200]


def _check_header(line: str, separator: str, path: Path) -> None:
    names = [name.strip() for name in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    name, count = Counter(name for name in names if name).most_common(1)[0] if any(names) else ("", 1)
    if count > 1:
        raise DataError(f"Column names must differ; {path} has {name!r} {count} times.")


def _has_decimal_commas(lines: list[str]) -> bool:
    fields = [field.strip() for row in csv.reader(lines[1:], delimiter=";") for field in row]
    return any(re.fullmatch(r"-?\d+,\d+", f) for f in fields) and not any(
        re.fullmatch(r"-?\d+\.\d+", f) for f in fields
    )


def _parse(text: str, separator: str, decimal: str, path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                decimal=decimal,
                skipinitialspace=True,
                index_col=False,
                low_memory=False,
            )
    except (ValueError, pd.errors.ParserWarning) as error:
        raise DataError(f"{path} is no regular table: {' '.join(str(error).split())}") from error
    return frame.rename(columns=lambda name: str(name).strip())


def _refine(series: pd.Series) -> pd.Series:
    """Numbers next to "?" and ISO dates, which pandas leaves as texts."""
    if not dtypes.is_string_dtype(series.dtype):
        return series
    present = series.dropna()
    unknown = present == "?"
    if unknown.any() and not unknown.all():
        numbers = pd.to_numeric(present[~unknown], errors="coerce")
        return numbers.reindex(series.index) if numbers.notna().all() else series
    return _dates(series, present)


def _dates(series: pd.Series, present: pd.Series) -> pd.Series:
    if present.empty or not _ISO_DATE.match(present.iloc[0]) or not present.str.match(_ISO_DATE).all():
        return series
    has_zone = bool(present.str.contains(r":.*(?:Z|[+-]\d\d:?\d\d)$").any())
    times = pd.to_datetime(series, format="ISO8601", errors="coerce", utc=has_zone)
    return times if times.notna().sum() == len(present) else series


def _without_row_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    first = frame.columns[0]
    numbers = pd.RangeIndex(len(frame))
    is_index = first == "Unnamed: 0" and len(frame.columns) > 1 and frame[first].tolist() == list(numbers)
    return frame.drop(columns=first) if is_index else frame
