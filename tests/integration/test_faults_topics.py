"""Fault matrix: what comes in, and the topics that it comes in by."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from agents.broker import TopicSpec, ensure_topics
from streams.journal import MAX_BYTES
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer
from tests.integration.lab import PARTITIONS, Record
from tests.integration.siege import Siege
from tests.integration.siege_load import event_bytes, load
from tests.integration.siege_truth import truth_of

CODECS = ("lz4", "zstd", "gzip", "snappy")


def test_every_codec_is_read(kafka: KafkaServer, tmp_path: Path) -> None:
    """Without a codec's library one message ends a consumer."""
    with Siege(kafka, tmp_path, "codecs") as siege:
        for i, codec in enumerate(CODECS):
            producer = KafkaProducer(bootstrap_servers=siege.brokers, compression_type=codec, linger_ms=20)
            for kind, key, value, headers in load(1000, seed=40 + i, begin=1740787200.0 + 600 * i):
                producer.send(siege.topics[kind], key=key, value=value, headers=headers)
            producer.flush()
            producer.close()
        siege.worker.start()
        siege.scrape()
        siege.verify()


def transactions(siege: Siege, records: Iterator[Record], name: str) -> int:
    """Sends in transactions of 200, every third of which is aborted, the last one too; returns how many counted."""
    producer = KafkaProducer(
        bootstrap_servers=siege.brokers, transactional_id=name, enable_idempotence=True, acks="all", linger_ms=5
    )
    producer.init_transactions()
    batch: list[Record] = []
    counted = turn = 0

    def end() -> None:
        nonlocal counted, turn
        producer.begin_transaction()
        for kind, key, value, headers in batch:
            producer.send(siege.topics[kind], key=key, value=value, headers=headers)
        producer.flush()
        turn += 1
        if turn % 3 == 0:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
            counted += len(batch)
        batch.clear()

    for record in records:
        batch.append(record)
        if len(batch) == 200:
            end()
    batch.append(("touchpoints", b"x", b"aborted with what is left", []))
    while turn % 3 != 2:
        turn += 1
    end()
    producer.close()
    return counted


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_events_of_aborted_transactions_do_not_count(kafka: KafkaServer, tmp_path: Path, when: str) -> None:
    """Aborted records and transaction markers take offsets too: neither may be counted, nor stay as lag."""
    with Siege(kafka, tmp_path, f"tx-{when}") as siege:
        if when == "meanwhile":
            siege.worker.start()
        sent = transactions(siege, load(3000, seed=45), f"tx-{when}")
        truth = truth_of(siege.sources())
        assert sum(truth.received.values()) == sent
        assert siege.records_in(siege.topics["touchpoints"]) + siege.records_in(siege.topics["feedback"]) > sent
        if when == "before":
            siege.worker.start()
        siege.scrape()
        siege.verify()


def big_events(count: int) -> Iterator[Record]:
    """Ids of 256 characters that do not compress, and many segments."""
    rng = random.Random(46)
    for i in range(count):
        ident = f"{i}-" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789é", k=240))
        data = {"moment": f"m{i % 40}", "segment": {"region": f"region-{i % 20}-" + "x" * 100}}
        yield "touchpoints", b"one", event_bytes("cx.touchpoint", ident, 1740787200.0 + i / 100, "one", data), []


@pytest.mark.slow
def test_a_flush_of_several_records_near_the_limit_survives_death_between_them(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    """One partition, ids of 256 characters: a flush's entry takes many records of 450 kB, the last completes it."""
    with Siege(kafka, tmp_path, "big") as siege:
        siege.send(big_events(40_000))
        for point in ("journal:2", "journal:5", "journal:12", "tallies:2"):
            siege.worker.launch(point)
            assert siege.worker.ended(60) == 77, siege.worker.said()
        siege.worker.start()
        siege.scrape()
        truth = siege.verify()
        assert len({moment for moment, *_ in truth.totals}) == 40  # more than the catalogue admits would be `other`
        values = [len(r.value or b"") for r in siege.read(f"{siege.app}.journal")]
        assert 0.98 * MAX_BYTES < max(values) <= MAX_BYTES  # ids alone fill a record up to what it may hold
        siege.worker.kill()
        siege.worker.start()
        siege.verify(truth=truth)


def refusal(worker: WorkerProcess) -> str:
    """What a worker that cannot start says: exit code 1 and one line."""
    worker.launch()
    assert worker.ended(30) == 1, worker.said()
    assert len(worker.said().splitlines()) == 1, worker.said()
    return worker.said()


def test_unequal_partition_counts_are_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    """One customer's events would lie on different partitions of the two topics."""
    with Siege(kafka, tmp_path, "unequal", declare=False) as siege:
        ensure_topics(
            siege.brokers,
            [TopicSpec(siege.topics["touchpoints"], 4), TopicSpec(siege.topics["feedback"], 3)],
            equal=(),
        )
        said = refusal(siege.worker)
        assert said.startswith("molehill: partitions: unequal.t has 4 and unequal.f has 3, expected equal counts")
        assert "To migrate" in said


def test_a_changed_partition_count_is_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    """Keys have moved: what is remembered of a customer is on another partition now."""
    with Siege(kafka, tmp_path, "changed") as siege:
        siege.worker.start()
        siege.worker.stop()
        admin = KafkaAdminClient(bootstrap_servers=siege.brokers)
        admin.create_partitions({siege.topics[k]: PARTITIONS + 2 for k in ("touchpoints", "feedback")})
        admin.close()
        time.sleep(1)
        said = refusal(siege.worker)
        assert "found 4 partitions, expected 6" in said
        assert "fixed for the life of an application" in said


@pytest.mark.parametrize("offset_s", [-600, 600])
def test_without_broker_timestamps_the_wall_clock_says_what_is_from_the_future(
    kafka: KafkaServer, tmp_path: Path, offset_s: int
) -> None:
    """On a CreateTime topic a record's timestamp is its sender's, whose clock may be ahead or behind."""
    with Siege(kafka, tmp_path, f"ct{'ahead' if offset_s > 0 else 'behind'}", declare=False) as siege:
        config = {"message.timestamp.type": "CreateTime"}
        ensure_topics(
            siege.brokers, [TopicSpec(siege.topics[k], 4, config) for k in ("touchpoints", "feedback")], equal=()
        )
        now = time.time()
        producer = KafkaProducer(bootstrap_servers=siege.brokers, linger_ms=20)
        ahead: dict[str, Any] = {"moment": "pay", "outcome": "ok"}
        for i in range(600):
            at = now - 300 + i if i % 2 else now + 1000 + i
            producer.send(
                siege.topics["touchpoints"], key=b"one", timestamp_ms=int((now + offset_s) * 1000),
                value=event_bytes("cx.touchpoint", f"x{i}", at, "one", ahead),
            )  # fmt: skip
        producer.flush()
        producer.close()
        siege.worker.start()
        siege.scrape()
        truth = siege.truth(now=now)
        assert len(truth.letters) == 300
        siege.verify(truth=truth)
        siege.worker.kill()
        siege.worker.start()
        siege.verify(truth=truth)
