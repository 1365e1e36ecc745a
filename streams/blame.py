"""Who carries the excess, and whether two alarms have one cause.

Only marginal counts exist: a dimension at a time, and no joint counts of two. They suffice for what is asked here:
within one dimension segments are disjoint, so the rest of a moment is a subtraction. Across dimensions time
decides: causes are rare, so an alarm in a moment that is being hurt is that hurt seen from another side, far more
likely than a second cause in the same hours. Only a trouble that is wider than the case it would join is its own.
"""

import math
from collections.abc import Iterable
from typing import Final

from streams import cases, names, surge
from streams.baseline import HIGHEST, LOWEST, Group
from streams.cases import Case, State
from streams.evidence import (
    MIN_BAD,
    Run,
    likeliest,
    limits_of,
    stands,
    surprise,
    surprised,
    wilson_high,
    wilson_low,
)  # fmt: skip
from streams.moles import Contributor
from streams.series import DAY_S, FINE_S, HOUR_S, LONGEST_S, MEMORY_S, Series

MOST: Final = 0.8
"""Blame goes on until it explains so much of the excess (Pareto's share)."""
SHOWN: Final = 5
TOGETHER_S: Final = HOUR_S
"""Onsets within the hour (the page's long burn window) are one onset: an onset is no better known than that."""


def dimension(segment: str) -> str:
    """The dimension of a segment, "" for `all`."""
    return segment.partition("=")[0] if segment != names.ALL else ""


def blame(group: Group, since: int, alarms: Iterable[tuple[Group, str, int]]) -> tuple[Contributor, ...]:
    """The segments that carry a moment's excess since a time, worst first. `alarms`: segments that raised one of
    their own (by which signal, since when); they come first, and are counted from there.

    Of each dimension, segment by segment: the one with most bad events beyond what the rest's bad share makes of
    its total, as long as its Wilson interval (95 %) is beyond the rest's, until most of the excess is explained. Who
    is blamed is not part of the next one's rest. A segment explains, so it has at least three bad. The order is that
    of `surprise`, which a narrow segment wins over a wide one that holds it.
    """
    alarmed: dict[str, tuple[float, Contributor]] = {}
    for own, name, onset in alarms:
        s = own.series[name]
        if name != names.ALL and not s.alone:
            for found in _peel([(name, *s.since(onset))], *own.all.since(onset)):
                alarmed[name] = max(found, alarmed.get(name, found), key=lambda x: x[0])
    by_dimension: dict[str, list[tuple[str, int, int]]] = {}
    for name, s in sorted(group.series.items()):
        if name != names.ALL and name not in alarmed and not s.alone:
            n, b = s.since(since)
            if b >= MIN_BAD:
                by_dimension.setdefault(dimension(name), []).append((name, n, b))
    others = [c for some in by_dimension.values() for c in _peel(some, *group.all.since(since))]
    return tuple(c for _, c in (*_ordered(alarmed.values()), *_ordered(others)))[:SHOWN]


def _ordered(found: Iterable[tuple[float, Contributor]]) -> list[tuple[float, Contributor]]:
    return sorted(found, key=lambda x: (-x[0], x[1].segment))


def _peel(segments: list[tuple[str, int, int]], n: int, b: int) -> list[tuple[float, Contributor]]:
    """Surprise and segment, of one dimension."""
    blamed: list[tuple[str, int, int]] = []
    left = [x for x in segments if x[2] * n > x[1] * b]  # worse than the average
    most = MOST * sum(sb - sn * b / n for _, sn, sb in left) if n else 0.0
    explained = 0.0
    while left and explained <= most:
        excess, worst, rest = max(_excess(x, n, b) for x in left)
        left.remove(worst)
        _, sn, sb = worst
        if excess > 0 and wilson_low(sb, sn) > wilson_high(max(b - sb, 0), n - sn):
            blamed.append(worst)
            explained += excess
            n, b = n - sn, b - sb
    rest = max(b, 0) / n if n > 0 else 0.0
    return [(surprise(sn, sb, rest), Contributor(name, sb, sn, round(sb - sn * rest, 1))) for name, sn, sb in blamed]


def counted(
    blamed: Iterable[str], case: tuple[str, int, int], counts: dict[str, tuple[int, int]]
) -> tuple[Contributor, ...]:
    """Who is blamed for a case (its segment, events, bad ones), in its own figures.

    `counts`: events and bad ones of `all` and of segments, by the case's signal and in its time, to the block that
    holds its first harm: what came in that block before it, or while the case was thought to recover, is more than
    there was. Who is not worse than the rest by that signal, with three bad at least, is hurt by another one, and not
    named here. The excess is what is beyond the rest's bad share.
    """
    mine, n, bad = case
    whole_n, whole_b = counts[names.ALL]
    out = []
    for segment in blamed:
        sn, sb = counts.get(segment, (0, 0))
        rest = min(max(whole_b - sb, 0) / (whole_n - sn), 1.0) if whole_n > sn else 0.0
        if segment == mine:
            sn, sb = n, bad
        elif mine == names.ALL:
            sb, sn = min(sb, bad), min(sb, bad) + min(sn - sb, n - bad)
        if sb >= MIN_BAD and sb > sn * rest:
            out.append(Contributor(segment, sb, sn, round(sb - sn * rest, 1)))
    return tuple(out)


