"""Events that the broker deleted before anybody read them: counted as gone, and said, and the rest goes on."""

import uuid
from pathlib import Path

from kafka import KafkaAdminClient, TopicPartition

from tests.integration.catalogues import OLIST
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer
from tests.integration.lab import STRUCTURED, Lab
from tests.integration.test_emit import event


def skipped(worker: WorkerProcess) -> dict[str, float]:
    """By partition, of the touchpoints' topic."""
    found = worker.samples("molehill_skipped_offsets_total")["molehill_skipped_offsets_total"]
    return {dict(labels)["partition"]: n for labels, n in found.items() if dict(labels)["topic"].endswith(".t")}


def test_events_that_are_deleted_while_no_worker_runs_are_said_to_be_gone(kafka: KafkaServer, tmp_path: Path) -> None:
    lab = Lab(kafka, tmp_path, OLIST, f"skipped-{uuid.uuid4().hex[:6]}")
    topic = lab.topics["touchpoints"]

    def send(first: int, count: int) -> None:
        lab.send((("touchpoints", b"c", event(i), STRUCTURED) for i in range(first, first + count)), lambda r: 1)

    def delete(before: int) -> None:
        admin = KafkaAdminClient(bootstrap_servers=lab.brokers)
        admin.delete_records({TopicPartition(topic, 1): before})
        admin.close()

    send(0, 10)
    delete(4)  # before anybody came: never ours
    with lab.worker as worker:
        worker.settled(6)
        assert set(skipped(worker).values()) == {0}
        assert worker.stop() == 0
    send(10, 10)
    delete(15)
    with lab.worker as worker:
        worker.settled(11)
        assert skipped(worker) == {"0": 0, "1": 5, "2": 0, "3": 0}
        assert f"{topic}/1: offsets 10 to 14 were deleted before they were read" in worker.said()
