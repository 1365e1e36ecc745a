"""What recovery is measured on: an application, the events that it was sent, and what it is to have counted.

A long history is made by the core itself, flush by flush as a worker would have written it, one event each: the
journal then holds a million records, most of them freed and deleted, of a state of some hundred rows.
"""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition

from streams import names
from streams.catalogue import parse
from streams.journal import Journal
from streams.route import Routes
from streams.tally import LOG_APPEND_TIME, Tally
from tests.bench.backlog import HEADERS, PARTITIONS, make_topics, producer
from tests.bench.loads import BEGIN, DIMENSIONS, MOMENTS
from tests.bench.measure import Process
from tests.bench.worker import metric, worker_for
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.siege_truth import Truth, expected

WIDE_MOMENTS = 200
WIDE_REGIONS = 250  # with `all`, and good and bad: 100,400 totals
STEP_S = 60.0  # of event time between two events of the history: an hour's ids are few
SERIES = "100000"
PATIENCE_S = 600.0
LOOK_S = 0.1


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    totals: int  # rows of state: totals that are kept
    changelog: int  # offsets of journal and snapshots
    tallies: int  # offsets of the tallies
    read: int  # changelog records that were read to recover
    recovery_s: float  # for which it was reading and loading
    wall_s: float
    cpu_s: float
    exact: bool
    load_average: float
    judging: bool

    @property
    def records_per_s(self) -> float:
        """Changelog records, while it recovered."""
        return self.read / self.recovery_s if self.recovery_s else 0.0


class Subject:
    """An application and what it is to have counted."""

    def __init__(self, kafka: KafkaServer, home: Path, app: str, catalogue: str, judging: bool) -> None:
        self.kafka = kafka
        self.home = home
        self.app = app
        self.topics = {kind: f"{app}.{kind}" for kind in ("touchpoints", "feedback")}
        self.catalogue = catalogue
        self.judging = judging
        self.sent = 0
        self.truth = Truth()
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
            judging="on" if self.judging else "off",
        )

    def count(self, moment: str, segment: dict[str, str], ok: bool) -> None:
        """Notes an event that is sent."""
        self.sent += 1
        for name in (names.ALL, *(f"{d}={value}" for d, value in segment.items())):
            self.truth.totals[moment, name, "outcome", "good" if ok else "bad"] += 1

    def records(self, *topics: str) -> int:
        """Offsets that some of its topics have used."""
        return sum(sum(self.ends(t).values()) for t in topics)

    def ends(self, topic: str) -> dict[int, int]:
        """End offsets of one of its topics."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap)
        tps = [TopicPartition(f"{self.app}.{topic}", p) for p in range(PARTITIONS)]
        found = {tp.partition: int(end) for tp, end in consumer.end_offsets(tps).items()}
        consumer.close()
        return found

    def one_more(self, ident: int, at: datetime, moment: str, segment: dict[str, str]) -> None:
        """An event while nobody is there."""
        client = producer(self.kafka.bootstrap)
        line = event(ident, at, moment, segment, True)
        client.produce(self.topics["touchpoints"], line, b"late", headers=HEADERS)
        client.flush()
        self.count(moment, segment, True)

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
        """Whether every total is what a plain count of the events says."""
        found = worker.quick("cx_events_total", timeout=PATIENCE_S)
        return {sample: n for sample, n in found.items() if n} == expected(self.truth)

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

    def figure(self, what: str, worker: WorkerProcess, wall_s: float, cpu_s: float, before: int = 0) -> Figure:
        """What came out; `before`: changelog records that it had read for an earlier assignment."""
        took = metric(worker, "molehill_recovery_seconds")["molehill_recovery_seconds"]
        return Figure(
            what, len(self.truth.totals), self.records("journal", "snapshots"), self.records("tallies"),
            rows_read(worker) - before, took, wall_s, cpu_s, self.exact(worker), os.getloadavg()[0], self.judging,
        )  # fmt: skip


def rows_read(worker: WorkerProcess) -> int:
    """Changelog records that a process has read."""
    return int(metric(worker, "molehill_recovery_rows_total").get("molehill_recovery_rows_total", 0))


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
        moment, segment, ok = f"m{m}", {"region": f"r{r}"}, bool(i % 2)
        line = event(i, BEGIN + timedelta(milliseconds=50 * i), moment, segment, ok)
        while True:
            try:
                client.produce(subject.topics["touchpoints"], line, b"c%d" % (i % 5000), headers=HEADERS)
                break
            except BufferError:
                client.poll(0.1)
        subject.count(moment, segment, ok)
    client.flush()


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
    """A journal of so many records, the tallies beside them, and the events that they are of."""
    with subject.worker("first") as worker:  # makes the topics
        wait_until(worker.ready, 60, "the first worker")
        worker.stop()
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
    written, offset = subject.records("journal"), 0
    regions, plans, channels = DIMENSIONS.values()
    while written < records:
        at = BEGIN + timedelta(seconds=STEP_S * offset)
        for p, (tally, journal) in enumerate(zip(tallies, journals, strict=True)):
            i = offset * PARTITIONS + p
            segment = {"region": regions[i % 5], "plan": plans[i % 3], "channel": channels[i % 4]}
            moment, ok = MOMENTS[i % len(MOMENTS)], i % 7 > 0
            line = event(i, at, moment, segment, ok)
            subject.count(moment, segment, ok)
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
        offset += 1
    client.flush()
