"""Fault matrix: a worker that dies or leaves. Nothing lost, nothing counted twice, no counter that goes back."""

import random
import signal
import threading
import time
from collections import Counter
from itertools import takewhile
from pathlib import Path

import pytest

from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import PARTITIONS
from tests.integration.mortal import DEAD
from tests.integration.siege import Siege
from tests.integration.siege_load import load

NEVER = 100_000


def received(worker: WorkerProcess) -> float:
    """How many records a worker has counted."""
    return sum(worker.quick("molehill_received_total").values())


def test_a_worker_killed_before_its_first_commit_counts_exactly(kafka: KafkaServer, tmp_path: Path) -> None:
    """Its journal has what it counted, the group has no offset: the restart must go on from the journal's."""
    with Siege(kafka, tmp_path, "uncommitted") as siege:
        siege.send(load(5_000, seed=1))
        siege.worker.launch("", {"agents.app.FRONTIER_S": NEVER})  # commits come after frontiers
        wait_until(lambda: siege.records_in(f"{siege.app}.journal") > 0, 60, "records in the journal", every=0.05)
        siege.worker.kill()
        assert set(siege.committed().values()) == {None}
        siege.worker.start()
        siege.scrape()
        siege.verify()


@pytest.mark.slow
def test_a_worker_killed_ten_times_under_load_counts_exactly(kafka: KafkaServer, tmp_path: Path) -> None:
    """kill -9 at random moments of starting, recovering, counting and flushing."""
    rng = random.Random(11)
    with Siege(kafka, tmp_path, "killed10") as siege:
        feeder = siege.feed(load(60_000, seed=2), rate=1500)
        for i in range(10):
            siege.worker.launch()
            if i % 3:
                wait_until(lambda: received(siege.worker) > 0, 60, "the first counts", every=0.05)
            time.sleep(rng.uniform(0, 1.5))
            siege.worker.kill()
        siege.worker.start()
        feeder.end()
        siege.verify()


@pytest.mark.slow
def test_a_worker_stopped_four_times_under_load_counts_exactly(kafka: KafkaServer, tmp_path: Path) -> None:
    """SIGTERM settles and commits; what arrives meanwhile is the next run's."""
    rng = random.Random(12)
    with Siege(kafka, tmp_path, "stopped4") as siege:
        feeder = siege.feed(load(40_000, seed=3), rate=2000)
        for _ in range(4):
            siege.worker.start()
            wait_until(lambda: received(siege.worker) > 0, 60, "the first counts", every=0.05)
            time.sleep(rng.uniform(0.2, 1.5))
            assert siege.worker.stop() == 0, siege.worker.said()
            assert "Traceback" not in siege.worker.said()
        siege.worker.start()
        feeder.end()
        siege.verify()


