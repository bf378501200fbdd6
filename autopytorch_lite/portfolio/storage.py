"""A performance matrix as one compressed .npz file: arrays of numbers and a header of JSON, no pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import PortfolioError, SpaceError
from autopytorch_lite.history.lines import to_plain
from autopytorch_lite.history.whole_files import replacing
from autopytorch_lite.space.encode import VectorCodec
from autopytorch_lite.types import Array, Config, FloatArray

FORMAT = 1
_KIND = "performance matrix"
_IN_HEADER = ("tasks", "budgets", "provenance", "found_on")
_STEPS = 65_534  # codes 0 .. _STEPS of a uint16
_UNKNOWN = 65_535
_LOG_STEP = 1e-3  # seconds are stored in steps of this much on the log axis


def write(path: str | PathLike[str], content: Mapping[str, Any], *, quantised: bool) -> None:
    """Write the fields of a `PerformanceMatrix`. The file is replaced as a whole: readers see the old or the new one.

    Raises:
        PortfolioError: the provenance is not plain data.
    """
    header = {
        "kind": _KIND,
        "format": FORMAT,
        "space": content["space"].to_serialized_dict(),
        **{name: content[name] for name in _IN_HEADER},
    }
    try:
        text = json.dumps(to_plain(header), allow_nan=False)
    except TypeError as error:
        raise PortfolioError(f"The provenance of a performance matrix must be plain data: {error}") from error
    arrays = {
        "header": np.frombuffer(text.encode(), np.uint8),
        **_configs_to_arrays(content["configs"], content["space"]),
    }
    if quantised:
        arrays |= _quantised_losses(content["losses"]) | _quantised_seconds(content["seconds"])
    else:
        arrays |= {name: content[name] for name in ("losses", "seconds")}
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read(path: str | PathLike[str]) -> dict[str, Any]:
    """The fields of a `PerformanceMatrix`; inverse of `write`.

    Raises:
        PortfolioError: the file is missing, damaged, something else, or of a newer format; the message names it.
    """
    arrays = _load(path)
    header = _header(arrays, path)
    try:
        space = ConfigurationSpace.from_serialized_dict(header["space"])
        return {
            "space": space,
            "configs": _configs_from_arrays(arrays, space),
            "losses": arrays["losses"] if "losses" in arrays else _losses_from_codes(arrays),
            "seconds": arrays["seconds"] if "seconds" in arrays else _seconds_from_codes(arrays),
            **{name: header[name] for name in _IN_HEADER},
        }
    except Exception as error:  # whatever a wrong content leads to: the file is at fault
        raise PortfolioError(f"The performance matrix {path} is damaged: {error!r}.") from error


def _load(path: str | PathLike[str]) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:  # np.load would not compare every checksum
            return {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}
    except FileNotFoundError as error:
        raise PortfolioError(f"A performance matrix is a .npz file, but {path} does not exist.") from error
    except Exception as error:  # a damaged archive raises many things; each means: this is no such file
        raise PortfolioError(f"{path} is damaged or no performance matrix, it cannot be read: {error}") from error


def _array(content: bytes) -> Array:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _header(arrays: Mapping[str, Array], path: str | PathLike[str]) -> dict[str, Any]:
    try:
        header = json.loads(arrays["header"].tobytes().decode())
        kind, number = header["kind"], header["format"]
    except (KeyError, ValueError, TypeError) as error:
        raise PortfolioError(f"A performance matrix has a header of JSON; {path} has none.") from error
    if kind != _KIND:
        raise PortfolioError(f"{path} must be a {_KIND}, but says it is a {kind!r}.")
    if not isinstance(number, int) or not 1 <= number <= FORMAT:
        raise PortfolioError(
            f"This version reads performance matrices up to format {FORMAT}; {path} has format {number!r}. "
            "A newer version of autopytorch-lite wrote it."
        )
    return header


def _configs_to_arrays(configs: tuple[Config, ...], space: ConfigurationSpace) -> dict[str, Array]:
    """Vectors in the shortest float type that gives exactly the same configurations back; else JSON."""
    codec = VectorCodec(space)
    vectors = codec.encode_many(configs)
    for kind in (np.float16, np.float32, np.float64):
        short = vectors.astype(kind)
        if _decoded(codec, short) == configs:
            return {"vectors": short}
    text = json.dumps(to_plain(list(configs)), separators=(",", ":"))
    return {"configs": np.frombuffer(text.encode(), np.uint8)}


def _configs_from_arrays(arrays: Mapping[str, Array], space: ConfigurationSpace) -> tuple[Config, ...]:
    if "vectors" in arrays:
        return _decoded(VectorCodec(space), arrays["vectors"])
    return tuple(json.loads(arrays["configs"].tobytes().decode()))


def _decoded(codec: VectorCodec, vectors: Iterable[Array]) -> tuple[Config, ...]:
    return tuple(codec.decode(vector) for vector in vectors)


def _quantised_losses(losses: FloatArray) -> dict[str, Array]:
    """Codes 0 .. 65,534 from the lowest to the highest loss of each task."""
    known = np.isfinite(losses)
    low = np.where(known, losses, np.inf).min((1, 2), initial=np.inf)
    high = np.where(known, losses, -np.inf).max((1, 2), initial=-np.inf)
    ends = np.stack([np.where(np.isfinite(low), low, 0), np.where(np.isfinite(high), high, 0)]).astype(np.float32)
    span = np.where(ends[1] > ends[0], ends[1].astype(float) - ends[0], 1.0)[:, None, None]
    codes = np.rint((np.where(known, losses, 0) - ends[0][:, None, None]) / span * _STEPS)
    return {"loss_codes": _packed(np.where(known, codes, _UNKNOWN)), "loss_ends": ends}


def _losses_from_codes(arrays: Mapping[str, Array]) -> FloatArray:
    codes = _unpacked(arrays["loss_codes"])
    low, high = arrays["loss_ends"].astype(float)[:, :, None, None]
    values = low + (high - low) * codes.astype(float) / _STEPS
    return np.where(codes == _UNKNOWN, np.nan, values).astype(np.float32)


def _quantised_seconds(seconds: FloatArray) -> dict[str, Array]:
    """Code 0 is no time at all, code k stands for `shortest * exp((k - 1) * _LOG_STEP)`."""
    positive = seconds > 0
    shortest = float(seconds[positive].min()) if positive.any() else 1.0
    codes = 1 + np.rint(np.log(np.where(positive, seconds, shortest) / shortest) / _LOG_STEP)
    codes = np.where(positive, np.minimum(codes, _STEPS), 0)
    packed = _packed(np.where(np.isfinite(seconds), codes, _UNKNOWN))
    return {"second_codes": packed, "second_shortest": np.array(shortest)}


def _seconds_from_codes(arrays: Mapping[str, Array]) -> FloatArray:
    codes = _unpacked(arrays["second_codes"])
    values = np.where(codes > 0, float(arrays["second_shortest"]) * np.exp((codes.astype(float) - 1) * _LOG_STEP), 0.0)
    return np.where(codes == _UNKNOWN, np.nan, values).astype(np.float32)


def _packed(codes: Array) -> Array:
    """Differences along the budgets, high and low bytes apart: such bytes compress well. Shape (2, t, n, r)."""
    whole = codes.astype(np.uint16)
    steps = np.diff(whole, axis=2, prepend=np.zeros_like(whole[:, :, :1]))
    return np.stack([steps >> 8, steps & 255]).astype(np.uint8)


def _unpacked(packed: Array) -> Array:
    if packed.ndim != 4 or packed.shape[0] != 2:
        raise SpaceError(f"codes must have the shape (2, tasks, configs, budgets), got {packed.shape}")
    high, low = packed.astype(np.uint16)
    return np.cumsum(high * 256 + low, axis=2, dtype=np.uint16)
