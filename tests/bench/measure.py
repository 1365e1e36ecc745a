"""Reading the meters: processes from /proc, topics from the broker and its disk, the machine."""

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil
from kafka import KafkaConsumer, TopicPartition

from tests.bench.peers.meter import peak_rss_mb
from tests.bench.shape import Totals
from tests.integration.kafka_server import KafkaServer

MILLION = 1_000_000


@dataclass(frozen=True)
class Traffic:
    """What a topic holds: records ever written (end offsets), bytes as they lie on the broker's disk."""

    records: int
    bytes: int


@dataclass(frozen=True)
class Run:
    """One drain of one load by one variant."""

    variant: str
    load: str
    events: int
    wall_s: float
    cpu_s: float
    rss_mb: float
    wrong: str = ""  # nothing where all totals are as they should be
    traffic: dict[str, Traffic] = field(default_factory=dict)  # internal topic, without the application's name

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.wall_s if self.wall_s else 0.0

    @property
    def cpu_per_million(self) -> float:
        """CPU seconds for a million events."""
        return self.cpu_s / self.events * MILLION

    def as_json(self) -> dict[str, Any]:
        """With the figures that are derived."""
        traffic = {
            topic: {"records_per_event": t.records / self.events, "bytes_per_event": t.bytes / self.events}
            for topic, t in self.traffic.items()
        }
        derived = {"events_per_s": self.rate, "cpu_s_per_million": self.cpu_per_million, "per_event": traffic}
        return asdict(self) | derived


@contextmanager
def share(alone: bool) -> Iterator[Callable[[], None]]:
    """Where `alone`, what is started within has processor 0 to itself, and we (the broker too, if it is started
    outside) have the others; call what is given once it has started."""
    every = os.sched_getaffinity(0)

    def ours() -> None:
        if alone:
            os.sched_setaffinity(0, every - {0})

    if alone:
        os.sched_setaffinity(0, {0})
    try:
        yield ours
    finally:
        os.sched_setaffinity(0, every)


class Process:
    """The meters of a running process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._process = psutil.Process(pid)

    def cpu_s(self) -> float:
        """Seconds of CPU so far, in steps of 10 ms."""
        t = self._process.cpu_times()
        return float(t.user + t.system)

    def peak_rss_mb(self) -> float:
        """The high-water mark."""
        return peak_rss_mb(self.pid)


def differences(expected: Totals, found: Totals) -> str:
    """What is wrong with totals: the first few, in words."""
    wrong = [k for k in sorted(set(expected) | set(found)) if expected.get(k, 0) != found.get(k, 0)]
    few = "; ".join(f"{' '.join(k)}: {found.get(k, 0)} instead of {expected.get(k, 0)}" for k in wrong[:3])
    return f"{len(wrong)} totals are wrong: {few}" if wrong else ""


def traffic(kafka: KafkaServer, app: str) -> dict[str, Traffic]:
    """The topics that an application has made for itself (their names hold the application's)."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap)
    out: dict[str, Traffic] = {}
    try:
        for topic in sorted(t for t in consumer.topics() if app in t):
            tps = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
            records = sum(consumer.end_offsets(tps).values())
            size = sum(f.stat().st_size for tp in tps for f in kafka.data.glob(f"{topic}-{tp.partition}/*.log"))
            out[topic.replace(app, "").strip(".-_")] = Traffic(records, size)
    finally:
        consumer.close()
    return out


def machine() -> dict[str, Any]:
    """Where and when this was measured."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": os.getloadavg(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "commit": git.stdout.strip(),
    }
