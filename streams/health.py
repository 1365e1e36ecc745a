"""Health: the tallies of all sources, merged into the state of the moments that one tallies partition owns.

A pure fold over that partition's log: by how much each source's counts have grown (`known`) is added to the lanes of
the moments, and seen by the judges when the clock has passed it. Because it is a fold, state needs no journal of its
own: a snapshot with the log's offset, and the log from there.
"""

from typing import Any

import msgspec
import numpy as np

from streams import names
from streams.clock import Clock, Progress, Source
from streams.events import SECOND
from streams.judging import Judging
from streams.known import Known
from streams.route import Routes, segment_of
from streams.signals import bad, good
from streams.windows import BUCKET_S, NONE, Ints, Mask, Windows
from streams.wire import Frontier, Lane, Tallies, decode, expand, squeeze, unpack

WORKERS = 1_000  # whose last turn is remembered


class Health:
    """One tallies partition. `expected` is how many source topic-partitions there are."""

    def __init__(self, routes: Routes, partition: int, expected: int) -> None:
        self.routes = routes
        self.partition = partition
        self.offset = -1  # of the log
        self.clock = Clock(expected)
        self.sources: dict[Source, Known] = {}
        self.raw: dict[Lane, int] = {}  # lanes as ingest named them
        self.target = NONE  # raw lane → lane; longer than there are, as `totals` is
        self.lanes: dict[Lane, int] = {}
        self.names: list[Lane] = []
        self.totals = NONE
        self._whole: set[tuple[str, str]] = set()  # (moment, segment) that have a lane for every declared signal
        self.admitted: dict[str, dict[str, None]] = {}  # "" or "moment\0dimension" → names, first come
        self.windows = Windows(int(routes.catalogue.budget_period))
        self.judging = Judging(routes, partition)
        self.workers: dict[str, int] = {}  # worker → the turn of its last frontier, the latest heard last
        for moment in routes.catalogue.moments:
            if routes.owner(moment) == partition:
                self._expect(moment)

    def _expect(self, moment: str) -> None:
        """Lanes that exist before any event: zero is an answer, absence is not."""
        self.series(moment, names.ALL)
        for dimension in self.routes.catalogue.dimensions.values():
            for value in dimension.values or ():
                self.series(moment, segment_of(dimension.name, value))

    def series(self, moment: str, segment: str) -> None:
        """Makes both lanes of every declared signal."""
        if (moment, segment) in self._whole:
            return
        self._whole.add((moment, segment))
        for signal in self.routes.signals(moment):
            self._lane((moment, segment, good(signal)))
            self._lane((moment, segment, bad(signal)))

    def _lane(self, lane: Lane) -> int:
        i = self.lanes.get(lane)
        if i is None:
            i = self.lanes[lane] = len(self.names)
            self.names.append(lane)
            self.judging.lane(i, lane)
            self.totals = _roomy(self.totals, len(self.names))
            if lane[2][-1] in "+-":  # a signal's two lanes come together
                self._lane((lane[0], lane[1], good(lane[2][:-1])))
                self._lane((lane[0], lane[1], bad(lane[2][:-1])))
        return i

    def _raw(self, lane: Lane) -> int:
        """The number of an ingest lane; on first sight it is decided, for good, what it counts as."""
        i = self.raw.get(lane)
        if i is None:
            i = self.raw[lane] = len(self.raw)
            self.target = _roomy(self.target, i + 1)
            self.target[i] = self._lane(self._admit(lane))
        return i

    def _admit(self, lane: Lane) -> Lane:
        moment, segment, field = lane
        catalogue = self.routes.catalogue
        if moment not in catalogue.moments and moment != names.OTHER:
            moment = self._first("", moment, catalogue.discovered.limit)
        dimension, _, value = segment.partition("=")
        if dimension in catalogue.dimensions and value != names.OTHER:
            known = catalogue.dimensions[dimension]
            if known.values is None:
                value = self._first(f"{moment}\0{dimension}", value, known.limit)
            segment = segment_of(dimension, value)
        if moment in catalogue.moments and not segment.startswith("voice="):
            self.series(moment, segment)
        return moment, segment, field

    def _first(self, scope: str, name: str, limit: int) -> str:
        some = self.admitted.setdefault(scope, {})
        if name not in some:
            if len(some) >= limit:
                return names.OTHER
            some[name] = None
        return name

    def apply(self, offset: int, value: bytes, appended: int | None = None) -> None:
        """Takes one record of the log; records at or before `offset` are known already.

        `appended`: when the broker wrote it, microseconds. That is what time it was, if it is known: a worker's own
        clock may be set forward, and what has been judged too early is not judged again.
        """
        if offset <= self.offset:
            return
        self.offset = offset
        message = decode(value)
        if isinstance(message, Frontier):
            self._heard(message)
            for topic, partition, watermark, idle in message.sources:
                self._report((topic, partition), Progress(watermark, idle))
            self._advance(message.wall if appended is None else appended)
            return
        source = (message.topic, message.partition)
        known = self.sources.setdefault(source, Known())
        parts = known.collect(message)
        if parts is None:
            return
        told = known.told
        for part in parts:
            self._merge(known, part, told)
        known.close(message)
        self._report(source, Progress(message.watermark, idle=False))
        self._advance()

    def _heard(self, message: Frontier) -> None:
        """Notes a worker's turn, which that worker alone asks for; every start of one is another name.

        Who is dropped and lives says it again within the second, so that only its recovery waits for that.
        """
        self.workers.pop(message.worker, None)
        self.workers[message.worker] = message.turn
        if len(self.workers) > WORKERS:
            del self.workers[next(iter(self.workers))]

    def _report(self, source: Source, progress: Progress) -> None:
        """To the clock; it does not wait for a topic that the catalogue has mapped once and maps no more."""
        if source[0] in self.routes.sources:
            self.clock.report(source, progress)

    @property
    def whole(self) -> bool:
        """Whether every source that has events has told everything since this reader began to read.

        Which have some is not known before every source was heard of: a log that is cut short may begin after that.
        """
        having = [s for s, p in self.clock.sources.items() if p.watermark is not None]
        return self.clock.complete and all(s in self.sources and self.sources[s].whole for s in having)

    def _advance(self, wall: int | None = None) -> None:
        self.windows.advance(self.clock.advance(wall))

    def judge(self) -> bool:
        """Judges some of what the clock has passed; whether there is more. State in between is a state."""
        return self.judging.advance(self.clock.now // SECOND)

    @property
    def behind(self) -> bool:
        """Whether the clock has passed what is not judged yet."""
        return self.judging.behind(self.clock.now // SECOND)

    def _merge(self, known: Known, message: Tallies, told: Mask) -> None:
        """Adds what is new in a message; `told` are the lanes of which this source has told before."""
        known_ids = map(self.raw.get, message.lanes)  # in C: a message has thousands of names, hardly one is new
        ids = np.array(
            [self._raw(lane) if i is None else i for i, lane in zip(known_ids, message.lanes, strict=True)], np.int64
        )
        new = known.grow(unpack(message, ids), told, len(self.raw))
        np.add.at(self.totals, self.target[new.lanes], new.totals)
        buckets, lanes, grown = new.buckets, self.target[new.cell_lanes], new.cells
        if self.judging.on:
            self.judging.steps.add(buckets, lanes, grown)
        seen = ~self.judging.steps.late(lanes)
        self.windows.add(buckets[seen] * BUCKET_S, lanes[seen], grown[seen], len(self.names))

    # Snapshots

    def snapshot(self) -> bytes:
        """All state, packed; `restore` reads it. A pass of judging that is under way is brought to its end."""
        while self.judging.busy:
            self.judge()
        sources = [(*source, *known.dump()) for source, known in self.sources.items()]
        rings = []
        for resolution_s, cells in self.windows.dump():
            starts, columns, values = map(squeeze, cells)
            rings.append((resolution_s, starts, columns, values))
        buckets, columns, values = map(squeeze, self.judging.steps.waiting())
        return msgspec.msgpack.encode(
            _Snapshot(
                self.offset, list(self.raw), self.admitted, sources, self.clock.now,
                [(*s, p.watermark, p.idle) for s, p in self.clock.sources.items()],
                self.names, squeeze(self.totals[: len(self.names)]), squeeze(self.target[: len(self.raw)]), rings,
                self.workers, self.judging.through, self.judging.dump(), buckets, columns, values,
                squeezed=True,
            )
        )  # fmt: skip

    def restore(self, blob: bytes) -> None:
        """Takes a snapshot's state, by the catalogue of now; call it on a new object."""
        old = msgspec.msgpack.decode(blob, type=_Snapshot)
        ints = expand if old.squeezed else _ints
        self.offset, self.workers = old.offset, old.workers
        self.admitted = {scope: dict.fromkeys(some) for scope, some in old.admitted.items()}
        lanes = np.array([self._lane((m, s, f)) for m, s, f in old.names], np.int64)
        self.raw = {(m, s, f): i for i, (m, s, f) in enumerate(old.raw)}
        self.target = lanes[ints(old.target)] if len(old.target) else NONE
        np.add.at(self.totals, lanes, ints(old.totals))
        told = np.zeros(len(self.raw), np.int64)
        for source in old.sources:
            known = self.sources[source[:2]] = Known()
            known.load(source[2:], ints)
            told[: len(known.totals)] += known.totals
        for lane, i in self.raw.items():  # by the catalogue of now some may count as something else
            if (now := self._lane(self._admit(lane))) != self.target[i]:
                self.target[i] = now  # and what they counted as keeps what it had: no counter goes back
                self.totals[now] += told[i]
        self.clock.now = old.now
        for topic, partition, watermark, idle in old.clock:
            self._report((topic, partition), Progress(watermark, idle))
        self.windows.advance(old.now)
        for resolution_s, *cells in old.rings:
            starts, columns, values = map(ints, cells)
            self.windows.load(resolution_s, starts, lanes[columns], values, len(self.names))
        self.windows.width = len(self.names)
        self.judging.load(old.judged, old.judges)
        buckets, columns, values = map(ints, (old.waiting_buckets, old.waiting_lanes, old.waiting_values))
        self.judging.steps.add(buckets, lanes[columns], values)


class _Snapshot(msgspec.Struct, array_like=True):
    offset: int
    raw: list[Lane]
    admitted: dict[str, Any]
    sources: list[tuple[str, int, int, bytes, bytes, bytes, int, list[list[bytes]]]]
    now: int
    clock: list[tuple[str, int, int | None, bool]]
    names: list[Lane]
    totals: bytes
    target: bytes
    rings: list[tuple[int, bytes, bytes, bytes]]
    workers: dict[str, int]
    judged: int = 0
    judges: dict[str, bytes] = {}
    waiting_buckets: bytes = b""
    waiting_lanes: bytes = b""
    waiting_values: bytes = b""
    squeezed: bool = False  # arrays are as `wire.squeeze` makes them; before, eight bytes a number


def _roomy(a: Ints, size: int) -> Ints:
    """Grown to twice as much: what grows by one a thousand times is not copied a thousand times."""
    more = max(size, 2 * len(a), 64) - len(a)
    return a if len(a) >= size else np.concatenate((a, np.zeros(more, np.int64)))


def _ints(b: bytes) -> Ints:
    return np.frombuffer(b, "<i8").astype(np.int64)
