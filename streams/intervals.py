"""Confidence intervals: what the evidence supports. z is 1.96, so a bound is one end of a 95 % interval."""

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


def mean_interval(n: Ints, total: Floats, squares: Floats) -> tuple[Floats, Floats, Floats]:
    """Means of n scores with their 95 % bounds, by the normal approximation; the mean thrice where n is 1."""
    mean = total / n
    variance = np.maximum(squares - n * mean * mean, 0.0) / np.maximum(n - 1, 1)
    spread = np.where(n == 1, 0.0, Z * np.sqrt(variance / n))
    return mean, mean - spread, mean + spread


def nps_interval(promoters: Ints, detractors: Ints, n: Ints) -> tuple[Floats, Floats, Floats]:
    """Net promoter shares in [-1, 1] with their 95 % bounds (design: se = sqrt((p + d - (p - d)^2) / n))."""
    p, d = promoters / n, detractors / n
    spread = Z * np.sqrt(np.maximum(p + d - (p - d) ** 2, 0.0) / n)
    return p - d, np.maximum(p - d - spread, -1.0), np.minimum(p - d + spread, 1.0)
