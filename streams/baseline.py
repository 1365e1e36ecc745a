"""What is ordinary for a series: the bad share that an hour of the week expects, and how much days differ.

Learnt once a day, with the budget period as half-life, from the hours that no case covers: a mole does not teach
that broken is normal. Two exceptions keep it from never learning at all: the first week (who has no past cannot
be judged by it), and a case that has been up for a whole budget period, which is what that series is now.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from streams import names
from streams.series import DAY_S, HOUR_S, HOURS, WEEK_HOURS, Series

SHRINK: Final = 10.0
"""What a finer level borrows from the coarser one, in *bad* events: who would expect ten by the coarser one counts
half. Ten of them give an error of a third. (In events it would be too little: forty without a bad one say nothing
of a share of half a percent.)"""
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
_DAY0, _WHOLE = WEEK_HOURS, WEEK_HOURS + HOURS  # where `all` keeps its hours of the day, and everything


Hours = dict[str, dict[int, tuple[int, int]]]  # segment → absolute hour → events, bad ones


class Group(msgspec.Struct):
    """All series of one signal of a moment."""

    signal: str
    objective: float
    share: float  # of the moment's false moles that its signal may make: 1 / number of signals
    series: dict[str, Series] = {}
    days: float = 0.0  # faded days since the first event
    age: int = 0  # whole days since the first event
    dimensions: int = 0
    pool_n: float = 0.0  # day-to-day variation of all segments together
    pool_d: float = 0.0
    weeks: list[float] = []  # faded times that each hour of the week was seen
    rates: list[float] = []  # events that each hour of the week expects of `all`
    busy: list[bool] = []  # whether it is no idle hour
    pattern: list[float] = []  # how an hour of the week differs from its hour of the day; 0 in an idle one
    pattern_of_day: list[float] = []  # of the running day's hours
    quiet_limit: float = 0.0  # see `silence.limits`
    quiet_limit_segment: float = 0.0
    allowed: float = 0.0  # see `evidence.allow`
    allowed_segment: float = 0.0
    now_at: int = -1  # the step in which the next two were summed
    now_b: int = 0  # bad events of `all` in the last hour, and those that were expected
    now_e: float = 0.0
    prior: float = 0.0  # events that the moment's own variation is worth against what its last hour says

    @property
    def all(self) -> Series:
        return self.series[names.ALL]


def expected(group: Group, s: Series, week_hour: int) -> float:
    """The learnt bad share for an hour of the week (0 to 167, Thursday midnight UTC first).

    `all`: hour of the week ← hour of the day ← all hours ← 1 − objective. A segment: its hour of the day ← its
    odds ratio to the moment, in the moment's own profile.
    """
    if len(s.slots_n) > HOURS:
        return _expected_wide(s, 1 - group.objective, week_hour)
    return _expected_within(s, expected(group, group.all, week_hour), week_hour)


def _expected_wide(s: Series, prior: float, week_hour: int) -> float:
    n, b = s.slots_n, s.slots_b
    p = _blend(b[_WHOLE], n[_WHOLE], prior)
    day = _DAY0 + week_hour % HOURS
    p = _blend(b[day], n[day], p)
    p = _blend(b[week_hour], n[week_hour], p)
    return min(max(p, LOWEST), HIGHEST)


def _expected_within(s: Series, moment: float, week_hour: int) -> float:
    odds = (s.ratio_b + SHRINK) / (s.ratio_e + SHRINK) * moment / (1 - moment)
    hour = week_hour % HOURS
    p = _blend(s.slots_b[hour], s.slots_n[hour], odds / (1 + odds))
    return min(max(p, LOWEST), HIGHEST)


def _blend(b: float, n: float, prior: float) -> float:
    """The bad share of n events, with `SHRINK` bad ones at the prior's share."""
    return (b + SHRINK) / (n + SHRINK / prior)


def variation(group: Group, s: Series) -> float:
    """Day-to-day coefficient of variation of the bad share, beyond what counting makes."""
    prior = CV_PRIOR**2
    if s.segment != names.ALL and group.pool_d > 0:
        prior = max(0.0, (group.pool_n + prior * 0.1 * group.pool_d) / (1.1 * group.pool_d))
    weight = CV_DAYS * (s.spread_d / s.days if s.days > 0 and s.spread_d > 0 else 1.0)
    return math.sqrt(max(0.0, (s.spread_n + weight * prior) / (s.spread_d + weight)))


