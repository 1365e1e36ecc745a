"""A worker on a topic that was there already: exact counts, its real name everywhere, clear refusals."""

import json
import random
import subprocess
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaProducer

from agents.broker import TopicSpec, ensure_topics
from tests.integration.harness import WorkerProcess, events_total
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import STAMPED, STRUCTURED, Lab
from tests.integration.test_emit import ROOT, event

CATALOGUE = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
segments: {country: {limit: 20}}
moments:
  checkout: {title: Pay, tier: game-over, signals: {outcome: {objective: 99%}, wait: {objective: 95%, within: 30s}}}
  delivery: {title: Receive it, tier: important, signals: {csat: {objective: 80%}}}
sources:
  orders:
    topic: ORDERS
    otherwise: skip
    events:
      paid:
        type: cx.touchpoint
        when: {$.kind: payment}
        id: [$.order, $.attempt]
        time: {from: $.at_ms, format: epoch_ms}
        data:
          moment: checkout
          customer: $.customer.number
          outcome: {from: $.state, map: {PAID: ok, DECLINED: failed}}
          wait_s: {from: $.took_ms, scale: 0.001}
          segment: {country: $.customer.country}
      rated:
        type: cx.feedback
        when: {$.kind: rating}
        time: {from: $.at, format: "%d.%m.%Y %H:%M:%S", zone: UTC}
        data: {moment: delivery, customer: $key, survey: csat, score: $.stars}
"""
BASE_MS = 1_767_268_800_000


def orders(count: int) -> list[tuple[bytes, dict[str, Any]]]:
    """Records as an order system writes them: payments (some twice), ratings, broken ones, others."""
    rng = random.Random(7)
    out: list[tuple[bytes, dict[str, Any]]] = []
    for n in range(count):
        customer = rng.randrange(50)
        key = str(customer).encode()
        at = BASE_MS + n * 100
        if n % 7 == 6:
            out.append((key, {"kind": "shipment", "order": n}))
        elif n % 5 == 4:
            stamp = datetime.fromtimestamp(at // 1000, UTC).strftime("%d.%m.%Y %H:%M:%S")
            out.append((key, {"kind": "rating", "at": stamp, "stars": str(rng.randint(1, 5))}))
        else:
            who = {"number": customer, "country": rng.choice(["DE", "BR", "JP"])}
            state = rng.choice(["PAID"] * 8 + ["DECLINED", "UNKNOWN"])
            more = {"attempt": 1, "took_ms": rng.choice([900, 30_000, 30_001])}
            out.append((key, {"kind": "payment", "order": n, "at_ms": at, "customer": who, "state": state, **more}))
            if n % 11 == 0:
                out.append(out[-1])
    return out


def truth(records: list[tuple[bytes, dict[str, Any]]]) -> tuple[Counter[Any], Counter[str]]:
    """(good and bad by series, what became of the records), in a plain loop of its own."""
    totals: Counter[Any] = Counter()
    became: Counter[str] = Counter()
    seen: set[int] = set()
    for _, r in records:
        if r["kind"] == "shipment":
            continue
        became["received"] += 1
        if r["kind"] == "rating":
            totals["delivery", "all", "csat", "good" if int(r["stars"]) >= 4 else "bad"] += 1
        elif r["state"] == "UNKNOWN":
            became["rejected"] += 1
        elif r["order"] in seen:
            became["duplicate"] += 1
        else:
            seen.add(r["order"])
            for segment in ("all", f"country={r['customer']['country']}"):
                totals["checkout", segment, "outcome", "good" if r["state"] == "PAID" else "bad"] += 1
                totals["checkout", segment, "wait", "good" if r["took_ms"] <= 30_000 else "bad"] += 1
    return totals, became


def lab_of(kafka: KafkaServer, home: Path, partitions: int = 4) -> tuple[Lab, str]:
    """An application, and an order topic that is not molehill's."""
    app = f"mapped-{uuid.uuid4().hex[:6]}"
    topic = f"{app}.orders"
    lab = Lab(kafka, home, CATALOGUE.replace("ORDERS", topic), app)
    if partitions:
        ensure_topics(kafka.bootstrap, [TopicSpec(topic, partitions, STAMPED)], equal=())
    return lab, topic


