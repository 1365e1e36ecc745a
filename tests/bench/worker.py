"""Draining a load with `molehill worker`, watched from outside at as little cost to it as possible.

A scrape costs the worker milliseconds, so its progress is followed in its tallies topic. The clock starts at the
last look at /metrics that saw nothing counted (one every 20 ms, of a worker without series), and stops when
/metrics has every `cx_events_total`: both stages are done, and what is shown has been acknowledged.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from streams.wire import Tallies, decode
from tests.bench.backlog import PARTITIONS
from tests.bench.loads import Load
from tests.bench.measure import Process, Run, differences, share, traffic
from tests.bench.shape import Totals
from tests.integration.harness import WorkerProcess, events_total
from tests.integration.kafka_server import KafkaServer

LOOK_S = 0.02
FETCH_S = 0.06  # the health stage lets small fetches linger for 50 ms; a look in vain would cost more CPU
TIMEOUT_S = 300.0


def worker_for(
    kafka: KafkaServer, catalogue: str, app: str, home: Path, topics: dict[str, str], **options: str
) -> WorkerProcess:
    """A worker that is not started yet; `topics` are its sources."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "moments.yaml"
    file.write_text(catalogue)
    return WorkerProcess(kafka.bootstrap, file, home, app, **topics, **options)


def metric(worker: WorkerProcess, *names: str) -> dict[str, float]:
    """Sums of metrics by sample name; only those are asked for."""
    out: dict[str, float] = {}
    # Not with a parser of the format: looks are frequent, and parsing would delay whatever else we measure.
    for line in worker.text("/metrics?" + "&".join(f"name[]={n}" for n in names)).splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            out[name] = out.get(name, 0) + float(value)
    return out


@dataclass
class _Moment:
    at: float
    cpu_s: float


def drain(kafka: KafkaServer, load: Load, app: str, home: Path, judging: bool = False, alone: bool = False) -> Run:
    """One run. Everything is verified: totals, received, duplicates. With `judging` moles are looked for as well;
    `alone`: see `measure.share`."""
    topics = {kind: load.topic(kind) for kind in ("touchpoints", "feedback")}
    switch = "on" if judging else "off"
    with (
        share(alone) as started,
        worker_for(kafka, load.catalogue, app, home, topics, judging=switch) as worker,
    ):
        started()
        assert worker.process is not None
        process = Process(worker.process.pid)
        ends = ends_of(kafka, topics["touchpoints"])
        begin = _started(worker, process)
        follow(kafka, f"{app}.tallies", ends)
        end, totals = _complete(worker, process, load.truth)
        if judging:
            end = _judged(worker, process)
        names = ("molehill_received_total", "molehill_duplicates_total", "molehill_rejected_total")
        counters = tuple(metric(worker, *names).get(name, 0) for name in names)
        wrong = differences(load.truth, totals)
        if counters != (load.events, load.duplicates, 0):
            wrong += f" received, duplicates, rejected are {counters}, not {(load.events, load.duplicates, 0)}"
        wall, cpu = end.at - begin.at, end.cpu_s - begin.cpu_s
        rss = process.peak_rss_mb()
        return Run(
            "moles" if judging else "molehill", load.name, load.events, wall, cpu, rss, wrong, traffic(kafka, app)
        )


def ends_of(kafka: KafkaServer, topic: str) -> dict[int, int]:
    """Offsets by partition."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap)
    tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    found = {tp.partition: int(offset) for tp, offset in consumer.end_offsets(tps).items()}
    consumer.close()
    return found


def _started(worker: WorkerProcess, process: Process) -> _Moment:
    """The last look at which nothing had been counted."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        last = _Moment(time.monotonic(), process.cpu_s())
        seen = metric(worker, "molehill_received_total")
        if "molehill_received_total" in seen:
            return last  # its state is loaded: the first fetch is on its way
        time.sleep(LOOK_S)
    raise RuntimeError("the worker does not begin to read")


def follow(kafka: KafkaServer, topic: str, ends: dict[int, int]) -> None:
    """Returns when the tallies of the last record of every source partition have been written."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, max_partition_fetch_bytes=4_000_000)
    tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(tps)
    consumer.seek_to_beginning(*tps)
    counted = {p: -1 for p, end in ends.items() if end}
    deadline = time.monotonic() + TIMEOUT_S
    while any(to < ends[p] - 1 for p, to in counted.items()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the tallies never reached {ends}, only {counted}")
        for records in consumer.poll(timeout_ms=50).values():
            for record in records:
                message = decode(record.value)
                if isinstance(message, Tallies) and message.partition in counted:
                    counted[message.partition] = max(counted[message.partition], message.to)
    consumer.close()


def _judged(worker: WorkerProcess, process: Process) -> _Moment:
    """When everything that the clock has passed is judged."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        at = _Moment(time.monotonic(), process.cpu_s())
        seen = metric(worker, "molehill_judged_timestamp_seconds", "molehill_clock_timestamp_seconds")
        judged, clock = (seen.get(f"molehill_{x}_timestamp_seconds", 0.0) for x in ("judged", "clock"))
        if judged and judged >= clock // 10 * 10:
            return at
        time.sleep(FETCH_S)
    raise RuntimeError("the worker does not judge to the end")


def _complete(worker: WorkerProcess, process: Process, truth: Totals) -> tuple[_Moment, Totals]:
    """When /metrics has as many as there should be; after 10 s, with whatever it has."""
    deadline = time.monotonic() + 10
    while True:
        time.sleep(FETCH_S)
        at = _Moment(time.monotonic(), process.cpu_s())
        samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(worker.text("/metrics?name[]=cx_events_total")):
            for s in family.samples:
                samples.setdefault(s.name, {})[tuple(sorted(s.labels.items()))] = s.value
        totals = events_total(samples)
        if sum(totals.values()) >= sum(truth.values()) or time.monotonic() > deadline:
            return at, totals
