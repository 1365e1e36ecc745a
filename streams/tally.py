"""Ingest: the records of one source topic-partition into absolute tallies.

Everything here is a function of the partition's records in their order (and of the broker's timestamps in them),
so a replay from any flush gives the same numbers, wherever the batches are cut. The records of a topic that the
catalogue maps (`sources`) become events first, and count as those; what is skipped there was never received. The
hot loop turns an event into one int, `bucket << 24 | code`; what a code stands for, series by series, is worked out
once a code (`coder`), and added up with numpy once a flush.
"""

from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
import numpy as np

from streams import names
from streams.coder import Coder
from streams.codes import CODE_BITS, Codes
from streams.dedupe import Dedupe
from streams.event_reader import SHORT, Headers, Reader, is_binary, is_large, segments
from streams.events import (
    BY_TYPE,
    EPOCH,
    SECOND,
    Answer,
    Event,
    Rejection,
    Touchpoint,
    check_answer,
    check_years,
)
from streams.journal import FEW_IDS, Flush, Head, Restored
from streams.ledger import Ledger
from streams.mapping import Mapped, Mapper, Record
from streams.route import Routes
from streams.signals import WAIT_SUM, observe, observe_answer, wait_ms
from streams.windows import BUCKET_S, Ints
from streams.wire import Tallies, decode

BUCKET: Final = BUCKET_S * SECOND
FUTURE: Final = 300 * SECOND  # contract: how far ahead of the broker's time an event may be
LOG_APPEND_TIME: Final = 1


Refused = tuple[Record, Rejection]


