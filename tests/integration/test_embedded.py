"""The embedded broker of the demo: what it can, what it cannot, and that nothing of it stays behind."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from agents.broker import TopicSpec, ensure_topics, source_specs
from agents.embedded import embedded_broker
from agents.sender import Sender
from streams.errors import BrokerError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def embedded() -> Iterator[str]:
    with embedded_broker() as broker:
        yield broker.brokers


def test_the_embedded_broker_takes_topics_and_events_and_gives_them_back(embedded: str) -> None:
    assert [r.created for r in ensure_topics(embedded, source_specs())] == [True] * 3
    assert [r.created or r.differs for r in ensure_topics(embedded, source_specs())] == [{}] * 3
    with Sender(embedded) as sender:
        for number in range(500):
            sender.send("cx.touchpoints", b"c%d" % (number % 9), b"%d" % number)
        outcome = sender.flush()
    assert (outcome.sent, outcome.failed) == (500, 0)
    consumer = KafkaConsumer(
        "cx.touchpoints",
        bootstrap_servers=embedded,
        group_id="g",
        session_timeout_ms=3_000,
        heartbeat_interval_ms=1_000,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    with contextlib.closing(consumer):
        found: list[Any] = []
        deadline = time.monotonic() + 90
        while len(found) < 500 and time.monotonic() < deadline:
            for batch in consumer.poll(200).values():
                found += batch
        consumer.commit()
    assert len(found) == 500
    assert found[0].headers == [("content-type", b"application/cloudevents+json")]


def test_the_embedded_broker_still_has_the_limits_that_its_docstring_lists(embedded: str) -> None:
    """Should one of these fail, Tansu has learnt something, and the demo may lean on it."""
    log_append = TopicSpec("limits", 1, {"message.timestamp.type": "LogAppendTime"})
    ensure_topics(embedded, [log_append])
    with contextlib.closing(KafkaProducer(bootstrap_servers=embedded, linger_ms=30_000)) as producer:
        futures = [producer.send("limits", b"v", b"k", timestamp_ms=1_000) for _ in range(10)]
        producer.flush()
        assert futures[-1].get(60).timestamp == 1_000  # LogAppendTime is not obeyed
    partition = TopicPartition("limits", 0)
    with contextlib.closing(KafkaConsumer(bootstrap_servers=embedded)) as consumer:
        assert consumer.end_offsets([partition]) == {partition: 1}  # of ten
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        consumer.poll(5_000)
        assert consumer.highwater(partition) == 10


def test_nothing_is_left_of_the_embedded_broker_however_its_parent_ends() -> None:
    code = (
        "import os, sys\n"
        "from agents.embedded import embedded_broker\n"
        "with embedded_broker() as broker:\n"
        "    print(broker.pid, flush=True)\n"
        "    os.kill(os.getpid(), int(sys.argv[1])) if sys.argv[1] != '0' else None\n"
    )
    for number in ("0", str(int(signal.SIGKILL))):
        done = subprocess.run(
            [sys.executable, "-c", code, number], capture_output=True, timeout=120, cwd=ROOT, check=False
        )
        pid = int(done.stdout)
        deadline = time.monotonic() + 90
        while is_running(pid):
            assert time.monotonic() < deadline, f"the broker outlived its parent (signal {number})"
            time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether it still executes: a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_port_that_is_taken_is_a_clear_error(embedded: str) -> None:
    port = int(embedded.rpartition(":")[2])
    taken = pytest.raises(BrokerError, match=f"127.0.0.1:{port}: the embedded broker cannot have it")
    with taken, embedded_broker(port):
        pass