def within(contributors: Iterable[Contributor], segment: str, bad: int, total: int) -> tuple[Contributor, ...]:
    """Contributors in the figures of a case (of `segment`) that has fewer events than when they were counted."""
    out = []
    for c in contributors:
        rest = (c.bad - c.excess) / c.total
        b, good = bad, total - bad
        if c.segment != segment:
            limit = segment == names.ALL
            b, good = (min(b, c.bad), min(good, c.total - c.bad)) if limit else (c.bad, c.total - c.bad)
        if b:
            out.append(Contributor(c.segment, b, b + good, round(max(0.0, b - (b + good) * rest), 1)))
    return tuple(out)


def _excess(x: tuple[str, int, int], n: int, b: int) -> tuple[float, tuple[str, int, int], float]:
    """A segment's bad events beyond what the rest of n events with b bad ones makes of it, and the rest's share."""
    _, sn, sb = x
    rest = max(b - sb, 0) / (n - sn) if n > sn else 0.0
    return sb - sn * rest, x, rest


def wider(group: Group, since: int, segments: Iterable[str]) -> bool:
    """Whether `all` would raise the alarm without these segments (of one dimension): the trouble is wider then."""
    whole = group.all
    n, b = whole.since(since)
    e = n * whole.p
    for name in segments:
        s = group.series.get(name)
        if s is not None:
            sn, sb = s.since(since)
            n, b, e = n - sn, b - sb, e - sn * s.p
    return stands(group, whole, n, b, e)


def one_of(state: State, group: Group, s: Series, onset: int, at: int) -> Case | None:
    """The open case that an alarm of series `s` is part of, if any. What crept in is of its own signals only."""
    known = [
        c
        for c in state.cases.values()
        if c.kind != "silence" and (c.popped == at or not c.lasts or s.signal in c.members)
    ]
    for case in known:
        if case.segment == s.segment or case.popped == at:
            return case
    hurting = [c for c in known if _takes_in(state, c, at) and (not c.eased or onset - c.last <= cases.SETTLE_S)]
    for case in hurting:
        if case.segment == names.ALL:
            return case
    for case in hurting:
        if not outgrows(group, onset, case) if s.segment == names.ALL else not _apart(s.segment, onset, case):
            return case
    return None


def _takes_in(state: State, case: Case, at: int) -> bool:
    """Whether it is young enough to; what creeps over weeks in a whole moment (`weeks`) is while it is up."""
    memory = cases.memory(state, case)
    if case.segment == names.ALL:
        return fresh(case.last, at, max(memory, case.lasts))
    return fresh(case.first_harm, at, memory)


def _apart(segment: str, onset: int, case: Case) -> bool:
    """Whether a segment's alarm is of other customers than a segment's case, and began later: in one dimension
    nobody is in two segments."""
    other = segment not in {x for some in case.members.values() for x in some}
    return other and dimension(segment) == dimension(case.segment) and onset - case.first_harm > TOGETHER_S


def beyond(group: Group, s: Series, case: Case, at: int) -> Run | None:
    """What is sudden while a case is up that crept in (`weeks`): in the last hour, six or day worse than twice what
    the case is, or the days before. On as much evidence as any alarm asks for, and what it has to be likelier by: it
    was picked among many series and three windows."""
    level = case.bad / case.total * s.p / max(group.series[case.segment].p, LOWEST)
    whole_n, whole_b = s.since(at - s.memory)
    windows = HOUR_S, FINE_S, DAY_S
    asked = min(limits_of(group, s)) + math.log(len(windows) * len(group.series))
    for window in windows:
        n, b = s.since(at - window)
        usual = min(max(level, (whole_b - b) / max(whole_n - n, 1)), HIGHEST)
        harm = b >= MIN_BAD and wilson_low(b, n) > max(2 * usual, 1 - group.objective)
        if harm and surprise(n, b, usual) >= asked:
            return Run(at - window, b, n, n * s.p)
    return None


def outgrows(group: Group, onset: int, case: Case) -> bool:
    """Whether an alarm of `all` is of more than a segment's case."""
    return wider(group, onset, side(case))


def alike(group: Group, s: Series, k: int) -> int:
    """The run of `all` that explains a segment's run k, or -1: the one that is likelier, whether customers are hurt
    alike or only here. The segment was picked among many, which is what it has to be likelier by."""
    if s.segment == names.ALL or s.alone:
        return -1
    j = likeliest(group, group.all)
    if j < 0:
        return -1
    many = math.log(max(len(group.series) - 1, 1))
    if group.counted:
        return j if surge.surprised(group, group.all, j) + many >= surge.surprised(group, s, k) else -1
    cv = group.all.cv
    return j if surprised(group.all, j, cv) + many >= surprised(s, k, cv) else -1


def side(case: Case) -> list[str]:
    """The case's members that are of the dimension of its segment, and began when it did: who followed later shows
    how wide it has grown."""
    mine, late = dimension(case.segment), case.first_harm + TOGETHER_S
    members = [x for some in case.members.values() for x in some.items()]
    return sorted({x for x, onset in members if dimension(x) == mine and onset <= late})


def fresh(first_harm: int, at: int, memory: int = MEMORY_S) -> bool:
    """Whether a case is young enough to take in others: without an end, merges would make chains without end."""
    return at - first_harm <= memory


def crept(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether harms (since when, found when) crept in together: both took a week, and began in the same one."""
    return min(one[1] - one[0], other[1] - other[0]) >= LONGEST_S >= abs(one[0] - other[0])
