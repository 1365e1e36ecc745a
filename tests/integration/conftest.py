"""One real Apache Kafka for the whole run; tests keep apart by their own topics and application ids."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.kafka_server import KafkaServer, kafka_jars


@pytest.fixture(scope="session")
def kafka(require_tools: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A running broker. A test that stops or kills it starts it again before it ends."""
    require_tools("java", "mvn")
    pom = Path(__file__).parents[2] / "deploy" / "kafka" / "pom.xml"
    server = KafkaServer(kafka_jars(pom), tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.close()
