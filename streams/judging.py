"""The judges of one tallies partition's moments, and when they are called (streams/steps.py says with what)."""

from typing import Final

from streams.detect import Judge
from streams.moles import Finding
from streams.route import Routes
from streams.steps import Steps
from streams.windows import BUCKET_S
from streams.wire import Lane

MOST: Final = 1_000  # counts, some 20 ms


class Judging:
    """A judge for each moment that this partition owns."""

    def __init__(self, routes: Routes, partition: int) -> None:
        self.routes = routes
        self.partition = partition
        self.on = True  # off: counts only, for who judges elsewhere
        self.steps = Steps(routes, partition)
        self.judges: dict[str, Judge] = {}
        self.found: list[Finding] = []  # since they were last taken

    def lane(self, i: int, lane: Lane) -> None:
        """Tells what a lane counts."""
        self.steps.lane(i, lane)
        self._judge(lane[0])

    def _judge(self, moment: str) -> None:
        if moment not in self.judges and self.routes.owner(moment) == self.partition:
            self.judges[moment] = Judge(self.routes.catalogue, moment)

    def advance(self, clock_s: int, most: int = MOST) -> bool:
        """Judges the steps that end at or before the clock, but only some `most` counts of them at a time.

        Returns whether more are due. Where one call stops and the next one goes on changes no finding.
        """
        clock_s = clock_s // BUCKET_S * BUCKET_S
        if clock_s <= self.steps.through:
            return False
        end = self.steps.end(clock_s, most)
        steps = self.steps.take(end)
        found: list[Finding] = []
        for moment, judge in self.judges.items():
            for at, counts in steps.get(moment, ()):
                found += judge.step(at, counts)
            while judge.due is not None and judge.due <= end:
                found += judge.step(judge.due, ())
        found.sort(key=lambda f: (f.at, f.moment, f.segment, f.signal, f.kind))
        self.found += found
        return end < clock_s

    def take(self) -> list[Finding]:
        """The findings since the last time, in the order of their steps."""
        found, self.found = self.found, []
        return found

    def dump(self) -> dict[str, bytes]:
        """The state of each judge."""
        return {moment: judge.dump() for moment, judge in self.judges.items()}

    def load(self, through: int, judges: dict[str, bytes]) -> None:
        """Takes what `dump` gave, for the moments that are still this partition's."""
        self.steps.through = through
        for moment, state in judges.items():
            self._judge(moment)
            if moment in self.judges:
                self.judges[moment].load(state)
