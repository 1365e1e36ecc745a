"""How long until a worker that died, or another one, counts exactly and serves again; and what that grows with.

Wall seconds are from the start of the process (or from the kill, where another worker takes over) until `/readyz`
says so and an event that was sent while nobody was there is counted and committed. CPU seconds are the process's
own, all threads, the interpreter's start among them: on a machine that is busy they say more.

The long history is made by the core itself, flush by flush as a worker would have written it, one event each: the
changelogs then hold a million records, most of them freed and deleted, of a state of some hundred rows.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from rich.table import Table

from streams import names
from streams.catalogue import parse
from streams.journal import Journal
from streams.route import Routes
from streams.tally import LOG_APPEND_TIME, Tally
from tests.bench.backlog import HEADERS, PARTITIONS, make_topics, producer
from tests.bench.loads import BEGIN, CATALOGUES, DIMENSIONS, MOMENTS
from tests.bench.measure import Process
from tests.bench.worker import worker_for
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until

WIDE_MOMENTS = 200
WIDE_REGIONS = 250  # with `all`, and good and bad: 100,400 totals
STEP_S = 60.0  # of event time between two events of the history: an hour's ids are few
SERIES = "100000"
PATIENCE_S = 600.0
LOOK_S = 0.1
CLEANED_S = 45.0  # the cleaner looks every 15 s
EAGER = {
    "cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0", "delete.retention.ms": "0",
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    totals: int  # rows of state: totals that are kept
    records: int  # offsets of journal, tallies and snapshots
    read: int  # changelog records that were read to recover
    wall_s: float
    cpu_s: float
    exact: bool
    load_average: float


class Subject:
    """An application and what it is to have counted."""

    def __init__(self, kafka: KafkaServer, home: Path, app: str, catalogue: str, segments: int) -> None:
        self.kafka = kafka
        self.home = home
        self.app = app
        self.topics = {kind: f"{app}.{kind}" for kind in ("touchpoints", "feedback")}
        self.catalogue = catalogue
        self.segments = segments  # that an event counts under
        self.sent = 0
        self.series = 0  # totals that the events have made
        make_topics(kafka.bootstrap, self.topics.values())

    def worker(self, name: str) -> WorkerProcess:
        """One that is not started yet."""
        return worker_for(
            self.kafka,
            self.catalogue,
            self.app,
            self.home / self.app / name,
            self.topics,
            max_series=SERIES,
            judging="off",
        )

    def records(self) -> int:
        """Offsets that its changelogs and tallies have used."""
        return sum(sum(self.ends(t).values()) for t in ("journal", "tallies", "snapshots"))

    def ends(self, topic: str) -> dict[int, int]:
        """End offsets of one of its topics."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap)
        tps = [TopicPartition(f"{self.app}.{topic}", p) for p in range(PARTITIONS)]
        found = {tp.partition: int(end) for tp, end in consumer.end_offsets(tps).items()}
        consumer.close()
        return found

    def one_more(self, line: bytes) -> None:
        """An event while nobody is there."""
        client = producer(self.kafka.bootstrap)
        client.produce(self.topics["touchpoints"], line, b"late", headers=HEADERS)
        client.flush()
        self.sent += 1

    def counted(self, *workers: WorkerProcess) -> bool:
        """Whether those workers serve, and everything is counted and committed: no look at /metrics, which costs."""
        return all(w.running and w.ready() for w in workers) and self.committed() == self.sent

    def committed(self) -> int:
        """How many events the group has done with."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap, group_id=self.app, enable_auto_commit=False)
        tps = [TopicPartition(topic, p) for topic in self.topics.values() for p in range(PARTITIONS)]
        found = sum(consumer.committed(tp) or 0 for tp in tps)
        consumer.close()
        return found

    def exact(self, worker: WorkerProcess) -> bool:
        """Every event of these loads has an outcome, and counts under its segments."""
        found = worker.quick("cx_events_total", timeout=PATIENCE_S)
        return sum(found.values()) == self.sent * self.segments

    def snapshots(self) -> None:
        """Waits until each tallies partition has a new snapshot."""
        before = self.ends("snapshots")
        enough = lambda: all(n > before[p] for p, n in self.ends("snapshots").items())  # noqa: E731
        wait_until(enough, PATIENCE_S, "new snapshots", every=2.0)

    def again(self, what: str, worker: WorkerProcess) -> Figure:
        """Starts a dead worker, and measures."""
        began = time.monotonic()
        worker.launch()
        assert worker.process is not None
        process = Process(worker.process.pid)
        wait_until(lambda: worker.found() and self.counted(worker), PATIENCE_S, what, every=LOOK_S)
        return self.figure(what, worker, time.monotonic() - began, process.cpu_s())

    def figure(self, what: str, worker: WorkerProcess, wall_s: float, cpu_s: float) -> Figure:
        """What came out."""
        read = int(sum(worker.quick("molehill_recovery_rows_total", timeout=PATIENCE_S).values()))
        return Figure(what, self.series, self.records(), read, wall_s, cpu_s, self.exact(worker), os.getloadavg()[0])


def event(ident: int, at: datetime, moment: str, segment: dict[str, str], ok: bool) -> bytes:
    """One touchpoint."""
    data = {"moment": moment, "customer": f"c{ident % 5000}", "outcome": "ok" if ok else "failed", "segment": segment}
    whole = {"specversion": "1.0", "id": f"e{ident}", "source": "/bench", "type": "cx.touchpoint"}
    return orjson.dumps(whole | {"time": at.isoformat(), "data": data})


def wide_catalogue() -> str:
    """Moments by regions."""
    regions = ", ".join(f"r{i}" for i in range(WIDE_REGIONS))
    moments = "".join(
        f"  m{i}: {{title: m{i}, tier: tolerable, signals: {{outcome: {{objective: 95%}}}}}}\n"
        for i in range(WIDE_MOMENTS)
    )
    head = "apiVersion: molehill/v1\nkind: Catalogue\nmetadata: {name: wide}\nsegments:\n"
    return f"{head}  region: {{values: [{regions}]}}\nmoments:\n{moments}"


def wide(subject: Subject) -> None:
    """An event, good and bad, for every moment and region."""
    client = producer(subject.kafka.bootstrap)
    for i in range(2 * WIDE_MOMENTS * WIDE_REGIONS):
        m, r = divmod(i // 2, WIDE_REGIONS)
        line = event(i, BEGIN + timedelta(milliseconds=50 * i), f"m{m}", {"region": f"r{r}"}, bool(i % 2))
        while True:
            try:
                client.produce(subject.topics["touchpoints"], line, b"c%d" % (i % 5000), headers=HEADERS)
                break
            except BufferError:
                client.poll(0.1)
        subject.sent += 1
    client.flush()
    subject.series = 2 * WIDE_MOMENTS * (WIDE_REGIONS + 1)


@dataclass
class Written:
    """A record as a consumer would have it."""

    offset: int
    value: bytes | None
    key: bytes | None
    timestamp: int
    timestamp_type: int = LOG_APPEND_TIME
    headers: Any = ()


def history(subject: Subject, records: int) -> None:
    """So many records of journal and tallies, and the events that they are of."""
    with subject.worker("first") as worker:  # makes the topics
        wait_until(worker.ready, 60, "the first worker")
        worker.stop()
    before = subject.records()
    routes = Routes(parse(subject.catalogue, "history"), PARTITIONS)
    client = producer(subject.kafka.bootstrap)

    def send(topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        while True:
            try:
                client.produce(topic, value, key, partition)
                return
            except BufferError:
                client.poll(0.1)

    topic = subject.topics["touchpoints"]
    tallies = [Tally(topic, p, routes, names.TOUCHPOINTS) for p in range(PARTITIONS)]
    journals = [Journal(topic, p, 1, "history") for p in range(PARTITIONS)]
    written, offset = before, 0
    regions, plans, channels = DIMENSIONS.values()
    while written < records:
        at = BEGIN + timedelta(seconds=STEP_S * offset)
        for p, (tally, journal) in enumerate(zip(tallies, journals, strict=True)):
            i = offset * PARTITIONS + p
            segment = {"region": regions[i % 5], "plan": plans[i % 3], "channel": channels[i % 4]}
            line = event(i, at, MOMENTS[i % len(MOMENTS)], segment, i % 7 > 0)
            send(topic, p, None, line)
            stamp = int(datetime.now(UTC).timestamp() * 1000)
            tally.run([Written(offset, line, None, stamp)], stamp * 1000)
            flush = tally.flush(f"{journal.owner}-{journal.sequence}", journal.wants_snapshot)
            for key, value in [*journal.write(flush), *journal.freed()]:
                send(f"{subject.app}.journal", p, key, value)
                written += 1
            for target, message in flush.messages:
                if target >= 0:
                    send(f"{subject.app}.tallies", target, None, message)
                    written += 1
        offset += 1
    client.flush()
    subject.sent = offset * PARTITIONS
    subject.series = sum(int((t.ledger.totals > 0).sum()) for t in tallies)


def measure(kafka: KafkaServer, home: Path, records: int, told: Callable[[Figure], None]) -> list[dict[str, Any]]:
    """All figures; each is told as it comes."""
    out: list[Figure] = []
    for figure in _figures(kafka, home, records):
        told(figure)
        out.append(figure)
    return [asdict(f) for f in out]


def _figures(kafka: KafkaServer, home: Path, records: int) -> Iterator[Figure]:
    yield from _wide(kafka, home)
    for number, app in ((records // 100, "short"), (records, "long")):
        yield from _long(Subject(kafka, home, app, CATALOGUES["dense"], 1 + len(DIMENSIONS)), number)


def _wide(kafka: KafkaServer, home: Path) -> Iterator[Figure]:
    subject = Subject(kafka, home, "wide", wide_catalogue(), 2)
    wide(subject)
    late = BEGIN + timedelta(milliseconds=50 * subject.sent)
    one, two = subject.worker("one"), subject.worker("two")
    with one:
        wait_until(lambda: subject.counted(one), PATIENCE_S, "the load is counted", every=0.5)
        subject.snapshots()
        one.kill()
        subject.one_more(event(-1, late, "m0", {"region": "r0"}, True))
        yield subject.again("killed, started again", one)
        with two:
            wait_until(lambda: subject.counted(one, two), PATIENCE_S, "two share", every=0.5)
            assert two.process is not None
            process = Process(two.process.pid)
            cpu_s, began = process.cpu_s(), time.monotonic()
            one.kill()
            subject.one_more(event(-2, late, "m0", {"region": "r0"}, True))
            wait_until(lambda: subject.counted(two), PATIENCE_S, "taken over", every=LOOK_S)
            wall_s = time.monotonic() - began
            yield subject.figure("lost, taken over by another", two, wall_s, process.cpu_s() - cpu_s)


def _long(subject: Subject, records: int) -> Iterator[Figure]:
    history(subject, records)
    worker = subject.worker("one")
    late = event(-1, BEGIN + timedelta(seconds=STEP_S * subject.sent / PARTITIONS), MOMENTS[0], _SEGMENT, True)
    with contextlib.ExitStack() as stack:
        stack.push(worker)  # ended in the end, but not started here
        subject.one_more(late)
        yield subject.again("no snapshot, nothing compacted", worker)
        subject.snapshots()
        worker.kill()
        yield subject.again("snapshot, nothing compacted", worker)
        worker.kill()
        compact(subject)
        yield subject.again("snapshot, compacted", worker)


_SEGMENT = {d: values[0] for d, values in DIMENSIONS.items()}


def compact(subject: Subject) -> None:
    """Lets the broker's log cleaner take everything that it may, and waits until it takes no more."""
    admin = KafkaAdminClient(bootstrap_servers=subject.kafka.bootstrap)
    for topic in ("journal", "snapshots"):
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"{subject.app}.{topic}", EAGER)])
    admin.close()
    client = producer(subject.kafka.bootstrap)

    def size() -> int:
        files = subject.kafka.data.glob(f"{subject.app}.journal-*/*.log")
        return sum(f.stat().st_size for f in files)

    last, since = size(), time.monotonic()
    while time.monotonic() - since < CLEANED_S:
        if (now := size()) < last:
            last, since = now, time.monotonic()
        for p in range(PARTITIONS):  # a segment is only closed when something is written
            client.produce(f"{subject.app}.journal", b"", b"nobody's|row", p)
        client.flush()
        time.sleep(1.0)


def table(figures: list[dict[str, Any]]) -> Table:
    """For the terminal."""
    out = Table(title="Until a worker is exact and consuming again")
    for name in ("what", "rows of state", "records", "read", "wall s", "CPU s", "exact", "load average"):
        out.add_column(name, justify="left" if name in ("what", "exact") else "right")
    for f in figures:
        out.add_row(
            f["what"], f"{f['totals']:,}", f"{f['records']:,}", f"{f['read']:,}", f"{f['wall_s']:.1f}",
            f"{f['cpu_s']:.1f}", "exact" if f["exact"] else "[bold red]WRONG", f"{f['load_average']:.1f}",
        )  # fmt: skip
    return out
