"""The ingest stage: fetched batches into tallies; flushes of journal, tallies and dead letters; frontiers.

Order of a flush: state is taken at one instant, its journal entry, tallies and dead letters are sent, *all* acks
are awaited, and only then the source's records count as consumed and the numbers as published. While the acks are
on their way the next batches are counted already.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from faust.types import TP

from agents.settings import Settings
from agents.sinks import Outbox
from streams.clock import IDLE_AFTER_S
from streams.journal import Flush, Head, Journal, restore
from streams.route import Routes
from streams.tally import Tally
from streams.wire import Frontier, encode

FLUSH_S = 0.4
SLICE = 4_000  # records between two turns of the event loop, some 20 ms
FLUSH_RECORDS = 40_000
FLUSH_REFUSED_BYTES = 4_000_000
FRONTIER_S = 1.0


class Source:
    """One assigned source topic-partition."""

    def __init__(self, tally: Tally, journal: Journal, app: Any) -> None:
        self.tally = tally
        self.journal = journal
        self.published: Head = tally.head  # what the broker has acknowledged
        self.held: list[Any] = []  # events to be acknowledged with the next flush
        self.letters = Outbox(app)  # dead letters that the next flush waits for
        self.at_end_since: float | None = None


class Durations:
    """A histogram of durations: counts by upper bound in seconds, the last one without bound, and their sum."""

    bounds = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """One duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum_s += seconds


class Ingest:
    """All assigned source topic-partitions of this worker."""

    def __init__(
        self, settings: Settings, routes: Routes, app: Any, table: Any, in_session: Callable[[], bool]
    ) -> None:
        self.in_session = in_session  # out of it others may own our partitions: nothing is written then
        self.settings = settings
        self.routes = routes
        self.kinds = settings.kinds | {s.topic: s.topic for s in routes.catalogue.sources}
        self.app = app
        self.table = table
        self.sources: dict[TP, Source] = {}
        self.unflushed = 0
        self.refused_bytes = 0
        self.flushing: asyncio.Task[None] | None = None
        self.flushes = Durations()
        self.turn = 0  # of the last frontier
        self._lock = asyncio.Lock()

    async def load(self, assigned: set[TP], generation: int) -> dict[TP, Source]:
        """The state of assigned partitions, from the rows that recovery has read; the caller installs it."""
        outbox = Outbox(self.app)
        # All rows before the first await: later ones may belong to a recovery that has overtaken this one.
        rows = {p: self.table.data.take(p) for p in {tp.partition for tp in assigned}}
        loaded: dict[TP, Source] = {}
        for tp in sorted(assigned):
            if tp.topic not in self.kinds:
                continue
            restored = restore(tp.topic, tp.partition, rows[tp.partition], self.settings.nonce, generation)
            tally = Tally(tp.topic, tp.partition, self.routes, self.kinds[tp.topic])
            tally.load(restored)
            loaded[tp] = Source(tally, restored.journal, self.app)
            for target, message in restored.resend:  # a crash may have come between the journal and these
                if target < self.routes.partitions:
                    await outbox.send(self.settings.tallies, target, None, message)
            await asyncio.sleep(0)
        await outbox.settled()
        return loaded

    def positions(self) -> dict[TP, int]:
        """The next offset of each partition."""
        return {tp: s.tally.offset + 1 for tp, s in self.sources.items()}

    async def take(self, event: Any) -> None:
        """Counts one fetched batch. The event waits for its ack without the records.

        Raises StateError where something was handed out before it that never came.
        """
        message = event.message
        records, event.value, message.value = event.value, None, None
        source = self.sources.get(message.tp)
        if source is None:
            return  # revoked meanwhile: its next owner reads it
        records.continues(message.tp, source.tally.offset)
        for begin in range(0, len(records), SLICE):
            some = records[begin : begin + SLICE]
            for record, why in source.tally.run(some, time.time_ns() // 1000):
                source.letters.dead_letter(message.tp, self.settings.dead_letters, record, why)
                self.refused_bytes += len(record.value or b"")
            self.unflushed += len(some)
            while self.unflushed >= FLUSH_RECORDS or self.refused_bytes >= FLUSH_REFUSED_BYTES:
                await self.flush()
                if not self.in_session():
                    await asyncio.sleep(FLUSH_S)
            await asyncio.sleep(0)  # scrapes and heartbeats get their turn
        source.held.append(event)

    async def flush(self, wait: bool = False) -> None:
        """Starts a flush once the one before it is done; `wait` for its end too. Does nothing out of session."""
        async with self._lock:
            if self.flushing is not None:
                await self.flushing
            if not self.in_session():
                return
            self.flushing = asyncio.create_task(self._flush())
            await asyncio.sleep(0)
        if wait:
            await self.flushing

    async def _flush(self) -> None:
        """State and its dead letters are taken at one instant; the letters are acknowledged before the journal
        says that their records are done with, since nobody sends them again."""
        began = time.monotonic()
        self.unflushed = self.refused_bytes = 0
        letters, outbox = Outbox(self.app), Outbox(self.app)
        taken: list[tuple[Source, Flush, list[Any]]] = []
        for source in self.sources.values():
            tally, journal = source.tally, source.journal
            if tally.offset != tally.head.to or tally.whole:
                flush = tally.flush(f"{journal.owner}-{journal.sequence}", journal.wants_snapshot)
                taken.append((source, flush, source.held))
                letters.pending += source.letters.pending
                source.held, source.letters.pending = [], []
        await letters.settled()
        for source, flush, _ in taken:
            for key, value in source.journal.write(flush):
                await outbox.send(self.settings.journal, source.tally.partition, key, value)
            for target, message in flush.messages:
                if target >= 0:
                    await outbox.send(self.settings.tallies, target, None, message)
        await outbox.settled()
        for source, flush, held in taken:
            source.published = flush.head
            for event in held:
                event.ack()
            if source not in self.sources.values():
                continue  # no longer ours: what is deleted is for its next owner to say
            for key, value in source.journal.freed():
                await outbox.send(self.settings.journal, source.tally.partition, key, value)
        await outbox.settled()
        if taken:
            self.flushes.add(time.monotonic() - began)

    async def frontier(self, progress: Any) -> None:
        """Tells every tallies partition how far our sources are; `progress(tp)` gives position and end."""
        now = time.monotonic()
        self.turn += 1
        sources = []
        for tp, source in list(self.sources.items()):
            position, end = progress(tp)
            idle = self._idle(source, position, end, now)
            sources.append((self.kinds[tp.topic], tp.partition, source.published.watermark, idle))
        message = encode(Frontier(self.settings.nonce, time.time_ns() // 1000, sources, self.turn))
        outbox = Outbox(self.app)
        for partition in range(self.routes.partitions):
            await outbox.send(self.settings.tallies, partition, None, message)
        await outbox.settled()

    def _idle(self, source: Source, position: int | None, end: int | None, now: float) -> bool:
        tally = source.tally
        at_end = position is not None and end is not None and position >= end
        if not at_end or tally.head.to != source.published.to or tally.offset != source.published.to:
            source.at_end_since = None
            return False
        if source.at_end_since is None:
            source.at_end_since = now
        # A partition that never had an event is idle at once: there is nothing to wait for.
        return end == 0 or now - source.at_end_since >= IDLE_AFTER_S

    def lag(self, tp: TP, position: int | None, end: int | None, delivered: int | None) -> int | None:
        """Records that are not counted yet; None while the end is unknown."""
        if position is None or end is None:
            return None
        offset = self.sources[tp].tally.offset
        mine = position if delivered is None or offset >= delivered else offset + 1
        return max(0, end - mine)
