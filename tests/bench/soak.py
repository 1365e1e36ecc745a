"""A worker on steady live input for a long time: does its memory stay where it is?

Ids are remembered for `allowed_lateness`, so that is five minutes here: what lives is then whole long before the end.
The slope is the least-squares line through the resident memory of the last two thirds.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.progress import track

from tests.bench.backlog import make_topics
from tests.bench.live import Feed
from tests.bench.loads import CATALOGUES
from tests.bench.measure import Process
from tests.bench.worker import metric, worker_for
from tests.integration.kafka_server import KafkaServer, wait_until

LOOK_S = 10.0
LATENESS = "allowed_lateness: 5m\n"


@dataclass(frozen=True)
class Soak:
    """Resident memory in MB by minute (its last look), and what else the run says."""

    minutes: int
    sent: int
    received: int
    cpu_percent: float
    rss_mb: list[float]
    slope_mb_per_hour: float


def measure(kafka: KafkaServer, home: Path, minutes: int, rate: int, console: Console) -> dict[str, Any]:
    """One soak; a count that differs from what was sent raises RuntimeError."""
    topics = {kind: f"soak.{kind}" for kind in ("touchpoints", "feedback")}
    make_topics(kafka.bootstrap, topics.values())
    worker = worker_for(kafka, CATALOGUES["dense"] + LATENESS, "soak", home / "soak", topics)
    looks: list[tuple[float, float]] = []  # seconds, MB
    with worker:
        assert worker.process is not None
        wait_until(worker.ready, 60, "the worker is ready")
        process, meter = Process(worker.process.pid), psutil.Process(worker.process.pid)
        began, cpu = time.monotonic(), process.cpu_s()
        with Feed(kafka.bootstrap, topics["touchpoints"], rate) as feed:
            for i in track(range(int(minutes * 60 / LOOK_S)), "soaking", console=console):
                time.sleep(max(0.0, began + (i + 1) * LOOK_S - time.monotonic()))
                looks.append((time.monotonic() - began, meter.memory_info().rss / 1e6))
            used = (process.cpu_s() - cpu) / (time.monotonic() - began)
        sent = len(feed.sent)
        wait_until(lambda: received(worker) >= sent, 60, "everything is counted")
        found = received(worker)
    if found != sent:
        raise RuntimeError(f"{sent} events were sent, and {found} received")
    late = np.array(looks[len(looks) // 3 :])
    slope = float(np.polyfit(late[:, 0] / 3600, late[:, 1], 1)[0])
    by_minute = [round(mb, 1) for _, mb in looks[int(60 / LOOK_S) - 1 :: int(60 / LOOK_S)]]
    return asdict(Soak(minutes, sent, found, 100 * used, by_minute, slope))


def received(worker: Any) -> int:
    """Events that the worker has counted."""
    return int(metric(worker, "molehill_received_total").get("molehill_received_total", 0))


def line(found: dict[str, Any]) -> str:
    """For the terminal."""
    some = found["rss_mb"]
    return (
        f"{found['sent']:,} events in {found['minutes']} min, all counted once; CPU {found['cpu_percent']:.1f} %; "
        f"memory {some[len(some) // 3]:.0f} MB after a third, {some[-1]:.0f} MB at the end, "
        f"{found['slope_mb_per_hour']:+.1f} MB an hour"
    )
