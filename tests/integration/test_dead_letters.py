"""`molehill dead-letters` on a real Kafka: what is listed, what goes back, and that nothing goes twice or is lost."""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from agents.broker import TopicSpec, ensure_topics
from streams import names
from tests.integration.catalogues import OLIST
from tests.integration.harness import events_total
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import STRUCTURED, Lab
from tests.integration.test_emit import ROOT, records

Header = tuple[str, bytes | None]


def _at(offset: int) -> Header:
    return names.H_OFFSET, str(offset).encode()


async def produce(
    brokers: str, topic: str, letters: list[tuple[int, bytes | None, bytes | None, list[Header]]]
) -> None:
    """Records of whatever kind (milliseconds, key, value, headers): a batch, since `send` wants a key or a value."""
    async with AIOKafkaProducer(bootstrap_servers=brokers) as producer:
        batch = producer.create_batch()
        for at_ms, key, value, headers in letters:
            assert batch.append(timestamp=at_ms, key=key, value=value, headers=headers)
        batch.close()
        await (await producer.send_batch(batch, topic, partition=0))


class Desk:
    """Topics of a test's own, and the command on them."""

    def __init__(self, brokers: str) -> None:
        name = uuid.uuid4().hex[:8]
        self.brokers, self.app = brokers, f"app-{name}"
        self.source, self.letters = f"s-{name}", f"d-{name}"
        ensure_topics(brokers, [TopicSpec(self.source, 4), TopicSpec(self.letters, 3)], equal=())

    def run(self, action: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        where = ["--brokers", self.brokers, "--dead-letters", self.letters, "--app", self.app]
        return subprocess.run(
            [sys.executable, "-m", "agents.cli", "dead-letters", action, *where, *arguments],
            capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
        )  # fmt: skip

    def refuse(self, *offsets: int, reason: str = names.BAD_FIELD, value: bytes | None = b"v", **more: Any) -> None:
        """Letters as a worker writes them."""
        own: list[Header] = [
            (names.H_REASON, reason.encode()),
            (names.H_ERROR, b"data.moment: expected a name"),
            (names.H_TOPIC, str(more.get("topic", self.source)).encode()),
            (names.H_PARTITION, str(more.get("partition", 1)).encode()),
        ]
        digest: list[Header] = [(names.H_SHA256, b"0" * 64)] if more.get("hashed") else []
        at_ms = more.get("at", int(time.time() * 1000))
        letters = [
            (at_ms + 1000 * i, more.get("key", b"c"), value, [*more.get("headers", ()), *own, _at(n), *digest])
            for i, n in enumerate(offsets)
        ]
        asyncio.run(produce(self.brokers, self.letters, letters))

    def returned(self) -> list[Any]:
        return records(self.brokers, self.source)


@pytest.fixture
def desk(kafka: KafkaServer) -> Desk:
    return Desk(kafka.bootstrap)


def test_letters_go_back_byte_for_byte_to_their_partition_and_never_twice(desk: Desk) -> None:
    odd: list[Header] = [("content-type", b"\xff"), ("molehill_topic", b"mine"), ("empty", b""), ("null", None)]
    desk.refuse(7, value=b"\x00\xff{", key=None, headers=odd, partition=3)
    desk.refuse(8, reason=names.BAD_ENVELOPE, value=None, key=b"\xfe", partition=0)
    desk.refuse(8, reason=names.BAD_ENVELOPE, value=None, key=b"\xfe", partition=0)  # letters are at least once
    desk.refuse(9, reason=names.BAD_ENVELOPE, value=None, key=None, partition=0)
    first, second = desk.run("requeue"), desk.run("requeue")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        f"sent 3 to {desk.source}", "sent back 3, failed 0", "left 1: sent back before",
    ]  # fmt: skip
    assert second.stdout.splitlines() == ["sent back 0, failed 0", "left 4: sent back before"]
    found = [(r.partition, r.key, r.value, r.headers) for r in desk.returned()]
    assert found == [(0, b"\xfe", None, []), (0, None, None, []), (3, None, b"\x00\xff{", odd)]
    desk.refuse(10)
    assert desk.run("requeue").stdout.splitlines()[1] == "sent back 1, failed 0"
    assert len(desk.returned()) == 4


def test_what_is_too_late_goes_back_by_force_only_and_what_has_no_value_never(desk: Desk) -> None:
    desk.refuse(1, reason=names.TOO_LATE)
    desk.refuse(2, reason=names.TOO_LARGE, value=b"", hashed=True)
    done = desk.run("requeue")
    assert done.stdout.splitlines() == [
        "sent back 0, failed 0",
        "left 1: too_late: they would be so again (--force sends them)",
        "left 1: too large to be kept: only their hash is there",
    ]
    refused = desk.run("requeue", "--reason", "too_late")
    assert refused.returncode == 2
    assert refused.stderr.startswith("molehill: --reason too_late: ")
    assert desk.returned() == []
    assert "sent back 1, failed 0" in desk.run("requeue", "--reason", "too_late", "--force").stdout
    assert len(desk.returned()) == 1


