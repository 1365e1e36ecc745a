"""Fault matrix: workers that join, leave, are lost, stand still and come back."""

import contextlib
import http.client
import random
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.siege import Siege
from tests.integration.siege_load import load

LONG_SESSION_S = 30  # instead of agents.worker.SESSION_S: what comes beside the pause must not end the session
PAUSE_S = 8.0
WATCH_S, LOOKS = 5.0, 20

pytestmark = pytest.mark.timeout(900)  # a guard against hanging: the waits add up to more than the usual one


def moments(worker: WorkerProcess) -> set[str]:
    """The series that a worker exports."""
    return set(worker.quick("cx_events_total"))


def partitions(worker: WorkerProcess) -> set[str]:
    """The source partitions that a worker exports."""
    return set(worker.quick("molehill_received_total"))


def shared(*workers: WorkerProcess) -> bool:
    """Whether all source partitions are spread over all of them."""
    got = [partitions(w) for w in workers]
    return all(got) and len(set().union(*got)) == sum(map(len, got)) == 8


@pytest.mark.slow
def test_workers_that_join_and_leave_under_load_change_no_total(kafka: KafkaServer, tmp_path: Path) -> None:
    """A second and a third come, one is stopped, one is killed, both come back, the first one goes."""
    with Siege(kafka, tmp_path, "members") as siege:
        one, two, three = siege.worker, siege.another("w2"), siege.another("w3")
        feeder = siege.feed(load(60_000, seed=21), rate=1500)
        one.start()
        time.sleep(2)
        two.start()
        wait_until(lambda: shared(one, two), 120, "two share")
        three.start()
        wait_until(lambda: shared(one, two, three), 120, "three share")
        assert two.stop() == 0, two.said()
        wait_until(lambda: shared(one, three), 120, "the stopped one's partitions taken over")
        three.kill()
        wait_until(lambda: len(partitions(one)) == 8, 120, "the killed one's partitions taken over")
        two.start()
        three.start()
        wait_until(lambda: shared(one, two, three), 120, "three share again")
        one.kill()
        wait_until(lambda: shared(two, three), 120, "the first one's partitions taken over")
        feeder.end()
        siege.verify()


@pytest.mark.slow
def test_workers_killed_and_started_at_random_change_no_total(kafka: KafkaServer, tmp_path: Path) -> None:
    """Rebalances that interrupt recoveries that interrupt rebalances."""
    rng = random.Random(22)
    with Siege(kafka, tmp_path, "chaos") as siege:
        workers = [siege.worker, siege.another("w2"), siege.another("w3")]
        feeder = siege.feed(load(60_000, seed=23), rate=1200)
        for _ in range(14):
            worker = rng.choice(workers)
            if not worker.running:
                worker.launch()
            elif rng.random() < 0.5:
                worker.kill()
            else:
                worker.signal(signal.SIGTERM)
                code = worker.ended()  # before it could ask for the signal, it has begun nothing
                assert code == 0 or (code == -signal.SIGTERM and not worker.found()), worker.said()
            time.sleep(rng.uniform(0.2, 4))
        for worker in workers:
            if not worker.running:
                worker.start()
        feeder.end()
        siege.verify()


@pytest.mark.slow
def test_a_rebalance_in_the_middle_of_loading_leaves_no_stale_partition(kafka: KafkaServer, tmp_path: Path) -> None:
    """Loading awaits the tallies that it sends again; what the group decides meanwhile must win."""
    with Siege(kafka, tmp_path, "midload") as siege:
        one, two, three = siege.worker, siege.another("w2"), siege.another("w3")
        sent = siege.send(load(4_000, seed=24))
        one.start()
        one.settled(sent)  # so that the journal has tallies to be sent again
        one.kill()
        siege.send(load(500, seed=25))
        one.launch("dawdle:50")  # its loading takes two minutes, unless it has to load anew
        wait_until(lambda: "load 1 begins" in one.said(), 90, "its loading")
        two.start()
        wait_until(lambda: "load 2 begins" in one.said(), 90, "the rebalance")
        before, _, _ = one.said().partition("load 2 begins")
        assert "load 1 ends" not in before, "the rebalance came after the loading, not into it"
        feeder = siege.feed(load(6_000, seed=26, begin=1740787200.0 + 3000), rate=1000)
        wait_until(lambda: shared(one, two), 120, "two share")
        three.start()
        wait_until(lambda: shared(one, two, three), 120, "three share")
        assert three.stop() == 0
        two.kill()
        feeder.end()
        siege.verify()


def exported(worker: WorkerProcess) -> set[str]:
    """Samples that only one worker may export."""
    return set(worker.quick("cx_events_total", "molehill_received_total", "molehill_lag_events"))


