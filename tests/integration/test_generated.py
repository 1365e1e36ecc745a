"""What `molehill generate` writes, on real servers: a shop's events → Kafka → a worker → Prometheus → Alertmanager.

Moles that a worker does not export yet come from a page beside it, in the contract's words; as soon as a worker
has one of those metrics, the page leaves it out.
"""

import contextlib
import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.simulate import Shop
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import PARTITIONS, Lab
from tests.integration.prometheus_server import (
    AlertmanagerServer,
    Exposition,
    PrometheusServer,
    Webhook,
    closing,
)

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "deploy" / "moments.yaml"
SINCE = dt.timedelta(hours=12)
OUTAGE = 400  # payments, all of them failed, in the last minutes

MOLES = """\
# TYPE cx_mole_active gauge
cx_mole_active{moment="support-call",segment="all",signal="wait",kind="burn",tier="important"} 1
# TYPE cx_moles_total counter
cx_moles_total{moment="support-call",kind="burn",event="popped"} %(n)d
cx_moles_total{moment="support-call",kind="burn",event="acked"} %(n)d
cx_moles_total{moment="support-call",kind="burn",event="whacked"} %(n)d
cx_moles_total{moment="support-call",kind="burn",event="repopped"} %(n)d
# TYPE cx_mole_detect_seconds histogram
cx_mole_detect_seconds_bucket{tier="important",le="600"} %(n)d
cx_mole_detect_seconds_bucket{tier="important",le="+Inf"} %(n)d
cx_mole_detect_seconds_sum{tier="important"} %(n)d
cx_mole_detect_seconds_count{tier="important"} %(n)d
# TYPE cx_mole_whack_seconds histogram
cx_mole_whack_seconds_bucket{tier="important",le="3600"} %(n)d
cx_mole_whack_seconds_bucket{tier="important",le="+Inf"} %(n)d
cx_mole_whack_seconds_sum{tier="important"} %(n)d
cx_mole_whack_seconds_count{tier="important"} %(n)d
"""


def moles_but(exported: str, n: int) -> str:
    """The samples of MOLES whose family a worker does not export."""
    families = re.split(r"^(?=# TYPE )", MOLES % {"n": n}, flags=re.M)
    return "".join(f for f in families if f and f"# TYPE {f.split()[2]} " not in exported)


