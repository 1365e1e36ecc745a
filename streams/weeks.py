"""Harm that creeps in over weeks: too little at a time for `evidence`, which would learn it as ordinary.

At midnight the last week, two and four are held against what came before. What a window should have had is negative
binomial: Poisson about levels that are a gamma distribution, whose variance is that of the days in it and of the
estimate of what is ordinary. The alarm is where the chance of as much bad, by Chernoff's bound, is as small as the
false moles that one accepts allow. Nothing that a case covers counts, so that only what nobody has told is told.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from streams import baseline, evidence
from streams.baseline import FIRST, SHRINK, Group
from streams.cases import SPELL_DAYS
from streams.evidence import Run
from streams.intervals import Floats
from streams.past import DAYS, Rows
from streams.series import DAY_S, Series
from streams.windows import Ints

LOOKS: Final = ((7, 7), (7, 28), (14, 14), (14, 28), (28, 28))
"""Days of a window, and the days ago at which the past ends that it is held against: what has crept in for three
weeks is no measure of the fourth, and a young moment has nothing older."""
LEAST_BAD: Final = SHRINK
"""Fewer in a week or more are an anecdote: a share of ten has an error of a third."""
FADE: Final = 0.5 ** (1 / 91)
"""What is left of what is older, from day to day: half of it after a quarter of a year. (With the budget period as
half-life a quiet moment would hardly have a past.)"""
LASTS_S: Final = DAYS * DAY_S
"""So long such harm may show nothing, and not be over."""


class Harm(NamedTuple):
    """What crept in, in one series."""

    series: Series
    days: int  # for which it is likeliest to have been there …
    ordinary: int  # … and how many days ago the past ends that it is held against
    run: Run


def learn(group: Group, n: Floats, b: Floats) -> None:
    """Takes a day, of what no case covers: events and bad ones [series, hour]."""
    past = group.past[: len(group.series)]
    for day, old, new in (("day_n", "old_n", n), ("day_b", "old_b", b)):
        past[old] = past[old] * FADE + past[day][:, -1]
        past[day][:, 1:] = past[day][:, :-1].copy()
        past[day][:, 0] = new.sum(axis=1)


def forget(past: Rows, some: slice | Ints, days: int) -> None:
    """Of some rows the last so many days: a case covers them."""
    if days > 0:
        past["day_n"][some, :days] = past["day_b"][some, :days] = 0.0


def accept(past: Rows, some: slice, row: int, n: int, b: int) -> None:
    """What was harm is ordinary now: so many bad of so many events in a row, and some rows as much worse as it is."""
    share = float(past["old_b"][row] / past["old_n"][row]) if past["old_n"][row] else 0.0
    if share > 0:
        past["old_b"][some] *= max(b / n / share, 1.0)
    if past["old_n"][row] < n:
        past["old_n"][row], past["old_b"][row] = n, b


def unlearn(group: Group, harm: Harm, midnight: int) -> None:
    """Takes back what it has taught: the level is what it was before. `all` has taught everybody but the voices, to
    expect as many times as much."""
    row, past = harm.series.row, group.past[: len(group.series)]
    before = ordinary(group, harm.ordinary)
    level = float(past["b"][row].sum() / max(past["n"][row].sum(), 1.0))
    times = np.ones(len(past))
    if level > before.share[row]:
        times[row] = before.share[row] / level
    if not row:
        alone = np.fromiter((s.alone for s in group.series.values()), np.bool_, len(past))
        times = np.where(alone, 1.0, times[0])
        forget(past, np.flatnonzero(~alone), harm.days)
    else:
        forget(past, np.array([row]), harm.days)
    baseline.unlearn(group, times, midnight)
    for s in group.series.values():
        s.hour = -1  # what this hour expects is worked out anew


class Past(NamedTuple):
    """What a window is held against."""

    events: Floats  # [series]
    share: Floats  # of bad ones
    doubt: Floats  # the variance of its estimate, as a share of its square


def ordinary(group: Group, days: int) -> Past:
    """What was before the last so many days. A segment borrows from its moment."""
    past = group.past[: len(group.series)]
    n = past["old_n"] + past["day_n"][:, days:].sum(axis=1)
    b = past["old_b"] + past["day_b"][:, days:].sum(axis=1)
    whole = (b[0] + FIRST) / (n[0] + FIRST / (1 - group.objective))
    share = (b + SHRINK) / (n + SHRINK / whole)
    doubt = 1 / (b + SHRINK) + 1 / (b[0] + FIRST)
    share[0], doubt[0] = whole, 1 / (b[0] + FIRST)
    in_days = n * past["days"] / np.maximum(past["volume"], 1.0)
    return Past(n, share, doubt + past["cv"] ** 2 / np.maximum(in_days / SPELL_DAYS, 1.0))


def harms(group: Group, midnight: int) -> list[Harm]:
    """The series that are harmed, the likeliest first: a segment was picked among many, which is what it has to be
    likelier by. The past must be a quarter of the window at least: its error is twice the window's then."""
    rows = {s.row: s for s in group.series.values() if not s.alone and not s.case}
    past, limit, many = group.past[: len(group.series)], _limit(group), math.log(max(len(group.series) - 1, 1))
    handicap = np.where(np.arange(len(past)), many, 0.0)
    best: dict[int, tuple[float, int]] = {}
    for days, before in LOOKS:
        n, b = past["day_n"][:, :days].astype(float), past["day_b"][:, :days].astype(float)
        events, share, doubt = ordinary(group, before)
        total, bad = n.sum(axis=1), b.sum(axis=1)
        mean = total * share * baseline.rests(past, bad, total * share)
        spells = SPELL_DAYS * (n * n).sum(axis=1) / np.maximum(total, 1.0) ** 2
        nats = chance(bad, mean, past["cv"] ** 2 * np.minimum(spells, 1.0) + doubt) - handicap
        known = (nats >= limit) & (bad >= LEAST_BAD) & (4 * events >= total)
        for row in rows.keys() & set(np.flatnonzero(known).tolist()):
            harmed = evidence.wilson_low(float(bad[row]), float(total[row])) > 1 - group.objective
            if harmed and nats[row] > best.get(row, (0.0, 0))[0]:
                best[row] = float(nats[row]), before
    found = sorted(best.items(), key=lambda x: (-x[1][0], x[0]))
    return [_harm(group, rows[row], before, midnight) for row, (_, before) in found]


