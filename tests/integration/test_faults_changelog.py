"""Fault matrix: what state is recovered from, compacted or cut short by the broker meanwhile."""

import random
import time
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.siege import Siege
from tests.integration.siege_load import load
from tests.integration.test_faults_kills import FREQUENT, NEVER, received

EAGER = {  # the log cleaner takes what it may at once; the rules of agents/topics.py leave it some minutes
    "segment.ms": "500",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": "0",
}
# Of older buckets than `allowed_lateness` behind its own watermark a source tells nothing again.
SHORT = ("5m", "30m")
CLEANER = "log.cleaner.backoff.ms=300\n"


def configure(siege: Siege, topic: str, config: dict[str, str]) -> None:
    """Sets a topic's configuration."""
    admin = KafkaAdminClient(bootstrap_servers=siege.brokers)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    admin.close()


def compacted(siege: Siege, topic: str, written: int) -> bool:
    """Whether less than half of so many records is left."""
    return len(siege.read(topic)) < written / 2


@pytest.mark.slow
def test_state_recovered_from_changelogs_that_the_log_cleaner_works_on_is_exact(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    """The real cleaner, as eager as it can be made: it takes freed rows between kills, and while they are read."""
    rng = random.Random(51)
    server = KafkaServer(kafka.jars, tmp_path, CLEANER)
    server.start()
    try:
        with Siege(server, tmp_path, "cleaned") as siege:
            changelogs = f"{siege.app}.journal", f"{siege.app}.snapshots"
            siege.worker.start()
            for topic in changelogs:
                configure(siege, topic, EAGER | {"cleanup.policy": "compact"})
            siege.worker.kill()
            feeder = siege.feed(load(40_000, seed=51), rate=1500)
            for _ in range(6):
                siege.worker.launch("", FREQUENT | {"streams.tally.FEW_IDS": 500})
                wait_until(lambda: received(siege.worker) > 0, 60, "the first counts", every=0.05)
                time.sleep(rng.uniform(2, 4))
                siege.worker.kill()
            feeder.end()
            siege.worker.launch("", FREQUENT | {"streams.tally.FEW_IDS": 500})
            wait_until(siege.worker.found, 30, "its pages")
            siege.verify()
            for topic in changelogs:
                written = siege.records_in(topic)
                wait_until(partial(compacted, siege, topic, written), 180, f"{topic} compacted", every=1.0)
            siege.worker.kill()
            siege.worker.start()
            siege.verify()
            rows = sum(siege.worker.quick("molehill_recovery_rows_total").values())
            assert rows < sum(map(siege.records_in, changelogs)) / 2
    finally:
        server.close()


def delete_tallies(siege: Siege, keep: int = 0) -> None:
    """What retention does to the tallies of a set of workers that was down for long, all but the last few."""
    topic = f"{siege.app}.tallies"
    consumer = KafkaConsumer(bootstrap_servers=siege.brokers)
    tps = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
    ends = consumer.end_offsets(tps)
    consumer.close()
    admin = KafkaAdminClient(bootstrap_servers=siege.brokers)
    admin.delete_records({tp: max(0, end - keep) for tp, end in ends.items()})
    admin.close()


def windows(worker: WorkerProcess) -> dict[str, float]:
    """What the windows hold that are no longer than `allowed_lateness`."""
    found = worker.quick("cx_window_events")
    return {k: v for k, v in found.items() if any(f'window="{w}"' in k for w in ("5m", "30m", "1h")) and v}


@pytest.mark.slow
@pytest.mark.parametrize(("snapshot", "keep"), [(True, 0), (False, 0), (True, 3)])
def test_tallies_that_are_gone_before_a_snapshot_held_them_are_told_again(
    kafka: KafkaServer, tmp_path: Path, snapshot: bool, keep: int
) -> None:
    """Totals of moments without any further event too, and what is still open in the windows."""
    with Siege(kafka, tmp_path, f"cut-{snapshot}-{keep}".lower()) as siege:
        siege.send(load(6_000, seed=52, step_s=0.1))
        if snapshot:
            siege.worker.launch("", {"agents.health.SNAPSHOT_S": 1.0})
            siege.scrape()
            truth = siege.truth()
            siege.settled_totals(truth)
            written = siege.records_in(f"{siege.app}.snapshots")
            wait_until(lambda: siege.records_in(f"{siege.app}.snapshots") >= written + 8, 30, "snapshots")
            siege.worker.kill()
            siege.send(load(6_000, seed=53, begin=1740787200.0 + 600, step_s=0.1))
        siege.worker.launch("", {"agents.health.SNAPSHOT_S": NEVER})
        truth = siege.truth()
        siege.settled_totals(truth)
        idle = wait_until(lambda: settled(siege.worker), 90, "the clock stands still")
        siege.worker.kill()
        delete_tallies(siege, keep)
        siege.worker.launch("", {"agents.health.SNAPSHOT_S": 2.0})
        wait_until(siege.worker.found, 30, "its pages")
        siege.settled_totals(truth)
        wait_until(lambda: windows(siege.worker) == idle, 90, "the windows as they were")
        siege.verify(truth=truth, windows=SHORT)
        written = siege.records_in(f"{siege.app}.snapshots")
        wait_until(lambda: siege.records_in(f"{siege.app}.snapshots") >= written + 8, 30, "snapshots again")
        siege.worker.kill()
        delete_tallies(siege)
        siege.worker.start()  # nothing is missing now: the snapshots hold it
        siege.verify(truth=truth, windows=SHORT)


def settled(worker: WorkerProcess) -> dict[str, float] | None:
    """What the windows hold once every source is idle, so that the clock is the latest time of all."""
    marks = worker.quick("molehill_watermark_timestamp_seconds", "molehill_clock_timestamp_seconds")
    clock = marks.pop("molehill_clock_timestamp_seconds{}", marks.pop("molehill_clock_timestamp_seconds", 0.0))
    return windows(worker) if marks and clock >= max(marks.values()) else None


@pytest.mark.slow
def test_several_workers_tell_again_what_one_of_them_misses(kafka: KafkaServer, tmp_path: Path) -> None:
    """Sources and tallies of one moment are on different workers."""
    with Siege(kafka, tmp_path, "cut-three") as siege:
        workers = [siege.worker, siege.another("w2"), siege.another("w3")]
        siege.send(load(8_000, seed=54))
        for worker in workers:
            worker.launch("", {"agents.health.SNAPSHOT_S": NEVER})
        for worker in workers:
            wait_until(worker.found, 30, "its pages")
        siege.scrape()
        truth = siege.truth()
        siege.settled_totals(truth)
        for worker in workers:
            worker.kill()
        delete_tallies(siege, keep=2)
        for worker in workers:
            worker.start()
        siege.verify(truth=truth, windows=SHORT, timeout=120)
