"""Fault matrix: a worker's wall clock that jumps, by hours and years, back and forth.

libfaketime changes what the process sees of the wall clock; its monotonic clock goes on, as on a machine whose clock
is set. (A broker cannot be tested so: Java under libfaketime is too slow to keep its own sessions.)
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.integration.catalogues import OLIST
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import Lab, as_record
from tests.integration.siege import Siege
from tests.integration.siege_load import load
from tests.integration.test_faults_kills import received

HOUR_S = 3600
DAY_S = 24 * HOUR_S
LIBRARY = "/usr/$LIB/faketime/libfaketimeMT.so.1"  # the loader knows what $LIB is


class Wall:
    """A wall clock for other processes, so many seconds away from the true one."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.jump(0)
        self.environment = {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a jump is seen
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """Sets the clock."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self.file)
        time.sleep(1.2)


@pytest.fixture
def wall(require_tools: Callable[..., None], tmp_path: Path) -> Wall:
    require_tools("faketime")
    return Wall(tmp_path / "clock")


def serving(worker: WorkerProcess) -> bool:
    return worker.found() and worker.ready()


@pytest.mark.slow
def test_a_worker_whose_clock_jumps_counts_exactly_and_goes_on_serving(
    kafka: KafkaServer, tmp_path: Path, wall: Wall
) -> None:
    """Where the broker stamps records, no count depends on a worker's clock; nor does whether it is recovered."""
    with Siege(kafka, tmp_path, "jumps") as siege:
        one, two = siege.worker, siege.another("w2")
        feeder = siege.feed(load(30_000, seed=61), rate=1200)
        wall.jump(10 * 365 * DAY_S)
        one.launch(more=wall.environment)
        wait_until(lambda: received(one) > 0, 60, "the first counts", every=0.05)
        wall.jump(-DAY_S)  # between its assignment and its first word, or soon after
        wait_until(lambda: serving(one), 60, "it serves")
        two.start()
        wait_until(lambda: serving(one) and received(two) > 0, 60, "both serve")
        wall.jump(3 * HOUR_S)
        two.kill()
        wall.jump(-3 * HOUR_S)
        wait_until(lambda: len(one.quick("molehill_received_total")) == 8 and serving(one), 60, "it has everything")
        one.kill()
        one.launch(more=wall.environment)
        wall.jump(DAY_S)
        two.start()
        feeder.end()
        siege.verify()


@pytest.mark.slow
def test_when_all_are_idle_the_clock_follows_the_brokers_time_and_not_that_of_a_worker_whose_clock_jumps(
    kafka: KafkaServer, tmp_path: Path, wall: Wall
) -> None:
    lab = Lab(kafka, tmp_path, OLIST, "jump-idle")
    data = {"moment": "checkout", "customer": "c"}
    event = {"specversion": "1.0", "type": "cx.touchpoint", "source": "t", "id": "1", "data": data}
    began = time.time()
    lab.send([as_record(orjson.dumps(event | {"time": datetime.now(UTC).isoformat()}))])
    worker = lab.worker

    def clock() -> float:
        return worker.quick("molehill_clock_timestamp_seconds").get("molehill_clock_timestamp_seconds{}", 0.0)

    try:
        worker.launch(constants={"agents.ingest.IDLE_AFTER_S": 1.0}, more=wall.environment)
        wait_until(lambda: serving(worker) and clock() > began + 2, 60, "the clock goes on without events")
        wall.jump(3000)  # within the hour in which the clock follows
        jumped = time.time()
        wait_until(lambda: clock() > jumped + 3, 60, "the clock goes on after the jump")
        assert clock() <= time.time() + 1
    finally:
        worker.kill()
