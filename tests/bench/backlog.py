"""Puts a load on its topics, once, with librdkafka: kafka-python would take longer than all the drains."""

import importlib
from collections.abc import Iterable
from typing import Any

import orjson

from agents.broker import TopicSpec, ensure_topics
from tests.bench.loads import Load

PARTITIONS = 4
STAMPED = {"message.timestamp.type": "LogAppendTime"}
HEADERS = [("content-type", b"application/cloudevents+json")]


def make_topics(brokers: str, topics: Iterable[str]) -> None:
    """Source topics as `molehill topics` makes them."""
    ensure_topics(brokers, [TopicSpec(topic, PARTITIONS, STAMPED) for topic in topics], equal=())


def producer(brokers: str, linger_ms: int = 20) -> Any:
    """A confluent-kafka producer that partitions as Java clients do."""
    kafka: Any = importlib.import_module("confluent_kafka")
    return kafka.Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": linger_ms,
            "batch.size": 400_000,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
            "max.in.flight.requests.per.connection": 1,  # in order, also after a retry
            "log_level": 3,
        }
    )


def fill(brokers: str, load: Load, topic: str = "") -> None:
    """Every line, keyed by its customer, in order; raises where one was not acknowledged. `topic`: one that is
    there, and not the load's own."""
    if not topic:
        topic = load.topic("touchpoints")
        make_topics(brokers, [topic, load.topic("feedback")])
    failed: list[str] = []

    def told(error: Any, message: Any) -> None:
        if error is not None:
            failed.append(str(error))

    client = producer(brokers)
    with load.file.open("rb") as lines:
        for i, line in enumerate(lines):
            line = line.rstrip(b"\n")
            key = orjson.loads(line)["data"]["customer"].encode()
            while True:
                try:
                    client.produce(topic, line, key, headers=HEADERS, on_delivery=told)
                    break
                except BufferError:
                    client.poll(0.1)
            if i == 0:
                client.flush()  # until it knows the topic, what waits for its partition can be overtaken
            if i % 1000 == 0:
                client.poll(0)
    client.flush()
    if failed:
        raise RuntimeError(f"{len(failed)} events of {load.name} could not be sent: {failed[0]}")
