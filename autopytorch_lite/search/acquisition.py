"""How much a training is worth: expected improvement, on the log scale. Pure functions."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr, ndtr

from autopytorch_lite.types import FloatArray

_FAR = -6.0
"""Below so many standard deviations the closed form loses all digits and its asymptotic series takes over."""


def log_expected_improvement(means: FloatArray, deviations: FloatArray, best: float) -> FloatArray:
    """Log of E[max(f - best, 0)] for f normal; higher f is better.

    Args:
        means: float array, shape (m,).
        deviations: standard deviations, positive, shape (m,).
        best: what is to be improved upon.

    Source: Jones, Schonlau, Welch (1998), equation 15; the far tail as in Ament et al. (2023), "Unexpected Improvements
    to Expected Improvement", NeurIPS.
    """
    z = (means - best) / deviations
    log_density = -(z**2) / 2 - np.log(2 * np.pi) / 2
    near = np.maximum(z, _FAR)
    close = np.log(np.maximum(near * ndtr(near) + np.exp(-(near**2) / 2) / np.sqrt(2 * np.pi), 1e-300))
    far = np.minimum(z, _FAR)
    ratio = -far * np.exp(log_ndtr(far) - (-(far**2) / 2 - np.log(2 * np.pi) / 2))  # |z| * Phi / phi, below 1
    tail = log_density + np.log(np.maximum(1 - ratio, far**-2.0 / 4))
    return np.asarray(np.where(z > _FAR, close, tail) + np.log(deviations))