def send(kafka: KafkaServer, topic: str, records: list[tuple[bytes, dict[str, Any]]]) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20)
    for key, body in records:
        producer.send(topic, orjson.dumps(body), key)
    producer.flush()
    producer.close()


def counts(worker: WorkerProcess, metric: str, topic: str) -> int:
    found = worker.samples(f"molehill_{metric}_total").get(f"molehill_{metric}_total", {})
    return int(sum(n for labels, n in found.items() if ("topic", topic) in labels))


def test_a_mapped_topic_is_counted_exactly_through_a_kill_and_beside_molehills_own(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    lab, topic = lab_of(kafka, tmp_path)
    records = orders(6_000)
    totals, became = truth(records)
    send(kafka, topic, records[: len(records) // 2])
    with lab.worker as worker:
        wait_until(lambda: counts(worker, "received", topic) > 0, 120, "the first records")
        worker.kill()
        send(kafka, topic, records[len(records) // 2 :])
        own = [("touchpoints", b"c", event(n, moment="checkout"), STRUCTURED) for n in range(10)]
        worker.start()
        lab.send(own)
        samples = worker.settled(became["received"] + 10)
        totals["checkout", "all", "outcome", "good"] += 10
        assert events_total(samples) == dict(totals)
        assert counts(worker, "received", topic) == became["received"]
        assert counts(worker, "duplicates", topic) == became["duplicate"] > 0
        assert counts(worker, "rejected", topic) == became["rejected"] > 0
        assert counts(worker, "accepted", topic) == became["received"] - became["duplicate"] - became["rejected"]
        wait_until(
            lambda: not any(worker.samples("molehill_lag_events")["molehill_lag_events"].values()), 120, "no lag"
        )
        letters = lab.read(lab.topics["dead-letters"])
        originals = {(r.partition, r.offset): r for r in lab.read(topic)}
        found = {}
        for letter in letters:
            h = dict(letter.headers)
            assert h["molehill_topic"].decode() == topic
            place = int(h["molehill_partition"]), int(h["molehill_offset"])
            assert (letter.key, letter.value) == (originals[place].key, originals[place].value)
            assert (h["molehill_reason"], h["molehill_error"]) == (
                b"bad_field", b"data.outcome: expected one of the 2 values of its map at $.state",
            )  # fmt: skip
            found[place] = letter
        assert len(found) == became["rejected"]
        assert doctor(lab)[f"keys {topic}"]["what"].endswith("the key is the customer, placed by murmur2")
        assert worker.stop() == 0


def doctor(lab: Lab) -> dict[str, dict[str, str]]:
    names = [x for k, v in lab.topics.items() for x in (f"--{k}", v)]
    command = ["--brokers", lab.brokers, "--catalogue", str(lab.catalogue), "--app", lab.app, *names, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", "doctor", *command],
        capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
    )  # fmt: skip
    return {(f := json.loads(line))["check"]: f for line in done.stdout.splitlines()}


def refusal(lab: Lab) -> str:
    """The one line that the worker ends with."""
    lab.worker.launch()
    assert lab.worker.ended(60) != 0
    return lab.worker.said().splitlines()[-1]


def test_a_mapped_topic_of_another_partition_count_is_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    lab, topic = lab_of(kafka, tmp_path, partitions=6)
    said = refusal(lab)
    assert said.startswith(f"molehill: sources.orders: topic {topic} has 6 partitions and {lab.app}.f has 4")
    assert "expected equal counts" in said
    assert "Traceback" not in lab.worker.said()


def test_a_mapped_topic_that_is_missing_or_molehills_own_is_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    lab, topic = lab_of(kafka, tmp_path, partitions=0)
    assert refusal(lab) == f"molehill: sources.orders: topic {topic} is missing: correct its name, or make it first"
    assert doctor(lab)[f"topic {topic}"]["todo"].startswith("correct its name in the catalogue")
    lab.catalogue.write_text(CATALOGUE.replace("ORDERS", f"{lab.app}.tallies"))
    assert "found one of molehill's own topics" in refusal(lab)
