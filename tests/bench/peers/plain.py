"""The loop of bench.md and design.md, by which bars were set: aiokafka, msgspec and dicts, as one writes it first.

It does: decode into structs, dedupe by (source, id), a row of six counts for each minute and series (`all` and every
dimension=value), three days of them, and totals ever. It does not: what bare.py does not either, nor what makes that
one lean: numbers for series, a cache of what a segment's text stands for, rare collections, identities forgotten.
"""

import asyncio
from collections import defaultdict
from datetime import datetime

import msgspec
from aiokafka import AIOKafkaConsumer

from tests.bench.peers.meter import Job, Meter, job
from tests.bench.shape import WIDTH, totals_of

KEEP = 3 * 1440  # minutes


class Data(msgspec.Struct):
    """Of a touchpoint."""

    moment: str
    segment: dict[str, str]
    outcome: str = "ok"
    promised_by: datetime | None = None
    need_met: bool | None = None


class Event(msgspec.Struct):
    """A touchpoint."""

    id: str
    source: str
    time: datetime
    data: Data


def new_row() -> list[int]:
    """Good and bad of each signal."""
    return [0] * WIDTH


class Counts:
    """What is kept."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.minutes: dict[int, defaultdict[tuple[str, str], list[int]]] = {}
        self.totals: defaultdict[tuple[str, str], list[int]] = defaultdict(new_row)
        self.received = self.duplicates = 0
        self.decode = msgspec.json.Decoder(Event).decode

    def take(self, value: bytes) -> None:
        """Counts one record."""
        self.received += 1
        event = self.decode(value)
        if (event.source, event.id) in self.seen:
            self.duplicates += 1
            return
        self.seen.add((event.source, event.id))
        data = event.data
        places = [0 if data.outcome == "ok" else 1]
        if data.promised_by is not None:
            places.append(2 if data.outcome == "ok" and event.time <= data.promised_by else 3)
        if data.need_met is not None:
            places.append(4 if data.need_met else 5)
        minute = int(event.time.timestamp()) // 60
        if minute not in self.minutes:
            if len(self.minutes) > 2 * KEEP:
                newest = max(self.minutes)
                self.minutes = {m: rows for m, rows in self.minutes.items() if m > newest - KEEP}
            self.minutes[minute] = defaultdict(new_row)
        for segment in ("all", *(f"{k}={v}" for k, v in data.segment.items())):
            for row in (self.minutes[minute][data.moment, segment], self.totals[data.moment, segment]):
                for place in places:
                    row[place] += 1


async def drain(task: Job) -> None:
    """Reads until everything has been seen."""
    consumer = AIOKafkaConsumer(
        task.topic, bootstrap_servers=task.brokers, group_id=task.app, auto_offset_reset="earliest"
    )
    await consumer.start()
    counts, meter = Counts(), Meter()
    while counts.received < task.expect:
        found = await consumer.getmany(timeout_ms=20, max_records=20_000)
        if not found and not counts.received:
            meter.start()
        for records in found.values():
            for record in records:
                counts.take(record.value)
    meter.stop()
    series = ((m, dict([s.split("=")]) if s != "all" else {}, row) for (m, s), row in counts.totals.items())
    meter.finish(task, counts.received, counts.duplicates, totals_of(series, marginal=True))


if __name__ == "__main__":
    asyncio.run(drain(job()))
