"""Health as it is shown: one partition's series with their counts, windows, burn and budget, as arrays.

Separate from the fold, so that reading never changes what was counted.
"""

from dataclasses import dataclass

import numpy as np

from streams import names
from streams.catalogue import SCORED, Catalogue
from streams.health import Health
from streams.intervals import Floats, ratio, wilson_low
from streams.signals import WAIT_SUM, bad, wait_bounds
from streams.windows import WINDOWS, Ints

Series = tuple[str, str, str]  # moment, segment, signal


@dataclass(frozen=True)
class Counts:
    """Good and bad events of each series, over one window or ever."""

    good: Ints
    bad: Ints


@dataclass(frozen=True)
class Score:
    """The answers of one survey in one series and window; sums of thousandths and of their squares."""

    moment: str
    segment: str
    survey: str
    window: str
    n: int
    total: int
    squares: int
    promoters: int
    detractors: int


@dataclass(frozen=True)
class Waits:
    """A histogram of waits: cumulative counts by upper bound in seconds, and the sum in seconds."""

    moment: str
    buckets: list[tuple[float, int]]
    sum_s: float


@dataclass(frozen=True)
class View:
    """What one tallies partition exports; every array has one number for each of `series`."""

    clock: int
    series: list[Series]
    objectives: Floats
    ever: Counts
    windows: dict[str, Counts]
    budget: Counts
    scores: list[Score]
    waits: list[Waits]
    moments: list[str]
    refused: int = 0  # series beyond the limit

    def burn(self, window: str) -> tuple[Floats, Floats]:
        """Burn rate, and the burn rate that the evidence supports (Wilson 95 %)."""
        c = self.windows[window]
        total = c.good + c.bad
        allowed = 1 - self.objectives
        return ratio(c.bad, total) / allowed, wilson_low(c.bad, total) / allowed

    def remaining(self) -> Floats:
        """Share of the error budget that is left; below 0 when overspent, 1 before any event."""
        return 1 - ratio(self.budget.bad, self.budget.good + self.budget.bad) / (1 - self.objectives)


def view(health: Health, limit: int | None = None) -> View:
    """The present state of what the catalogue of now gives this partition to own.

    With more series than `limit` those of whole moments come first, then segments in the order of their coming.
    """
    routes = health.routes
    mine: dict[str, bool] = {}
    found: list[tuple[Series, int, int, float]] = []  # series, its two lanes, objective
    for (moment, segment, field), lane in health.lanes.items():
        if moment not in mine:
            mine[moment] = routes.owner(moment) == health.partition
        if not mine[moment] or field[-1] != "+":
            continue
        signal = routes.signals(moment).get(field[:-1])
        if signal is not None and _known(routes.catalogue, segment):
            other = health.lanes[moment, segment, bad(signal.name)]
            found.append(((moment, segment, signal.name), lane, other, signal.objective))
    shown = found
    if limit is not None and len(found) > limit:
        shown = sorted(found, key=lambda x: x[0][1] != names.ALL)[: max(limit, 0)]
    at_good = np.array([x[1] for x in shown], np.int64)
    at_bad = np.array([x[2] for x in shown], np.int64)

    def counts(lanes: Ints) -> Counts:
        lanes = np.concatenate((lanes, np.zeros(len(health.names) - len(lanes), np.int64)))
        return Counts(lanes[at_good], lanes[at_bad])

    sums = {w: health.windows.sums(w) for w in WINDOWS}
    return View(
        health.clock.now,
        [x[0] for x in shown],
        np.array([x[3] for x in shown], np.float64),
        counts(health.totals[: len(health.names)]),
        {w: counts(s) for w, s in sums.items()},
        counts(health.windows.budget()),
        _scores(health, mine, sums),
        _waits(health, mine),
        [m for m in mine if mine[m]],
        len(found) - len(shown),
    )


def _known(catalogue: Catalogue, segment: str) -> bool:
    dimension = segment.partition("=")[0]
    return segment == names.ALL or dimension == "voice" or dimension in catalogue.dimensions


def _scores(health: Health, mine: dict[str, bool], sums: dict[str, Ints]) -> list[Score]:
    out = []
    for (moment, segment, field), lane in health.lanes.items():
        survey, _, what = field.partition(".")
        if what != "n" or survey not in SCORED or not mine.get(moment):
            continue
        if survey not in health.routes.signals(moment) or not _known(health.routes.catalogue, segment):
            continue
        parts = [
            health.lanes.get((moment, segment, f"{survey}.{x}"), -1)
            for x in ("sum", "squares", "promoters", "detractors")
        ]
        for window, lanes in sums.items():
            if lane < len(lanes) and lanes[lane]:
                total, squares, promoters, detractors = (int(lanes[p]) if 0 <= p < len(lanes) else 0 for p in parts)
                n = int(lanes[lane])
                out.append(Score(moment, segment, survey, window, n, total, squares, promoters, detractors))
    return out


def _waits(health: Health, mine: dict[str, bool]) -> list[Waits]:
    """By the bounds that were counted, not those of now: a changed `within` must not lose events."""
    prefix = "wait.le."
    found: dict[str, list[tuple[float, int]]] = {}
    for (moment, segment, field), lane in health.lanes.items():
        if field.startswith(prefix) and segment == names.ALL:
            found.setdefault(moment, []).append((float(field[len(prefix) :]), int(health.totals[lane])))
    out = []
    for moment in mine:
        bounds = wait_bounds(health.routes.signals(moment).get("wait"))
        if mine[moment] and bounds:
            counts = found.get(moment, [])
            buckets = [(edge, sum(n for bound, n in counts if bound <= edge)) for edge in (*bounds, float("inf"))]
            total = health.lanes.get((moment, names.ALL, WAIT_SUM))
            out.append(Waits(moment, buckets, 0.0 if total is None else int(health.totals[total]) / 1000))
    return out
