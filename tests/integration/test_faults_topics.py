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
from streams.route import MAX_SEGMENT_VALUE
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import PARTITIONS, Record
from tests.integration.mortal import DEAD
from tests.integration.siege import Siege
from tests.integration.siege_load import CATALOGUE, event_bytes, load
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


CAP = 512 * 1024  # bytes of one record of molehill's own; brokers take twice that unless told otherwise
OWN = ("journal", "tallies", "snapshots", "candidates", "desk", "board")  # topics
REGIONS = 100
BIG = CATALOGUE.replace("region: {limit: 20}", f"region: {{limit: {REGIONS}}}")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789é"


def big_events(count: int) -> Iterator[Record]:
    """Ids of some 256 bytes, and segments with values as long as a label may be; neither compresses."""
    rng = random.Random(46)
    regions = ["".join(rng.choices(LETTERS, k=MAX_SEGMENT_VALUE)) for _ in range(REGIONS)]
    for i in range(count):
        ident = f"{i}-" + "".join(rng.choices(LETTERS, k=240))
        outcome = "failed" if i % 3 == 0 else "ok"  # the board names the segments that fail
        data = {"moment": f"m{i % 40}", "outcome": outcome, "segment": {"region": regions[i // 40 % REGIONS]}}
        yield "touchpoints", b"one", event_bytes("cx.touchpoint", ident, 1740787200.0 + i / 100, "one", data), []


def largest(siege: Siege, topic: str) -> int:
    """Bytes of the largest record of one of molehill's own topics: its key, value and headers."""
    return max(
        len(r.key or b"") + len(r.value or b"") + sum(len(k) + len(v or b"") for k, v in r.headers)
        for r in siege.read(f"{siege.app}.{topic}")
    )


@pytest.mark.slow
def test_no_record_of_its_own_is_larger_than_512_kib_and_a_flush_of_several_survives_death_between_them(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    """One partition, ids of 256 bytes and 4,000 series with values of 128 characters: a flush takes many records of
    the journal and several of the tallies, a snapshot several chunks. A changelog row near 1 MB would end a worker:
    every record on every topic of molehill's own is well below it, though those that grow with all this are large."""
    often = {"agents.health.SNAPSHOT_S": 1.0}
    with Siege(kafka, tmp_path, "big", BIG) as siege:
        siege.send(big_events(40_000))
        for point in ("journal:2", "journal:5", "journal:12", "tallies:2"):
            siege.worker.launch(point, often)
            assert siege.worker.ended(60) == DEAD, siege.worker.said()
        siege.worker.launch("", often)
        wait_until(siege.worker.found, 30, "its pages")
        siege.scrape()
        truth = siege.verify()
        assert len({moment for moment, *_ in truth.totals}) == 40  # more than the catalogue admits would be `other`
        assert len({segment for _, segment, *_ in truth.totals}) == 1 + REGIONS
        wait_until(lambda: siege.records_in(f"{siege.app}.board") > 0, 30, "a board")
        sizes = {topic: largest(siege, topic) for topic in OWN if siege.records_in(f"{siege.app}.{topic}")}
        assert max(sizes.values()) <= CAP, sizes
        assert min(sizes[topic] for topic in ("journal", "tallies", "snapshots")) > CAP / 3, sizes
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
