"""What is ordinary for a series: the bad share that an hour of the week expects, and how much days differ.

Learnt once a day, with the budget period as half-life, from the hours that no case covers: a mole does not teach
that broken is normal. Two exceptions keep it from never learning at all: the first week (who has no past cannot
be judged by it), and a case that has been up for a whole budget period, which is what that series is now.

Every series of a group learns at every midnight, so their pasts are the rows of one array (`past`).
"""

import math
from typing import Final

import msgspec
import numpy as np

from streams import names
from streams.intervals import Floats
from streams.limits import WILDEST
from streams.past import Rows, rows
from streams.series import DAY_S, HOUR_S, HOURS, WEEK_HOURS, Series
from streams.windows import Mask

SHRINK: Final = 10.0
"""What a finer level borrows from the coarser one, in *bad* events: who would expect ten by the coarser one counts
half. Ten of them give an error of a third. (In events it would be too little: forty without a bad one say nothing
of a share of half a percent.)"""
FIRST: Final = 1.0
"""What the series as a whole borrows from 1 − objective, in bad events. All that a promise says of a share is its
mean; the distribution with that mean that presumes least (maximum entropy) is the exponential, a gamma of one."""
ORDINARY_SD: Final = 2.0
"""An ordinary bad day: the mean and two standard deviations of the days, which one day in forty passes."""
CV_PRIOR: Final = 0.5
"""Day-to-day variation that is assumed until days have been seen, as a share of the mean …"""
CV_DAYS: Final = 7.0
"""… and how many days that is worth: one week, the shortest span that has every kind of day in it."""
STEADY: Final = 0.1
"""The least variation that is believed of a moment, when its segments are judged by it."""
WARM_DAYS: Final = 3
"""Days before variation is learnt: earlier expectations are mostly the prior, and differ from it, not by day."""
LOWEST, HIGHEST = 1e-4, 0.98  # an expectation is never nought or sure

WEEK_DAYS: Final = 7
_WHOLE: Final = WEEK_HOURS + HOURS
_FADING: Final = ("n", "b", "ratio_b", "ratio_e", "volume", "spread_n", "spread_d", "days")


class Wide(msgspec.Struct):
    """A past of its own: `all`, and the voices, which are no part of it. Faded sums by hour of the week, then of
    the day, then as a whole."""

    n: list[float] = msgspec.field(default_factory=lambda: [0.0] * (_WHOLE + 1))
    b: list[float] = msgspec.field(default_factory=lambda: [0.0] * (_WHOLE + 1))

    def expected(self, prior: float, week_hour: int) -> float:
        """The bad share of an hour of the week ← hour of the day ← all hours ← prior."""
        p = (self.b[_WHOLE] + FIRST) / (self.n[_WHOLE] + FIRST / prior)
        for slot in (WEEK_HOURS + week_hour % HOURS, week_hour):
            p = (self.b[slot] + SHRINK) / (self.n[slot] + SHRINK / p)
        return min(max(p, LOWEST), HIGHEST)

    def day(self, prior: float, first: int) -> Floats:
        """`expected` of the 24 hours from an absolute one."""
        return np.array([self.expected(prior, h % WEEK_HOURS) for h in range(first, first + HOURS)])

    def learn(self, first: int, n: Floats, b: Floats) -> None:
        """Takes the 24 hours from an absolute one."""
        for i in np.flatnonzero(n).tolist():
            hour = (first + i) % WEEK_HOURS
            for slot in (hour, WEEK_HOURS + hour % HOURS, _WHOLE):
                self.n[slot] += float(n[i])
                self.b[slot] += float(b[i])

    def fade(self, fade: float) -> None:
        """Forgets."""
        self.n = [x * fade for x in self.n]
        self.b = [x * fade for x in self.b]

    @property
    def whole(self) -> tuple[float, float]:
        """Events and bad ones of all hours."""
        return self.n[_WHOLE], self.b[_WHOLE]


