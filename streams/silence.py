"""A sequential judge of volume: does less come than the hour expects?

A Poisson CUSUM for a fall to a quarter of an ordinary quiet day's rate μ: `score ← score + ¾ μ Δt − n · ln 4`.
Told apart: an *idle hour* (expects less than three quarters of an average one, as nights do) says nothing either
way; *stopped* is a source from which nothing came since; *quiet* are customers of whom fewer come. Days differ: an
ordinary quiet day is the mean less two standard deviations, and no less than a tenth.
It needs two weeks of past (each hour of the week seen twice), and it waits for `allowed_lateness`: what is late
within it is ordinary by the catalogue's own word. What comes late all at once counts when it comes.
"""

import math
from operator import mul
from typing import Final

from streams import names
from streams.baseline import CV_DAYS, CV_PRIOR, ORDINARY_SD, Group, Hours, faded
from streams.evidence import QUIET_WEEKS
from streams.series import BLOCK_S, DAY_S, HOUR_S, HOURS, MEMORY_S, WEEK_HOURS, Series

NEEDS_DAYS: Final = 14
FALL: Final = 4.0
"""A fall to a quarter: customers who stay away by half are a bad day, and the budget shows it."""
LEAST: Final = 0.1
"""An ordinary quiet day has at least a tenth of the mean, however much days differ."""
IDLE: Final = 0.75
"""An hour is idle that expects less than three quarters of what the average hour does: nights, as a rule."""
_LN: Final = math.log(FALL)
_GROWTH: Final = 1 - 1 / FALL


