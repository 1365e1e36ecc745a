"""`molehill doctor` on a real Kafka: a healthy application, and several sick ones."""

import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from agents.broker import TopicSpec, ensure_topics
from tests.integration.catalogues import OLIST
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import STAMPED, STRUCTURED, Lab, Record
from tests.integration.test_emit import ROOT

DEAD = "127.0.0.1:1"
MOMENTS = ("checkout", "payment-approval", "delivery")


def doctor(lab: Lab, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """(exit code, check → its worst finding)."""
    names = [x for k, v in lab.topics.items() for x in (f"--{k}", v)]
    command = ["--brokers", lab.brokers, "--catalogue", str(lab.catalogue), "--app", lab.app, *names, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", "doctor", *command, *arguments],
        capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    found.sort(key=lambda f: ("ok", "warn", "fail").index(f["status"]))
    return done.returncode, {f["check"].replace(lab.app, "APP"): f for f in found}


def statuses(found: dict[str, dict[str, str]], status: str) -> set[str]:
    return {check for check, f in found.items() if f["status"] == status}


def event(n: int, moment: str = "checkout", ahead_s: float = 0, **data: Any) -> Record:
    body = {"moment": moment, "customer": f"c{n}", **data}
    at = datetime.now(UTC) + timedelta(seconds=ahead_s)
    whole = {"specversion": "1.0", "id": str(n), "source": "t", "type": "cx.touchpoint", "time": at.isoformat()}
    return "touchpoints", f"c{n}".encode(), orjson.dumps(whole | {"data": body}), STRUCTURED


def survey(n: int) -> Record:
    at = datetime.now(UTC).isoformat()
    whole = {"specversion": "1.0", "id": str(n), "source": "t", "type": "cx.survey", "time": at}
    return (
        "feedback",
        f"c{n}".encode(),
        orjson.dumps(whole | {"data": {"customer": f"c{n}", "survey": "nps"}}),
        STRUCTURED,
    )


def lab_of(kafka: KafkaServer, home: Path, **more: Any) -> Lab:
    lab = Lab(kafka, home, OLIST, f"doctor-{uuid.uuid4().hex[:6]}", **more)
    if more.get("declare", True):
        ensure_topics(lab.brokers, [TopicSpec(lab.topics["dead-letters"], 4)], equal=())
    return lab


def test_a_healthy_application_is_ok_in_every_check(kafka: KafkaServer, tmp_path: Path) -> None:
    lab = lab_of(kafka, tmp_path)
    with lab.worker as worker:
        sent = lab.send([event(n, MOMENTS[n % 3], segment={"state": "SP"}) for n in range(99)])
        worker.settled(sent)
        wait_until(
            lambda: not any(worker.samples("molehill_lag_events")["molehill_lag_events"].values()), 120, "no lag"
        )
        wait_until(lambda: doctor(lab)[1]["lag APP"]["status"] == "ok", 120, "commits")
        code, found = doctor(lab, "--worker", worker.url, "--probe")
        assert {check: f for check, f in found.items() if f["status"] != "ok"} == {}
        assert code == 0
        assert "99 newest events: the key is the customer" in found["keys APP.t"]["what"]
        assert {"catalogue", "broker", "partitions", "worker", "watermarks", "clock", "moments"} <= found.keys()
        assert found["series"]["what"].endswith(" exported, none over --max-series")
        topics = {f"topic APP.{x}" for x in ("t", "f", "dead", "tallies", "journal", "snapshots")}
        assert topics <= statuses(found, "ok")
        with KafkaAdminClient(bootstrap_servers=lab.brokers) as admin:
            assert not [t for t in admin.list_topics() if ".doctor." in t]
        lab.send([event(100, "checkuot", segment={"state": "SP"}), survey(1)])
        worker.settled(sent + 2)
        _, later = doctor(lab, "--worker", worker.url)
        assert "checkuot (did you mean checkout?)" in later["moments"]["what"]
        url = worker.url
    # A killed static member is one until its session ends.
    wait_until(lambda: doctor(lab)[1]["lag APP"]["status"] == "fail", 120, "the group to be empty")
    code, found = doctor(lab, "--worker", url)
    assert code == 1
    assert statuses(found, "fail") == {"lag APP", "worker"}
    assert "no worker runs" in found["lag APP"]["what"]
    assert "does not answer" in found["worker"]["what"]


def test_topics_that_do_not_fit_are_each_named(kafka: KafkaServer, tmp_path: Path) -> None:
    lab = lab_of(kafka, tmp_path, declare=False)
    ensure_topics(lab.brokers, [TopicSpec(lab.topics["touchpoints"], 2, {"cleanup.policy": "compact"})], equal=())
    short = STAMPED | {"retention.ms": "60000"}
    ensure_topics(lab.brokers, [TopicSpec(lab.topics["feedback"], 3, short)], equal=())
    ensure_topics(lab.brokers, [TopicSpec(f"{lab.app}.journal", 3, {"cleanup.policy": "delete"})], equal=())
    code, found = doctor(lab)
    assert code == 1
    failed = {"partitions", "topic APP.t", "topic APP.f", "topic APP.dead", "topic APP.journal", "lag APP"}
    assert statuses(found, "fail") == failed
    assert "topic APP.tallies" in statuses(found, "warn")
    assert "cleanup.policy=delete" in found["topic APP.t"]["todo"]
    assert "less than allowed_lateness (1h)" in found["topic APP.f"]["what"]
    with KafkaAdminClient(bootstrap_servers=lab.brokers) as admin:
        change = {"cleanup.policy": "compact"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"{lab.app}.journal", configs=change)])
    wait_until(lambda: "topic APP.journal" in statuses(doctor(lab)[1], "ok"), 30, "the cure is seen")


