"""What `molehill generate` writes, on real servers: events → Kafka → worker → Prometheus → Alertmanager → webhook."""

import contextlib
import datetime as dt
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams import names
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import PARTITIONS, Lab
from tests.integration.prometheus_server import AlertmanagerServer, PrometheusServer, Webhook, closing
from tests.integration.traffic import Traffic
from tests.integration.world import REGIONS, ROOT, World, molehill, outage, shop

CATALOGUE = ROOT / "deploy" / "moments.yaml"
SINCE = dt.timedelta(hours=12)
PAYMENT, CALLBACK, REFUND, CALL = "checkout-payment", "support-callback", "returns-refund", "support-call"
LETTER = "newsletter"  # nobody declared it
PAGE_S = 15  # from `popped` to the pager

pytestmark = pytest.mark.timeout(900)  # a guard against hanging: the waits add up to more than the usual one


@pytest.fixture(scope="module")
def world(
    kafka: KafkaServer, require_tools: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    require_tools("prometheus", "prometheus-alertmanager")
    home = tmp_path_factory.mktemp("world")
    lab = Lab(kafka, home, CATALOGUE.read_text(), f"world{os.getpid()}")
    generated = home / "generated"

    def emit(events: list[tuple[dt.datetime, bytes]]) -> None:
        file = home / "events.jsonl"
        file.write_bytes(b"\n".join(value for _, value in sorted(events)) + b"\n")
        topics = [x for name in ("touchpoints", "feedback") for x in (f"--{name}", lab.topics[name])]
        molehill("emit", "--brokers", kafka.bootstrap, *topics, str(file))

    now = dt.datetime.now(dt.UTC)
    history = shop(now, SINCE)
    history += outage(CALLBACK, now - dt.timedelta(hours=5)) + outage(LETTER, now - dt.timedelta(hours=8))
    history += outage(REFUND, now - dt.timedelta(hours=2))
    history += outage(CALL, now - dt.timedelta(hours=3), islands=True) + outage(CALL, now - dt.timedelta(minutes=40))
    emit(history)
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(lab.worker)
        worker.settled(len(history), partitions=PARTITIONS)
        webhook = Webhook()
        stack.enter_context(closing(webhook))
        molehill(
            "generate", str(CATALOGUE), "--out", str(generated), "--pager", f"{webhook.url}/page",
            "--tickets", f"{webhook.url}/ticket",
        )  # fmt: skip
        alertmanager = AlertmanagerServer(home / "am", generated / "alertmanager" / "alertmanager.yml")
        stack.enter_context(closing(alertmanager))
        prometheus = PrometheusServer(
            home / "prom",
            [worker.url.removeprefix("http://")],
            generated / "prometheus" / "*.rules.yml",
            alertmanager.url.removeprefix("http://"),
        )
        stack.enter_context(closing(prometheus))
        wait_until(lambda: prometheus.has("moment:cx_moment_info:one"), 60, "the first evaluation")
        # What counts up is seen to do so only from here on.
        emit(shop(dt.datetime.now(dt.UTC), dt.timedelta(minutes=10), seed=2))
        traffic = stack.enter_context(Traffic(lab, seed=3).flowing())
        world = World(worker, traffic, prometheus, alertmanager, webhook, generated)
        world.act(CALLBACK, "whack")
        world.act(LETTER, "snooze", **{"for": "7d"})
        world.mole(REFUND)  # stays
        settled = f"max(timestamp({names.CLOCK}) - {names.CLOCK}) < 5"
        wait_until(lambda: prometheus.has(settled), 60, "the clock is that of the wall")
        traffic.hurt[PAYMENT] = dict.fromkeys(REGIONS, 0.5) | {"north": 1.0}
        world.mole(PAYMENT)
        up = f'cx_mole_active{{moment="{PAYMENT}",segment="all"}}'
        wait_until(lambda: prometheus.has(up), 60, "the mole, scraped")
        for counted in ("molehill_received_total", "cx_mole_detect_seconds_count", "cx_mole_whack_seconds_count"):
            wait_until(lambda c=counted: prometheus.has(f"sum(increase({c}[10m])) > 0"), 60, counted)  # type: ignore[misc]
        yield world


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
                filled(expr, moment=moment, segment="all", signal=signal, window=window)
                for window in ("1h", "1d")  # no hour is sure to bring an answer to every survey
                for moment in moments
                for signal in signals
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


def test_a_segments_mole_in_a_moment_that_has_one_is_known_to_alertmanager_and_muted(world: World) -> None:
    world.mole(CALL, "region=islands")
    world.mole(CALL)

    def muted() -> set[tuple[str, str]]:
        return {(x["moment"], x["segment"]) for x in world.alertmanager.muted() if x["alertname"] == "CxMole"}

    wait_until(lambda: (CALL, "region=islands") in muted(), 60, "the segment's alert, muted")
    assert not {(CALL, "all"), (PAYMENT, "all")} & muted()


def segment_burns(world: World) -> bool:
    """Whether a segment of the payment would have its own alert, did nobody know of the mole there."""
    rules = load(world.generated / "prometheus" / "molehill.rules.yml")
    (expr,) = (rule["expr"] for rule in rules if rule.get("alert") == "CxSegmentBurn")
    alone, n = re.subn(r"unless on \(moment\)\s+last_over_time\(cx_mole_active\[\w+\]\)", "", expr)
    assert n == 1
    here = {"moment": PAYMENT, "segment": "region=north"}.items()
    return any(here <= labels.items() for labels, _ in world.prometheus.query(alone))


def pages(world: World) -> list[list[str]]:
    """For each page the alerts that fire."""
    return [names for names in world.webhook.names("/page") if names]


def ended(world: World) -> int:
    """How many pages of moles have ended."""
    return world.webhook.names("/page", "resolved").count(["CxMole"])


@pytest.mark.slow
def test_a_game_over_mole_is_one_page_that_a_snooze_ends_and_another_when_it_wakes(world: World) -> None:
    wait_until(lambda: pages(world), 60, "the page")
    mole = world.mole(PAYMENT)
    popped = dt.datetime.fromisoformat(mole["popped"]).timestamp()
    (first,) = (message for message in world.webhook.told if message.path == "/page")
    late_s = world.traffic.late_s(popped)
    assert first.at - popped < PAGE_S + late_s, f"event time to wall clock; customers were {late_s:.1f} s late"
    (alert,) = first.body["alerts"]
    labels = {
        "tier": "game-over",
        "severity": "page",
        "owner": "payments",
        "segment": "all",
        "component": "customers",
    }
    assert labels.items() <= alert["labels"].items()
    assert (alert["labels"]["alertname"], alert["labels"]["moment"]) == ("CxMole", PAYMENT)
    assert not {"instance", "job"} & set(alert["labels"])
    texts = alert["annotations"]
    assert texts["summary"] == f"Pay for the order: customers are hurt (outcome, {mole['kind']})"
    assert re.search(r"\b\d+ of \d+ went wrong in the last hour", texts["description"]), texts
    assert "objective is 99.5%" in texts["description"]
    assert texts["runbook_url"] == "https://example.com/runbooks/checkout-payment"
    assert texts["dashboard_url"].endswith(f"var-moment={PAYMENT}&var-segment=all&var-signal=outcome")
    for each in world.prometheus.alerts():
        said = each["annotations"]["summary"] + each["annotations"]["description"]
        assert not re.search(r"no value|<error|[{}?]", said)

    began = time.time()
    world.act(PAYMENT, "snooze", **{"for": "150s"})
    wait_until(lambda: ended(world), 120, "the page's end, since the mole sleeps")
    wait_until(lambda: len(pages(world)) > 1, 150, "a page when it wakes")
    assert [m for m in world.webhook.told if m.path == "/page"][-1].at - began > 120
    assert pages(world) == 2 * [["CxMole"]]


@pytest.mark.slow
def test_a_whacked_mole_is_the_end_of_its_page_and_a_dead_pipeline_is_another_that_mutes_the_rest(
    world: World,
) -> None:
    wait_until(lambda: pages(world), 60, "the page")
    before, ends = pages(world), ended(world)
    wait_until(lambda: segment_burns(world), 120, "a segment that burns inside the mole")
    world.traffic.hurt.clear()
    world.act(PAYMENT, "whack")
    wait_until(lambda: ended(world) > ends, 150, "the end of the page")
    # By then the burn rates of the same harm, of the whole and of its segments, would have told, were the mole not
    # known; pending they may have been, before it was.
    burns = f'{{alertname=~"Cx(Segment)?Burn.*",alertstate="firing",moment="{PAYMENT}"}}'
    assert not world.prometheus.has(f"last_over_time(ALERTS{burns}[10m])")
    assert pages(world) == before
    tickets = [a["labels"] for m in world.webhook.told if m.path == "/ticket" for a in m.body["alerts"]]
    assert {x["moment"] for x in tickets} >= {CALL, REFUND}
    hurt = [x for x in tickets if x["moment"] in (PAYMENT, CALL, REFUND)]  # others may have a segment's from before
    assert [x for x in hurt if x["moment"] == PAYMENT or x["segment"] != "all"] == []

    world.worker.kill()
    wait_until(lambda: ["MolehillDown"] in pages(world), 180, "the page about the worker")

    def muted() -> bool:
        told = [a for a in world.prometheus.alerts() if a["labels"]["component"] == "customers"]
        firing = {a["labels"]["alertname"] for a in told if a["state"] == "firing"}
        muted = {labels["alertname"] for labels in world.alertmanager.muted()}
        return "CxMole" in firing and firing <= muted

    wait_until(muted, 60, "what is said of customers is muted")
    assert [names for names in pages(world) if names not in (["CxMole"], ["MolehillDown"])] == []