def _limit(group: Group) -> float:
    """Evidence that is asked of `all`: as many false moles again as the sequential judge's, shared by the looks. (The
    segments have as many, and share them, as each is looked at.)"""
    evidence.allow(group)
    return math.log(len(LOOKS)) - group.allowed


def chance(bad: Floats, mean: Floats, variance: Floats) -> Floats:
    """Minus the logarithm of (a bound of) the chance of so many bad ones or more, where levels vary; 0 for no more
    than the mean."""
    x, shape = np.maximum(bad, mean), 1 / np.maximum(variance, 1e-6)
    found: Floats = x * np.log(np.maximum(x, 1e-9) / np.maximum(mean, 1e-9)) - (x + shape) * np.log(
        (x + shape) / (mean + shape)
    )
    return np.maximum(found, 0.0)


def _harm(group: Group, s: Series, before: int, midnight: int) -> Harm:
    """Since when: of the days that are not held for ordinary, those up to now whose excess is the least likely."""
    mine = group.past[s.row]
    n, b = np.cumsum(mine["day_n"][:before], dtype=float), np.cumsum(mine["day_b"][:before], dtype=float)
    share = float(ordinary(group, before).share[s.row])
    last = int(np.argmax(chance(b, n * share, np.zeros(before))))
    begin = midnight - (last + 1) * DAY_S
    run = Run(begin, round(b[last]), round(n[last]), float(n[last]) * share, LASTS_S)
    return Harm(s, last + 1, before, run)
