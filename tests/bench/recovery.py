"""How long until a worker that died, or another one, counts exactly and serves again; and what that grows with.

Wall seconds are from the start of the process (or from the kill, where another worker takes over) until `/readyz`
says so and an event that was sent while nobody was there is counted and committed. CPU seconds are the process's
own, all threads, the interpreter's start among them: on a machine that is busy they say more. Changelogs are the
journal and the snapshots, which recovery reads whole; records a second are those over `molehill_recovery_seconds`,
which begins with the process or the rebalance and ends when the state is loaded.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from rich.table import Table

from tests.bench.backlog import PARTITIONS, producer
from tests.bench.loads import BEGIN, CATALOGUES, DIMENSIONS, MOMENTS
from tests.bench.measure import Process
from tests.bench.subject import LOOK_S, PATIENCE_S, STEP_S, Figure, Subject, history, rows_read, wide, wide_catalogue
from tests.integration.kafka_server import KafkaServer, wait_until

CLEANED_S = 45.0  # the cleaner looks every 15 s
EAGER = {
    "cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0", "delete.retention.ms": "0",
}  # fmt: skip


def measure(
    kafka: KafkaServer, home: Path, records: int, judging: bool, told: Callable[[Figure], None]
) -> list[dict[str, Any]]:
    """All figures; each is told as it comes."""
    out: list[dict[str, Any]] = []
    for figure in _figures(kafka, home, records, judging):
        told(figure)
        out.append(asdict(figure) | {"records_per_s": figure.records_per_s})
    return out


def _figures(kafka: KafkaServer, home: Path, records: int, judging: bool) -> Iterator[Figure]:
    yield from _wide(kafka, home, judging)
    for number, app in ((records // 100, "short"), (records, "long")):
        yield from _long(Subject(kafka, home, app, CATALOGUES["dense"], judging), number)


def _wide(kafka: KafkaServer, home: Path, judging: bool) -> Iterator[Figure]:
    subject = Subject(kafka, home, "wide", wide_catalogue(), judging)
    wide(subject)
    late = BEGIN + timedelta(milliseconds=50 * subject.sent)
    one, two = subject.worker("one"), subject.worker("two")
    with one:
        wait_until(lambda: subject.counted(one), PATIENCE_S, "the load is counted", every=0.5)
        subject.snapshots()
        one.kill()
        subject.one_more(-1, late, "m0", {"region": "r0"})
        yield subject.again("killed, started again", one)
        with two:
            wait_until(lambda: subject.counted(one, two), PATIENCE_S, "two share", every=0.5)
            assert two.process is not None
            process = Process(two.process.pid)
            cpu_s, before, began = process.cpu_s(), rows_read(two), time.monotonic()
            one.kill()
            subject.one_more(-2, late, "m0", {"region": "r0"})
            wait_until(lambda: subject.counted(two), PATIENCE_S, "taken over", every=LOOK_S)
            wall_s = time.monotonic() - began
            yield subject.figure("lost, taken over by another", two, wall_s, process.cpu_s() - cpu_s, before)


def _long(subject: Subject, records: int) -> Iterator[Figure]:
    history(subject, records)
    worker = subject.worker("one")
    late = BEGIN + timedelta(seconds=STEP_S * subject.sent / PARTITIONS)
    with contextlib.ExitStack() as stack:
        stack.push(worker)  # ended in the end, but not started here
        subject.one_more(-1, late, MOMENTS[0], _SEGMENT)
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
    judged = "judged" if figures[0]["judging"] else "not judged"
    out = Table(title=f"Until a worker is exact and consuming again, moles {judged}")
    for name in (
        "what", "rows of state", "changelog records", "tallies", "read", "recovery s", "records / s", "wall s",
        "CPU s", "totals", "load average",
    ):  # fmt: skip
        out.add_column(name, justify="left" if name in ("what", "totals") else "right")
    for f in figures:
        out.add_row(
            f["what"], f"{f['totals']:,}", f"{f['changelog']:,}", f"{f['tallies']:,}", f"{f['read']:,}",
            f"{f['recovery_s']:.1f}", f"{f['records_per_s']:,.0f}", f"{f['wall_s']:.1f}", f"{f['cpu_s']:.1f}",
            "exact" if f["exact"] else "[bold red]WRONG", f"{f['load_average']:.1f}",
        )  # fmt: skip
    return out