def test_filters_choose_and_a_dry_run_sends_nothing(desk: Desk) -> None:
    desk.refuse(*range(5), reason=names.BAD_JSON)
    desk.refuse(10, reason=names.FROM_FUTURE)
    desk.refuse(11, reason=names.FROM_FUTURE, topic="elsewhere")
    desk.refuse(12, reason=names.FROM_FUTURE, at=int(time.time() - 7200) * 1000)
    dry = desk.run("requeue", "--dry-run")
    assert dry.stdout.splitlines() == [
        "would send 1 to elsewhere", f"would send 7 to {desk.source}", "would send back 8, failed 0",
    ]  # fmt: skip
    assert desk.returned() == []
    chosen = ["--reason", "from_future", "--topic", desk.source, "--since", "1h"]
    assert desk.run("requeue", *chosen).stdout.splitlines()[-1] == "sent back 1, failed 0"
    assert (
        desk.run("requeue", "--reason", "bad_json", "--limit", "2").stdout.splitlines()[-1] == "sent back 2, failed 0"
    )
    assert (
        desk.run("requeue", "--reason", "bad_json", "--limit", "2").stdout.splitlines()[1] == "sent back 2, failed 0"
    )
    assert len(desk.returned()) == 5


def test_a_letter_whose_topic_is_gone_fails_alone_and_the_exit_code_is_1(desk: Desk) -> None:
    desk.refuse(1, topic="elsewhere")
    desk.refuse(2)
    done = desk.run("requeue")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"sent 1 to {desk.source}", "sent back 1, failed 1"]
    assert done.stderr == "elsewhere/1/1: not sent: its topic is missing\n"
    assert desk.run("requeue").stdout.splitlines()[-1] == "left 1: sent back before"


def test_list_shows_the_newest_with_reason_and_place_and_no_content(desk: Desk) -> None:
    secret = b'{"data": {"customer": "alice", "comment": "my card 4711"}}'
    began = int(time.time()) - 600
    stamp = f"{datetime.fromtimestamp(began + 59, UTC):%Y-%m-%dT%H:%M:%SZ}"
    desk.refuse(*range(60), value=secret, key=b"alice", at=began * 1000)
    desk.run("requeue", "--limit", "3")
    done = desk.run("list", "--limit", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["TIME", "REASON", "EVENT", "BYTES", "SENT", "BACK", "ERROR"]
    assert lines[2].split() == [
        stamp, "bad_field", f"{desk.source}/1@59", "58", "data.moment:", "expected", "a", "name",
    ]  # fmt: skip
    assert len(lines) == 3
    assert done.stderr == "60 dead letters: bad_field 60; shown 2\n"
    rows = [json.loads(x) for x in desk.run("list", "--json").stdout.splitlines()]
    assert len(rows) == 50
    assert (
        sum(json.loads(x)["sent_back"] for x in desk.run("list", "--json", "--limit", "99").stdout.splitlines()) == 3
    )
    shown = done.stdout + desk.run("list", "--json").stdout
    assert "alice" not in shown
    assert "4711" not in shown


def test_missing_topics_and_bad_times_are_one_clear_line(desk: Desk) -> None:
    missing = desk.run("list", "--dead-letters", "nothing-here")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert missing.stderr.startswith("molehill: topic nothing-here is missing")
    wrong = desk.run("list", "--since", "yesterday")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "expected 30m, 2h, 1d, or a time" in wrong.stderr


def _event(identity: str, **data: Any) -> bytes:
    body = {"specversion": "1.0", "id": identity, "source": "t", "type": "cx.touchpoint", "data": data}
    return orjson.dumps(body | {"time": "2026-01-01T00:00:00Z"})


def test_what_goes_back_to_a_worker_counts_once_or_becomes_a_new_letter(kafka: KafkaServer, tmp_path: Path) -> None:
    lab = Lab(kafka, tmp_path, OLIST, f"requeue-{uuid.uuid4().hex[:6]}")
    good = _event("1", moment="checkout", customer="c")
    bad = _event("2", moment="checkout")
    lab.send([("touchpoints", b"c", good, STRUCTURED), ("touchpoints", b"c", bad, STRUCTURED)])

    def requeue(*arguments: str) -> Iterable[str]:
        command = [sys.executable, "-m", "agents.cli", "dead-letters", "requeue", "--brokers", kafka.bootstrap]
        command += ["--dead-letters", lab.topics["dead-letters"], "--app", lab.app, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=True
        ).stdout.splitlines()

    with lab.worker as worker:
        worker.settled(2)
        assert "sent back 1, failed 0" in requeue()
        worker.settled(3)
        wait_until(lambda: len(lab.read(lab.topics["dead-letters"])) == 2, 30, "two letters")
        letters = lab.read(lab.topics["dead-letters"])
        assert [r.value for r in letters] == [bad, bad]
        # As after a crash between the sending and the mark: the same event is there twice.
        own = [(k, b"99" if k == names.H_OFFSET else v) for k, v in letters[0].headers if k.startswith("molehill_")]
        letter = int(time.time() * 1000), b"c", good, [*STRUCTURED, *own]
        asyncio.run(produce(kafka.bootstrap, lab.topics["dead-letters"], [letter]))
        assert "sent back 2, failed 0" in requeue()
        samples = worker.settled(5)
        assert sum(samples["molehill_duplicates_total"].values()) == 1
        assert sum(samples["molehill_rejected_total"].values()) == 3
        assert events_total(samples) == {("checkout", "all", "outcome", "good"): 1}
