"""A record without key and value, which Kafka allows and producers' libraries do not, is one refused event."""

import asyncio
import time
import uuid
from pathlib import Path

from tests.integration.catalogues import OLIST
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import STRUCTURED, Lab
from tests.integration.test_dead_letters import produce
from tests.integration.test_emit import event


def test_a_record_without_key_and_value_is_refused_and_stops_nothing(kafka: KafkaServer, tmp_path: Path) -> None:
    lab = Lab(kafka, tmp_path, OLIST, f"empty-{uuid.uuid4().hex[:6]}")
    at_ms = int(time.time() * 1000)
    asyncio.run(produce(lab.brokers, lab.topics["touchpoints"], [(at_ms, None, None, [("why", b"not")])]))
    lab.send([("touchpoints", b"c", event(1), STRUCTURED)])
    with lab.worker as worker:
        samples = worker.settled(2)
        assert sum(samples["molehill_rejected_total"].values()) == 1
        wait_until(lambda: len(lab.read(lab.topics["dead-letters"])) == 1, 30, "the letter")
        letter = lab.read(lab.topics["dead-letters"])[0]
        assert (letter.key, letter.value, dict(letter.headers)["molehill_reason"]) == (None, None, b"bad_envelope")