def learn(group: Group, day_end: int, half_life_days: float, hours_of: Hours) -> None:
    """Takes the day that ends at `day_end`."""
    whole = group.all
    fade = faded(group, half_life_days)
    begin = day_end - DAY_S
    first = begin // HOUR_S
    if not group.weeks:
        group.weeks = [0.0] * WEEK_HOURS
    if fade < 1:
        group.weeks = [x * fade for x in group.weeks]
    week_hours = [h % WEEK_HOURS for h in range(first, first + HOURS)]
    for s in group.series.values():
        wide = s.segment == names.ALL
        if not s.vol:
            s.vol = [0.0] * (WEEK_HOURS if wide else HOURS)
        if fade < 1:
            s.vol = [x * fade for x in s.vol]
        s.vol_n, s.vol_d = s.vol_n * fade, s.vol_d * fade
        if s.silent:
            continue
        hours = hours_of[s.segment]
        if group.age > WEEK_HOURS // HOURS and s.days:
            rates = group.rates if wide else [v / s.days for v in s.vol]
            e = sum(rates[h] for h in week_hours) if wide else sum(map(mul, rates, group.pattern_of_day))
            n = sum(n for n, _ in hours.values())
            s.vol_n += (n - e) ** 2 - e
            s.vol_d += e * e
            s.least = ordinary(s)
        for h, (n, _) in hours.items():
            s.vol[h % (WEEK_HOURS if wide else HOURS)] += n
    for h in range(first, first + HOURS):
        group.weeks[h % WEEK_HOURS] += 1
    _profile(group, whole, day_end // HOUR_S)
    limits(group)


def _profile(group: Group, whole: Series, tomorrow: int) -> None:
    by_day = [0.0] * HOURS
    for hour in range(HOURS):
        seen = sum(group.weeks[hour::HOURS])
        by_day[hour] = sum(whole.vol[hour::HOURS]) / seen if seen else 0.0
    rates = [(whole.vol[h] + by_day[h % HOURS]) / (group.weeks[h] + 1) for h in range(WEEK_HOURS)]
    floor = IDLE * sum(rates) / WEEK_HOURS
    group.rates = rates
    group.busy = [r >= floor and r > 0 for r in rates]
    pattern = [r / by_day[h % HOURS] if by_day[h % HOURS] else 0.0 for h, r in enumerate(rates)]
    group.pattern = [x if busy else 0.0 for x, busy in zip(pattern, group.busy, strict=True)]
    group.pattern_of_day = [pattern[h % WEEK_HOURS] for h in range(tomorrow, tomorrow + HOURS)]


def rate(group: Group, s: Series, week_hour: int) -> float:
    """Events that an hour of the week expects; 0 in an idle hour."""
    if not group.rates or not group.busy[week_hour]:
        return 0.0
    if s.segment == names.ALL:
        return group.rates[week_hour]
    return s.vol[week_hour % HOURS] / s.days * group.pattern[week_hour] if s.vol and s.days else 0.0


def peak(group: Group, s: Series) -> float:
    """No hour expects more."""
    if not group.rates or not s.vol or not s.days:
        return 0.0
    return max(group.rates) if s.segment == names.ALL else max(s.vol) / s.days * max(group.pattern)


def ordinary(s: Series) -> float:
    """The share of the mean that an ordinary quiet day has."""
    weight = CV_DAYS * (s.vol_d / s.days if s.days and s.vol_d > 0 else 1.0)
    cv = math.sqrt(max(0.0, (s.vol_n + weight * CV_PRIOR**2) / (s.vol_d + weight)))
    return max(LEAST, 1 - ORDINARY_SD * cv)


def limits(group: Group) -> None:
    """Every event begins a test (Ville's inequality, as in `evidence`); half of the false ones are `all`'s."""
    whole = group.all
    weekly = 7 * whole.volume / whole.days if whole.days else 1.0
    tests = 2 * QUIET_WEEKS / group.share * max(weekly, 1.0)
    group.quiet_limit = math.log(tests)
    group.quiet_limit_segment = math.log(tests * max(group.dimensions, 1))


def limit(group: Group, s: Series) -> float:
    """The score at which too little came."""
    return group.quiet_limit if s.segment == names.ALL else group.quiet_limit_segment


def catch_up(group: Group, s: Series, at: int) -> None:
    """Works the score out up to `at`, taking events as spread up to the last one, and none after it."""
    last = min(max(s.last, s.quiet_at), at)
    if s.quiet_n:
        _count(group, s, s.quiet_at, last, s.quiet_n)
        s.quiet_n, s.quiet_at = 0, last
    _count(group, s, s.quiet_at, at, 0)
    s.quiet_at = at


def _count(group: Group, s: Series, begin: int, end: int, n: int) -> None:
    mean = between(group, s, begin, end) * s.least
    score = s.quiet * math.exp((begin - end) / MEMORY_S) + _GROWTH * mean - n * _LN
    if score <= 0:
        s.quiet, s.quiet_since = 0.0, end
    else:
        s.quiet = score


def between(group: Group, s: Series, begin: int, end: int) -> float:
    """Events that [begin, end) expects, idle hours left out."""
    mean, at = 0.0, begin
    while at < end:
        hour = at // HOUR_S
        until = min(end, (hour + 1) * HOUR_S)
        mean += rate(group, s, hour % WEEK_HOURS) * (until - at) / HOUR_S
        at = until
    return mean


def speaks(group: Group, s: Series) -> bool:
    """Whether three days of silence would be evidence; who speaks less often is never missed."""
    return s.days > 0 and s.volume / s.days * (MEMORY_S / DAY_S) * s.least * _GROWTH >= limit(group, s)


def next_look(group: Group, s: Series, at: int, lateness: float) -> int:
    """The earliest time at which the score could be at its limit, to the block; not within `lateness`, which
    silence has to last anyway."""
    best = peak(group, s) * s.least * _GROWTH
    if best <= 0:
        return at + DAY_S
    hours = max(0.0, limit(group, s) - s.quiet) / best
    wait = min(int(hours * HOUR_S), MEMORY_S)
    return -(-(at + max(wait, int(lateness), BLOCK_S)) // BLOCK_S) * BLOCK_S