def slots(s: Series) -> int:
    """How many hours a series keeps its past by; voices are no part of `all`, and have a whole past of their own."""
    return _WHOLE + 1 if s.segment == names.ALL or s.segment.startswith("voice=") else HOURS


def faded(group: Group, half_life_days: float) -> float:
    """What is left of the past from one day to the next: it is forgotten once a week, a week at a time."""
    return 0.5 ** (WEEK_DAYS / half_life_days) if group.age % WEEK_DAYS == WEEK_DAYS - 1 else 1.0


def learn(
    group: Group, day_end: int, half_life_days: float, hours_of: Hours, covered: dict[str, list[tuple[int, int]]]
) -> None:
    """Takes the day that ends at `day_end`. `covered`: segment → spans (unix seconds) that are not to be learnt."""
    fade = faded(group, half_life_days)
    group.pool_n *= fade
    group.pool_d *= fade
    group.days = group.days * fade + 1
    group.age += 1
    begin = day_end - DAY_S
    whole = group.all
    before = {
        h % WEEK_HOURS: expected(group, whole, h % WEEK_HOURS) for h in range(begin // HOUR_S, day_end // HOUR_S)
    }
    after = before  # what `all` expects once it has learnt the day
    day_b = day_e = 0.0  # of the moment, for what the rest did that day
    for name in sorted(group.series, key=lambda x: (x != names.ALL, x)):
        s = group.series[name]
        wide = slots(s) > HOURS
        if fade < 1:
            s.slots_n = [x * fade for x in s.slots_n]
            s.slots_b = [x * fade for x in s.slots_b]
        s.ratio_b, s.ratio_e, s.volume = s.ratio_b * fade, s.ratio_e * fade, s.volume * fade
        s.spread_n, s.spread_d, s.days = s.spread_n * fade, s.spread_d * fade, s.days * fade + 1
        hours = hours_of[name]
        learnt = [(h, n, b) for h, (n, b) in hours.items() if not _within(h * HOUR_S, covered.get(name, ()))]
        s.volume += sum(n for n, _ in hours.values())
        if wide:
            shares = [_expected_wide(s, 1 - group.objective, h % WEEK_HOURS) for h, _, _ in learnt]
        else:
            shares = [_expected_within(s, before[h % WEEK_HOURS], h % WEEK_HOURS) for h, _, _ in learnt]
        e = sum(n * p for (_, n, _), p in zip(learnt, shares, strict=True))
        b_sum = sum(b for _, _, b in learnt)
        noise = sum(n * p * (1 - p) for (_, n, _), p in zip(learnt, shares, strict=True))
        rest = 1.0
        if name == names.ALL:
            day_b, day_e = b_sum, e
        elif not wide:
            prior = 1 / max(whole.cv, STEADY) ** 2
            rest = max(1.0, (prior + max(0.0, day_b - b_sum)) / (prior + max(0.0, day_e - e)))
        if e > 0 and group.age > WARM_DAYS:
            difference = (b_sum - e * rest) ** 2 - noise * rest
            s.spread_n += difference
            s.spread_d += (e * rest) ** 2
            if not wide:
                group.pool_n += difference
                group.pool_d += (e * rest) ** 2
        for h, n, b in learnt:
            week_hour = h % WEEK_HOURS
            for slot in (week_hour, _DAY0 + week_hour % HOURS, _WHOLE) if wide else (week_hour % HOURS,):
                s.slots_n[slot] += n
                s.slots_b[slot] += b
            if not wide:
                s.ratio_b += b
                s.ratio_e += n * after[week_hour]
        if name == names.ALL:
            after = {h: expected(group, s, h) for h in before}
    for s in group.series.values():
        s.cv = variation(group, s)


def _within(at: int, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether the hour that begins at `at` meets one of the spans."""
    return any(begin < at + HOUR_S and at < end for begin, end in spans)
