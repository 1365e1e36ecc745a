"""A sequential judge of complaints where nobody ever praises: do more come than the hour expects?

A share of all that complain says nothing, so their number is judged: a Poisson CUSUM for each ratio r, `score ← score
+ n · ln r − (r − 1) · μ Δt`, against an ordinary *busy* day's rate μ (the mean and two standard deviations), by the
hour of the week that `silence` learns. Like silence it needs two weeks of past, and its limit is silence's: every
complaint begins a test (Ville's inequality). What is shown are complaints, and how many were expected.
"""

import math
from typing import Final

from streams import names, silence
from streams.baseline import Group
from streams.evidence import MIN_BAD
from streams.intervals import Z
from streams.moles import Contributor
from streams.series import HOUR_S, MEMORY_S, RATIOS, Series

SIGNAL: Final = "complaint"
PRAISE: Final = 0.05
"""Where fewer praise, complaints are counted: an objective speaks of shares, and there is none."""
LEAST: Final = 2.0
"""A case is over when complaints are rather an ordinary busy day's than twice as many, the least ratio looked for."""
_LN: Final = tuple(math.log(r) for r in RATIOS)


def counted(group: Group) -> bool:
    """Whether a group's complaints are judged by their number: hardly anybody ever praised."""
    if group.signal != SIGNAL:
        return False
    n, b = group.wide[names.ALL].whole
    more_n, more_b = group.all.since(group.all.born)
    return n - b + more_n - more_b <= PRAISE * (n + more_n)


def expected(group: Group, s: Series, begin: int, end: int) -> float:
    """Complaints that a series expects in [begin, end), nights as well."""
    begin = max(begin, end - MEMORY_S)
    return sum(silence.between(group, s, begin, end, hours) for hours in (group.busy, group.idle))


def busiest(group: Group, s: Series) -> float:
    """An ordinary busy day, by the mean one."""
    return float(group.past["most"][s.row])


def weigh(group: Group, s: Series) -> bool:
    """Adds the complaints of a series' last step to its scores; whether one is at its limit. See `evidence.weigh`.

    A step that begins with an hour may hold all of that hour, or of the day: so it is where times are dates.
    """
    if group.age < silence.NEEDS_DAYS:
        return False
    start, n = s.last, s.b - s.b_before
    now = expected(group, s, start, start + HOUR_S) if start % HOUR_S == 0 else 0.0
    since = expected(group, s, s.weighed, start) if s.active and s.weighed < start else 0.0
    fade = math.exp(min(s.weighed - start, 0) / MEMORY_S) if s.active else 0.0
    busy, limit = busiest(group, s), silence.limit(group, s)
    s.limits = [limit + ln for ln in _LN]
    s.weighed, s.paid = max(s.weighed if s.active else 0, start + (HOUR_S if now else 0)), s.total
    s.active = alarm = False
    for k, r in enumerate(RATIOS):
        old = s.scores[k] * fade - (r - 1) * busy * since
        new = max(old, 0.0) + n * _LN[k] - (r - 1) * busy * now
        if s.scores[k] <= 0.0 or old <= 0.0:
            s.starts[k], s.seen[k], s.bads[k], s.expects[k] = start, n, n, now
        else:
            s.seen[k], s.bads[k], s.expects[k] = s.seen[k] + n, s.bads[k] + n, s.expects[k] + since + now
        s.scores[k] = min(max(new, 0.0), s.limits[k])
        alarm = alarm or new >= s.limits[k]
        s.active = s.active or new > 0.0
    return alarm


def ease(group: Group, s: Series, share: float, begin: int, end: int, n: int) -> tuple[float, float]:
    """What [begin, end) with n complaints says of a case being over, as a log likelihood ratio of an ordinary busy
    day to `share` times as many, and how many were expected."""
    mean = expected(group, s, begin, end)
    ratio = max(share, LEAST)
    return mean * busiest(group, s) * (ratio - 1) - n * math.log(ratio), mean


def surprised(group: Group, s: Series, k: int) -> float:
    """Log likelihood ratio of a run against an ordinary busy day."""
    n, e = s.bads[k], s.expects[k] * busiest(group, s)
    e = max(e, 0.1)  # a run of a few steps
    return n * math.log(n / e) - (n - e) if n > e else 0.0


def blame(group: Group, since: int, at: int, most: float) -> tuple[Contributor, ...]:
    """Segments from which surely (95 %) more complaints come than on an ordinary busy day, by how surprising that is,
    until `most` of what is beyond the expected is explained."""
    found: list[tuple[float, Contributor]] = []
    for name, s in sorted(group.series.items()):
        if name == names.ALL or s.alone:
            continue
        _, n = s.since(since)
        mean = expected(group, s, since, max(at, s.weighed))
        e = max(mean * busiest(group, s), 0.1)
        if n >= MIN_BAD and n - Z * math.sqrt(n) > e:
            found.append((n * math.log(n / e) - (n - e), Contributor(name, n, n, round(n - mean, 1))))
    found.sort(key=lambda x: (-x[0], x[1].segment))
    _, n = group.all.since(since)
    left, out = most * (n - expected(group, group.all, since, max(at, group.all.weighed))), []
    for _, c in found:
        if left <= 0:
            break
        out.append(c)
        left -= c.excess
    return tuple(out)
