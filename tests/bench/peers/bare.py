"""The honest minimum in plain Python: an aiokafka loop that counts the same and persists nothing.

It does: decode with msgspec into molehill's structs, dedupe by (source, id) for at least the allowed lateness,
keep three days of 10 s cells and totals ever for `all` and every dimension=value, each signal good and bad.
It does not: refuse bad, late or future events, read a catalogue, keep limits, journal, survive anything, merge
with other workers, answer anybody. What an event says is cached by its raw segment, as molehill does.
"""

import asyncio
import gc
from collections import defaultdict

from aiokafka import AIOKafkaConsumer

from streams.event_reader import Reader, segments
from streams.events import EPOCH, Touchpoint
from tests.bench.peers.meter import Job, Meter, job
from tests.bench.shape import LATENESS_S, SIGNALS, Total, Totals

KEEP = 3 * 86_400 // 10  # buckets


class Partition:
    """Identities of one partition in two generations: what is in neither is new."""

    def __init__(self) -> None:
        self.young: set[tuple[str, str]] = set()
        self.old: set[tuple[str, str]] = set()
        self.turn = 0  # bucket at which the old ones go


class Counts:
    """The cells."""

    def __init__(self) -> None:
        self.cells: dict[int, defaultdict[int, int]] = {}  # bucket → lane → count
        self.lanes: dict[Total, int] = {}
        self.totals: list[int] = []
        self.codes: dict[tuple[str, bytes, int], tuple[int, ...]] = {}
        self.partitions: defaultdict[int, Partition] = defaultdict(Partition)
        self.received = self.duplicates = 0
        self.top = 0

    def run(self, number: int, values: list[bytes]) -> None:
        """Counts a batch of one partition."""
        decode, codes, cells, totals = Reader("cx.touchpoints").decode, self.codes, self.cells, self.totals
        partition = self.partitions[number]
        young, old, turn, top, epoch = partition.young, partition.old, partition.turn, self.top, EPOCH
        for value in values:
            event = decode(value)
            data = event.data
            identity = event.source, event.id
            if identity in young or identity in old:
                self.duplicates += 1
                continue
            time = event.time - epoch
            bucket = (time.days * 86_400 + time.seconds) // 10
            if bucket >= turn:
                young, old = set(), young
                partition.turn = turn = bucket + LATENESS_S // 10
            young.add(identity)
            key = 0 if data.outcome == "ok" else 1
            if data.promised_by is not None:
                key |= 8 if not key & 1 and event.time <= data.promised_by else 16
            if data.need_met is not None:
                key |= 2 if data.need_met else 4
            code = data.moment, bytes(data.segment), key
            lanes = codes.get(code)
            if lanes is None:
                lanes = codes[code] = self.series(event, key)
            row = cells.get(bucket)
            if row is None:
                row = cells[bucket] = defaultdict(int)
                if bucket > top:
                    self.top = top = bucket
            for lane in lanes:
                row[lane] += 1
                totals[lane] += 1
        partition.young, partition.old = young, old
        self.received += len(values)
        if len(cells) > 2 * KEEP:
            for bucket in [b for b in cells if b <= top - KEEP]:
                del cells[bucket]

    def series(self, event: Touchpoint, key: int) -> tuple[int, ...]:
        """The lanes that such an event counts in."""
        said = {"outcome": not key & 1}
        said |= {"promise": bool(key & 8)} if key & 24 else {}
        said |= {"need": bool(key & 2)} if key & 6 else {}
        found = segments(event.data.segment)
        out = []
        for segment in ("all", *(f"{k}={v}" for k, v in found.items())):
            for signal in SIGNALS:
                if signal in said:
                    total = event.data.moment, segment, signal, "good" if said[signal] else "bad"
                    if total not in self.lanes:
                        self.lanes[total] = len(self.totals)
                        self.totals.append(0)
                    out.append(self.lanes[total])
        return tuple(out)

    def all(self) -> Totals:
        """The totals."""
        return {total: self.totals[lane] for total, lane in self.lanes.items()}


async def drain(task: Job) -> None:
    """Reads until everything has been seen. Fetch sizes are those of a molehill worker."""
    consumer = AIOKafkaConsumer(
        task.topic, bootstrap_servers=task.brokers, group_id=task.app, auto_offset_reset="earliest",
        check_crcs=False, max_partition_fetch_bytes=4 * 1024 * 1024,
    )  # fmt: skip
    await consumer.start()
    counts, meter = Counts(), Meter()
    while counts.received < task.expect:
        found = await consumer.getmany(timeout_ms=20, max_records=20_000)
        if not found and not counts.received:
            meter.start()
        for tp, records in found.items():
            counts.run(tp.partition, [r.value for r in records])
    meter.stop()
    meter.finish(task, counts.received, counts.duplicates, counts.all())


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 1000)  # as a molehill worker does
    asyncio.run(drain(job()))
