"""Which moments share their fate: journeys say so, or their days go up and down together."""

import math
from collections.abc import Mapping
from typing import Final

from streams.catalogue import Catalogue

MIN_DAYS: Final = 7
SURE_Z: Final = 2.58
"""Two-sided one in a hundred; a relation by chance does harm only if both moments go wrong at once."""
SPEARMAN: Final = 1.06
"""Variance of Fisher's z of a rank correlation, times n − 3 (Fieller, Hartley and Pearson 1957)."""


def on_one_route(catalogue: Catalogue, one: str, other: str) -> bool:
    """Whether a journey's route has both moments."""
    return any(one in j.route and other in j.route for j in catalogue.journeys.values())


def move_together(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Whether two moments' days (day → bad share over the expected one) are correlated, by ranks.

    Ranks, because a single day on which both went wrong by chance would correlate anything; and days that are all
    alike count as one.
    """
    days = sorted(one.keys() & other.keys())
    n = min(len({one[d] for d in days}), len({other[d] for d in days}))
    if n < MIN_DAYS:
        return False
    r = _pearson(_ranks([one[d] for d in days]), _ranks([other[d] for d in days]))
    return r > 0 and math.atanh(min(r, 1 - 1e-9)) * math.sqrt((n - 3) / SPEARMAN) > SURE_Z


def _ranks(values: list[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            ranks[order[k]] = (i + j) / 2
        i = j + 1
    return ranks


def _pearson(x: list[float], y: list[float]) -> float:
    mx, my = sum(x) / len(x), sum(y) / len(y)
    sxy = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    sxx, syy = sum((a - mx) ** 2 for a in x), sum((b - my) ** 2 for b in y)
    return sxy / math.sqrt(sxx * syy) if sxx > 0 and syy > 0 else 0.0