def molehill(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shop_events(now: dt.datetime, since: dt.timedelta) -> Iterator[bytes]:
    """The shop's events, and a payment outage in the last four minutes, by time."""
    yield from (value for _, _, value in Shop(now).events(now - since, now))
    for i in range(OUTAGE):
        at = now - dt.timedelta(seconds=240 - 240 * i / OUTAGE)
        data = {
            "moment": "checkout-payment",
            "customer": f"c{i}",
            "outcome": "failed",
            "segment": {"region": "north"},
        }
        event = {"specversion": "1.0", "id": f"outage-{i}", "source": "test", "type": "cx.touchpoint"}
        yield json.dumps(event | {"time": at.isoformat(), "data": data}).encode()


@dataclass
class World:
    """Everything that runs."""

    worker: WorkerProcess
    prometheus: PrometheusServer
    alertmanager: AlertmanagerServer
    webhook: Webhook
    generated: Path
    emit: Callable[[list[bytes]], None]


@pytest.fixture(scope="module")
def world(
    kafka: KafkaServer, require_tools: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    require_tools("prometheus", "prometheus-alertmanager")
    home = tmp_path_factory.mktemp("world")
    lab = Lab(kafka, home, CATALOGUE.read_text(), f"world{os.getpid()}")
    events = home / "events.jsonl"

    def emit(lines: list[bytes]) -> None:
        events.write_bytes(b"\n".join(lines) + b"\n")
        topics = [x for name in ("touchpoints", "feedback") for x in (f"--{name}", lab.topics[name])]
        molehill("emit", "--brokers", kafka.bootstrap, *topics, str(events))

    lines = list(shop_events(dt.datetime.now(dt.UTC), SINCE))
    emit(lines)
    generated = home / "generated"
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(lab.worker)
        worker.settled(len(lines), partitions=PARTITIONS)
        webhook = Webhook()
        stack.enter_context(closing(webhook))
        molehill(
            "generate", str(CATALOGUE), "--out", str(generated), "--pager", f"{webhook.url}/page",
            "--tickets", f"{webhook.url}/ticket",
        )  # fmt: skip
        exported = worker.text()
        beside = Exposition(moles_but(exported, 1))
        alertmanager = AlertmanagerServer(home / "am", generated / "alertmanager" / "alertmanager.yml")
        prometheus = PrometheusServer(
            home / "prom",
            [worker.url.removeprefix("http://"), beside.target],
            generated / "prometheus" / "*.rules.yml",
            alertmanager.url.removeprefix("http://"),
        )
        stack.enter_context(closing(beside, alertmanager, prometheus))
        wait_until(lambda: prometheus.has("moment:cx_moment_info:one"), 60, "the first evaluation")
        beside.text = moles_but(exported, 5)
        now = dt.datetime.now(dt.UTC)
        emit([value for _, _, value in Shop(now, seed=2).events(now - dt.timedelta(minutes=10), now)])
        wait_until(lambda: prometheus.has("sum(increase(molehill_received_total[2m])) > 0"), 60, "new events")
        yield World(worker, prometheus, alertmanager, webhook, generated, emit)


def selectors(expr: str) -> set[str]:
    """The series that a query reads."""
    found = re.findall(r"(?<![\w:])((?:[a-z_]+:)?(?:cx|molehill)_[a-z_]+(?::[a-z_]+)?|up)\b(\{[^}]*\})?", expr)
    return {name + matchers for name, matchers in found}


def load(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def test_every_recorded_series_has_data(world: World) -> None:
    names = {
        rule["record"] for rule in load(world.generated / "prometheus" / "molehill.rules.yml") if "record" in rule
    }
    assert names
    assert [name for name in sorted(names) if not world.prometheus.has(name)] == []


def test_every_alert_reads_series_that_exist(world: World) -> None:
    rules = [rule for rule in load(world.generated / "prometheus" / "molehill.rules.yml") if "alert" in rule]
    read = {(rule["alert"], s) for rule in rules for s in selectors(rule["expr"])}
    assert len({alert for alert, _ in read}) == len(rules)
    # The catalogue that runs is the one of the rules, so the others are none.
    missing = [x for x in sorted(read) if not world.prometheus.has(re.sub(r'\{fingerprint!="\w+"\}', "", x[1]))]
    assert missing == []


def test_every_rule_is_evaluated_without_a_fault(world: World) -> None:
    rules = world.prometheus.rules()
    assert len(rules) == len(load(world.generated / "prometheus" / "molehill.rules.yml"))
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []


def panels(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title and query of every panel."""
    for panel in dashboard["panels"]:
        for each in (panel, *(panel.get("panels") or ())):
            for target in each.get("targets") or ():
                yield each["title"], target["expr"]


def filled(expr: str, **variables: str) -> str:
    """A query as Grafana sends it."""
    values = {"__rate_interval": "1m", "__range": "10m", "__interval": "10s", "window": "1h", **variables}
    return re.sub(r"\$\{?(\w+)\}?", lambda m: values[m.group(1)], expr)


def test_every_panel_shows_data(world: World) -> None:
    moments = list(yaml.safe_load(CATALOGUE.read_text())["moments"])
    signals = ["outcome", "wait"]
    empty, seen = [], 0
    for path in sorted((world.generated / "grafana").glob("*.json")):
        for title, expr in panels(json.loads(path.read_text())):
            seen += 1
            tries = (
                filled(expr, moment=moment, segment="all", signal=signal) for moment in moments for signal in signals
            )
            if not any(world.prometheus.has(each) for each in dict.fromkeys(tries)):
                empty.append((path.stem, title, expr))
    assert seen > 50
    assert empty == []


def test_every_variable_and_annotation_finds_values(world: World) -> None:
    found = 0
    for path in sorted((world.generated / "grafana").glob("*.json")):
        dashboard = json.loads(path.read_text())
        for annotation in dashboard["annotations"]["list"]:
            assert world.prometheus.has(filled(annotation["expr"], moment=".*")), (path.stem, annotation)
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                query = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
                assert query, variable
                labels = world.prometheus.query(f"count by ({query[2]}) ({filled(query[1], moment='delivery')})")
                assert all(label[query[2]] for label, _ in labels), variable
                found += len(labels)
    assert found > 10


@pytest.mark.slow
def test_an_outage_becomes_one_page_with_its_numbers_and_a_dead_pipeline_mutes_the_rest(world: World) -> None:
    def fired() -> list[dict[str, Any]]:
        return [
            a
            for a in world.prometheus.alerts()
            if a["labels"]["alertname"] == "CxBurnFast" and a["state"] == "firing"
        ]

    wait_until(fired, 300, "the burn alert of the outage")
    (alert,) = (
        a for a in fired() if a["labels"]["moment"] == "checkout-payment" and a["labels"]["signal"] == "outcome"
    )
    labels = {
        "tier": "game-over",
        "severity": "page",
        "owner": "payments",
        "segment": "all",
        "component": "customers",
    }
    assert labels.items() <= alert["labels"].items()
    assert "instance" not in alert["labels"]
    texts = alert["annotations"]
    assert texts["summary"].startswith("Pay for the order: ")
    assert re.search(r"\b[4-9]\d\d of \d+ went wrong in the last hour", texts["description"]), texts
    assert "objective is 99.5%" in texts["description"]
    assert texts["runbook_url"] == "https://example.com/runbooks/checkout-payment"
    assert texts["dashboard_url"].endswith("var-moment=checkout-payment&var-segment=all&var-signal=outcome")
    for each in world.prometheus.alerts():
        said = each["annotations"]["summary"] + each["annotations"]["description"]
        assert not re.search(r"no value|<error|[{}?]", said)

    wait_until(lambda: world.webhook.names("/page"), 60, "the page")
    assert [names for names in world.webhook.names("/page") if "CxSegmentBurn" in names] == []

    world.worker.kill()
    wait_until(lambda: ["MolehillDown"] in world.webhook.names("/page"), 180, "the page about the worker")
    wait_until(lambda: "CxBurnFast" in world.alertmanager.muted(), 60, "the outage muted")
