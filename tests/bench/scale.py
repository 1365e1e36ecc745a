"""How much faster two workers are than one, on the same backlog.

Workers are ready and share the partitions before there is anything to read; they are stopped (SIGSTOP) while the
backlog is written, which takes less than a session, and the clock runs from when they go on until the tallies of
every event are in their topic, and shown. On a machine with fewer free processors than workers and broker need, the
ratio says more about the machine: with a quota each worker has a share of a processor to itself, half of one say, and
one worker and two have as much as they should on a machine of two processors, of which the broker has the rest.
"""

import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import quota
from tests.bench.backlog import fill, make_topics
from tests.bench.loads import Load
from tests.bench.measure import Process, Run, differences, traffic
from tests.bench.shape import Total
from tests.bench.worker import ends_of, follow, metric, worker_for
from tests.integration.harness import WorkerProcess, events_total
from tests.integration.kafka_server import KafkaServer, wait_until

WORKERS = (1, 2)
COUNTERS = ("molehill_received_total", "molehill_duplicates_total", "molehill_rejected_total")


def measure(
    kafka: KafkaServer, home: Path, load: Load, rounds: int, share: float | None, console: Console
) -> list[dict[str, Any]]:
    """Drains with one and with two workers in turn, each on topics of its own; `share` of a processor for each."""
    out: list[dict[str, Any]] = []
    for number in range(rounds):
        for workers in WORKERS:
            run = drain(kafka, load, workers, f"scale-{number}-{workers}", home, share)
            out.append(run.as_json() | {"workers": workers, "quota": share})
            found = f"{run.rate:,.0f} events/s, {run.cpu_per_million:.1f} CPU-s/million, {run.wrong or 'exact'}"
            console.print(f"{run.variant}: {found}", highlight=False, markup=False)
    return out


def drain(kafka: KafkaServer, load: Load, workers: int, app: str, home: Path, share: float | None = None) -> Run:
    """One run, on topics of its own; CPU seconds and memory are those of all workers together."""
    topics = {kind: f"{app}.{kind}" for kind in ("touchpoints", "feedback")}
    make_topics(kafka.bootstrap, topics.values())
    with ExitStack() as stack:
        some = []
        for i in range(workers):
            group = stack.enter_context(quota.group(f"{app}-{i}", share)) if share else None
            worker = worker_for(kafka, load.catalogue, app, home / f"{app}-{i}", topics, judging="off")
            some.append(stack.enter_context(worker))
            if group and worker.process:
                quota.join(group, worker.process.pid)
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
        want = sum(load.truth.values())
        wait_until(lambda: sum(_totals(some).values()) >= want, 30, "everything is shown", every=0.06)
        wall, used = time.monotonic() - began, sum(m.cpu_s() for m in meters) - cpu
        wrong = differences(load.truth, dict(_totals(some)))
        counters = tuple(sum(metric(w, name).get(name, 0) for w in some) for name in COUNTERS)
        if counters != (load.events, load.duplicates, 0):
            wrong += f" received, duplicates, rejected are {counters}, not {(load.events, load.duplicates, 0)}"
        rss = sum(m.peak_rss_mb() for m in meters)
    hops = {topic: t for topic, t in traffic(kafka, app).items() if topic not in topics}
    return Run(f"molehill-{workers}", load.name, load.events, wall, used, rss, wrong, hops)


def _totals(workers: list[WorkerProcess]) -> Counter[Total]:
    """Of all workers, added up: what two of them show is too much."""
    out: Counter[Total] = Counter()
    for w in workers:
        out.update({k: n for k, n in events_total(w.samples("cx_events_total")).items() if n})
    return out


def _shared(workers: list[WorkerProcess]) -> bool:
    """Whether all are ready, and none has more than its share of the health stage."""
    owned = [len(w.samples("molehill_tallies_lag_records").get("molehill_tallies_lag_records", ())) for w in workers]
    return all(w.ready() for w in workers) and sum(owned) == 4 and max(owned) * len(workers) <= 4


def table(found: list[dict[str, Any]]) -> Table:
    """For the terminal: the best of each, and their ratio."""
    share = found[0]["quota"]
    out = Table(title="One worker and two" + (f", each with {share:g} of a processor" if share else ""))
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
