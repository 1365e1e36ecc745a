"""A sequential judge: is a series worse than an ordinary bad day of its own past?

A Bernoulli CUSUM for each odds ratio r (Page 1954): `score ← score + bad · ln r − n · ln(1 + p₀ (r − 1))`, kept in
[0, limit], where p₀ is the bad share of an ordinary bad day; for a segment also of what the rest of its moment does
now. It counts events and not minutes, so few of them need no path of their own.

The limit is set by the false moles that one accepts. While a score is zero, each event begins a test; a good one
ends it at once, so only a bad one begins an excursion. How many of them reach the limit on days as they come is
worked out in `limits`; it is kept under `1 / QUIET_WEEKS` a week for the moment as a whole.
"""

import math
from typing import Final, NamedTuple

from streams import names
from streams.baseline import FIRST, ORDINARY_SD, SHRINK, STEADY, WEEK_DAYS, Group
from streams.intervals import Z
from streams.limits import LOWEST, limits
from streams.series import DAY_S, HOUR_S, HOURS, LONGEST_S, MEMORY_S, RATIOS, STEP_S, Series

QUIET_WEEKS: Final = 40.0
"""The false moles that one accepts: 2.5 in a hundred moment-weeks. What is worked out is an upper bound: see the
bench for what comes of it."""
SURE: Final = math.log(100)
"""Evidence for "ordinary again" that ends a case, once it has settled, or for harm that begins it anew: wrong once in
a hundred."""
MIN_BAD: Final = 3
"""Design: fewer bad events are an anecdote."""
_LN: Final = tuple(math.log(r) for r in RATIOS)
_K: Final = range(len(RATIOS))


def wilson_low(bad: float, n: float) -> float:
    """Lower end of the 95 % Wilson interval of bad / n, as `intervals.wilson_low`, for one number."""
    if n <= 0 or bad <= 0:
        return 0.0
    p = bad / n
    spread = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return max(0.0, (p + Z * Z / (2 * n) - spread) / (1 + Z * Z / n))


def wilson_high(bad: float, n: float) -> float:
    """The upper end."""
    return 1 - wilson_low(n - bad, n)


def daily(group: Group, s: Series) -> float:
    """Events a day of a series, at least one; in its first days, of which one was only a part, all so far if more."""
    days = float(group.past["days"][s.row])
    mean = float(group.past["volume"][s.row]) / days if days else 0.0
    return max(mean, s.total if days < 2 else 0.0, 1.0)


def allow(group: Group) -> None:
    """Shares out the accepted false moles: half to silence, of the rest half to `all` and half to its segments, each
    signal alike.

    All segments of a dimension together see the moment's bad events once, so dimensions count, and not segments. The
    ratios are not counted: they see the same events, and all together they raise hardly more false alarms than the
    one that raises most (1.3 times in simulation), as the least never does.
    """
    n, b = group.wide[names.ALL].whole
    mean = (b + FIRST) / (n + FIRST / (1 - group.objective))
    seen = daily(group, group.all)
    group.prior = 1 / max(float(group.past["cv"][0]), STEADY) ** 2
    group.bad = math.log(seen * mean)
    group.allowed = math.log(group.share / (4 * QUIET_WEEKS * WEEK_DAYS))
    group.allowed_segment = group.allowed - math.log(max(len(group.dimensions), 1))


def memory(group: Group, events: float) -> int:
    """How long evidence lasts, in seconds, in a series of so many events a day: a quiet one is judged on its last
    events, as many as the objective allows ten bad ones of (an error of a third), within a week."""
    wanted = SHRINK / (1 - group.objective) / events * DAY_S
    longest = max(min(group.period, LONGEST_S), MEMORY_S)
    return int(min(max(wanted, MEMORY_S), longest)) // STEP_S * STEP_S


def refresh(group: Group, s: Series, start: int) -> None:
    """What this hour expects of a series; `start`: of its first step. Where the hour that is over was dearer, what is
    owed is paid for now: the bound holds only if nothing is paid for too cheaply."""
    if s.segment == names.ALL:
        allow(group)
    mine, hour = group.past[s.row], start // HOUR_S
    p, cv = float(mine["expect"][hour % HOURS]), float(mine["cv"])
    odds = bad_day(p, cv)
    if s.active and odds < s.odds:
        _pay(s, (s.before if s.last == start else s.total) - s.paid)
    events = daily(group, s)
    s.hour, s.p, s.cv, s.odds, s.memory = hour, p, cv, odds, memory(group, events)
    s.costs, s.limits = costs(p, cv), []


def limits_of(group: Group, s: Series) -> list[float]:
    """The limits of this hour; worked out when they are first asked for, as most hours come nowhere near them."""
    if not s.limits:
        allowed = group.allowed if s.segment == names.ALL else group.allowed_segment
        varied = math.sqrt(s.cv**2 + float(group.past["doubt"][s.row]))
        s.limits = limits(allowed, group.bad, s.p, varied, math.log(daily(group, s)), s.odds)
    return s.limits


def near(s: Series, part: float) -> list[int]:
    """Ratios whose score may be at this part of its limit: no limit is lower than `limits.LOWEST` says."""
    return [k for k in _K if s.scores[k] >= part * (_LN[k] - s.costs[k] + LOWEST)]


def bad_day(p: float, cv: float) -> float:
    """Odds of an ordinary bad day: the mean and two standard deviations, and no more than halfway to certainty."""
    share = min(p * (1 + ORDINARY_SD * cv), (1 + p) / 2)
    return share / (1 - share)