class Tally:
    """One source topic-partition. `run` takes records, `flush` gives what they changed."""

    def __init__(self, topic: str, partition: int, routes: Routes, kind: str = "") -> None:
        self.kind = kind or topic  # which of the contract's topics it is, whatever its name
        self.topic = topic
        self.partition = partition
        self.routes = routes
        source = next((s for s in routes.catalogue.sources if s.topic == topic), None)
        self.mapper = None if source is None else Mapper(source, partition)
        self.reader = Reader(self.kind, tuple(BY_TYPE) if self.mapper else ())
        self.lateness = int(routes.catalogue.allowed_lateness * SECOND)
        self.offset = -1  # the last record that is in memory
        self.head = Head(-1, None, 0, 0, 0, 0, {}, routes.fingerprint)  # as of the last flush
        self.watermark: int | None = None
        self.floor = 0  # microseconds; what is before it stays too late, whatever the lateness is now
        self.received = self.accepted = self.duplicates = self.late = 0
        self.rejected: dict[str, int] = {}
        self.dedupe = Dedupe(self.lateness)
        self.fresh: dict[tuple[int, str], list[str]] = {}
        self.ledger = Ledger(routes)
        self.buffer: list[int] = []  # bucket << CODE_BITS | code
        self.belated: list[int] = []  # those of `buffer` that came late,
        self.arrivals: list[int] = []  # and the buckets (<< CODE_BITS) in which they came
        self.waits: dict[str, int] = {}  # moment → milliseconds
        self.codes = Codes(self.ledger)
        self.coder = Coder(routes, self.codes)
        self.whole = False  # send everything with the next flush

    def run(self, records: Sequence[Record], now: int) -> list[Refused]:
        """Counts records (ascending offsets); `now`, in microseconds, bounds event time without LogAppendTime."""
        if records and records[0].offset <= self.offset:
            records = [r for r in records if r.offset > self.offset]
        if self.mapper is None:
            return self._count(records, now)
        mapped, refused = self.mapper.run(records)
        for _, why in refused:
            self.rejected[why.reason] = self.rejected.get(why.reason, 0) + 1
        self.received += len(refused)
        refused += [(cast(Mapped, event).record, why) for event, why in self._count(mapped, now)]
        if records:
            self.offset = records[-1].offset
        return sorted(refused, key=lambda r: r[0].offset)

    def _count(self, records: Sequence[Record], now: int) -> list[Refused]:
        if not records:
            return []
        if self.codes.full:
            self._collect()
            self.coder.clear()
        refused: list[Refused] = []
        duplicates = behind = 0
        decode_event, read, measured_of, seen = (
            self.reader.decode,
            self.reader.read,
            self.coder.measured,
            self.dedupe.seen,
        )
        epoch, count, belated, arrived = EPOCH, self.buffer.append, self.belated.append, self.arrivals.append
        watermark = -1 if self.watermark is None else self.watermark
        late = max(self.floor, watermark - self.lateness)
        arrival = watermark // BUCKET
        safe = min(now, 1000 * min(r.timestamp for r in records))
        source, known, fresh = "", set[str](), list[str]()
        begin = end = 0  # the slice of event time that `fresh` is for
        structured: Headers = ()  # headers that are known to be no binary mode's
        for r in records:
            value = r.value
            try:
                if (
                    value is None
                    or (len(value) > SHORT and is_large(value))
                    or 92 in value  # a backslash: what it escapes is looked at even where nobody reads it
                    or not value.isascii()
                    or (r.headers != structured and is_binary(r.headers))
                ):
                    event = read(value, r.headers)
                else:
                    structured = r.headers
                    try:
                        event = decode_event(value)
                    except (msgspec.DecodeError, RecursionError, ValueError):
                        event = read(value, r.headers)
                data = event.data
                time = event.time - epoch
                at = (time.days * 86_400 + time.seconds) * SECOND + time.microseconds
                if at < 0 or at > safe:
                    check_years(at)
                measured = measured_of.get(data.moment) or self.coder.measure(data.moment)
                if type(event) is Touchpoint:
                    what: Any = observe(event.data, event.time, measured.bounds, measured.duration_within)
                elif type(event) is Answer:
                    check_answer(event.data)  # each one: its score as it came is not in the key
                    what = observe_answer(event.data, measured.signals)
                else:
                    what = None
                key = bytes(data.segment), what
                code = measured.codes.get(key)
                if code is None:
                    segments(data.segment)  # which the decoder leaves unchecked
                if at > safe and at > _latest(r, now):
                    raise Rejection(names.FROM_FUTURE, "time: expected at most 5 min ahead of the broker's time")
                if at < late:
                    raise Rejection(names.TOO_LATE, f"time: expected at most {self.lateness // SECOND} s late")
            except Rejection as e:
                refused.append((r, e))
                continue
            if event.source != source:
                source = event.source
                known = seen.setdefault(source, set())
                begin = end = 0
            if event.id in known:
                duplicates += 1
                continue
            if not begin <= at < end:
                end = self.dedupe.end_of(at)
                begin = end - self.dedupe.slice
                fresh = self._fresh(end, source)
            known.add(event.id)
            fresh.append(event.id)
            if at > watermark:
                watermark = at
                arrival = at // BUCKET
                late = max(late, at - self.lateness)
                if late >= self.dedupe.oldest:
                    self.dedupe.evict(late)
                    source = ""  # its set may be a new one
            elif at < watermark:
                behind += 1
            if code is None:
                code = self.coder.code(measured, key, event)
            if code:
                bucket = at // BUCKET
                count(bucket << CODE_BITS | code)
                if bucket < arrival:
                    belated(bucket << CODE_BITS | code)
                    arrived(arrival << CODE_BITS)
                if measured.bounds:
                    self._wait(event)
        self.offset = records[-1].offset
        self.watermark = None if watermark < 0 else watermark
        self.received += len(records)
        self.duplicates += duplicates
        self.late += behind
        self.accepted += len(records) - duplicates - len(refused)
        for _, why in refused:
            self.rejected[why.reason] = self.rejected.get(why.reason, 0) + 1
        return refused

    def _fresh(self, end: int, source: str) -> list[str]:
        """The list of new ids of a slice and source since the last flush."""
        found = self.fresh.get((end, source))
        if found is None:
            found = self.fresh[end, source] = []
            self.dedupe.keep(end, source, found)
        return found

    def _wait(self, event: Event) -> None:
        if type(event) is Touchpoint and not event.data.probe and event.data.wait_s is not None:
            moment = event.data.moment
            self.waits[moment] = self.waits.get(moment, 0) + wait_ms(event.data.wait_s)

    def take(self) -> Ints:
        """What was counted since this was last called: bucket << CODE_BITS | code."""
        late = self.codes.late(self.belated, self.arrivals) if self.belated else []
        keys = np.concatenate([np.array(self.buffer, np.int64), *late])
        for some in (self.buffer, self.belated, self.arrivals):
            some.clear()
        return keys

    def _collect(self) -> None:
        """Adds what is buffered to the ledger."""
        if self.buffer:
            self.ledger.add(*self.codes.sum(self.take()))
        for moment, ms in self.waits.items():
            self.ledger.add_total(self.ledger.lane((moment, names.ALL, WAIT_SUM)), ms)
        self.waits.clear()

    def flush(self, name: str, snapshot: bool) -> Flush:
        """What changed since the last flush, as an entry for the journal with its messages; `name` is unique."""
        self._collect()
        changes = self.ledger.take()
        before = self.floor
        if self.watermark is not None:
            self.floor = max(self.floor, self.watermark - self.lateness)
        head = Tallies(
            self.kind, self.partition, name, 0, 1, self.offset, before, self.watermark or 0, self.whole,
            [], b"", b"", 0, b"", b"", b"",
        )  # fmt: skip
        messages = self.ledger.messages(self.ledger.everything() if self.whole else changes, head, by_owner=True)
        self.whole = False
        self.ledger.open.evict(self.floor // BUCKET)
        if snapshot:
            messages += self.ledger.messages(self.ledger.everything(), head, by_owner=False)
        all_ids = snapshot and len(self.dedupe) <= FEW_IDS
        ids = [(end, source, some) for (end, source), some in self.fresh.items() if end > self.floor]
        if all_ids:
            ids = self.dedupe.dump()
        self.head = Head(
            self.offset, self.watermark, self.floor, self.received, self.accepted, self.duplicates,
            dict(self.rejected), self.routes.fingerprint, self.late,
        )  # fmt: skip
        self.fresh = {}
        return Flush(self.head, ids, messages, snapshot, all_ids)

    def load(self, restored: Restored) -> None:
        """Takes the state that a journal held."""
        head = restored.head
        if head is None:
            return
        self.head, self.offset, self.watermark, self.floor = head, head.to, head.watermark, head.floor
        self.received, self.accepted, self.duplicates = head.received, head.accepted, head.duplicates
        self.rejected, self.late = dict(head.rejected), head.late
        for message in restored.tallies:
            tallies = decode(message)
            if isinstance(tallies, Tallies):
                self.ledger.load(tallies)
        self.ledger.open.evict(self.floor // BUCKET)
        self.dedupe.add(restored.ids)
        self.dedupe.evict(self.floor)
        self.whole = head.catalogue != self.routes.fingerprint


def _latest(record: Record, now: int) -> int:
    """The latest time that an event may bear."""
    return (record.timestamp * 1000 if record.timestamp_type == LOG_APPEND_TIME else now) + FUTURE
