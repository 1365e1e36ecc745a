"""How cost grows: one thing is varied at a time, the others stand at their middle.

Every point starts its workers on empty topics, sends the same events, and takes CPU seconds (of all workers) and peak
memory (of the largest) from the first event until everything is counted and judged. CPU does not depend on what else
the machine does, which is why it is shown and not events/s.

`rate` is another thing: live input, so many events a second for 95 s (`live.cost`), and CPU in per cent of a
processor. Its memory holds the ids of these 95 s, not of an hour.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agents.broker import TopicSpec, ensure_topics
from tests.bench import live
from tests.bench.backlog import HEADERS, STAMPED, producer
from tests.bench.measure import Process
from tests.bench.worker import metric, worker_for
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until

EVENTS = 150_000
PER_S = 150.0  # of event time: a thousand seconds in all
BEGIN = datetime(2025, 1, 6, tzinfo=UTC)
RATE = "rate"
AXES: dict[str, tuple[int, ...]] = {
    "moments": (10, 100, 1000),
    "segments": (5, 50, 500),
    "partitions": (1, 4, 16, 64),
    "workers": (1, 2, 4),
    RATE: (0, 1_000, 10_000, 30_000),
}
SIGNALS = ("outcome", "promise", "need")
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Point:
    """One set-up. `segments`: values of three dimensions together, each event has one of each."""

    moments: int = 30
    segments: int = 24
    partitions: int = 4
    workers: int = 1
    events: int = EVENTS

    def dimensions(self) -> dict[str, list[str]]:
        """Names and values."""
        each = [self.segments // 3 + (i < self.segments % 3) for i in range(3)]
        return {f"d{i}": [f"v{n}" for n in range(max(size, 1))] for i, size in enumerate(each)}

    def catalogue(self) -> str:
        """All moments declared, all values known."""
        head = "apiVersion: molehill/v1\nkind: Catalogue\nmetadata: {name: cost}\nsegments:\n"
        head += "".join(f"  {k}: {{limit: {len(v)}}}\n" for k, v in self.dimensions().items())
        signals = ", ".join(f"{s}: {{objective: 90%}}" for s in SIGNALS)
        return f"{head}moments:\n" + "".join(
            f"  m{i}: {{title: m{i}, tier: important, signals: {{{signals}}}}}\n" for i in range(self.moments)
        )

    def lines(self) -> Iterator[tuple[bytes, bytes]]:
        """(customer, event), in order of time."""
        chance = random.Random(3)
        dimensions = self.dimensions()
        for i in range(self.events):
            at = BEGIN + timedelta(seconds=i * EVENTS / self.events / PER_S)
            time_ = at.isoformat(timespec="milliseconds")[:-6] + "Z"
            segment = ",".join(f'"{k}":"{v[int(chance.random() * len(v))]}"' for k, v in dimensions.items())
            customer = f"c{int(chance.random() * 50_000)}"
            yield (
                customer.encode(),
                (
                    f'{{"specversion":"1.0","type":"cx.touchpoint","source":"/cost","id":"{i}","time":"{time_}",'
                    f'"data":{{"moment":"m{int(chance.random() * self.moments)}","customer":"{customer}",'
                    f'"segment":{{{segment}}},"outcome":"{"ok" if chance.random() < 0.97 else "failed"}",'
                    f'"need_met":{"true" if chance.random() < 0.95 else "false"},"promised_by":"{time_}"}}}}'
                ).encode(),
            )


@dataclass(frozen=True)
class Cost:
    """What a point cost."""

    axis: str
    value: int
    events: float  # on the axis of rates those that were really sent in a second
    rss_mb: float
    cpu_s_per_million: float | None = None
    cpu_percent: float | None = None  # of one processor; on the axis of rates
    series: int | None = None
    scrape_s: float | None = None  # of one whole /metrics, at the end
    changelog_bytes_per_event: float | None = None


def measure(kafka: KafkaServer, home: Path, axes: tuple[str, ...], console: Console) -> list[dict[str, Any]]:
    """All points of the axes."""
    out: list[Cost] = []
    for axis in axes:
        for value in AXES[axis]:
            with console.status(f"{axis} = {value:,}"):
                out.append(_rate(kafka, home, value) if axis == RATE else _cost(kafka, home, axis, value))
            cells = zip(COLUMNS, _cells(asdict(out[-1])), strict=True)
            console.print(", ".join(f"{name} {cell}" for name, cell in cells if cell), highlight=False)
    return [asdict(c) for c in out]


def _rate(kafka: KafkaServer, home: Path, rate: int) -> Cost:
    found = live.cost(kafka, home, rate)
    return Cost(RATE, rate, found.rate, found.rss_mb or 0.0, cpu_percent=found.cpu_percent)


def _cost(kafka: KafkaServer, home: Path, axis: str, value: int) -> Cost:
    point = replace(Point(), **{axis: value})
    app = f"cost-{axis}-{value}"
    topics = {kind: f"{app}.{kind}" for kind in ("touchpoints", "feedback")}
    specs = [TopicSpec(t, point.partitions, STAMPED) for t in topics.values()]
    ensure_topics(kafka.bootstrap, specs, equal=())
    workers = [worker_for(kafka, point.catalogue(), app, home / f"{app}-{i}", topics) for i in range(point.workers)]
    try:
        for worker in workers:
            worker.start()
        wait_until(lambda: _shared(workers, point), 120, "the partitions shared", every=0.5)
        processes = [Process(w.process.pid) for w in workers if w.process]
        before = sum(p.cpu_s() for p in processes)
        _send(kafka, topics["touchpoints"], point)
        wait_until(lambda: _done(workers, point), TIMEOUT_S, "everything counted and judged", every=0.5)
        cpu = sum(p.cpu_s() for p in processes) - before
        rss = max(p.peak_rss_mb() for p in processes)
        began = time.monotonic()
        workers[0].text()
        scrape = time.monotonic() - began
        series = sum(int(metric(w, "molehill_series").get("molehill_series", 0)) for w in workers)
        written = sum(
            metric(w, "molehill_written_bytes_total").get("molehill_written_bytes_total", 0) for w in workers
        )
        return Cost(
            axis, value, point.events, rss, cpu / point.events * 1e6, None, series, scrape, written / point.events
        )  # fmt: skip
    finally:
        for worker in workers:
            worker.kill()


def _shared(workers: list[WorkerProcess], point: Point) -> bool:
    """Every worker ready, and together they own every partition once."""
    owned = [len(w.samples("molehill_received_total").get("molehill_received_total", ())) for w in workers]
    wanted = 2 * point.partitions
    return (
        all(w.ready() for w in workers) and sum(owned) == wanted and (point.partitions < len(owned) or min(owned) > 0)
    )


def _done(workers: list[WorkerProcess], point: Point) -> bool:
    names = ("molehill_accepted_total", "molehill_judged_timestamp_seconds", "molehill_clock_timestamp_seconds")
    found = [metric(w, *names) for w in workers]
    counted = sum(f.get(names[0], 0) for f in found)
    last = (BEGIN + timedelta(seconds=EVENTS / PER_S)).timestamp()
    return counted >= point.events and all(f.get(names[1], 0) >= last - 60 for f in found if names[1] in f)


def _send(kafka: KafkaServer, topic: str, point: Point) -> None:
    client = producer(kafka.bootstrap)
    for i, (key, line) in enumerate(point.lines()):
        while True:
            try:
                client.produce(topic, line, key, headers=HEADERS)
                break
            except BufferError:
                client.poll(0.1)
        if i == 0:
            client.flush()
    client.flush()


COLUMNS = {
    "axis": ("axis", ""),
    "value": ("value", ","),
    "events": ("events", ",.0f"),
    "CPU-s / million": ("cpu_s_per_million", ".1f"),
    "CPU %": ("cpu_percent", ".1f"),
    "RSS MB": ("rss_mb", ".0f"),
    "series": ("series", ","),
    "scrape s": ("scrape_s", ".2f"),
    "changelog bytes / event": ("changelog_bytes_per_event", ".0f"),
}


def _cells(c: dict[str, Any]) -> list[str]:
    return ["" if c[figure] is None else format(c[figure], spec) for figure, spec in COLUMNS.values()]


def table(costs: list[dict[str, Any]]) -> Table:
    """For the terminal."""
    out = Table(title="How cost grows")
    for name in COLUMNS:
        out.add_column(name, justify="left" if name == "axis" else "right")
    for c in costs:
        out.add_row(*_cells(c))
    return out
