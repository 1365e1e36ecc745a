"""How far a score may go before it is an alarm: the limit at which false alarms are as rare as one accepts.

An alarm against p₀, a *bad* ordinary day, is much rarer on the other days. Days are taken as a gamma distribution
about their mean share p (mean 1; variance: that of the days, and of the estimate of p). On a day of level L the log
moment generating function of a step of the score is `g(θ) = ln(1 + pL (r^θ − 1)) − θ c`, c = ln(1 + p₀ (r − 1)).
By Cramér and Lundberg (Asmussen and Albrecher, Ruin Probabilities, 2010, ch. IV) an excursion that begins with a bad
event, at ln r − c, reaches h with probability `−g'(0) / g'(θ) · exp(−θ (h − ln r + c))`, where g(θ) = 0 and θ > 0:
θ is 1 on a day of p₀, and well over it below. Where the drift is upwards (g'(0) ≥ 0) it is sure to. An alarm counts
once a day. The limit is the least h at which the mean over days is what one accepts; and no more than Ville's
inequality asks were every day one of p₀.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from streams.intervals import Floats
from streams.series import RATIOS

_Z: Final[Floats] = np.arange(-3.0, 4.6, 0.25)
"""Quantiles of days: one day in 300,000 is beyond the last."""
_WEIGHTS: Final[Floats] = np.exp(-_Z * _Z / 2) / np.exp(-_Z * _Z / 2).sum()
_NEWTON: Final = 12  # steps; quadratic near the root, which is reached from one side
_HALVES: Final = 30  # of at most 30 nats: to a millionth
_FINE: Final = 4.0
"""Limits are looked up by rounded arguments, so that thousands of series have few of them: to quarters of
a nat (shares to halves, p₀ beyond them to eighths) …"""
_FINE_CV: Final = 10.0
"""… and tenths of variation."""
WILDEST: Final = 2.0
"""More variation than this is not believed: the approximation of the gamma ends there, and with it what days say."""


def limits(accepted: float, bad: float, p: float, cv: float, costs: Sequence[float]) -> list[float]:
    """The limit of each ratio.

    accepted: logarithm of the false alarms a day that one accepts. bad: logarithm of the bad events of a mean day.
    p: mean bad share. cv: variation of days, doubt about p included. costs: what an event costs, by ratio.
    """
    rare, many = math.floor(accepted * _FINE), math.ceil(bad * _FINE)
    odds, days = round(math.log(p / (1 - p)) * 2), math.ceil(min(cv, WILDEST) * _FINE_CV)
    found = []
    for r, cost in zip(RATIOS, costs, strict=True):
        null = math.expm1(cost) / (r - 1)
        worse = math.log(null / (1 - null) * (1 - p) / p)
        found.append(_looked_up(r, rare, many, odds, days, round(worse * 2 * _FINE)))
    return found


@lru_cache(maxsize=65_536)
def _looked_up(r: float, accepted: int, bad: int, odds: int, cv: int, worse: int) -> float:
    days = levels(cv / _FINE_CV)
    mean = math.exp(odds / 2)
    null = mean * math.exp(worse / (2 * _FINE))
    p, p0 = mean / (1 + mean), null / (1 + null)
    shares = np.minimum(p * days, 0.99)
    return _limit(
        math.exp(accepted / _FINE), days * math.exp(bad / _FINE), shares, p0 / p, r, math.log1p(p0 * (r - 1))
    )


def levels(cv: float) -> Floats:
    """Equally spaced normal quantiles as levels of days: a gamma of mean 1 (Wilson & Hilferty 1931)."""
    v = cv * cv
    found: Floats = np.maximum(1 - v / 9 + _Z * cv / 3, 0.0) ** 3
    return found


def _limit(accepted: float, bad: Floats, shares: Floats, worse: float, r: float, cost: float) -> float:
    ln = math.log(r)
    some = shares > 0
    q, bad, weights = shares[some], bad[some], _WEIGHTS[some]
    drift = q * ln - cost
    down = drift < 0
    theta = np.zeros_like(q)
    theta[down] = -np.log(q[down]) / (ln - cost)  # right of the root; g is convex, so Newton's steps stay there
    slope = np.ones_like(q)
    for _ in range(_NEWTON):
        others = (1 - q) * np.exp(-theta * ln)
        slope = ln * q / (q + others) - cost
        theta = np.where(down, theta - (theta * (ln - cost) + np.log(q + others)) / np.where(down, slope, 1.0), 0.0)
    reach = bad * np.where(down, np.minimum(-drift / np.where(down, slope, 1.0), 1.0), 1.0)
    low = begin = ln - cost
    high = begin + math.log(max(float(np.sum(bad * weights)) * worse / accepted, 1.0))
    for _ in range(_HALVES):
        h = (low + high) / 2
        if float(np.sum(weights * np.minimum(reach * np.exp(-theta * (h - begin)), 1.0))) > accepted:
            low = h
        else:
            high = h
    return high
