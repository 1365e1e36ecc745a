"""A worker on live input: what it costs when idle and at a rate, and how long an event takes to reach /metrics.

Latency is from handing an event to the producer to the first /metrics answer whose `cx_events_total` includes it,
all stages, flushes and acknowledgements between. Events of four partitions are taken to arrive in the order of
their sending; looks are 0.1 s and a scrape apart, which is in the figures. Cost is measured without looking.

All is measured for 90 s, in which each partition writes its snapshot (every 30 s) three times.
"""

import random
import threading
import time
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.bench.backlog import HEADERS, make_topics, producer
from tests.bench.loads import DIMENSIONS, Dimensions, dense_catalogue, touchpoint
from tests.bench.measure import Process
from tests.bench.worker import metric, worker_for
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until

SECONDS = 90.0
SETTLE_S = 5.0
LOOK_S = 0.1
STEP_S = 0.01
IDLE_RATE = 1_000
SCRAPE_RATE = 10_000
SCRAPE_S = 1.0  # Prometheus asks every 15 s or less often
MANY: Dimensions = DIMENSIONS | {"region": tuple(f"r{i}" for i in range(60))}  # 1,632 series of 31 samples
SEGMENTS = 4  # of each event: all and three dimensions
SIGNALS = 3


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    rate: float  # events/s that were really sent
    cpu_percent: float | None = None
    rss_mb: float | None = None  # at its peak
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


class Feed:
    """Sends events with the current time at a steady rate, from a thread, and remembers when."""

    def __init__(self, brokers: str, topic: str, rate: int, dimensions: Dimensions = DIMENSIONS) -> None:
        self.rate = rate
        self.dimensions = dimensions
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
                line = touchpoint(self._chance, now, self.dimensions)
                key = line.partition(b'"customer":"')[2].partition(b'"')[0]
                self.sent.append(time.monotonic())
                self._client.produce(self._topic, line, key, headers=HEADERS)
            self._client.poll(0)
            time.sleep(STEP_S)


class Scraper:
    """Asks for all of /metrics once a second, from a thread, and remembers how long each took."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.took_s: list[float] = []
        self.samples = 0
        self._worker = worker
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> "Scraper":
        self._ran = self._pool.submit(self._run)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._ran.result()

    def _run(self) -> None:
        while not self._stop.wait(SCRAPE_S):
            began = time.monotonic()
            text = self._worker.text()
            self.took_s.append(time.monotonic() - began)
            self.samples = sum(not line.startswith("#") for line in text.splitlines())


def measure(kafka: KafkaServer, home: Path, idle: bool, rate: int | None, scrape: bool) -> list[dict[str, Any]]:
    """The figures that were asked for, each on a worker of its own."""
    out: list[Figure] = []
    if idle:
        out += [cost(kafka, home, 0), cost(kafka, home, IDLE_RATE), *_latency(kafka, home, IDLE_RATE)]
    if rate is not None:
        out += [cost(kafka, home, rate), *_latency(kafka, home, rate)]
    if scrape:
        out += _latency(kafka, home, rate or SCRAPE_RATE, MANY)
        out += _latency(kafka, home, rate or SCRAPE_RATE, MANY, scraped=True)
    return [asdict(f) for f in out]


def _worker(
    kafka: KafkaServer, home: Path, app: str, dimensions: Dimensions = DIMENSIONS
) -> tuple[WorkerProcess, str]:
    topics = {kind: f"live.{app}.{kind}" for kind in ("touchpoints", "feedback")}
    make_topics(kafka.bootstrap, topics.values())
    return worker_for(kafka, dense_catalogue(dimensions), app, home / app, topics), topics["touchpoints"]


def cost(kafka: KafkaServer, home: Path, rate: int) -> Figure:
    """CPU of a worker, in per cent of one processor, and its memory."""
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
        rss = process.peak_rss_mb()
    return Figure("CPU" if rate else "CPU, idle", real, cpu_percent=100 * used / took, rss_mb=rss)


def _latency(
    kafka: KafkaServer, home: Path, rate: int, dimensions: Dimensions = DIMENSIONS, scraped: bool = False
) -> list[Figure]:
    """From the producer to /metrics; where it is `scraped`, how long that takes too."""
    many = "-many" if dimensions is MANY else ""
    worker, topic = _worker(kafka, home, f"latency-{rate}{many}{'-scraped' if scraped else ''}", dimensions)
    looks: list[tuple[int, float]] = []  # outcomes counted for `all`, when it was seen
    scraper = Scraper(worker)
    with worker:
        wait_until(worker.ready, 60, "the worker is ready")
        with Feed(kafka.bootstrap, topic, rate, dimensions) as feed, scraper if scraped else nullcontext():
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
    took = [looks[at][1] - feed.sent[i] for i, at in enumerate(places, first)]
    real = (last - first) / SECONDS
    out = [_spread("produce to /metrics" + (", scraped each second" if scraped else ""), real, took)]
    if scraped:
        out.append(_spread(f"scrape of {scraper.samples:,} samples", real, scraper.took_s))
    return out


def _spread(what: str, rate: float, took_s: list[float]) -> Figure:
    """The middle and the end of some durations."""
    ordered = sorted(took_s)
    p50, p99, top = (1000 * ordered[int(q * (len(ordered) - 1))] for q in (0.5, 0.99, 1))
    return Figure(what, rate, p50_ms=p50, p99_ms=p99, max_ms=top)


def _look(worker: WorkerProcess) -> tuple[int, float]:
    """Every event has three signals and counts under four segments, once each."""
    seen = metric(worker, "cx_events_total")["cx_events_total"]
    return int(seen) // (SEGMENTS * SIGNALS), time.monotonic()


def table(figures: list[dict[str, Any]]) -> Table:
    """For the terminal."""
    out = Table(title="A worker on live input")
    for name in ("what", "events/s", "CPU %", "RSS MB", "p50 ms", "p99 ms", "max ms"):
        out.add_column(name, justify="left" if name == "what" else "right")
    for f in figures:
        numbers = (f["cpu_percent"], f["rss_mb"], f["p50_ms"], f["p99_ms"], f["max_ms"])
        out.add_row(f["what"], f"{f['rate']:,.0f}", *("" if n is None else f"{n:,.1f}" for n in numbers))
    return out