def costs(p: float, cv: float, rest: float = 1.0) -> list[float]:
    """What an event costs each ratio's score: ln(1 + p₀ (r − 1)). `rest`: how much worse the moment's rest is."""
    odds = bad_day(p, cv) * rest
    return [math.log1p(odds / (1 + odds) * (r - 1)) for r in RATIOS]


def _pay(s: Series, owed: int) -> None:
    s.paid += owed
    for k in _K:
        if s.scores[k] > 0.0:
            s.scores[k] = max(0.0, s.scores[k] - owed * s.costs[k])
            s.seen[k] += owed
            s.expects[k] += owed * s.p


def rest_now(group: Group, s: Series, start: int) -> float:
    """How much worse than expected the rest of the moment is in this hour: 1 or more."""
    if group.now_at != start:
        whole = group.all
        n, b = whole.last_hour()
        group.now_at, group.now_b, group.now_e = start, b, n * whole.p
    n, b = s.last_hour()
    rest_b, rest_e = group.now_b - b, group.now_e - n * s.p
    if rest_b <= rest_e or rest_b <= 0:
        return 1.0
    return (group.prior + rest_b) / (group.prior + (rest_e if rest_e > 0 else 0.0))


def weigh(group: Group, s: Series) -> bool:
    """Adds the events of a series' last step, some of them bad, to the scores; whether one is at its limit.

    Only a bad event can raise an alarm, so what was good since the last bad one is paid for now: at this step's
    price, or that of the last bad one's hour, if it was dearer (`refresh`).
    """
    start, n, bad = s.last, s.total - s.before, s.b - s.b_before
    cost, scores = s.costs, s.scores
    if s.segment != names.ALL and not s.alone and (rest := rest_now(group, s, start)) > 1.0:
        cost = costs(s.p, s.cv, rest)
    owed = s.before - s.paid
    s.paid = s.total
    fade = math.exp((s.weighed - start) / s.memory) if s.active else 0.0
    s.weighed = start
    active = alarm = False
    for k in _K:
        old = scores[k]
        if old > 0.0:
            old = old * fade - owed * cost[k]
        new = max(old, 0.0) + bad * _LN[k] - n * cost[k]
        if new <= 0.0:
            scores[k] = 0.0
            continue
        if old <= 0.0:
            s.starts[k], s.seen[k], s.bads[k], s.expects[k] = start, n, bad, n * s.p
        else:
            s.seen[k] += owed + n
            s.bads[k] += bad
            s.expects[k] += (owed + n) * s.p
        active = True
        if new >= _LN[k] - s.costs[k] + LOWEST and new >= (limit := limits_of(group, s)[k]):
            new, alarm = limit, True
        scores[k] = new
    s.active = active
    return alarm


class Run(NamedTuple):
    """Harm that has gathered."""

    begin: int  # unix seconds
    bad: int
    seen: int
    expected: float  # bad ones
    lasts: int = 0  # seconds for which it may show nothing, and not be over


def run(s: Series, k: int) -> Run:
    """What has gathered since a score's last zero."""
    return Run(s.starts[k], s.bads[k], s.seen[k], s.expects[k])


def surprise(n: int, b: int, share: float) -> float:
    """Log likelihood ratio of n events with b > 0 bad ones against a bad share (Kulldorff's scan statistic)."""
    p, share = b / n, min(max(share, 1e-6), 1 - 1e-6)
    return b * math.log(p / share) + ((n - b) * math.log((1 - p) / (1 - share)) if b < n else 0.0)


def strongest(group: Group, s: Series) -> int:
    """The ratio whose run is the harm: -1 where no score is at its limit, or none that is bears harm out.

    Harm: at least three bad, and a share of bad that is beyond the objective on evidence. Of the runs since the
    scores' last zeros the likeliest one is it, and its beginning the first harm (the change point).
    """
    if not any(_bears(group, s, k) and s.scores[k] >= limits_of(group, s)[k] for k in _K):
        return -1
    return likeliest(group, s)


def likeliest(group: Group, s: Series) -> int:
    """The likeliest run that bears harm out, at its limit or not; -1 where there is none."""
    return max((k for k in _K if _bears(group, s, k)), key=lambda k: surprised(s, k, s.cv), default=-1)


def _bears(group: Group, s: Series, k: int) -> bool:
    return s.scores[k] > 0 and s.bads[k] >= MIN_BAD and wilson_low(s.bads[k], s.seen[k]) > 1 - group.objective


def surprised(s: Series, k: int, cv: float) -> float:
    """`surprise` of a run against an ordinary bad day, where days vary by `cv`."""
    odds = bad_day(s.p, cv)
    return surprise(s.seen[k], s.bads[k], odds / (1 + odds))


def stands(group: Group, s: Series, n: float, bad: float, expect: float) -> bool:
    """Whether n events with so many bad, of whom so many were expected, would raise the alarm in series `s`."""
    bad = min(bad, n)  # a remainder of cells of unlike length may say more
    if n <= 0 or bad < MIN_BAD or wilson_low(bad, n) <= 1 - group.objective:
        return False
    p = min(max(expect / n, 1e-4), 0.98)
    limit = limits_of(group, s)
    return any(bad * ln - n * cost >= h for ln, cost, h in zip(_LN, costs(p, s.cv), limit, strict=True))
