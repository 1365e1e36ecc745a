"""`topics`, `emit` and `replay` against a real Kafka."""

import contextlib
import gzip
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.partitioner.default import murmur2

from agents.broker import TopicSpec, ensure_topics, source_specs
from agents.sender import partition_of
from streams.errors import BrokerError
from tests.integration.kafka_server import KafkaServer

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT.parent / "shared" / "data" / "flights-jan-apr.jsonl.gz"


@dataclass(frozen=True)
class Topics:
    """A pair of source topics of a test's own."""

    brokers: str
    touchpoints: str
    feedback: str
    dead_letters: str

    @property
    def options(self) -> list[str]:
        return ["--brokers", self.brokers, "--touchpoints", self.touchpoints, "--feedback", self.feedback]

    @property
    def equal(self) -> tuple[str, str]:
        return self.touchpoints, self.feedback

    def specs(self, partitions: int | None = None) -> list[TopicSpec]:
        return source_specs(partitions, self.touchpoints, self.feedback, self.dead_letters)


@pytest.fixture
def fresh(kafka: KafkaServer) -> Topics:
    """Names that do not exist yet."""
    name = uuid.uuid4().hex[:8]
    return Topics(kafka.bootstrap, f"t-{name}", f"f-{name}", f"d-{name}")


@pytest.fixture
def topics(fresh: Topics) -> Topics:
    """Topics that exist, of 4 partitions."""
    ensure_topics(fresh.brokers, fresh.specs(), equal=fresh.equal)
    return fresh


def molehill(*arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "agents.cli", *arguments],
        input=stdin,
        capture_output=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )


