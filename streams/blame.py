"""Who carries the excess, and whether two alarms of a moment have one cause.

Only marginal counts exist: a dimension at a time, and no joint counts of two. They suffice for what is asked here.
Within one dimension segments are disjoint, so the rest of a moment is a subtraction. Across dimensions, two
segments with excesses x and y in a moment with excess z overlap by x + y − z, as far as the rest is as expected.
"""

from collections.abc import Iterable
from typing import Final

from streams import names
from streams.baseline import Group
from streams.evidence import MIN_BAD, stands, wilson_low
from streams.moles import Contributor
from streams.series import HOUR_S, MEMORY_S, Series

MOST: Final = 0.8
"""Blame goes on until it explains so much of the excess (Pareto's share)."""
SHOWN: Final = 5
TOGETHER_S: Final = HOUR_S
"""Onsets within the hour (the page's long burn window) are one onset: an onset is no better known than that."""


def dimension(segment: str) -> str:
    """The dimension of a segment, "" for `all`."""
    return segment.partition("=")[0] if segment != names.ALL else ""


def blame(group: Group, since: int) -> tuple[Contributor, ...]:
    """The segments that carry a moment's excess since a time, worst first.

    Of each dimension, segment by segment: the one with most bad events beyond what the rest's bad share makes of
    its total, as long as its Wilson bound (95 %) is beyond that share, until most of the excess is explained; who is
    blamed is not part of the next one's rest. A segment explains, so it has at least three bad.
    """
    n, b = group.all.since(since)
    by_dimension: dict[str, list[tuple[str, int, int]]] = {}
    for name, s in sorted(group.series.items()):
        if name != names.ALL and not s.alone:
            sn, sb = s.since(since)
            if sb >= MIN_BAD:
                by_dimension.setdefault(dimension(name), []).append((name, sn, sb))
    found = [c for some in by_dimension.values() for c in _peel(some, n, b)]
    return tuple(sorted(found, key=lambda c: (-c.excess, c.segment)))[:SHOWN]


def _peel(segments: list[tuple[str, int, int]], n: int, b: int) -> list[Contributor]:
    out: list[Contributor] = []
    left = segments.copy()
    explained = 0.0
    while left:
        ranked = []
        for name, sn, sb in left:
            rest = max(b - sb, 0) / (n - sn) if n > sn else 0.0
            ranked.append((sb - sn * rest, name, sn, sb, rest))
        excess, name, sn, sb, rest = max(ranked, key=lambda x: (x[0], x[1]))
        if excess <= 0 or wilson_low(sb, sn) <= rest:
            break
        out.append(Contributor(name, sb, sn, round(excess, 1)))
        explained += excess
        n, b = n - sn, b - sb
        left = [x for x in left if x[0] != name]
        if n <= 0 or sum(max(0.0, x[2] - x[1] * b / n) for x in left) <= (1 / MOST - 1) * explained:
            break
    return out


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


def excess(s: Series, since: int) -> float:
    """Bad events beyond what this hour expects."""
    n, b = s.since(since)
    return max(0.0, b - n * s.p)


def overlap(group: Group, one: str, other: str, since: int) -> bool:
    """Whether two segments of two dimensions share more than half of the lesser one's excess."""
    a, b = group.series.get(one), group.series.get(other)
    if a is None or b is None or dimension(one) == dimension(other):
        return False
    x, y, z = excess(a, since), excess(b, since), excess(group.all, since)
    return x + y - z > min(x, y) / 2


def together(onset: int, first_harm: int, popped: int, at: int) -> bool:
    """Whether a new alarm began, or was raised, at the time of an older one."""
    return abs(onset - first_harm) <= TOGETHER_S or at - popped <= TOGETHER_S


def fresh(first_harm: int, at: int) -> bool:
    """Whether a case is young enough to take in others: without an end, merges would make chains without end."""
    return at - first_harm <= MEMORY_S
