"""Confidence intervals: what the evidence supports. z is 1.96, so a bound is one end of a 95 % interval."""

import math
from typing import Final

import numpy as np

from streams.windows import Ints

Z: Final = 1.959963984540054
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def ratio(bad: Ints, total: Ints) -> Floats:
    """bad / total, 0 where there is nothing."""
    return bad / np.maximum(total, 1)


def wilson_low(bad: Ints, total: Ints) -> Floats:
    """Lower end of the Wilson score interval of bad / total, 0 where there is nothing (Wilson 1927)."""
    n = np.maximum(total, 1)
    p = bad / n
    centre = p + Z * Z / (2 * n)
    spread = Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    low = np.maximum((centre - spread) / (1 + Z * Z / n), 0.0)
    out: Floats = np.where((total == 0) | (bad == 0), 0.0, low)
    return out


def mean_interval(n: int, total: float, squares: float) -> tuple[float, float, float]:
    """Mean of n scores with its 95 % bounds, by the normal approximation; the mean thrice where n is 1."""
    mean = total / n
    if n == 1:
        return mean, mean, mean
    variance = max(squares - n * mean * mean, 0.0) / (n - 1)
    spread = Z * math.sqrt(variance / n)
    return mean, mean - spread, mean + spread


def nps_interval(promoters: int, detractors: int, n: int) -> tuple[float, float, float]:
    """Net promoter share in [-1, 1] with its 95 % bounds (design: se = sqrt((p + d - (p - d)^2) / n))."""
    p, d = promoters / n, detractors / n
    spread = Z * math.sqrt(max(p + d - (p - d) ** 2, 0.0) / n)
    return p - d, max(p - d - spread, -1.0), min(p - d + spread, 1.0)
