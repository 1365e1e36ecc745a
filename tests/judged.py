"""A shop's days as the steps of one moment, and what its judge finds in them."""

import random
from collections.abc import Iterable

from streams.detect import Count, Judge
from streams.moles import Finding
from streams.series import DAY_S, HOUR_S
from tests.core import catalogue

T = 1_700_006_400  # a Wednesday midnight
DAY = DAY_S
Steps = list[tuple[int, list[Count]]]


def shop(
    days: int,
    per_hour: int = 60,
    seed: int = 1,
    harm: tuple[int, int, str, float] | None = None,
    silent: tuple[int, int] | None = None,
    left: float = 0.0,
    night: bool = True,
) -> Steps:
    """Steps of `pay`: plan=pro is a quarter, 0.2 % is bad. `harm`: begin, end (s after T), segment, bad share.
    `silent`: begin, end, of which a share is `left`."""
    r = random.Random(seed)
    steps: dict[int, dict[tuple[str, bool], int]] = {}
    for hour in range(days * 24):
        rate = per_hour // 4 if night and hour % 24 < 6 else per_hour
        for _ in range(rate):
            at = hour * HOUR_S + r.randrange(HOUR_S)
            plan = "plan=pro" if r.random() < 0.25 else "plan=free"
            share = harm[3] if harm and harm[0] <= at < harm[1] and harm[2] in ("all", plan) else 0.002
            bad = r.random() < share
            if silent and silent[0] <= at < silent[1] and r.random() >= left:
                continue
            mine = steps.setdefault(T + (at // 10 + 1) * 10, {})
            for segment in ("all", plan):
                mine[segment, bad] = mine.get((segment, bad), 0) + 1
    out: Steps = []
    for at, mine in sorted(steps.items()):
        names = dict.fromkeys(segment for segment, _ in mine)
        out.append((at, [(s, "outcome", mine.get((s, False), 0), mine.get((s, True), 0)) for s in names]))
    return out


def judge() -> Judge:
    return Judge(catalogue(period=("budget_period: 5d", "budget_period: 28d")), "pay")


def run(steps: Iterable[tuple[int, list[Count]]], one: Judge | None = None, end: int = 0) -> list[Finding]:
    """All findings but the days'."""
    one = one or judge()
    found = [f for at, counts in steps for f in one.step(at, counts)]
    while end and one.due is not None and one.due <= end:
        found += one.step(one.due, ())
    return [f for f in found if f.event != "day"]


def ups(found: Iterable[Finding]) -> list[Finding]:
    return [f for f in found if f.event == "up"]
