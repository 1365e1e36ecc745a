"""The judges of one tallies partition's moments, and when they are called (streams/steps.py says with what)."""

from collections.abc import Iterator
from typing import Final

from streams.detect import Judge
from streams.moles import Finding
from streams.route import Routes
from streams.series import Series
from streams.steps import Steps
from streams.windows import BUCKET_S
from streams.wire import Lane

MOST: Final = 2_000  # counts, some 40 ms if they are of one moment


class _Found(dict[int, Series]):
    """The series of the judges by their place in `Steps.names`."""

    def __init__(self, names: list[tuple[str, str, str]], judges: dict[str, Judge]) -> None:
        self.names = names
        self.judges = judges

    def __missing__(self, i: int) -> Series:
        moment, segment, signal = self.names[i]
        s = self[i] = self.judges[moment].series(segment, signal)
        return s


class Judging:
    """A judge for each moment that this partition owns."""

    def __init__(self, routes: Routes, partition: int) -> None:
        self.routes = routes
        self.partition = partition
        self.on = True  # off: counts only, for who judges elsewhere
        self.steps = Steps(routes, partition)
        self.through = 0  # seconds; the end of the last step that is judged
        self._pass: Iterator[None] | None = None
        self.judges: dict[str, Judge] = {}
        self._series = _Found(self.steps.names, self.judges)
        self.unread = 0  # judges whose stored past is of another version: they learn anew
        self.found: list[Finding] = []  # since they were last taken

    def lane(self, i: int, lane: Lane) -> None:
        """Tells what a lane counts."""
        self.steps.lane(i, lane)
        self._judge(lane[0])

    def _judge(self, moment: str) -> None:
        if moment not in self.judges and self.routes.owner(moment) == self.partition:
            self.judges[moment] = Judge(self.routes.catalogue, moment)

    def advance(self, clock_s: int, most: int = MOST) -> bool:
        """Does a piece of judging the steps that end at or before the clock; whether there is more to do.

        A pass takes some `most` counts, a piece is one moment's part of it. Where one pass ends and the next one
        begins changes no finding.
        """
        clock_s = clock_s // BUCKET_S * BUCKET_S
        if self._pass is None:
            if not self.behind(clock_s):
                return False
            self._pass = self._work(self.steps.end(clock_s, most))
        for _ in self._pass:
            return True
        self._pass = None
        return self.behind(clock_s)

    def behind(self, clock_s: int) -> bool:
        """Whether the clock has passed the end of a step that is not judged yet."""
        return self.on and self.through < clock_s // BUCKET_S * BUCKET_S

    @property
    def busy(self) -> bool:
        """Whether a pass is under way: state is whole only between two."""
        return self._pass is not None

    def _work(self, end: int) -> Iterator[None]:
        steps = self.steps.take(end)
        found: list[Finding] = []
        for moment, judge in list(self.judges.items()):
            called = judge.due is not None and judge.due <= end
            for step in steps.get(moment, ()):
                series = map(self._series.__getitem__, step.series)
                found += judge.step_rows(step.end, zip(series, step.events, step.bad, strict=True))
            while judge.due is not None and judge.due <= end:
                found += judge.step_rows(judge.due, ())
            if called or moment in steps:
                yield
        found.sort(key=lambda f: (f.at, f.moment, f.segment, f.signal, f.kind))
        self.found += found
        self.through = end

    def take(self) -> list[Finding]:
        """The findings since the last time, in the order of their steps."""
        found, self.found = self.found, []
        return found

    def dump(self) -> dict[str, bytes]:
        """The state of each judge."""
        return {moment: judge.dump() for moment, judge in self.judges.items()}

    def load(self, through: int, judges: dict[str, bytes]) -> None:
        """Takes what `dump` gave, for the moments that are still this partition's."""
        self.steps.through = self.through = through
        self._series.clear()
        for moment, state in judges.items():
            self._judge(moment)
            if moment in self.judges:
                self.unread += not self.judges[moment].load(state)
