"""Multi-window burn rates, where the evidence bears them out: what makes a case a `burn`.

Pairs by the Google SRE Workbook, chapter 5: a factor is share × period / long window, so that other periods than
30 days derive theirs, down to 1: who burns less keeps the promise. A burn cannot exceed 1 / (1 − objective), so a
factor is capped at 0.8 of that. Prometheus' rules take their numbers from here.
"""

from typing import Final, NamedTuple

from streams.evidence import MIN_BAD, wilson_low
from streams.series import DAY_S, HOUR_S, Series

CAP: Final = 0.8


class Pair(NamedTuple):
    """Windows in seconds; `share` of the period's budget that is gone once the long one burnt so."""

    long_s: int
    short_s: int
    share: float


PAIRS: Final = (
    Pair(HOUR_S, 300, 0.02),
    Pair(6 * HOUR_S, 1800, 0.05),
    Pair(DAY_S, 2 * HOUR_S, 0.1),
    Pair(3 * DAY_S, 6 * HOUR_S, 0.1),
)

FAST: Final = PAIRS[:2]  # hours, and a page
SLOW: Final = PAIRS[2:]  # days, and a ticket


def uncapped(pair: Pair, period_s: float) -> float:
    """The burn rate that uses up a pair's share of the budget in its long window: 14.4, 6, 3 and 1 for 30 days.

    At least 1: with short periods the share is what a kept promise uses up, too (3 days are 10.7 % of 28).
    """
    return max(pair.share * period_s / pair.long_s, 1.0)


def factor(pair: Pair, objective: float, period_s: float) -> float:
    """The same, less where an objective cannot reach it."""
    return min(uncapped(pair, period_s), CAP / (1 - objective))


def capped(pair: Pair, objective: float, period_s: float) -> bool:
    """Whether the factor is the cap: to be shown, for the budget goes faster than the pair's name says."""
    return uncapped(pair, period_s) > CAP / (1 - objective)


def burning(s: Series, objective: float, at: int, period_s: float, pairs: tuple[Pair, ...] = PAIRS) -> bool:
    """Whether a pair's Wilson lower bounds exceed its factor in both windows, with at least three bad in the short.

    Windows are whole blocks of ten minutes here, the running one included.
    """
    for pair in pairs:
        least = factor(pair, objective, period_s) * (1 - objective)
        n, b = s.since(at - pair.short_s)
        if b < MIN_BAD or wilson_low(b, n) <= least:
            continue
        n, b = s.since(at - pair.long_s)
        if wilson_low(b, n) > least:
            return True
    return False
