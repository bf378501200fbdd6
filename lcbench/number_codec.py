"""Curves of float64 as few bytes, exactly: predicted from what came before, and only what differs is stored.

Curves that come from training are smooth, and their numbers have fewer digits than a float64 holds: most were float32,
or have few decimals, or are shares of some number of rows. So curves are written as integers (`Form`) of which close
ones are close numbers, only their difference to a prediction (`PREDICTORS`) is stored, and bytes of equal weight come
next to each other, so that any general compression finds the many zeros. Form and predictor are those that promise the
fewest bits on some of the curves. Everything is exact, bit for bit, -0.0 and NaN included.

Source: prediction and ordered integers as in P. Lindstrom and M. Isenburg, Fast and efficient compression of
floating-point data, IEEE TVCG 12(5), 2006; bytes of equal weight together as in the shuffle filter of HDF5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, Self

import numpy as np

from autopytorch_lite.types import FloatArray, IntArray

_MAX_DECIMALS = 10
_MAX_EXACT = 2.0**53
"""Integers up to here are exact as float64."""
_N_SAMPLED = 64
"""Curves by which form and predictor are chosen."""
_MAX_ROWS = 2**19
"""Counts of more rows are not told apart in float32."""
_MIN_SHARES = 1024
"""In fewer values it is not worth while to look for the number of rows."""
_MAX_LEVEL_SHARE = 0.25
"""Of levels to values; with more of them their list costs what it saves."""
_LEVEL_BITS = 16.0
"""What a level costs in its list, roughly."""

Header = dict[str, Any]
"""What decoding needs to know beside the bytes; plain data for JSON."""

_Predictor = Callable[[FloatArray, int, FloatArray], FloatArray]
"""Takes values (n_steps, n_curves), a step, and a reference curve (n_steps,); looks only at earlier steps."""


def _same(values: FloatArray, step: int, reference: FloatArray) -> FloatArray:
    return values[step - 1]


def _mean(values: FloatArray, step: int, reference: FloatArray) -> FloatArray:
    return values[step - 1] if step < 2 else (values[step - 1] + values[step - 2]) / 2


def _line(values: FloatArray, step: int, reference: FloatArray) -> FloatArray:
    return values[step - 1] if step < 2 else 2 * values[step - 1] - values[step - 2]


def _scaled(values: FloatArray, step: int, reference: FloatArray) -> FloatArray:
    """As the reference curve goes on: exact for schedules, which differ by a factor."""
    return values[step - 1] * (reference[step] / reference[step - 1])


PREDICTORS: dict[str, _Predictor] = {"same": _same, "mean": _mean, "line": _line, "scaled": _scaled}


def predicted(name: str, values: FloatArray, step: int, reference: FloatArray) -> FloatArray:
    """What earlier steps say about a step: float64, shape (n_curves,), finite.

    Only single operations of IEEE 754, so that every machine predicts the same. 0 where nothing is known.
    """
    if step == 0 or name == "zero":
        return np.zeros(values.shape[1])
    with np.errstate(all="ignore"):
        guess = PREDICTORS[name](values, step, reference)
    return np.where(np.isfinite(guess), guess, 0.0)


class Form(Protocol):
    """A way to write numbers as integers, of which neighbours are close."""

    def to_ints(self, values: FloatArray) -> IntArray:
        """The integers, int64; of the closest number if a value has none."""
        ...

    def to_floats(self, ints: IntArray) -> FloatArray:
        """The values, float64."""
        ...


@dataclass(frozen=True)
class Decimal:
    """Numbers with at most `digits` decimals."""

    digits: int

    def to_ints(self, values: FloatArray) -> IntArray:
        """The values without their decimal point."""
        return _rounded(values, 10.0**self.digits)

    def to_floats(self, ints: IntArray) -> FloatArray:
        """The values."""
        return ints / 10.0**self.digits


@dataclass(frozen=True)
class Shares:
    """Shares of some number of rows: `scale` times a count, divided by `n_rows`, then rounded to `size` bits.

    LCBench's accuracies are float32 of this kind with a scale of 100.
    """

    n_rows: int
    scale: int
    size: int

    def to_ints(self, values: FloatArray) -> IntArray:
        """The counts."""
        return _rounded(values, self.n_rows / self.scale)

    def to_floats(self, ints: IntArray) -> FloatArray:
        """The values."""
        return (self.scale * ints / self.n_rows).astype(f"f{self.size // 8}").astype(np.float64)

    @classmethod
    def of(cls, values: FloatArray) -> Self | None:
        """The form with the fewest rows that holds the values; None if there is none."""
        sample = np.unique(values.ravel()[:: max(1, values.size // _N_SAMPLED)])
        if not (sample.size > 1 and sample[0] >= 0 and sample[-1] <= 100):
            return None
        scale = 100 if sample[-1] > 1 else 1
        n_rows = np.arange(1.0, _MAX_ROWS + 1)
        for value in sample:
            counts = value / scale * n_rows
            n_rows = n_rows[np.abs(counts - np.rint(counts)) <= n_rows * 2.0**-24]
        candidates = (cls(int(n), scale, size) for n in n_rows[:1] for size in (32, 64))
        return next((form for form in candidates if _holds(form, values)), None)


@dataclass(frozen=True)
class Bits:
    """Any number of 32 or 64 bits, as its place among all of them."""

    size: int

    def to_ints(self, values: FloatArray) -> IntArray:
        """The bits, so turned that larger numbers have larger integers."""
        with np.errstate(all="ignore"):
            bits = values.astype(f"<f{self.size // 8}").view(f"<i{self.size // 8}")
        return _turned(bits).astype(np.int64)

    def to_floats(self, ints: IntArray) -> FloatArray:
        """The values."""
        bits = _turned(ints.astype(f"<i{self.size // 8}"))
        return bits.view(f"<f{self.size // 8}").astype(np.float64)


@dataclass(frozen=True)
class Levels:
    """One of few numbers, as its rank among them.

    Attributes:
        places: the numbers as `Bits(64)` writes them, in ascending order; int64, shape (n_levels,).
    """

    places: IntArray

    @classmethod
    def of(cls, values: FloatArray) -> Self:
        """All numbers that occur among the values."""
        return cls(np.unique(Bits(64).to_ints(values)))

    def to_ints(self, values: FloatArray) -> IntArray:
        """The ranks."""
        return np.searchsorted(self.places, Bits(64).to_ints(values)).astype(np.int64)

    def to_floats(self, ints: IntArray) -> FloatArray:
        """The values."""
        return Bits(64).to_floats(self.places[ints])


def _rounded(values: FloatArray, factor: float) -> IntArray:
    """The integers next to a multiple of the values; what is not finite or too large has any."""
    with np.errstate(all="ignore"):
        multiples = np.rint(values * factor)
    return np.clip(np.nan_to_num(multiples, nan=0.0), -_MAX_EXACT, _MAX_EXACT).astype(np.int64)


def encode(values: FloatArray) -> tuple[Header, bytes]:
    """Numbers as header and bytes that compress well; `decode` is the inverse.

    Args:
        values: float64, shape (n_steps, n_curves).
    """
    reference = values[:, 0] if values.size else np.zeros(len(values))
    form, predictor = _best(values, reference)
    header: Header = {"shape": list(values.shape), "predictor": predictor}
    parts = []
    if isinstance(form, Levels):
        header["levels"], content = _encode_list(Bits(64).to_floats(form.places))
        parts.append(content)
    else:
        header["form"] = _form_header(form)
    if predictor == "scaled":
        header["reference"], content = _encode_list(reference)
        parts.append(content)
    header["n_planes"], content = _planes(_differences(form, values, _all_predicted(predictor, values, reference)))
    return header, b"".join([*parts, content])


def decode(header: Header, content: BinaryIO) -> FloatArray:
    """The numbers, float64, shape (n_steps, n_curves).

    Args:
        header: from `encode`.
        content: a file at the first of the bytes from `encode`; what follows them is left.
    """
    n_steps, n_curves = header["shape"]
    form = Levels.of(_decode_list(header["levels"], content)) if "levels" in header else _form(header["form"])
    reference = _decode_list(header["reference"], content) if "reference" in header else np.zeros(n_steps)
    differences = _from_planes(header["n_planes"], n_steps * n_curves, content).reshape(n_steps, n_curves)
    values = np.empty((n_steps, n_curves))
    for step in range(n_steps):
        guess = predicted(header["predictor"], values, step, reference)
        values[step] = form.to_floats(differences[step] + form.to_ints(guess))
    return values


def _best(values: FloatArray, reference: FloatArray) -> tuple[Form, str]:
    """Form and name of the predictor with the fewest bits on a sample of the curves."""
    sample = values[:, :: max(1, values.shape[1] // _N_SAMPLED)]
    guesses = {name: _all_predicted(name, sample, reference) for name in ("zero", *PREDICTORS)}
    costs = [
        (_bits(_differences(form, sample, guess)) + extra, form, name)
        for form, extra in _forms(values)
        for name, guess in guesses.items()
    ]
    return min(costs, key=lambda cost: cost[0])[1:]


def _forms(values: FloatArray) -> Iterator[tuple[Form, float]]:
    """Forms that hold the values exactly, and the bits per value that each costs beside the differences."""
    plain = _exact(values)
    yield plain, 0.0
    shares = Shares.of(values) if isinstance(plain, Bits) and values.size >= _MIN_SHARES else None
    if shares is not None:
        yield shares, 0.0
    levels = Levels.of(values)
    if 0 < len(levels.places) <= _MAX_LEVEL_SHARE * values.size:
        yield levels, len(levels.places) * _LEVEL_BITS / values.size


def _exact(values: FloatArray) -> Decimal | Bits:
    """The smallest of the plain forms that hold the values exactly."""
    candidates: list[Decimal | Bits] = [*map(Decimal, range(_MAX_DECIMALS + 1)), Bits(32)]
    first = values.ravel()[:_N_SAMPLED]
    return next((form for form in candidates if _holds(form, first) and _holds(form, values)), Bits(64))


def _holds(form: Form, values: FloatArray) -> bool:
    """Whether the form gives back every bit."""
    again = form.to_floats(form.to_ints(values))
    return bool(np.array_equal(again.view(np.int64), values.view(np.int64)))


def _all_predicted(name: str, values: FloatArray, reference: FloatArray) -> FloatArray:
    return np.array([predicted(name, values, step, reference) for step in range(len(values))]).reshape(values.shape)


def _differences(form: Form, values: FloatArray, guesses: FloatArray) -> IntArray:
    return form.to_ints(values) - form.to_ints(guesses)


def _bits(differences: IntArray) -> float:
    """How many bits a difference needs, on average."""
    return float(np.log2(1.0 + _unsigned(differences)).mean()) if differences.size else 0.0


def _encode_list(values: FloatArray) -> tuple[Header, bytes]:
    """A sequence of numbers, shape (n,), by the difference to the one before."""
    form = _exact(values)
    n_planes, content = _planes(np.diff(form.to_ints(values), prepend=0))
    return {"form": _form_header(form), "n_values": len(values), "n_planes": n_planes}, content


def _decode_list(header: Header, content: BinaryIO) -> FloatArray:
    differences = _from_planes(header["n_planes"], header["n_values"], content)
    return _form(header["form"]).to_floats(np.cumsum(differences))


def _form_header(form: Form) -> Header:
    """A form that needs no list, as plain data."""
    return {"name": type(form).__name__, **vars(form)}


def _form(header: Header) -> Form:
    forms = {form.__name__: form for form in (Decimal, Shares, Bits)}
    return forms[header["name"]](**{key: value for key, value in header.items() if key != "name"})


def _turned(bits: IntArray) -> IntArray:
    """Bits of floating-point numbers as integers of the same order, and back: negative ones are turned around."""
    return np.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)


def _unsigned(differences: IntArray) -> IntArray:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ...; uint64."""
    return ((differences << 1) ^ (differences >> 63)).view(np.uint64)


def _planes(differences: IntArray) -> tuple[int, bytes]:
    """How many bytes the largest difference needs, and the lowest byte of each, then the second of each, and so on."""
    planes = _unsigned(differences).astype("<u8").ravel().view(np.uint8).reshape(-1, 8).T
    n_planes = int(np.flatnonzero(planes.any(axis=1)).max(initial=-1)) + 1
    return n_planes, planes[:n_planes].tobytes()


def _from_planes(n_planes: int, n_values: int, content: BinaryIO) -> IntArray:
    """The differences, int64, shape (n_values,)."""
    planes = np.zeros((n_values, 8), dtype=np.uint8)
    planes[:, :n_planes] = np.frombuffer(content.read(n_planes * n_values), np.uint8).reshape(n_planes, n_values).T
    unsigned = planes.view("<u8").ravel().astype(np.uint64)
    return (unsigned >> np.uint64(1)).view(np.int64) ^ -(unsigned & np.uint64(1)).view(np.int64)
