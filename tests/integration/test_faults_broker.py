"""Fault matrix: the broker goes away, comes back, or has nothing yet."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.siege import Siege
from tests.integration.siege_load import load

DOWN_S = 15.0
MAY_END_WITH = (1, 3)  # the broker is away at its start; it could not go on


def supervisor(*workers: WorkerProcess) -> Callable[[], None]:
    """Starts a worker again that has ended, as systemd would; it must have said why in one clear line."""

    def tend() -> None:
        for worker in workers:
            if worker.running:
                continue
            assert worker.process is not None
            said = worker.said()
            assert worker.process.returncode in MAY_END_WITH, said
            assert "Traceback" not in said, said
            assert said.splitlines()[-1].startswith("molehill: "), said
            time.sleep(1)
            worker.launch()

    return tend


@pytest.mark.slow
@pytest.mark.parametrize("end", ["SIGTERM", "kill -9"])
def test_a_broker_that_is_away_for_15_s_under_load_changes_no_total(
    kafka: KafkaServer, tmp_path: Path, end: str
) -> None:
    """Workers may end, with one line and code 3; a supervisor starts them again."""
    with Siege(kafka, tmp_path, f"broker-{end[:3].lower()}") as siege:
        two = siege.another("w2")
        tend = supervisor(siege.worker, two)
        feeder = siege.feed(load(40_000, seed=31), rate=1500)
        siege.worker.start()
        two.start()
        time.sleep(6)
        try:
            if end == "SIGTERM":
                kafka.stop()
            else:
                kafka.kill()
            until = time.monotonic() + DOWN_S
            while time.monotonic() < until:
                tend()
                time.sleep(0.5)
        finally:
            kafka.start()
        while feeder.is_alive():
            tend()
            time.sleep(0.5)
        feeder.end()
        siege.verify(timeout=120, tend=tend)


def test_a_broker_killed_while_nothing_arrives_leaves_no_lag(kafka: KafkaServer, tmp_path: Path) -> None:
    """After the last event no flush comes that would commit once more."""
    with Siege(kafka, tmp_path, "brokeridle") as siege:
        tend = supervisor(siege.worker)
        siege.worker.start()
        siege.scrape()
        siege.send(load(3_000, seed=32))
        try:
            kafka.kill()
            time.sleep(8)
        finally:
            kafka.start()
        siege.verify(timeout=120, tend=tend)


def test_a_broker_that_does_not_know_its_topics_yet_leaves_nobody_without_partitions(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    """One that has just come up says so; stock Faust then assigns nothing until the metadata are due again."""
    with Siege(kafka, tmp_path, "young") as siege:
        siege.send(load(2_000, seed=34))
        siege.worker.launch("blind:12")
        wait_until(siege.worker.found, 30, "its pages")
        siege.scrape()
        siege.verify(timeout=60)
        assert "Ignoring missing topic" in siege.worker.said()


def test_a_worker_on_a_broker_without_topics_makes_them_and_counts(kafka: KafkaServer, tmp_path: Path) -> None:
    """Stock Faust loops on a changelog that does not exist yet."""
    with Siege(kafka, tmp_path, "cold", declare=False, partitions="4") as siege:
        siege.worker.start()
        siege.send(load(2_000, seed=33))
        siege.scrape()
        siege.verify()


def test_a_worker_without_a_broker_ends_with_one_line(kafka: KafkaServer, tmp_path: Path) -> None:
    """Not a traceback, and not for ever."""
    with Siege(kafka, tmp_path, "nobroker") as siege:
        worker = WorkerProcess("127.0.0.1:9", siege.catalogue, tmp_path / "w9", "nobroker")
        worker.launch()
        assert worker.ended(30) == 1, worker.said()
        assert len(worker.said().splitlines()) == 1, worker.said()
        assert worker.said().startswith("molehill: no broker answers at 127.0.0.1:9")
