"""A worker on live input: what it costs when idle and at a rate, and how long an event takes to reach /metrics.

Latency is from handing an event to the producer to the first /metrics answer whose `cx_events_total` includes it,
all stages, flushes and acknowledgements between. Events of four partitions are taken to arrive in the order of
their sending; looks are 0.1 s and a scrape apart, which is in the figures. Cost is measured without looking.
"""

import random
import threading
import time
from bisect import bisect_left
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from tests.bench.backlog import HEADERS, make_topics, producer
from tests.bench.loads import CATALOGUES, touchpoint
from tests.bench.measure import Process
from tests.bench.worker import metric, worker_for
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until

SECONDS = 20.0
SETTLE_S = 5.0
LOOK_S = 0.1
STEP_S = 0.01
IDLE_RATE = 1_000
SEGMENTS = 4  # of each event: all and three dimensions
SIGNALS = 3


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    rate: float  # events/s that were really sent
    cpu_percent: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


class Feed:
    """Sends events with the current time at a steady rate, from a thread, and remembers when."""

    def __init__(self, brokers: str, topic: str, rate: int) -> None:
        self.rate = rate
        self.sent: list[float] = []
        self._client = producer(brokers, linger_ms=2)
        self._topic = topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._chance = random.Random(time.time_ns())

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.flush()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.is_set():
            due = int((time.monotonic() - began) * self.rate)
            now = datetime.now(UTC)
            for _ in range(due - len(self.sent)):
                line = touchpoint(self._chance, now)
                key = orjson.loads(line)["data"]["customer"].encode()
                self.sent.append(time.monotonic())
                self._client.produce(self._topic, line, key, headers=HEADERS)
            self._client.poll(0)
            time.sleep(STEP_S)


def measure(kafka: KafkaServer, home: Path, idle: bool, rate: int | None) -> list[dict[str, Any]]:
    """The figures that were asked for, each on a worker of its own."""
    out: list[Figure] = []
    if idle:
        out.append(_cost(kafka, home, 0))
        out.append(_cost(kafka, home, IDLE_RATE))
        out.append(_latency(kafka, home, IDLE_RATE))
    if rate is not None:
        out.append(_cost(kafka, home, rate))
        out.append(_latency(kafka, home, rate))
    return [asdict(f) for f in out]


def _worker(kafka: KafkaServer, home: Path, app: str) -> tuple[WorkerProcess, str]:
    topics = {kind: f"live.{app}.{kind}" for kind in ("touchpoints", "feedback")}
    make_topics(kafka.bootstrap, topics.values())
    return worker_for(kafka, CATALOGUES["dense"], app, home / app, topics), topics["touchpoints"]


def _cost(kafka: KafkaServer, home: Path, rate: int) -> Figure:
    """CPU of the worker over 20 s, in per cent of one processor."""
    worker, topic = _worker(kafka, home, f"cost-{rate}")
    with worker, Feed(kafka.bootstrap, topic, rate) as feed:
        assert worker.process is not None
        wait_until(worker.ready, 60, "the worker is ready")
        time.sleep(SETTLE_S)
        process = Process(worker.process.pid)
        began, cpu, sent = time.monotonic(), process.cpu_s(), len(feed.sent)
        time.sleep(SECONDS)
        took = time.monotonic() - began
        used, real = process.cpu_s() - cpu, (len(feed.sent) - sent) / took
    return Figure("CPU" if rate else "CPU, idle", real, cpu_percent=100 * used / took)


def _latency(kafka: KafkaServer, home: Path, rate: int) -> Figure:
    """From the producer to /metrics."""
    worker, topic = _worker(kafka, home, f"latency-{rate}")
    looks: list[tuple[int, float]] = []  # outcomes counted for `all`, when it was seen
    with worker:
        wait_until(worker.ready, 60, "the worker is ready")
        with Feed(kafka.bootstrap, topic, rate) as feed:
            time.sleep(SETTLE_S)
            first, deadline = len(feed.sent), time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                looks.append(_look(worker))
                time.sleep(LOOK_S)
            last = len(feed.sent)
        while looks[-1][0] < last and time.monotonic() < deadline + 30:
            looks.append(_look(worker))
            time.sleep(LOOK_S)
    counts = [n for n, _ in looks]
    # The i-th event (from 0) is seen at the first look that has counted at least i + 1.
    places = [bisect_left(counts, i + 1) for i in range(first, last)]
    if places[-1] == len(looks):
        raise RuntimeError(f"only {counts[-1]} of {last} events were ever seen")
    took = sorted(looks[at][1] - feed.sent[i] for i, at in enumerate(places, first))
    p50, p99, top = (1000 * took[int(q * (len(took) - 1))] for q in (0.5, 0.99, 1))
    return Figure("produce to /metrics", rate, p50_ms=p50, p99_ms=p99, max_ms=top)


def _look(worker: WorkerProcess) -> tuple[int, float]:
    """Every event has three signals and counts under four segments, once each."""
    seen = metric(worker, "cx_events_total")["cx_events_total"]
    return int(seen) // (SEGMENTS * SIGNALS), time.monotonic()


def table(figures: list[dict[str, Any]]) -> Table:
    """For the terminal."""
    out = Table(title="A worker on live input")
    for name in ("what", "events/s", "CPU %", "p50 ms", "p99 ms", "max ms"):
        out.add_column(name, justify="left" if name == "what" else "right")
    for f in figures:
        numbers = (f["cpu_percent"], f["p50_ms"], f["p99_ms"], f["max_ms"])
        out.add_row(f["what"], f"{f['rate']:,.0f}", *("" if n is None else f"{n:,.1f}" for n in numbers))
    return out
