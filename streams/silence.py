"""A sequential judge of volume: does less come than the hour expects?

A Poisson CUSUM for a fall to a quarter of an ordinary quiet day's rate μ: `score ← score + ¾ μ Δt − n · ln 4`.
Told apart: an *idle hour* (expects less than three quarters of an average one, as nights do) says nothing either
way of how much less comes; *stopped* is a source from which nothing at all came since, be it at night; *quiet* are
customers of whom fewer come. Days differ: an
ordinary quiet day is the mean less two standard deviations, and no less than a tenth.
It needs two weeks of past (each hour of the week seen twice), and it waits for `allowed_lateness`: what is late
within it is ordinary by the catalogue's own word. What comes late all at once counts when it comes.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from streams import names
from streams.baseline import CV_DAYS, CV_PRIOR, ORDINARY_SD, SHRINK, Group, faded
from streams.evidence import QUIET_WEEKS
from streams.intervals import Floats
from streams.past import Rows
from streams.series import BLOCK_S, DAY_S, HOUR_S, HOURS, MEMORY_S, STEP_S, WEEK_HOURS, Series
from streams.windows import Mask

NEEDS_DAYS: Final = 14
FALL: Final = 4.0
"""A fall to a quarter: customers who stay away by half are a bad day, and the budget shows it."""
LEAST: Final = 0.1
"""An ordinary quiet day has at least a tenth of the mean, however much days differ."""
IDLE: Final = 0.75
"""An hour is idle that expects less than three quarters of what the average hour does: nights, as a rule."""
_LN: Final = math.log(FALL)
_GROWTH: Final = 1 - 1 / FALL


def learn(group: Group, day_end: int, half_life_days: float, n: Floats) -> None:
    """Takes the day that ends at `day_end`: events [series, hour]. Comes before `baseline.learn`."""
    fade = faded(group, half_life_days)
    past = group.past[: len(group.series)]
    first = (day_end - DAY_S) // HOUR_S
    week_hours = [h % WEEK_HOURS for h in range(first, first + HOURS)]
    if not group.weeks:
        group.weeks, group.volumes = [0.0] * WEEK_HOURS, [0.0] * WEEK_HOURS
    if fade < 1:
        group.weeks, group.volumes = [x * fade for x in group.weeks], [x * fade for x in group.volumes]
        for name in ("hours", "change_n", "change_d"):
            past[name] *= fade
    apart = (s.silent or (group.counted and (s.case != "" or _suspected(s))) for s in group.series.values())
    heard = ~np.fromiter(apart, np.bool_, len(past))
    if group.age > WEEK_HOURS // HOURS:
        e = past["rate"] @ np.array([group.pattern[h] for h in week_hours])
        e[0] = sum(group.rates[h] for h in week_hours)
        known = heard & (past["days"] > 0)
        past["change_n"] += np.where(known, (n.sum(axis=1) - e) ** 2 - e, 0.0)
        past["change_d"] += np.where(known, e * e, 0.0)
        spread = ORDINARY_SD * _variation(past)
        past["least"] = np.where(known, 1 - spread, past["least"])
        past["most"] = np.where(known, 1 + spread, past["most"])
    past["least"] = np.maximum(past["least"], LEAST)
    past["most"] = np.maximum(past["most"], 1.0)
    past["hours"] += n * heard[:, None]
    past["rate"] = past["hours"] / (past["days"] * fade + 1)[:, None]
    for h, more in zip(week_hours, n[0].tolist(), strict=True):
        group.weeks[h] += 1
        group.volumes[h] += more if heard[0] else 0.0
    _profile(group)
    most = [
        max(x for x, busy in zip(some, group.busy, strict=True) if busy) if any(group.busy) else 0.0
        for some in (group.rates, group.pattern)
    ]
    growth = _GROWTH / HOUR_S * past["least"] * past["rate"].max(axis=1) * most[1]
    growth[0] = _GROWTH / HOUR_S * past["least"][0] * most[0]
    for s, grows in zip(group.series.values(), growth.tolist(), strict=True):
        s.growth = grows
    limits(group)


def _suspected(s: Series) -> bool:
    """Whether complaints are half way to an alarm: what comes meanwhile does not teach that it is ordinary."""
    return s.active and any(score >= limit / 2 for score, limit in zip(s.scores, s.limits, strict=True))


def _profile(group: Group) -> None:
    """What each hour of the week expects: its own ← the hour of the day, as far as that weekday has any. A weekday on
    which nothing ever came is closed."""
    by_day = [0.0] * HOURS
    for hour in range(HOURS):
        seen = sum(group.weeks[hour::HOURS])
        by_day[hour] = sum(group.volumes[hour::HOURS]) / seen if seen else 0.0
    days = range(0, WEEK_HOURS, HOURS)
    came = [sum(group.volumes[d : d + HOURS]) for d in days]
    share = [(n + SHRINK) / (group.weeks[d] * sum(by_day) + SHRINK) for n, d in zip(came, days, strict=True)]
    rates = [
        (group.volumes[h] + by_day[h % HOURS] * min(share[h // HOURS], 1.0)) / (group.weeks[h] + 1)
        for h in range(WEEK_HOURS)
    ]
    floor = IDLE * sum(rates) / WEEK_HOURS
    group.rates = rates
    group.busy = [r >= floor and came[h // HOURS] > 0 for h, r in enumerate(rates)]
    group.idle = [r < floor and came[h // HOURS] > 0 for h, r in enumerate(rates)]
    group.pattern = [r / by_day[h % HOURS] if by_day[h % HOURS] else 0.0 for h, r in enumerate(rates)]


def _variation(past: Rows) -> Floats:
    """Day-to-day coefficient of variation of the volume."""
    weight = CV_DAYS * np.where(past["change_d"] > 0, past["change_d"] / np.maximum(past["days"], 1e-9), 1.0)
    squared = (past["change_n"] + weight * CV_PRIOR**2) / (past["change_d"] + weight)
    cv: Floats = np.sqrt(np.maximum(0.0, squared))
    return cv


def least(group: Group, s: Series) -> float:
    """The share of its mean that an ordinary quiet day of a series has."""
    return float(group.past["least"][s.row])


def limits(group: Group) -> None:
    """Every event begins a test (Ville's inequality); of the false ones that are accepted half are silence's, and of
    these half `all`'s."""
    volume, days = group.past["volume"][0], group.past["days"][0]
    weekly = 7 * float(volume) / float(days) if days else 1.0
    tests = 4 * QUIET_WEEKS / group.share * max(weekly, 1.0)
    group.quiet_limit = math.log(tests)
    group.quiet_limit_segment = math.log(tests * max(len(group.dimensions), 1))


def limit(group: Group, s: Series) -> float:
    """The score at which too little came."""
    return group.quiet_limit if s.segment == names.ALL else group.quiet_limit_segment


def most(group: Group, s: Series, at: int) -> float:
    """What the score could be at `at`, at most: events are taken in, silence since the last one at the dearest."""
    growth, n = s.growth, s.total - s.heard
    if n:
        last = max(_said(s), s.quiet_at)  # which may lie ahead: the hour has said what it has
        if s.quiet + growth * (last - s.quiet_at) <= n * _LN:
            s.quiet, s.quiet_since = 0.0, last
        else:
            _count(group, s, s.quiet_at, last, n)
        s.heard, s.quiet_at = s.total, last
    return s.quiet + growth * max(at - s.quiet_at, 0)


def catch_up(group: Group, s: Series, at: int) -> None:
    """Works the score out up to `at`, taking events as spread up to the last one, and none after it."""
    most(group, s, at)
    _count(group, s, s.quiet_at, max(at, s.quiet_at), 0)
    s.quiet_at = max(at, s.quiet_at)


def afresh(s: Series, at: int) -> None:
    """Begins to listen."""
    s.quiet, s.heard, s.quiet_at, s.quiet_since = 0.0, s.total, at, at


def _count(group: Group, s: Series, begin: int, end: int, n: int) -> None:
    mean = between(group, s, begin, end) * least(group, s)
    score = s.quiet * math.exp((begin - end) / MEMORY_S) + _GROWTH * mean - n * _LN
    if score <= 0:
        s.quiet, s.quiet_since = 0.0, end
    else:
        s.quiet = score


def between(
    group: Group, s: Series, begin: int, end: int, hours: Sequence[bool] | None = None, shift: int = 0
) -> float:
    """Events that [begin, end) expects in busy hours, or in those of the week that are given; `shift`: so many hours
    later than usual."""
    if not group.rates or end <= begin:
        return 0.0
    counting = group.busy if hours is None else hours
    begin, end = begin - shift * HOUR_S, end - shift * HOUR_S
    if s.segment == names.ALL:
        hourly, pattern = group.rates, None
    else:
        hourly, pattern = group.past["rate"][s.row].tolist(), group.pattern
    first, last = begin // HOUR_S, (end - 1) // HOUR_S
    seconds = 0.0
    for hour in range(first, last + 1):
        at = hour % WEEK_HOURS
        if not counting[at]:
            continue
        rate = hourly[at] if pattern is None else hourly[hour % HOURS] * pattern[at]
        if first < hour < last:
            seconds += rate * HOUR_S
        else:
            seconds += rate * (min(end, (hour + 1) * HOUR_S) - max(begin, hour * HOUR_S))
    return seconds / HOUR_S


def stopped(group: Group, s: Series, at: int) -> bool:
    """Whether nothing came since its last event, where so much is expected that it has stopped. An idle hour is
    expected to have a tenth of what it has otherwise: nights may be quiet.

    Clocks change by an hour, so the least of three shifts of the week. Where it is not so, it is not looked at again
    before it could be, were all hours to come the dearest one; what comes meanwhile makes that later still.
    """
    since = began(s)
    wanted, growth = limit(group, s), s.growth / _GROWTH
    if at < s.not_before or growth * (at - since) < wanted:
        return False
    for shift in (0, -1, 1):
        expected = between(group, s, since, at, group.busy, shift) * least(group, s)
        expected += between(group, s, since, at, group.idle, shift) * LEAST
        if expected < wanted:
            s.not_before = at + int((wanted - expected) / growth)
            return False
    return True


def began(s: Series) -> int:
    """When nothing came any more."""
    return _said(s) if s.last % HOUR_S == 0 else s.last + STEP_S


def _said(s: Series) -> int:
    """Up to when its last event says something: whole hours or dates, where it is on one."""
    return s.last if s.last % HOUR_S else s.last + HOUR_S


def back(group: Group, s: Series, at: int) -> bool:
    """Whether the last block says that it comes as it should: what was missing is over."""
    n, _ = s.since(at - BLOCK_S)
    return n * _LN > _GROWTH * between(group, s, at - BLOCK_S, at) * least(group, s)


def speaking(group: Group) -> Mask:
    """Of each series whether three days of silence would be evidence; who speaks less often is never missed."""
    past = group.past[: len(group.series)]
    wanted = np.full(len(past), group.quiet_limit_segment)
    wanted[0] = group.quiet_limit
    daily = past["volume"] / np.maximum(past["days"], 1e-9)
    found: Mask = daily * (MEMORY_S / DAY_S) * past["least"] * _GROWTH >= wanted
    return found & (past["days"] > 0)


def next_look(group: Group, s: Series, at: int, lateness: float) -> int:
    """The earliest time after `at` at which the score, or that of `stopped`, could be at its limit, to the block;
    not within `lateness`, which silence has to last anyway."""
    if s.growth <= 0:
        return at + DAY_S
    wanted = limit(group, s)
    short = s.quiet_at + max(0.0, wanted - s.quiet) / s.growth
    gone = max(s.not_before, began(s) + _GROWTH * wanted / s.growth)
    due = max(min(short, gone, at + MEMORY_S), s.quiet_at + lateness, at + BLOCK_S)
    return math.ceil(due / BLOCK_S) * BLOCK_S
