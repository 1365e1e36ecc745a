"""Nothing lost, nothing counted twice, whatever dies. (The whole fault matrix is a later issue's.)"""

import random
import time
from pathlib import Path

import pytest

from tests import truth
from tests.integration.catalogues import FLIGHTS
from tests.integration.harness import WorkerProcess, events_total
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import Lab, as_record
from tests.integration.test_exact import assert_conserved, real

FLIGHTS_FILE = "flights-jan-apr.jsonl.gz"


def test_a_worker_killed_again_and_again_at_random_moments_counts_exactly(kafka: KafkaServer, tmp_path: Path) -> None:
    file = real(FLIGHTS_FILE)
    lab = Lab(kafka, tmp_path, FLIGHTS, "killed")
    rng = random.Random(5)
    sent = lab.send(map(as_record, truth.lines(file)))
    worker = lab.worker
    seen: list[int] = []
    for _ in range(5):
        worker.start()
        wait_until(lambda: worker.total("molehill_received_total") > 0, 60, "the first events", every=0.05)
        time.sleep(rng.uniform(0, 1.0))
        seen.append(worker.total("molehill_received_total"))
        worker.kill()
    worker.start()
    samples = worker.settled(sent)
    assert seen == sorted(seen), "a counter went back over a restart"
    assert events_total(samples) == truth.totals(file)
    assert_conserved(samples)
    assert sum(samples["molehill_received_total"].values()) == sent
    worker.kill()


@pytest.mark.parametrize("end", ["SIGTERM", "kill -9"])
def test_a_second_worker_that_comes_and_goes_changes_no_total_and_exports_no_series_twice(
    kafka: KafkaServer, tmp_path: Path, end: str
) -> None:
    file = real(FLIGHTS_FILE)
    lab = Lab(kafka, tmp_path, FLIGHTS, f"joined-{end[:3].lower()}")
    lines = truth.lines(file)
    half = len(lines) // 2
    first = lab.worker
    second = WorkerProcess(lab.brokers, lab.catalogue, tmp_path / "w2", lab.app)
    with first, second:
        lab.send(map(as_record, lines[:half]))
        wait_until(lambda: first.ready() and second.ready(), 60, "both workers ready")

        def shared() -> bool:
            a, b = first.samples(), second.samples()
            got = [set(x.get("molehill_received_total", ())) for x in (a, b)]
            series = [set(x.get("cx_events_total", ())) for x in (a, b)]
            count = sum(sum(x.get("molehill_received_total", {}).values()) for x in (a, b))
            apart = not got[0] & got[1] and not series[0] & series[1]
            return apart and all(got) and len(got[0] | got[1]) == 8 and count >= half

        wait_until(shared, 60, "the partitions shared", every=0.5)
        lab.send(map(as_record, lines[half:]))
        time.sleep(1)
        if end == "SIGTERM":
            assert second.stop() == 0
        else:
            second.kill()
        samples = first.settled(len(lines))
        wait_until(lambda: events_total(first.samples()) == truth.totals(file), 30, "exact totals")
        assert_conserved(samples)