class Group(msgspec.Struct):
    """All series of one signal of a moment; the first is `all`."""

    signal: str
    objective: float
    share: float  # of the moment's false moles that its signal may make: 1 / number of signals
    period: float = 30 * DAY_S  # of the budget, in seconds
    series: dict[str, Series] = {}
    past: Rows = msgspec.field(default_factory=lambda: rows(0))  # [series.row]; may have rows to spare
    wide: dict[str, Wide] = {}
    age: int = 0  # whole days since the first event
    counted: bool = False  # its complaints are judged by their number: see `surge`
    dimensions: list[str] = []  # of the series that have counted something
    pool_n: float = 0.0  # day-to-day variation of all segments together
    pool_d: float = 0.0
    pooled: float = CV_PRIOR  # what it makes of a segment without a past
    weeks: list[float] = []  # faded times that each hour of the week was seen
    volumes: list[float] = []  # faded events of `all` in each hour of the week
    rates: list[float] = []  # events that each hour of the week expects of `all`
    busy: list[bool] = []  # whether it is no idle hour,
    idle: list[bool] = []  # or one in which little is expected; neither on a weekday that is closed
    pattern: list[float] = []  # how an hour of the week differs from its hour of the day
    quiet_limit: float = 0.0  # see `silence.limits`
    quiet_limit_segment: float = 0.0
    bad: float = 0.0  # bad events of a mean day (log), see `evidence.allow`
    allowed: float = 0.0  # false alarms a day (log)
    allowed_segment: float = 0.0
    now_at: int = -1  # the step in which the next two were summed
    now_b: int = 0  # bad events of `all` in the last hour, and those that were expected
    now_e: float = 0.0
    prior: float = 0.0  # events that the moment's own variation is worth against what its last hour says

    @property
    def all(self) -> Series:
        return self.series[names.ALL]

    def add(self, segment: str) -> Series:
        """A new series, which has no past yet: it is expected to be as the moment is. When that is does not matter:
        one that counts nothing learns nothing."""
        row = len(self.series)
        voice = segment.startswith("voice=")
        s = self.series[segment] = Series(segment, self.signal, row=row, alone=voice)
        if row == len(self.past):
            self.past = np.concatenate((self.past, rows(max(row, 4))))
        mine = self.past[row]
        mine["cv"], mine["doubt"] = self.pooled if row else CV_PRIOR, 1 / FIRST
        if voice or not row:
            self.wide[segment] = Wide()
            mine["wide"] = True
            mine["expect"] = min(max(1 - self.objective, LOWEST), HIGHEST)
        else:
            mine["expect"] = self.past[0]["expect"]
            mine["doubt"] = self.past[0]["doubt"] + 1 / SHRINK
        return s


def faded(group: Group, half_life_days: float) -> float:
    """What is left of the past from one day to the next: it is forgotten once a week, a week at a time."""
    return 0.5 ** (WEEK_DAYS / half_life_days) if group.age % WEEK_DAYS == WEEK_DAYS - 1 else 1.0


def learn(group: Group, day_end: int, half_life_days: float, n: Floats, b: Floats, covered: Mask | None) -> None:
    """Takes the day that ends at `day_end`: events and bad ones [series, hour]; what is covered is not learnt."""
    fade = faded(group, half_life_days)
    past = group.past[: len(group.series)]
    first = (day_end - DAY_S) // HOUR_S
    if fade < 1:
        group.pool_n, group.pool_d = group.pool_n * fade, group.pool_d * fade
        for name in _FADING:
            past[name] *= fade
        for wide in group.wide.values():
            wide.fade(fade)
    group.age += 1
    past["days"] += np.fromiter((s.born > 0 for s in group.series.values()), np.bool_, len(past))
    past["volume"] += n.sum(axis=1)
    if covered is not None:
        n, b = np.where(covered, 0.0, n), np.where(covered, 0.0, b)
    _spread(group, past, n, b)
    past["n"] += n
    past["b"] += b
    prior = 1 - group.objective
    for name, wide in group.wide.items():
        row = group.series[name].row
        wide.learn(first, n[row], b[row])
    past["ratio_b"] += b.sum(axis=1)
    past["ratio_e"] += n @ group.wide[names.ALL].day(prior, first)
    past["cv"] = _variation(group, past)
    expect(group, day_end)


