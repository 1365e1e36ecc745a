"""The live worker tells of the same moles as `backtest`, whoever dies and however many share the work."""

import random
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.backtest import Backtest
from streams.candidates import announcement
from streams.catalogue import parse
from streams.moles import Transition
from tests import truth
from tests.integration.catalogues import FLIGHTS
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import Lab, as_record
from tests.integration.test_exact import real

SIX_WEEKS = 76_000  # flights, with the snow storm of 8 February
Told = dict[str, dict[str, Any]]  # id of the CloudEvent → the event


pytestmark = pytest.mark.timeout(900)  # a guard against hanging: the waits add up to more than the usual one


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return truth.lines(real("flights-jan-apr.jsonl.gz"))[:SIX_WEEKS]


@pytest.fixture(scope="module")
def expected(lines: list[bytes]) -> Told:
    """What backtest tells, as the worker would say it."""
    backtest = Backtest(parse(FLIGHTS, "flights.yaml"))
    told: list[Transition] = []
    for i in range(0, len(lines), 1000):
        told += backtest.feed(lines[i : i + 1000])
    told += backtest.finish()
    events = [orjson.loads(announcement(t, "")) for t in told]
    assert len(events) == len({e["id"] for e in events}) > 10
    return {e["id"]: e["data"] for e in events}


def told(lab: Lab) -> Told:
    """What stands on the topic; a repeat must be the same."""
    out: Told = {}
    for record in lab.read(lab.topics["moles"]):
        event = orjson.loads(record.value)
        assert record.key.decode() == event["subject"] == event["data"]["id"]
        assert out.setdefault(event["id"], event["data"]) == event["data"]
    return out


def clock(worker: WorkerProcess) -> int:
    return int(orjson.loads(worker.text("/api/moles"))["clock"]) if worker.ready() else 0


def caught_up(worker: WorkerProcess, lines: list[bytes]) -> None:
    last = max(datetime.fromisoformat(orjson.loads(x)["time"]).timestamp() for x in lines[-2000:])
    wait_until(lambda: clock(worker) >= last // 10 * 10, 240, "the desk at the end of the file", every=1)


def assert_same(lab: Lab, expected: Told) -> None:
    """What is found at the very end is told a moment later."""
    wait_until(lambda: told(lab).keys() >= expected.keys(), 90, "the last of them told", every=1)
    found = told(lab)
    assert sorted(found) == sorted(expected)
    assert found == expected


def test_a_worker_tells_of_the_moles_that_backtest_finds(
    kafka: KafkaServer, tmp_path: Path, lines: list[bytes], expected: Told
) -> None:
    lab = Lab(kafka, tmp_path, FLIGHTS, "moles-one")
    with lab.worker as worker:
        lab.send(map(as_record, lines))
        caught_up(worker, lines)
        assert_same(lab, expected)
        shown = {m["id"]: m for m in orjson.loads(worker.text("/api/moles"))["moles"]}
        up = {e["id"] for e in expected.values()} & {i for i, m in shown.items() if m["whacked"] is None}
        active = worker.samples("cx_mole_active").get("cx_mole_active", {})
        assert len(active) == len({(shown[i]["moment"], shown[i]["segment"], shown[i]["signal"]) for i in up})
        counted = worker.samples("cx_moles_total")["cx_moles_total"]
        for event in ("popped", "whacked", "repopped"):
            said = sum(v for labels, v in counted.items() if ("event", event) in labels)
            assert said == sum(i.endswith(f".{event}") for i in expected)
        assert worker.stop() == 0, worker.said()
        assert_same(lab, expected)  # and now nothing more can come


def test_two_workers_of_whom_one_is_killed_again_and_again_tell_of_the_same_moles_once(
    kafka: KafkaServer, tmp_path: Path, lines: list[bytes], expected: Told
) -> None:
    lab = Lab(kafka, tmp_path, FLIGHTS, "moles-two")
    first = lab.worker
    second = WorkerProcess(lab.brokers, lab.catalogue, tmp_path / "w2", lab.app)
    rng = random.Random(11)
    with first, second:
        lab.send(map(as_record, lines))
        for _ in range(3):
            for worker in (first, second):
                wait_until(lambda w=worker: w.ready(), 120, "ready")  # type: ignore[misc]
            time.sleep(rng.uniform(0, 4))
            victim = rng.choice((first, second))
            victim.kill()
            victim.start()
        caught_up(first, lines)
        caught_up(second, lines)
        assert_same(lab, expected)

        def answers() -> list[Any]:
            return [orjson.loads(w.text("/api/moles")) for w in (first, second)]

        wait_until(lambda: answers()[0] == answers()[1], 90, "both to answer the same")

        def exported() -> list[int]:
            return [len(w.samples("cx_moles_total").get("cx_moles_total", {})) for w in (first, second)]

        wait_until(lambda: sorted(exported()) == [0, max(exported())], 90, "one of them to export the moles")
        for worker in (first, second):
            assert worker.stop() == 0, worker.said()
        assert_same(lab, expected)  # and now nothing more can come
