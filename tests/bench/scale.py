"""How much faster two workers are than one, on the same backlog.

Workers are ready and share the partitions before there is anything to read; they are stopped (SIGSTOP) while the
backlog is written, which takes less than a session, and the clock runs from when they go on until the tallies of
every event are in their topic. On a machine with fewer free processors than workers and broker need, the ratio says
more about the machine: CPU seconds are given too.
"""

import signal
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.backlog import fill, make_topics
from tests.bench.loads import Load
from tests.bench.measure import Process, differences
from tests.bench.worker import ends_of, follow, worker_for
from tests.integration.harness import WorkerProcess, events_total
from tests.integration.kafka_server import KafkaServer, wait_until

WORKERS = (1, 2)


@dataclass(frozen=True)
class Drain:
    """One drain by so many workers."""

    workers: int
    events: int
    events_per_s: float
    cpu_s_per_million: float  # of all workers
    wrong: str


def measure(kafka: KafkaServer, home: Path, load: Load, rounds: int, console: Console) -> list[dict[str, Any]]:
    """Drains with one and with two workers in turn, each on topics of its own."""
    out: list[dict[str, Any]] = []
    for number in range(rounds):
        for workers in WORKERS:
            found = asdict(drain(kafka, home, load, workers, f"scale-{number}-{workers}"))
            console.print(found, highlight=False)
            out.append(found)
    return out


def drain(kafka: KafkaServer, home: Path, load: Load, workers: int, app: str) -> Drain:
    """One run."""
    topics = {kind: f"{app}.{kind}" for kind in ("touchpoints", "feedback")}
    make_topics(kafka.bootstrap, topics.values())
    with ExitStack() as stack:
        some = [
            stack.enter_context(worker_for(kafka, load.catalogue, app, home / f"{app}-{i}", topics, judging="off"))
            for i in range(workers)
        ]
        wait_until(lambda: _shared(some), 60, "each worker has its share")
        meters = [Process(w.process.pid) for w in some if w.process]
        for w in some:
            w.signal(signal.SIGSTOP)
        fill(kafka.bootstrap, load, topics["touchpoints"])
        ends = ends_of(kafka, topics["touchpoints"])
        cpu, began = sum(m.cpu_s() for m in meters), time.monotonic()
        for w in some:
            w.signal(signal.SIGCONT)
        follow(kafka, f"{app}.tallies", ends)
        took, used = time.monotonic() - began, sum(m.cpu_s() for m in meters) - cpu
        want = sum(load.truth.values())
        wait_until(lambda: sum(sum(events_total(w.samples()).values()) for w in some) >= want, 30, "all is counted")
        totals: dict[Any, int] = {}
        for w in some:
            totals |= events_total(w.samples())
    return Drain(workers, load.events, load.events / took, 1e6 * used / load.events, differences(load.truth, totals))


def _shared(workers: list[WorkerProcess]) -> bool:
    """Whether all are ready, and none has more than its share of the health stage."""
    owned = [len(w.samples("molehill_tallies_lag_records").get("molehill_tallies_lag_records", ())) for w in workers]
    return all(w.ready() for w in workers) and sum(owned) == 4 and max(owned) * len(workers) <= 4


def table(found: list[dict[str, Any]]) -> Table:
    """For the terminal: the best of each, and their ratio."""
    out = Table(title="One worker and two")
    for name in ("workers", "events/s", "CPU-s / million", "× one worker", "totals"):
        out.add_column(name, justify="right")
    best = {n: max((f for f in found if f["workers"] == n), key=lambda f: float(f["events_per_s"])) for n in WORKERS}
    for n, f in best.items():
        ratio = f["events_per_s"] / best[1]["events_per_s"]
        out.add_row(
            str(n),
            f"{f['events_per_s']:,.0f}",
            f"{f['cpu_s_per_million']:.1f}",
            f"{ratio:.2f}",
            f["wrong"] or "exact",
        )
    return out