def both(one: WorkerProcess, two: WorkerProcess) -> tuple[set[str], set[str]]:
    """Samples that one exports, and those of them that two had exported before that look and still did after it.

    No two looks are at the same instant. What two has on either side of the look at one, it had then too: within the
    milliseconds between them no partition is lost, given back and recovered.
    """
    before, seen, after = exported(two), exported(one), exported(two)
    return seen, before & seen & after


@pytest.mark.slow
@pytest.mark.parametrize("new_owner", ["killed", "alive"])
def test_a_worker_that_stood_still_past_its_session_serves_nothing_stale(
    kafka: KafkaServer, tmp_path: Path, new_owner: str
) -> None:
    """SIGSTOP, a takeover, CONT. The stale one must not answer with what it had, whether the new owner is killed at
    once or goes on; then no sample is on both, until they share again."""
    with Siege(kafka, tmp_path, f"zombie-{new_owner}") as siege:
        one, two = siege.worker, siege.another("w2")
        feeder = siege.feed(load(40_000, seed=27), rate=1500)
        one.start()
        two.start()
        wait_until(lambda: shared(one, two), 120, "two share")
        siege.workers.remove(one)
        one.signal(signal.SIGSTOP)
        wait_until(lambda: len(partitions(two)) == 8, 120, "the other has everything")
        stale: list[str] = []

        def scrape() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                url = f"{one.url}/metrics?name[]=cx_events_total&name[]=molehill_received_total"
                stale.append(urllib.request.urlopen(url, timeout=20).read().decode())

        waiting = [threading.Thread(target=scrape) for _ in range(3)]  # asked while it stands still
        for thread in waiting:
            thread.start()
        time.sleep(0.5)
        one.signal(signal.SIGCONT)
        if new_owner == "killed":
            two.kill()
        else:
            watch(one, two)
        for thread in waiting:
            thread.join(30)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may also join anew, if it reads its state anew
            assert one.ended(10) == 3, one.said()
            assert one.said().splitlines()[-1].startswith("molehill: "), one.said()
        assert "Traceback" not in one.said(), one.said()
        siege.workers.append(one)
        if not one.running:
            one.start()
        if new_owner == "killed":
            two.start()
        else:
            watch(one, two)
            wait_until(lambda: shared(one, two), 120, "both share again")
        feeder.end()
        siege.verify()
        lines = [x for text in stale for x in text.splitlines() if x.startswith(("cx_events", "molehill_rec"))]
        assert not lines, f"a worker that had lost its partitions still exported {len(lines)} samples"


def watch(one: WorkerProcess, two: WorkerProcess) -> None:
    """Compares both every 50 ms for 5 s at least; fails where both have a sample at once."""
    until, looks = time.monotonic() + WATCH_S, 0
    while time.monotonic() < until or looks < LOOKS:
        seen, twice = both(one, two)
        assert not twice, f"{len(twice)} samples on both, with {len(seen)} on the one that stood still"
        looks += 1
        time.sleep(0.05)


@pytest.mark.slow
def test_a_worker_that_stood_still_for_less_than_its_session_goes_on(kafka: KafkaServer, tmp_path: Path) -> None:
    """A pause (a snapshot of the machine, a long collection) is no reason to end."""
    with Siege(kafka, tmp_path, "pause") as siege:
        feeder = siege.feed(load(10_000, seed=28), rate=1500)
        siege.worker.launch(constants={"agents.worker.SESSION_S": LONG_SESSION_S})
        wait_until(lambda: len(partitions(siege.worker)) == 8, 90, "all partitions")
        siege.worker.signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        siege.worker.signal(signal.SIGCONT)
        feeder.end()
        siege.verify()
        assert siege.worker.running


def test_a_data_directory_used_by_two_workers_is_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    """Both would have one identity, and the group would fence one of them at some later time."""
    with Siege(kafka, tmp_path, "shareddir") as siege:
        siege.worker.start()
        other = WorkerProcess(siege.brokers, siege.catalogue, tmp_path / "w1", siege.app)
        other.launch()
        assert other.ended() == 2, other.said()
        last = other.said().splitlines()[-1]
        assert last.startswith("molehill: --data-dir")
        assert "another worker runs on it" in last
        assert siege.worker.running


@pytest.mark.slow
def test_a_member_that_comes_back_with_another_data_directory_is_exact(kafka: KafkaServer, tmp_path: Path) -> None:
    """A new identity: the group first waits for the old one's session to end."""
    with Siege(kafka, tmp_path, "newdir") as siege:
        feeder = siege.feed(load(15_000, seed=29), rate=1500)
        siege.worker.start()
        time.sleep(3)
        siege.worker.kill()
        shutil.rmtree(siege.worker.home / "data")
        siege.worker.start()
        feeder.end()
        siege.verify()