def event(number: int, kind: str = "cx.touchpoint", **more: Any) -> bytes:
    data = {"moment": "checkout", "customer": f"c{number % 7}", **more}
    body = {"specversion": "1.0", "id": str(number), "source": "t", "type": kind, "data": data}
    return orjson.dumps(body | {"time": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z"})


def records(brokers: str, topic: str) -> list[Any]:
    """Everything in a topic, by partition and offset."""
    consumer = KafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False)
    with contextlib.closing(consumer):
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        while any(consumer.position(p) < ends[p] for p in partitions):
            for batch in consumer.poll(1000).values():
                found += batch
    return sorted(found, key=lambda r: (r.partition, r.offset))


def config(brokers: str, topic: str) -> dict[str, str]:
    with KafkaAdminClient(bootstrap_servers=brokers) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        return {key: entry["value"] for key, entry in found.items()}


# --- topics ---------------------------------------------------------------------------------------------


def test_topics_are_created_with_the_brokers_time_and_room_for_dead_letters(fresh: Topics) -> None:
    arguments = ["topics", *fresh.options, "--dead-letters", fresh.dead_letters, "--partitions", "3"]
    first, second = molehill(*arguments), molehill(*arguments)
    assert first.returncode == second.returncode == 0, first.stderr
    assert first.stdout.decode().split() == [
        "TOPIC", "PARTITIONS", "STATUS",
        fresh.touchpoints, "3", "created",
        fresh.feedback, "3", "created",
        fresh.dead_letters, "3", "created",
    ]  # fmt: skip
    assert second.stdout.count(b" ok\n") == 3
    assert second.stderr == b""
    assert config(fresh.brokers, fresh.touchpoints)["message.timestamp.type"] == "LogAppendTime"
    assert config(fresh.brokers, fresh.feedback)["message.timestamp.type"] == "LogAppendTime"
    assert config(fresh.brokers, fresh.dead_letters)["max.message.bytes"] == str(2 * 1024 * 1024)


def test_another_partition_count_is_refused_with_the_way_to_migrate(topics: Topics) -> None:
    with pytest.raises(BrokerError, match=r"found 4 partitions, expected 6; .* migrate") as caught:
        ensure_topics(topics.brokers, topics.specs(6), equal=topics.equal)
    assert "\n" not in str(caught.value)


def test_a_missing_topic_gets_the_partitions_of_its_equal(fresh: Topics) -> None:
    ensure_topics(fresh.brokers, [TopicSpec(fresh.feedback, 5)], equal=fresh.equal)
    reports = ensure_topics(fresh.brokers, fresh.specs(), equal=fresh.equal)
    assert [(r.partitions, r.created) for r in reports] == [(5, True), (5, False), (5, True)]


def test_source_topics_that_differ_are_refused_and_nothing_is_created(fresh: Topics) -> None:
    ensure_topics(fresh.brokers, [TopicSpec(fresh.touchpoints, 2)], equal=())
    ensure_topics(fresh.brokers, [TopicSpec(fresh.feedback, 3)], equal=())
    with pytest.raises(BrokerError, match=r"has 2 and \S+ has 3, expected equal counts. To migrate"):
        ensure_topics(fresh.brokers, fresh.specs(), equal=fresh.equal)
    with KafkaAdminClient(bootstrap_servers=fresh.brokers) as admin:
        assert fresh.dead_letters not in admin.list_topics()


def test_a_topic_without_the_brokers_time_is_a_warning_and_stays_as_it_is(fresh: Topics) -> None:
    ensure_topics(fresh.brokers, [TopicSpec(fresh.touchpoints, 2)], equal=())
    done = molehill("topics", *fresh.options, "--dead-letters", fresh.dead_letters)
    assert done.returncode == 0
    found = f"warning: {fresh.touchpoints}: message.timestamp.type: found CreateTime, expected LogAppendTime"
    assert done.stderr.decode().startswith(found)
    assert config(fresh.brokers, fresh.touchpoints)["message.timestamp.type"] == "CreateTime"


# --- emit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz", "-"])
def test_emit_sends_every_line_unchanged_to_its_topic_keyed_by_customer(
    topics: Topics, tmp_path: Path, name: str
) -> None:
    kinds = ("cx.touchpoint", "cx.feedback", "cx.survey")
    lines = [event(n, kinds[n % 3]).replace(b'"1.0"', b' "1.0"  ') for n in range(300)]
    text = b"\n".join(lines) + b"\n"
    path = tmp_path / name
    if name != "-":
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    done = molehill("emit", *topics.options, "-" if name == "-" else str(path), stdin=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"sent 300 failed 0\n", b"")
    touchpoints, feedback = (records(topics.brokers, t) for t in topics.equal)
    assert sorted(r.value for r in touchpoints) == sorted(lines[0::3])
    assert sorted(r.value for r in feedback) == sorted(lines[1::3] + lines[2::3])
    for record in touchpoints + feedback:
        assert record.key.decode() == orjson.loads(record.value)["data"]["customer"]
        assert record.headers == [("content-type", b"application/cloudevents+json")]
        assert record.timestamp_type == 1  # LogAppendTime
        assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % 4
    ids = [[int(orjson.loads(r.value)["id"]) for r in touchpoints if r.partition == p] for p in range(4)]
    assert ids == [sorted(i) for i in ids]  # the order of the file


def test_lines_that_cannot_be_sent_are_counted_and_the_first_five_are_shown(topics: Topics) -> None:
    bad = [
        b"not json",
        b'{"type": "cx.touchpoint"}',
        event(3, "com.example.other"),
        b'{"type": "cx.touchpoint", "data": {"customer": 5}}',
        b'{"type": "cx.survey", "data": {"customer": "\xff"}}',
        b"[]",
        b'{"type": "cx.survey", "data": {"customer": "\\ud800"}}',
    ]
    lines = [event(0), *bad, event(1)]
    done = molehill("emit", *topics.options, stdin=b"\n".join(lines))
    assert (done.returncode, done.stdout) == (1, b"sent 2 failed 7\n")
    shown = done.stderr.decode().splitlines()
    assert len(shown) == 6
    assert [line.split(": ")[0] for line in shown[:5]] == [f"<stdin>:{n}" for n in range(2, 7)]
    assert "found 'com.example.other', expected cx.touchpoint, cx.feedback or cx.survey" in shown[2]
    assert shown[5] == "<stdin>: and 2 more lines"
    assert len(records(topics.brokers, topics.touchpoints)) == 2


def test_an_event_that_the_broker_finds_too_large_fails_and_the_rest_goes_on(topics: Topics) -> None:
    lines = [event(0), event(1, comment=os.urandom(2_000_000).hex()), event(2)]
    done = molehill("emit", *topics.options, stdin=b"\n".join(lines))
    assert (done.returncode, done.stdout) == (1, b"sent 2 failed 1\n")
    assert done.stderr.startswith(b"<stdin>:2: the broker refuses it: ")


def test_a_file_that_is_cut_off_is_sent_as_far_as_it_goes(topics: Topics, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    data = gzip.compress(b"\n".join(event(n, note=os.urandom(99).hex()) for n in range(5_000)))
    path.write_bytes(data[: len(data) // 2])
    done = molehill("emit", *topics.options, str(path))
    assert done.returncode == 1
    sent = int(done.stdout.split()[1])
    assert done.stderr.decode() == (f"molehill: {path}:{sent + 1}: the gzip data ends early: the file is cut off\n")
    assert len(records(topics.brokers, topics.touchpoints)) == sent > 1_000


def test_missing_topics_are_named_with_the_command_that_creates_them(fresh: Topics) -> None:
    done = molehill("emit", *fresh.options, stdin=event(1))
    assert done.returncode == 1
    assert f"topic {fresh.touchpoints} is missing: `molehill topics".encode() in done.stderr


@pytest.mark.skipif(not FLIGHTS.exists(), reason=f"{FLIGHTS} is not here")
def test_a_large_file_arrives_whole(topics: Topics) -> None:
    done = molehill("emit", *topics.options, str(FLIGHTS))
    assert (done.returncode, done.stdout) == (0, b"sent 214927 failed 0\n")
    assert sum(1 for _ in records(topics.brokers, topics.touchpoints)) == 214_927


@given(st.binary(max_size=64), st.integers(1, 100))
def test_a_customer_has_the_partition_that_every_other_producer_gives_him(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


# --- replay ---------------------------------------------------------------------------------------------


def test_replay_takes_no_less_than_event_time_asks_for(topics: Topics) -> None:
    lines = b"\n".join(event(n) for n in (0, 60, 30, 120))  # two minutes, one event late
    started = time.monotonic()
    done = molehill("replay", *topics.options, "--speed", "60", stdin=lines)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"sent 4 failed 0\n", b"")
    assert time.monotonic() - started >= 2.0


def test_replay_at_full_speed_does_not_wait(topics: Topics) -> None:
    """Of the hour between the two: this process would be ended long before."""
    done = molehill("replay", *topics.options, "--speed", "max", stdin=event(0) + b"\n" + event(3_599))
    assert (done.returncode, done.stdout) == (0, b"sent 2 failed 0\n")


@pytest.mark.parametrize("when", [b"", b', "time": "yesterday"', b', "time": "2026-01-01T00:00:00"'])
def test_replay_counts_an_event_without_a_usable_time_as_failed(topics: Topics, when: bytes) -> None:
    line = b'{"type": "cx.touchpoint", "data": {"customer": "c"}' + when + b"}"
    done = molehill("replay", *topics.options, stdin=line)
    assert (done.returncode, done.stdout) == (1, b"sent 0 failed 1\n")
    assert done.stderr.startswith(b"<stdin>:1: ")
    assert b"time" in done.stderr


def test_ctrl_c_flushes_what_was_taken_prints_the_counts_and_exits_with_130(topics: Topics) -> None:
    command = [sys.executable, "-m", "agents.cli", "replay", *topics.options, "--speed", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"\n".join([event(0)] * 50 + [event(3_000), b""]))
        process.stdin.flush()
        deadline = time.monotonic() + 90
        while not records(topics.brokers, topics.touchpoints):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=90)
    assert process.returncode == 130
    assert output == b"sent 50 failed 0\n"
    assert len(records(topics.brokers, topics.touchpoints)) == 50