def test_keys_times_and_contents_that_are_wrong_are_counted(kafka: KafkaServer, tmp_path: Path) -> None:
    lab = lab_of(kafka, tmp_path)
    topic, _, value, headers = event(1)
    lab.send([(topic, None, value, headers), (topic, b"another", value, headers), (topic, b"c1", b"{}", headers)])
    home = _partition(b"c2")
    lab.send([event(2)], partition=lambda record: (home + 1) % 4)
    lab.send([event(3, ahead_s=900)])
    lab.send([event(n, segment={"state": f"s{n}"}) for n in range(10, 70)])
    code, found = doctor(lab)
    assert code == 1
    assert statuses(found, "fail") == {"time APP.t", "lag APP"}
    what = found["keys APP.t"]["what"]
    assert what == "1 of 64 newest events have no key; 1 of 64 newest events have a key other than their customer"
    assert found["events APP.t"]["what"] == "of 65 newest records would be refused: bad_envelope 1"
    assert found["time APP.t"]["what"].startswith("1 of 65 newest events are over 5 min ahead")
    assert "60 values in the newest events, over the limit of 50" in found["segment state"]["what"]
    assert "payment-approval, delivery" in found["moments"]["what"]
    assert "65 records wait" in found["lag APP"]["what"]
    misplaced = lab_of(kafka, tmp_path / "other")
    misplaced.send([event(2)], partition=lambda record: (home + 1) % 4)
    assert "not where murmur2 puts their key" in doctor(misplaced)[1]["keys APP.t"]["what"]


def _partition(key: bytes) -> int:
    from kafka.partitioner.default import murmur2

    return int(murmur2(key) & 0x7FFFFFFF) % 4


def test_old_events_and_a_bad_catalogue_are_said(kafka: KafkaServer, tmp_path: Path) -> None:
    lab = lab_of(kafka, tmp_path)
    lab.send([event(1, ahead_s=-7200)])
    assert "the clock stands still there" in doctor(lab)[1]["time APP.t"]["what"]
    lab.catalogue.write_text(OLIST.replace("99%", "100%"))
    code, found = doctor(lab)
    assert code == 1
    assert found["catalogue"]["what"].endswith("has 3 problems")
    assert found["catalogue"]["todo"].startswith("molehill check ")
    assert "moments" not in found


def test_a_broker_that_is_away_is_one_failed_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", "doctor", "--brokers", DEAD],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("warn  catalogue: none was given → ")
    assert second.startswith(f"fail  broker: no broker answers at {DEAD}")