FREQUENT = {"agents.health.SNAPSHOT_S": 1.0, "agents.snapshots.CHUNK": 2000, "streams.journal.SNAPSHOT_EVERY": 4}
POINTS = (
    "journal:1", "journal:30", "tallies:1", "tallies:40", "letters:1", "letters:20", "commit:1", "commit:3",
    "snapshots:1", "snapshots:7", "tombstones:1", "tombstones:9",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_that_dies_after_any_kind_of_acknowledgement_counts_exactly(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    """One death after another on the same state: what comes after the acknowledgement never left the process."""
    with Siege(kafka, tmp_path, "mortal") as siege:
        done = threading.Event()
        endless = takewhile(lambda _: not done.is_set(), load(1_000_000, seed=4))
        feeder = siege.feed(endless, rate=800)  # a death waits for something to acknowledge
        for point in POINTS:
            siege.worker.launch(point, FREQUENT)
            assert siege.worker.ended(120) == DEAD, f"{point}: {siege.worker.said()[-2000:]}"
        siege.worker.start()
        done.set()
        feeder.end()
        siege.verify()


@pytest.mark.parametrize("point", ["journal:1", "tallies:1", "letters:1"])
def test_a_first_flush_cut_short_by_death_is_made_good(kafka: KafkaServer, tmp_path: Path, point: str) -> None:
    """Of one flush only the journal's entry, only the tallies, or only a dead letter is with the broker."""
    with Siege(kafka, tmp_path, "cut-" + point[:4]) as siege:
        siege.send(load(3_000, seed=5))
        siege.worker.launch(point)
        assert siege.worker.ended(60) == DEAD, siege.worker.said()
        siege.worker.start()
        siege.scrape()
        siege.verify()


def test_what_is_read_while_partitions_are_still_being_sought_is_not_lost(kafka: KafkaServer, tmp_path: Path) -> None:
    """Faust empties its queues when the last one is: what had been handed out of the first was skipped."""
    with Siege(kafka, tmp_path, "seeks") as siege:
        sent = siege.send(load(3_000, seed=9))
        siege.worker.start()  # so that there is a changelog: while it is read the fetcher runs
        siege.worker.settled(sent)
        siege.worker.kill()
        siege.send(load(3_000, seed=10))
        siege.worker.launch("seeks:3")
        wait_until(siege.worker.ready, 60, "it serves")
        siege.verify()


@pytest.mark.slow
def test_snapshots_and_journals_that_turn_over_often_survive_kills(kafka: KafkaServer, tmp_path: Path) -> None:
    """Snapshots in many chunks each second, journal entries freed all the time, kill -9 in the middle."""
    rng = random.Random(13)
    often = FREQUENT | {"streams.tally.FEW_IDS": 500, "agents.app.FLUSH_S": 0.05}
    with Siege(kafka, tmp_path, "turnover") as siege:
        feeder = siege.feed(load(40_000, seed=6), rate=1500)
        for _ in range(5):
            siege.worker.launch("", often)
            wait_until(lambda: received(siege.worker) > 0, 60, "the first counts", every=0.05)
            time.sleep(rng.uniform(1.5, 3))
            siege.worker.kill()
        siege.worker.start()
        feeder.end()
        siege.verify()
        freed = Counter(r.key.rsplit(b"|", 2)[0] for r in siege.read(f"{siege.app}.journal") if r.value is None)
        assert len(freed) == 2 * PARTITIONS
        assert min(freed.values()) > 3 * FREQUENT["streams.journal.SNAPSHOT_EVERY"], freed
        assert any(r.key.endswith(b"|2") for r in siege.read(f"{siege.app}.snapshots")), "no snapshot in 3 chunks"


@pytest.mark.parametrize("agent", ["ingest:3", "health:3"])
def test_an_exception_inside_an_agent_ends_the_worker_and_nothing_is_lost(
    kafka: KafkaServer, tmp_path: Path, agent: str
) -> None:
    """With Faust's default a failed agent goes on past the event that it lost. The log keeps its traceback."""
    with Siege(kafka, tmp_path, f"raise-{agent[:6]}") as siege:
        siege.send(load(3_000, seed=7))
        siege.worker.launch(agent)
        assert siege.worker.ended(60) == 3, siege.worker.said()
        last = siege.worker.said().splitlines()[-1]
        assert last.startswith("molehill: the worker ended")
        assert "planted by a test" in last
        siege.worker.start()
        siege.scrape()
        siege.verify()


@pytest.mark.parametrize("what", ["lost:3", "lost-tallies:3"])
def test_a_batch_that_was_handed_out_and_never_came_ends_the_worker_before_anything_is_counted_after_it(
    kafka: KafkaServer, tmp_path: Path, what: str
) -> None:
    """However it went: Faust has emptied its queues at more than one place."""
    with Siege(kafka, tmp_path, what.partition(":")[0]) as siege:
        feeder = siege.feed(load(6_000, seed=11), rate=1500)
        siege.worker.launch(what)
        assert siege.worker.ended(60) == 3, siege.worker.said()
        assert "were handed out, those after" in siege.worker.said().splitlines()[-1]
        siege.worker.start()
        feeder.end()
        siege.verify()


@pytest.mark.slow
def test_a_clean_stop_leaves_no_lag_behind(kafka: KafkaServer, tmp_path: Path) -> None:
    """SIGTERM right after the last record, and before any commit: the stop itself commits what was counted."""
    with Siege(kafka, tmp_path, "clean") as siege:
        sent = siege.send(load(4_000, seed=8))
        siege.worker.launch("", {"agents.app.FRONTIER_S": NEVER})  # commits come after frontiers
        wait_until(lambda: received(siege.worker) == sent, 60, "all records counted", every=0.02)
        assert set(siege.committed().values()) == {None}
        siege.worker.signal(signal.SIGTERM)
        assert siege.worker.ended() == 0, siege.worker.said()
        assert None not in siege.committed().values()
        assert siege.behind() == {}
        siege.worker.start()
        siege.scrape()
        siege.verify()