def unlearn(group: Group, times: Floats, midnight: int) -> None:
    """Takes back what harm has taught: the bad share of a series is so many times what it was [series]."""
    past = group.past[: len(group.series)]
    past["b"] *= times[:, None]
    past["ratio_b"] *= times
    for name, wide in group.wide.items():
        wide.b = [x * float(times[group.series[name].row]) for x in wide.b]
    expect(group, midnight)


def _spread(group: Group, past: Rows, n: Floats, b: Floats) -> None:
    """How far the day was from what it expected, beyond what counting makes; segments from their moment's day."""
    if group.age <= WARM_DAYS:
        return
    p = past["expect"]
    bad, e, noise = b.sum(axis=1), (n * p).sum(axis=1), (n * p * (1 - p)).sum(axis=1)
    rest = rests(past, bad, e)
    mean = e * rest
    told = np.where(e > 0, _told(mean), 0.0)
    squared = ((bad - mean) ** 2 - noise * rest) / np.where(e > 0, mean, 1.0) ** 2
    # at most: one day of harm that no case covers must not blind for weeks
    difference = told * np.minimum(squared, WILDEST**2)
    past["spread_n"] += difference
    past["spread_d"] += told
    group.pool_n += float(difference[~past["wide"]].sum())
    group.pool_d += float(told[~past["wide"]].sum())


def rests(past: Rows, bad: Floats, e: Floats) -> Floats:
    """How much worse than expected the rest of each series' moment was, where so many were bad and e were expected: 1
    or more; 1 for who has a past of its own."""
    prior = 1 / max(float(past["cv"][0]), STEADY) ** 2
    rest = (prior + np.maximum(0.0, bad[0] - bad)) / (prior + np.maximum(0.0, e[0] - e))
    found: Floats = np.where(past["wide"], 1.0, np.maximum(1.0, rest))
    return found


def _told(e: Floats) -> Floats:
    """How much a day on which e bad events are expected says of the variation of days, as a share of what a day of
    countless events does: the variance of `((b − e)² − e) / e²` is 2 v² where only days differ, and here
    `(e + 2 (e + v e²)²) / e⁴`, v = CV_PRIOR²."""
    v = CV_PRIOR**2
    share: Floats = 2 * v * v * e**3 / (1 + 2 * e * (1 + v * e) ** 2)
    return share


def _variation(group: Group, past: Rows) -> Floats:
    """Day-to-day coefficient of variation of the bad share, beyond what counting makes."""
    pooled = max(0.0, (group.pool_n + CV_DAYS * CV_PRIOR**2) / (group.pool_d + CV_DAYS))
    group.pooled = math.sqrt(pooled)
    priors = np.full(len(past), pooled)
    priors[0] = CV_PRIOR**2
    squared = (past["spread_n"] + CV_DAYS * priors) / (past["spread_d"] + CV_DAYS)
    cv: Floats = np.sqrt(np.maximum(0.0, squared))
    return cv


def _doubt(group: Group, past: Rows) -> Floats:
    """Variance of the estimate of the bad share as a whole, as a share of its square: one in so many bad events."""
    doubt: Floats = 1 / (group.wide[names.ALL].whole[1] + FIRST) + 1 / (past["ratio_b"] + SHRINK)
    for name, wide in group.wide.items():
        doubt[group.series[name].row] = 1 / (wide.whole[1] + FIRST)
    return doubt


def expect(group: Group, midnight: int) -> None:
    """The bad shares of the 24 hours from `midnight`. A segment: its hour of the day ← its odds ratio to the moment,
    in the moment's own profile."""
    past, first = group.past[: len(group.series)], midnight // HOUR_S
    past["doubt"] = _doubt(group, past)
    moment = group.wide[names.ALL].day(1 - group.objective, first)
    odds = np.outer((past["ratio_b"] + SHRINK) / (past["ratio_e"] + SHRINK), moment / (1 - moment))
    past["expect"] = np.clip((past["b"] + SHRINK) / (past["n"] + SHRINK * (1 + odds) / odds), LOWEST, HIGHEST)
    for name, wide in group.wide.items():
        past["expect"][group.series[name].row] = wide.day(1 - group.objective, first)
