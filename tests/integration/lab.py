"""An application of its own on the shared broker: topics, a worker, a producer, and readers of what came out."""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from agents.broker import TopicSpec, ensure_topics
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer

PARTITIONS = 4
STAMPED = {"message.timestamp.type": "LogAppendTime"}
Record = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes | None]]]  # kind, key, value, headers


class Lab:
    """`kind` is "touchpoints" or "feedback"; topics are named after the application."""

    def __init__(
        self, kafka: KafkaServer, home: Path, catalogue: str, app: str, *, declare: bool = True, **options: str
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.brokers = kafka.bootstrap
        self.catalogue = home / "moments.yaml"
        self.catalogue.write_text(catalogue)
        self.worker = WorkerProcess(self.brokers, self.catalogue, home / "w1", app, **options)
        self.topics = self.worker.topics
        self.app = app
        if declare:
            sources = [TopicSpec(self.topics[k], PARTITIONS, STAMPED) for k in ("touchpoints", "feedback")]
            ensure_topics(self.brokers, sources, equal=())

    def send(self, records: Iterable[Record], partition: Callable[[Record], int | None] = lambda r: None) -> int:
        """Sends records in their order; returns how many."""
        producer = KafkaProducer(
            bootstrap_servers=self.brokers, linger_ms=20, batch_size=400_000, compression_type="lz4",
            max_request_size=4_000_000,
        )  # fmt: skip
        n = 0
        futures = []
        for record in records:
            kind, key, value, headers = record
            future = producer.send(
                self.topics[kind], key=key, value=value, headers=headers, partition=partition(record)
            )
            if len(value or b"") > 100_000:
                futures.append(future)
            n += 1
        producer.flush()
        for future in futures:
            future.get(timeout=30)
        producer.close()
        return n

    def read(self, topic: str) -> list[Any]:
        """Every record of a topic, from its beginning to its end now."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.brokers, enable_auto_commit=False, isolation_level="read_committed"
        )
        tps = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        ends = consumer.end_offsets(tps)
        out: list[Any] = []
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            for records in consumer.poll(timeout_ms=500).values():
                out += records
        consumer.close()
        return out

    def records_in(self, topic: str) -> int:
        """How many offsets a topic has used."""
        consumer = KafkaConsumer(bootstrap_servers=self.brokers)
        tps = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        n = sum(consumer.end_offsets(tps).values())
        consumer.close()
        return int(n)


STRUCTURED: list[tuple[str, bytes | None]] = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def as_record(line: bytes) -> Record:
    """A line of a file of events, keyed by its customer."""
    event = orjson.loads(line)
    kind = "touchpoints" if event["type"] == "cx.touchpoint" else "feedback"
    return kind, event["data"]["customer"].encode(), line, STRUCTURED


def promtool(text: str, tmp: Path) -> str:
    """What `promtool check metrics` has to say; nothing is good."""
    tool = shutil.which("promtool")
    assert tool is not None
    run = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    return run.stdout + run.stderr if run.returncode else run.stderr
