"""Event time: the watermark of each source topic-partition, and the clock that they make together.

The clock is a function of the messages that carry the watermarks, never of the reader's own time: whoever reads
the same log has the same clock. What only the wall knows is therefore said in the log: that a partition has been at
its end for 30 s by the worker that reads it, what time it is by the broker (by that worker, where brokers do not).
"""

from typing import NamedTuple

from streams.events import SECOND

IDLE_AFTER_S = 30.0  # contract: at its end offset for so long
WALL_WITHIN = 3600 * SECOND  # contract: the clock follows the wall only within an hour of it

Source = tuple[str, int]  # topic, partition


class Progress(NamedTuple):
    """How far one source topic-partition is; `watermark` in microseconds, None before its first event."""

    watermark: int | None
    idle: bool


class Clock:
    """The merged clock, in microseconds since 1970; 0 until it is known."""

    def __init__(self, expected: int, now: int = 0) -> None:
        self.expected = expected  # source topic-partitions there are: none may be forgotten
        self.sources: dict[Source, Progress] = {}
        self.now = now

    def report(self, source: Source, progress: Progress) -> None:
        """Takes a newer report; a watermark never goes back, whoever reports it."""
        old = self.sources.get(source)
        if old is not None and old.watermark is not None:
            mark = max(old.watermark, progress.watermark or 0)
            progress = Progress(mark, progress.idle)
        self.sources[source] = progress

    @property
    def complete(self) -> bool:
        """Whether every source has been heard of."""
        return len(self.sources) >= self.expected

    def advance(self, wall: int | None = None) -> int:
        """The clock after the reports so far; `wall` in microseconds where a report carried it."""
        if not self.complete:
            return self.now
        active = [p.watermark for p in self.sources.values() if not p.idle]
        if active:
            known = [w for w in active if w is not None]
            if len(known) == len(active):
                self.now = max(self.now, min(known))
            return self.now
        marks = [p.watermark for p in self.sources.values() if p.watermark is not None]
        if marks:
            self.now = max(self.now, *marks)
            if wall is not None and abs(wall - self.now) <= WALL_WITHIN:
                self.now = max(self.now, wall)
        return self.now
