"""Health as it is shown: one partition's series with their counts, windows, burn and budget, as arrays.

Separate from the fold, so that reading never changes what was counted. What a lane is shown as never changes, so a
`Viewer` looks at each lane once: with 45,000 series that alone took 100 ms of every reading.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from streams import names
from streams.catalogue import SCORED
from streams.health import Health
from streams.intervals import Floats, ratio, wilson_low
from streams.signals import WAIT_SUM, bad, good, wait_bounds
from streams.windows import WINDOWS, Ints, Mask

Series = tuple[str, str, str]  # moment, segment, signal
WAITED = "wait.le."
ANSWERED = ("n", "sum", "squares", "promoters", "detractors")  # what is counted of a survey


@dataclass(frozen=True)
class Counts:
    """Good and bad events of each series, over one window or ever."""

    good: Ints
    bad: Ints

    def part(self, some: slice) -> "Counts":
        """Of some series."""
        return Counts(self.good[some], self.bad[some])


@dataclass(frozen=True)
class Scores:
    """The answers of one survey in one window, an entry for each series that has any.

    `at` says which of `asked` each one is. Sums are of thousandths and of their squares.
    """

    survey: str
    window: str
    asked: list[tuple[str, str]]  # moment, segment; of all that ever had an answer
    at: Ints
    n: Ints
    total: Ints
    squares: Ints
    promoters: Ints
    detractors: Ints


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
    scores: list[Scores]
    waits: list[Waits]
    moments: list[str]
    refused: int = 0  # series beyond the limit

    def burn(self, window: str, some: slice = np.s_[:]) -> tuple[Floats, Floats]:
        """Burn rate, and the burn rate that the evidence supports (Wilson 95 %); of all series or of some."""
        c = self.windows[window].part(some)
        total = c.good + c.bad
        allowed = 1 - self.objectives[some]
        return ratio(c.bad, total) / allowed, wilson_low(c.bad, total) / allowed

    def remaining(self, some: slice = np.s_[:]) -> Floats:
        """Share of the error budget that is left; below 0 when overspent, 1 before any event."""
        c = self.budget.part(some)
        return 1 - ratio(c.bad, c.good + c.bad) / (1 - self.objectives[some])


@dataclass
class _Answers:
    """The lanes of one survey, a row for each (moment, segment); -1 where there is none."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    lanes: list[list[int]] = field(default_factory=list)


