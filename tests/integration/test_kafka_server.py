"""The broker that all other integration tests stand on."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import UnknownTopicOrPartitionError

from tests.integration.kafka_server import KafkaServer, wait_until

CODECS = [None, "gzip", "lz4", "snappy", "zstd"]


@pytest.fixture
def topic(kafka: KafkaServer) -> Iterator[str]:
    name = f"kafka-server-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.create_topics([NewTopic(name=name, num_partitions=2, replication_factor=1)])
    admin.close()
    yield name
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_topics([name])
    admin.close()


def send(kafka: KafkaServer, topic: str, values: list[bytes], codec: str | None = None) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all", compression_type=codec)
    futures = [producer.send(topic, key=value, value=value) for value in values]
    for future in futures:
        future.get(timeout=20)
    producer.close()


def read(kafka: KafkaServer, topic: str, count: int) -> list[bytes]:
    """Through a consumer group, because workers use one; the values in any order."""
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap,
        group_id=f"{topic}-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
    )
    values: list[bytes] = []

    def enough() -> bool:
        for records in consumer.poll(timeout_ms=500).values():
            values.extend(record.value for record in records)
        return len(values) >= count

    try:
        wait_until(enough, 30, f"{count} records in {topic}")
    finally:
        consumer.close()
    return sorted(values)


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_produced_is_consumed_with_every_codec(kafka: KafkaServer, topic: str, codec: str | None) -> None:
    sent = [b"%04d" % number for number in range(100)]
    send(kafka, topic, sent, codec)
    assert read(kafka, topic, len(sent)) == sent


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_acknowledged_records_survive_a_restart_on_the_same_port(kafka: KafkaServer, topic: str, kill: bool) -> None:
    before = kafka.bootstrap
    send(kafka, topic, [b"1", b"2"])
    kafka.restart(kill=kill)
    assert kafka.bootstrap == before
    send(kafka, topic, [b"3"])
    assert read(kafka, topic, 3) == [b"1", b"2", b"3"]


def test_topics_are_never_made_by_a_typing_error(kafka: KafkaServer) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        answer = admin.describe_topics(["no-such-topic"])
        assert [topic["error_code"] for topic in answer] == [UnknownTopicOrPartitionError.errno]
        assert "no-such-topic" not in admin.list_topics()
    finally:
        admin.close()


def test_the_broker_dies_with_the_tests_even_when_they_are_killed(kafka: KafkaServer, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tests.integration.kafka_server import KafkaServer\n"
        f"server = KafkaServer(Path({str(kafka.jars)!r}), Path({str(tmp_path)!r}))\n"
        "server.start(); print(server.pid, flush=True); time.sleep(300)\n"
    )
    tests = subprocess.Popen(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )
    assert tests.stdout is not None
    with tests, tests.stdout:
        broker = psutil.Process(int(tests.stdout.readline()))
        assert broker.is_running()
        tests.kill()
        gone, alive = psutil.wait_procs([broker], timeout=10)
    assert (gone, alive) == ([broker], [])
