"""What a judge learns at midnight (UTC): each group its day, but for the hours of its cases."""

import math

import numpy as np

from streams import baseline, names, silence, weeks
from streams.baseline import Group
from streams.cases import State, hurts, spans, young
from streams.evidence import limits_of, near
from streams.moles import Finding
from streams.series import DAY_S, HOUR_S, HOURS, Series, of_day
from streams.windows import Mask


def learn(state: State, midnight: int, half_life_days: float, period: float) -> None:
    """Takes the day that ends at `midnight`; a case that is older than `period` (seconds) covers nothing."""
    state.covered = [x for x in state.covered if x[4] > midnight - DAY_S]
    for group in state.groups.values():
        if not any(group.series[wide].born for wide in group.wide):
            continue
        n, b = of_day(list(group.series.values()), midnight - DAY_S)
        covered = _covered(state, group, midnight, period)
        silence.learn(group, midnight, half_life_days, n)
        _accept(state, group, midnight, period)
        weeks.learn(group, np.where(covered, 0.0, n), np.where(covered, 0.0, b))
        covered |= _suspect(group, midnight, period)
        baseline.learn(group, midnight, half_life_days, n, b, covered)


def _covered(state: State, group: Group, midnight: int, period: float) -> Mask:
    """What no series is to learn of the day [series, hour]: its cases, and those of its moment as a whole; in its
    first week, when nobody knows what is ordinary, only those that burn the budget at a page's pace. What `weeks`
    remembers of the days before is forgotten."""
    covered = np.zeros((len(group.series), HOURS), np.bool_)
    new = young(group)
    for segment, _, case, begin, end in spans(state, midnight, period):
        if new and not (case in state.cases and hurts(state, state.cases[case], midnight)):
            continue
        first, last = ((t - midnight + DAY_S) / HOUR_S for t in (begin, end))
        hours = slice(max(0, math.floor(first)), max(0, math.ceil(last)))
        days = math.ceil((midnight - DAY_S - begin) / DAY_S)  # before this one
        if segment == names.ALL:
            covered[:, hours] = True
            weeks.forget(group.past, slice(None), days)
        elif segment in group.series:
            row = group.series[segment].row
            covered[row, hours] = True
            weeks.forget(group.past, slice(row, row + 1), days)
    return covered


def _accept(state: State, group: Group, midnight: int, period: float) -> None:
    """A case that has been up for a whole budget period is what its series is now."""
    for case in state.cases.values():
        if case.signal == group.signal and case.kind != "silence" and case.total and midnight - case.popped > period:
            row = group.series[case.segment].row
            some = slice(row, row + 1) if row else slice(len(group.series))
            weeks.accept(group.past, some, row, case.total, case.bad)
            case.lasts = 0


def _suspect(group: Group, midnight: int, period: float) -> Mask:
    """What is not learnt because it may be harm that is about to be found."""
    covered = np.zeros((len(group.series), HOURS), np.bool_)
    for s in () if young(group) else group.series.values():
        since = _suspected(group, s, midnight, period)
        if since:
            hours = slice(max(0, math.floor((since - midnight + DAY_S) / HOUR_S)), HOURS)
            covered[slice(None) if s.segment == names.ALL else s.row, hours] = True
    return covered


def _suspected(group: Group, s: Series, midnight: int, period: float) -> int:
    """Since when a series has been suspected, for more than a day: what is likely harm is not learnt while evidence
    of it is gathered. 0 where it is not."""
    if s.case or not s.active:
        return 0
    half = [k for k in near(s, 0.5) if DAY_S < midnight - s.starts[k] <= period]
    return min((s.starts[k] for k in half if s.scores[k] >= limits_of(group, s)[k] / 2), default=0)


def day(state: State, moment: str, midnight: int) -> list[Finding]:
    """How the moment's day went, for the desk: nothing where nothing happened."""
    first = midnight - DAY_S
    bad = total = 0
    expect = allowed = 0.0
    for group in state.groups.values():
        (n,), (b,) = of_day([group.all], first)
        bad, total = bad + int(b.sum()), total + int(n.sum())
        expect += float(n @ group.wide[names.ALL].day(1 - group.objective, first // HOUR_S))
        allowed += float(n.sum()) * (1 - group.objective)
    if not total:
        return []
    found = Finding(
        at=midnight, moment=moment, segment=names.ALL, signal="", kind="", event="day", case="",
        bad=bad, total=total, expected=round(expect, 3), budget=round(allowed, 3),
    )  # fmt: skip
    return [found]
