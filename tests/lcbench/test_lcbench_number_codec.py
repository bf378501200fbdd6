from __future__ import annotations

import io
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from autopytorch_lite.types import FloatArray
from lcbench.number_codec import decode, encode

STEPS = np.arange(52.0)[:, None]


def there_and_back(values: FloatArray) -> tuple[FloatArray, int]:
    """What is decoded, and the number of compressed bytes."""
    header, content = encode(values)
    text = json.dumps(header)
    file = io.BytesIO(content + b"next")
    decoded = decode(json.loads(text), file)
    assert file.read() == b"next", "what follows is left"
    return decoded, len(zlib.compress(content)) + len(text)


def assert_exact(values: FloatArray) -> None:
    decoded, _ = there_and_back(values)
    assert decoded.shape == values.shape
    assert decoded.tobytes() == values.tobytes()


@settings(deadline=None, max_examples=200)
@given(
    arrays(
        np.float64,
        array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
        elements=st.one_of(
            st.floats(allow_nan=True, allow_infinity=True),
            st.floats(width=32),
            st.integers(-(2**53), 2**53).map(float),
            st.decimals(-1000, 1000, places=3).map(float),
            st.sampled_from([0.0, -0.0, 5e-324, -1.7e308, float("inf")]),
        ),
    )
)
def test_every_bit_comes_back(values: FloatArray) -> None:
    assert_exact(values)


def curves(name: str) -> FloatArray:
    rng = np.random.default_rng(0)
    falling = 0.9 * np.exp(-STEPS * rng.uniform(0.05, 0.2, 300)) + rng.normal(0, 1e-4, (52, 300))
    return {
        "float32": falling.astype(np.float32).astype(float),
        "decimals": np.round(falling, 3),
        "shares of rows": (100 * np.rint(np.abs(falling) * 22_901) / 22_901).astype(np.float32).astype(float),
        "shares of few rows": np.rint(np.abs(falling) * 229) / 229,
        "epochs": np.repeat(STEPS, 300, axis=1),
        "schedules": (np.cos(STEPS / 52) * rng.uniform(0.001, 0.1, 300)).astype(np.float32).astype(float),
        "constant": np.full((52, 300), 0.33),
        "diverged": np.where((STEPS > 20) & (rng.random(300) < 0.1), np.nan, falling),
        "double": falling,
    }[name]


@pytest.mark.parametrize(
    ("name", "max_bytes_a_value"),
    [
        ("float32", 3),
        ("decimals", 1),
        ("shares of rows", 1),
        ("shares of few rows", 0.5),
        ("epochs", 0.05),
        ("schedules", 0.5),
        ("constant", 0.05),
        ("diverged", 8),
        ("double", 7),
    ],
)
def test_curves_take_few_bytes(name: str, max_bytes_a_value: float) -> None:
    values = curves(name)
    assert_exact(values)
    assert there_and_back(values)[1] / values.size < max_bytes_a_value
