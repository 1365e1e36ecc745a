"""How far a score may go before it is an alarm: the limit at which false alarms are as rare as one accepts.

An alarm against p₀, a *bad* ordinary day, is much rarer on the other days. Their bad shares q are taken as a beta
distribution (mean p; variance: that of the days, and of the estimate of p). On such a day the log moment generating
function of a step of the score is `g(θ) = ln(1 + q (r^θ − 1)) − θ c`, c = ln(1 + p₀ (r − 1)).
Two upper bounds of how often an excursion, which begins with a bad event at ln r − c, gets h beyond that; an alarm
counts once a day. The limit is the least h at which the lower one is what one accepts.

Where a day is long: on a day that drifts downwards it does with probability `−g'(0) / g'(θ) · exp(−θ h)`, where
g(θ) = 0 and θ > 0 (Cramér and Lundberg; Asmussen and Albrecher, Ruin Probabilities, 2010, ch. IV).
Where days are short levels mix: what n events gain is no more than 1 in the mean, `E exp(n g(θ)) ≤ 1`, over the days
up to a cut, so that excursions among them get there with `exp(−θ h)` at most (Lundberg).
A day beyond the cut, or one that drifts upwards, is rare, and has an end: the n events of one such day add
`exp(n g(θ)⁺ − θ h)` at most, for each θ that is fair to the others (Chernoff). So in a busy moment a small ratio
must show more than the worst day that one accepts can gather; larger ones, against which such a day falls, find harm.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from streams.intervals import Floats
from streams.series import RATIOS
from streams.windows import Ints, Mask

_Z: Final[Floats] = np.arange(-2.5, 4.6, 0.5)
"""Quantiles of days: one day in 300,000 is beyond the last."""
_WEIGHTS: Final[Floats] = np.exp(-_Z * _Z / 2) / np.exp(-_Z * _Z / 2).sum()
_NEWTON: Final = 7  # steps; quadratic near the root, which is reached from one side
_DAYS: Final[Ints] = np.arange(len(_Z))
_CUTS: Final[Ints] = np.searchsorted(_Z, (1.5, 2.5, 3.5, 4.5))  # beyond them a day in 25, 250, 6,000, none
LOWEST: Final = 1.0
"""Nats beyond where an excursion begins: no limit is lower."""
_HIGHEST: Final = 512.0  # what needs more is not looked for
_HALVES: Final = 6  # of their logarithm: to 10 %, and a chord, which lies above the curve, between them
_TILTS: Final[Floats] = np.geomspace(0.02, 10.0, 32)  # θ: any one bounds, the best one well
_LN: Final[Floats] = np.log(RATIOS)[:, None]
_TILTED: Final[Floats] = np.expm1(_LN * _TILTS)[:, :, None]
_LEAST: Final = 1e-9
_LEAST_AB: Final = 0.25  # of a beta's parameters, where the approximation ends
_NEVER: Final = 1e-200
_UNKNOWN: Final[Floats] = np.full((len(RATIOS), 1), -1e9)
_EACH: Final[Ints] = np.arange(len(RATIOS))[:, None]
_HUGE: Final = 50.0  # nats: more than 1 is all that is asked
_FINE: Final = 4.0
"""Limits are looked up by rounded arguments, so that thousands of series have few of them: to quarters of
a nat (what begins and shares to halves, events to whole ones, p₀ beyond shares to quarters) …"""
_FINE_CV: Final = 10.0
"""… and tenths of variation."""
WILDEST: Final = 2.0
"""More variation than this is not believed: the approximation of their distribution ends there."""


def limits(accepted: float, bad: float, p: float, cv: float, events: float, null: float) -> list[float]:
    """The limit of each ratio.

    accepted: logarithm of the false alarms a day that one accepts. bad: logarithm of the bad events of a mean day, of
    which each may begin an excursion. p: mean bad share. cv: variation of days, doubt about p included. events:
    logarithm of the series' events a day. null: odds of p₀.
    """
    odds, days = math.log(p / (1 - p)), math.ceil(min(cv, WILDEST) * _FINE_CV)
    worse = round((math.log(null) - odds) * _FINE)
    return _looked_up(
        math.floor(accepted * _FINE), math.ceil(bad * 2), round(odds * 2), days, math.ceil(events), worse
    )


@lru_cache(maxsize=65_536)
def _looked_up(accepted: int, bad: int, odds: int, cv: int, events: int, worse: int) -> list[float]:
    days = _days(odds, cv, worse)
    return _limits(accepted / _FINE, math.exp(bad / 2), days, _gains(odds, cv, worse, events))


class _Days(NamedTuple):
    """What days are like, and what a score does on each. Axes: ratio, day."""

    levels: Floats
    shares: Floats
    costs: Floats
    down: Mask  # a score drifts downwards
    theta: Floats  # root and factor of Cramér and Lundberg
    reach: Floats


class _Gains(NamedTuple):
    """What the events of a day gain at most."""

    most: Floats  # [ratio, day, θ]
    beyond: Mask  # days that are beyond a cut [ratio, cut, day]
    rising: Mask  # ratios against which no day drifts downwards
    tilts: Ints  # the last that is fair to the days up to a cut [ratio, cut] …
    rates: Floats  # … and θ where it is just fair


@lru_cache(maxsize=4096)
def _days(odds: int, cv: int, worse: int) -> _Days:
    mean = math.exp(odds / 2)
    null = mean * math.exp(worse / _FINE)
    p, p0 = mean / (1 + mean), null / (1 + null)
    shares = np.clip(days(p, cv / _FINE_CV), _LEAST, 0.99)
    costs = np.log1p(p0 * np.expm1(_LN))
    down = shares * _LN < costs
    return _Days(shares / p, shares, costs, down, *_ruin(shares, costs, down))


def days(p: float, cv: float) -> Floats:
    """Bad shares of days of mean p and variation cv: equally spaced normal quantiles as those of a beta distribution
    (Paulson 1942), which for small shares is a gamma (Wilson & Hilferty 1931)."""
    a = (1 - p) / max(cv * cv, 1e-6) - p
    a = max(a, _LEAST_AB, _LEAST_AB * p / (1 - p))
    b = a * (1 - p) / p
    v, w = 1 / (9 * a), 1 / (9 * b)
    middle = (1 - v) * (1 - w)
    root = np.abs(_Z) * np.sqrt(np.maximum(v * (1 - w) ** 2 + w * (1 - v) ** 2 - _Z * _Z * v * w, 0.0))
    below = np.maximum((1 - v) ** 2 - _Z * _Z * v, 0.0) / (middle + root)
    above = (middle + root) / np.maximum((1 - w) ** 2 - _Z * _Z * w, _LEAST)
    odds = a / b * np.where(_Z < 0, below, above) ** 3
    found: Floats = odds / (1 + odds)
    return found


@lru_cache(maxsize=1024)  # of 13 kB each
def _gains(odds: int, cv: int, worse: int, events: int) -> _Gains:
    days = _days(odds, cv, worse)
    long = np.count_nonzero(days.down, axis=1, keepdims=True) - 1  # what begins up to it ends on days like it
    cuts = np.concatenate((np.broadcast_to(_CUTS, (len(_LN), len(_CUTS))), np.maximum(long, 0)), axis=1)
    grows = math.exp(events) * (np.log1p(_TILTED * days.shares) - (_TILTS * days.costs)[:, :, None])
    most = np.ascontiguousarray(np.maximum(grows, 0.0).transpose(0, 2, 1))
    return _Gains(most, cuts[:, :, None] < _DAYS, long[:, 0] < 0, *_fair(grows, cuts))


def _limits(accepted: float, bad: float, days: _Days, gains: _Gains) -> list[float]:
    begun = _WEIGHTS * days.levels * bad
    reached, beyond, down = begun * days.reach, _WEIGHTS * gains.beyond, _WEIGHTS * days.down
    most, unfair = float(begun.sum()), (gains.rates == 0.0)[:, :, None]
    low, high = (np.full((len(_LN), 1), x) for x in (LOWEST, _HIGHEST))
    more, less = _UNKNOWN, _UNKNOWN  # log how often, at low and high
    for _ in range(_HALVES):
        h = np.sqrt(low * high)
        least = np.minimum.accumulate(gains.most - (_TILTS * h)[:, None, :], axis=2)
        least = np.where(unfair, 0.0, np.minimum(least[_EACH, :, gains.tilts], _HUGE))
        wild = np.add.reduce(np.minimum(begun * np.exp(least), beyond), axis=2)
        mixed = np.minimum.reduce((wild + most * np.exp(-gains.rates * h))[:, :-1], axis=1)
        ever = np.add.reduce(np.minimum(reached * np.exp(-days.theta * h), down), axis=1)
        lasting = np.where(gains.rising, 1.0, ever + wild[:, -1])
        often = np.log(np.maximum(np.minimum(lasting, mixed), _NEVER))[:, None]
        seldom = often <= accepted
        low, more = np.where(seldom, low, h), np.where(seldom, more, often)
        high, less = np.where(seldom, h, high), np.where(seldom, often, less)
    known = (more != _UNKNOWN) & (less != _UNKNOWN)
    between = np.where(known, (more - accepted) / np.where(known, more - less, 1.0), 1.0)
    found: list[float] = (_LN - days.costs + low + between * (high - low))[:, 0].tolist()
    return found


def _ruin(q: Floats, costs: Floats, down: Mask) -> tuple[Floats, Floats]:
    """Root and factor of Cramér and Lundberg [ratio, day]; 0 and 1 where a day drifts upwards."""
    # right of the root: g is convex, so Newton's steps stay there
    theta = np.where(down, -np.log(q) / (_LN - costs), 0.0)
    for _ in range(_NEWTON):
        others = (1 - q) * np.exp(-theta * _LN)
        slope = np.where(down, _LN * q / (q + others) - costs, 1.0)
        theta = np.where(down, theta - (theta * (_LN - costs) + np.log(q + others)) / slope, 0.0)
    return theta, np.where(down, np.minimum((costs - q * _LN) / slope, 1.0), 1.0)


def _fair(grows: Floats, cuts: Ints) -> tuple[Ints, Floats]:
    """Of the days up to each cut: the last tilt at which they gain no more than 1 in the mean, and the root; 0 where
    it is below all tilts. A chord lies above the curve, so the true root is no less. [ratio, cut]"""
    mean = np.cumsum(_WEIGHTS * np.exp(np.minimum(grows, _HUGE)), axis=2)
    mean = np.take_along_axis(mean, cuts[:, None, :], axis=2)
    last = np.minimum((mean <= 1.0).sum(axis=1) - 1, _TILTS.size - 2)
    at = np.maximum(last, 0)
    columns = np.arange(cuts.shape[1])
    here, there = (mean[_EACH, x, columns] for x in (at, at + 1))
    between = np.clip((1.0 - here) / np.maximum(there - here, _LEAST), 0.0, 1.0)
    low, high = _TILTS[at], _TILTS[at + 1]
    return at, np.where(last < 0, 0.0, low + between * (high - low))
