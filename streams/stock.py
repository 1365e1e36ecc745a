"""What multi-window burn-rate alerts would have done on the same events: one rule set for each series, as teams
have it today.

Pairs and factors are those of `burn`, uncapped, on plain ratios without intervals, evaluated once a minute as
Prometheus does (its default evaluation interval). Firings of one series that are no more than an hour apart are one
episode, and an episode is one notification.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from streams import names
from streams.burn import PAIRS
from streams.moles import Mole
from streams.windows import Ints, Mask

MINUTE_S: Final = 60
APART: Final = 60  # minutes
LONGEST: Final = max(pair.long_s for pair in PAIRS) // MINUTE_S

Key = tuple[str, str, str]  # moment, segment, signal


class Episode(NamedTuple):
    """Unix seconds, to the minute; the end is the last minute that fired."""

    begin: int
    end: int


class Stock:
    """Collects counts by minute; `episodes` evaluates the rules."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.counts: dict[Key, tuple[list[int], list[int], list[int]]] = {}
        self.last = 0

    def add(self, key: Key, at: int, n: int, bad: int) -> None:
        """Counts of a step that ends at `at`."""
        minute = (at - 1) // MINUTE_S
        self.last = max(self.last, minute)
        minutes, ns, bads = self.counts.setdefault(key, ([], [], []))
        if minutes and minutes[-1] == minute:
            ns[-1] += n
            bads[-1] += bad
        else:
            minutes.append(minute)
            ns.append(n)
            bads.append(bad)

    def episodes(self, key: Key, objective: float) -> list[Episode]:
        """The episodes of one series. No window reaches over a pause that is longer than the longest: of longer ones
        nothing is worked out, be they decades (one wrong time in a file makes them)."""
        minutes, ns, bads = self.counts[key]
        when = np.array(minutes, np.int64)
        at = np.concatenate(([0], np.cumsum(np.minimum(np.diff(when), LONGEST))))  # minutes without such pauses
        size = int(at[-1] + min(self.last - when[-1], LONGEST)) + 1
        total = _summed(at, ns, size)
        bad = _summed(at, bads, size)
        fires = np.zeros(size, bool)
        for pair in PAIRS:
            limit = pair.share * self.period_s / pair.long_s * (1 - objective)
            fires |= _above(total, bad, pair.long_s, limit) & _above(total, bad, pair.short_s, limit)
        on = np.flatnonzero(fires)
        if not len(on):
            return []
        before = np.searchsorted(at, on, "right") - 1
        on = when[before] + on - at[before]
        cuts = np.flatnonzero(np.diff(on) > APART)
        begins = on[np.concatenate(([0], cuts + 1))].tolist()
        ends = on[np.concatenate((cuts, [len(on) - 1]))].tolist()
        return [Episode((b + 1) * MINUTE_S, (e + 1) * MINUTE_S) for b, e in zip(begins, ends, strict=True)]


def _summed(at: Ints, values: list[int], size: int) -> Ints:
    return np.concatenate(([0], np.cumsum(np.bincount(at, values, size).astype(np.int64))))


def _above(total: Ints, bad: Ints, window_s: int, limit: float) -> Mask:
    """By minute: whether the bad share of the window that ends with it is above the limit."""
    w = window_s // MINUTE_S
    ends = np.arange(1, len(total))
    begins = np.maximum(ends - w, 0)
    n, b = total[ends] - total[begins], bad[ends] - bad[begins]
    above: Mask = b > limit * n
    return above


class Verdict(NamedTuple):
    """What stock alerts made of moles: `delays` in seconds from first harm, of those that they found; `before` of
    those rang already when harm began, by chance or for another reason, and have no delay. `elsewhere`: episodes at
    no mole's time, which may be false, or what molehill missed."""

    moles: int
    found: int
    delays: list[int]
    before: int
    notifications: int
    elsewhere: int


def against(moles: list[Mole], episodes: dict[Key, list[Episode]], only_all: bool) -> Verdict:
    """A mole is found where an episode of its moment, on `all` or on its segment, overlaps it; if up, it lasts.
    An episode is at a mole's time whatever its segment, and in a linked moment too."""
    rings = [
        (moment, segment, e)
        for (moment, segment, _), some in episodes.items()
        if segment == names.ALL or not only_all
        for e in some
    ]
    delays, before = [], 0
    spans: dict[str, list[tuple[float, float]]] = {}
    for mole in moles:
        first = int(mole.first_harm.timestamp())
        last = mole.whacked.timestamp() if mole.whacked else math.inf
        for moment in (mole.moment, *mole.linked):
            spans.setdefault(moment, []).append((first, last))
        hits = [
            e.begin - first
            for moment, segment, e in rings
            if moment == mole.moment and segment in (names.ALL, mole.segment) and e.begin <= last and e.end >= first
        ]
        if hits and min(hits) < 0:
            before += 1
        elif hits:
            delays.append(min(hits))
    elsewhere = sum(
        not any(e.begin <= last and e.end >= first for first, last in spans.get(moment, [])) for moment, _, e in rings
    )
    return Verdict(len(moles), len(delays) + before, delays, before, len(rings), elsewhere)
