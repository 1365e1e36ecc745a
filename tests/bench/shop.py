"""A simulated world of moments with labelled moles, as the steps that a judge sees. Seeded; numpy only.

Each moment has its own volume (32 to 31,600 events a day, log-spread), four dimensions of five values (40 to 8 %),
a daily rhythm, an ordinary bad share of 0.4 % under an objective of 99 %, and where asked a day-to-day variation
(gamma, its coefficient of variation given). A mole adds points to the bad share of `all` or of one segment. Faults
are no moles: a surge of traffic, a quiet night, late data, a dead source, a bulk back-fill.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

WEEK_S, DAY_S, STEP_S = 604_800, 86_400, 10
START = 1_700_006_400  # a Wednesday midnight
WEEKS = 8
OBJECTIVE, BASE = 0.99, 0.004
WEIGHTS = np.array([0.4, 0.25, 0.15, 0.12, 0.08])
DIMENSIONS = ("channel", "country", "device", "plan")
NAMES = ("all", *(f"{d}={v}" for d in DIMENSIONS for v in "abcde"))
FAULTS = ("surge", "quiet night", "late data", "dead source", "back-fill")
HEAD_S = 14 * DAY_S  # moles come after two weeks


@dataclass
class Label:
    """A mole that was put in; `caused` is how many events it turned bad, `bad` how many were while it lasted."""

    moment: int
    segment: str
    start: int
    end: int
    points: float
    caused: int = 0
    bad: int = 0
    events: int = 0  # of its segment while it lasted


@dataclass
class Fault:
    kind: str
    start: int
    end: int


@dataclass
class World:
    """One moment: rows of (step end, segment, good, bad) by step, and what is in it."""

    labels: list[Label]
    faults: list[Fault]
    steps: Any  # int64, sorted: step × segments + segment
    counts: Any
    bads: Any
    events: int
    times: Any  # of events, seconds, for stock alerts
    segments: Any
    bad: Any

    def rows(self) -> Iterator[tuple[int, list[tuple[str, str, int, int]]]]:
        """(end of step, counts) of every step with events."""
        size = len(NAMES)
        at, found = -1, list[tuple[str, str, int, int]]()
        for begin in range(0, len(self.steps), 500_000):
            part = slice(begin, begin + 500_000)
            for key, n, b in zip(
                self.steps[part].tolist(), self.counts[part].tolist(), self.bads[part].tolist(), strict=True
            ):
                step = key // size
                if step != at:
                    if found:
                        yield (at + 1) * STEP_S, found
                    at, found = step, []
                found.append((NAMES[key % size], "outcome", n - b, b))
        if found:
            yield (at + 1) * STEP_S, found


def volume(moment: int, moments: int) -> float:
    """Events a day."""
    return float(10 ** (1.5 + 3 * (moment * 37 % moments) / max(moments - 1, 1)))


def world(
    moment: int, moments: int, seed: int, moles: int, cv: float, faults: bool, weeks: int = WEEKS, least: float = 0.01
) -> World:
    """A moment with so many moles, at least four days apart; `least` points of bad share each."""
    g = np.random.default_rng((seed, moment))
    labels = _labels(g, moment, moles, weeks, least)
    hidden = _faults(g, weeks) if faults else []
    per_day = volume(moment, moments)
    t = np.arange(weeks * WEEK_S // 60)
    rhythm = 1 + 0.8 * np.sin(2 * np.pi * (t % 1440 - 480) / 1440)
    for f in hidden:
        inside = (t * 60 + START >= f.start) & (t * 60 + START < f.end)
        rhythm[inside] *= {"surge": 5.0, "quiet night": 0.1, "dead source": 0.0}.get(f.kind, 1.0)
    n = g.poisson(per_day / 1440 * rhythm)
    times = np.repeat(t * 60, n) + g.integers(0, 60, n.sum()) + START
    times.sort()
    size = len(times)
    segments = g.choice(5, size=(size, len(DIMENSIONS)), p=WEIGHTS)
    p = np.full(size, BASE)
    if cv:
        p = p * g.gamma(1 / cv**2, cv**2, weeks * 7)[(times - START) // DAY_S]
    chance = g.random(size)
    bad = chance < p
    for label in labels:
        hit: Any = (times >= label.start) & (times < label.end)
        if label.segment != "all":
            column = NAMES.index(label.segment) - 1
            hit = hit & (segments[:, column // 5] == column % 5)
        turned = hit & ~bad & (chance < p + label.points)
        bad = bad | turned
        label.caused, label.bad, label.events = int(turned.sum()), int((hit & bad).sum()), int(hit.sum())
    arrival = times.copy()
    for f in hidden:
        places = np.flatnonzero((times >= f.start) & (times < f.end))
        if f.kind == "late data":
            late = places[g.random(len(places)) < 0.3]
            arrival[late] += g.integers(0, 3600, len(late))
        elif f.kind == "back-fill":
            arrival[places] = f.end
    columns = np.concatenate(([np.zeros(size, np.int64)], (segments + 1 + 5 * np.arange(4)).T)).ravel()
    keys = np.tile(arrival // STEP_S, 5) * len(NAMES) + columns
    steps, at = np.unique(keys, return_inverse=True)
    counts = np.bincount(at)
    bads = np.bincount(at, np.tile(bad, 5)).astype(np.int64)
    return World(labels, hidden, steps, counts, bads, size, times, segments, bad)


def _labels(g: np.random.Generator, moment: int, moles: int, weeks: int, least: float) -> list[Label]:
    out = []
    room = (weeks * WEEK_S - HEAD_S) // max(moles, 1)
    for i in range(moles):
        length = int(np.exp(g.uniform(np.log(15 * 60), np.log(2 * DAY_S))))
        begin = START + HEAD_S + i * room + int(g.integers(0, room - 4 * DAY_S))
        segment = "all" if g.random() < 0.5 else NAMES[int(g.integers(1, len(NAMES)))]
        out.append(
            Label(moment, segment, begin, begin + length, float(np.exp(g.uniform(np.log(least), np.log(0.5)))))
        )
    return out


def _faults(g: np.random.Generator, weeks: int) -> list[Fault]:
    """One of each, on days of its own."""
    days = g.choice(np.arange(14, weeks * 7 - 1), len(FAULTS), replace=False)
    out = []
    for kind, day in zip(FAULTS, days.tolist(), strict=True):
        begin = START + day * DAY_S + (0 if kind == "quiet night" else int(g.integers(8, 15)) * 3600)
        hours = {"surge": 3, "quiet night": 6, "late data": 6, "dead source": 6, "back-fill": 1}[kind]
        out.append(Fault(kind, begin, begin + hours * 3600))
    return out