class Viewer:
    """Reads one partition's health, by the catalogue that the health was made with."""

    def __init__(self, health: Health) -> None:
        self.health = health
        self._read = 0  # lanes that have been looked at
        self._mine: dict[str, bool] = {}  # moments
        self._series: list[Series] = []
        self._lanes: list[tuple[int, int]] = []  # good and bad, of each series
        self._objectives: list[float] = []
        self._answers: dict[str, _Answers] = {}
        self._waited: dict[str, list[tuple[float, int]]] = {}  # moment → bounds and lanes
        self._arrays = np.zeros((2, 0), np.int64), np.zeros(0), np.zeros(0, np.int64)
        self._wholes = 0

    def _follow(self) -> None:
        """Looks at the lanes that came since."""
        health, routes = self.health, self.health.routes
        for i in range(self._read, len(health.names)):
            moment, segment, what = health.names[i]
            if moment not in self._mine:
                self._mine[moment] = routes.owner(moment) == health.partition
            if not self._mine[moment] or not self._known(segment):
                continue
            signals = routes.signals(moment)
            if what[-1] == "+":
                signal = signals.get(what[:-1])
                if signal is not None:
                    self._series.append((moment, segment, signal.name))
                    self._lanes.append((i, health.lanes[moment, segment, bad(signal.name)]))
                    self._objectives.append(signal.objective)
            elif what.startswith(WAITED):
                if segment == names.ALL:
                    self._waited.setdefault(moment, []).append((float(what[len(WAITED) :]), i))
            else:
                survey, _, part = what.partition(".")
                if part in ANSWERED and survey in SCORED and survey in signals:
                    self._answer(survey, (moment, segment), ANSWERED.index(part), i)
        if len(self._series) > len(self._arrays[1]):
            segments = np.fromiter((s[1] != names.ALL for s in self._series), np.int64, len(self._series))
            lanes = np.array(self._lanes, np.int64).T
            self._arrays = lanes, np.array(self._objectives), np.argsort(segments, kind="stable")
            self._wholes = len(self._series) - int(segments.sum())
        self._read = len(health.names)

    def _known(self, segment: str) -> bool:
        dimension = segment.partition("=")[0]
        known = self.health.routes.catalogue.dimensions
        return segment == names.ALL or dimension == "voice" or dimension in known

    def _answer(self, survey: str, key: tuple[str, str], part: int, lane: int) -> None:
        mine = self._answers.setdefault(survey, _Answers())
        row = mine.rows.setdefault(key, len(mine.asked))
        if row == len(mine.asked):
            mine.asked.append(key)
            mine.lanes.append([-1] * len(ANSWERED))
        mine.lanes[row][part] = lane

    @property
    def wholes(self) -> int:
        """Series of whole moments."""
        self._follow()
        return self._wholes

    def view(self, limit: int | None = None) -> View:
        """The present state of what the catalogue of now gives this partition to own.

        With more series than `limit` those of whole moments come first, then segments in the order of their coming;
        scores and waits of a series that is refused are refused with it.
        """
        self._follow()
        health, width, shown = self.health, len(self.health.names), None
        series, (lanes, objectives, ranked) = list(self._series), self._arrays
        if limit is not None and len(series) > limit:
            some = ranked[: max(limit, 0)]
            series = [series[i] for i in some.tolist()]
            lanes, objectives = lanes[:, some], objectives[some]
            shown = np.zeros(width + 1, bool)  # by the lane of what is good; the last one is nobody's
            shown[lanes[0]] = True

        def counts(of: Ints) -> Counts:
            return Counts(of[lanes[0]], of[lanes[1]])

        sums = {w: health.windows.sums(w, width) for w in WINDOWS}
        return View(
            health.clock.now,
            series,
            objectives,
            counts(health.totals),
            {w: counts(s) for w, s in sums.items()},
            counts(health.windows.budget(width)),
            list(self._scores(sums, shown)),
            list(self._waits(shown)),
            [m for m in self._mine if self._mine[m]],
            len(self._series) - len(series),
        )

    def _scores(self, sums: dict[str, Ints], shown: Mask | None) -> Iterator[Scores]:
        for survey, mine in self._answers.items():
            lanes = np.array(mine.lanes, np.int64)
            some = lanes[:, 0] >= 0
            if shown is not None:
                some &= shown[[self.health.lanes.get((*key, good(survey)), -1) for key in mine.asked]]
            for window, of in sums.items():
                counted = np.where(some, of[lanes[:, 0]], 0)
                at = np.flatnonzero(counted)
                if len(at):
                    parts = np.where(lanes[at] >= 0, of[lanes[at]], 0).T
                    yield Scores(survey, window, mine.asked, at, *parts)

    def _waits(self, shown: Mask | None) -> Iterator[Waits]:
        """By the bounds that were counted, not those of now: a changed `within` must not lose events."""
        health = self.health
        for moment, mine in self._mine.items():
            bounds = wait_bounds(health.routes.signals(moment).get("wait"))
            if mine and bounds and (shown is None or shown[health.lanes[moment, names.ALL, good("wait")]]):
                counts = [(bound, int(health.totals[lane])) for bound, lane in self._waited.get(moment, ())]
                buckets = [(edge, sum(n for bound, n in counts if bound <= edge)) for edge in (*bounds, float("inf"))]
                total = health.lanes.get((moment, names.ALL, WAIT_SUM))
                yield Waits(moment, buckets, 0.0 if total is None else int(health.totals[total]) / 1000)


def view(health: Health, limit: int | None = None) -> View:
    """One look, for who looks once; see `Viewer.view`."""
    return Viewer(health).view(limit)


def views(viewers: Sequence[Viewer], limit: int) -> list[View]:
    """All of a worker's partitions, with one limit on series: segments of the first do not crowd out the moments of
    the next."""
    found, wholes = [], sum(viewer.wholes for viewer in viewers)
    for viewer in viewers:
        wholes -= viewer.wholes
        found.append(viewer.view(limit - wholes))
        limit -= len(found[-1].series)
    return found
