"""Routes and inhibitions as Alertmanager reads them: who is told, and what mutes what."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from streams.catalogue import TIERS
from streams.generated import generated
from tests.shop_rules import ALERTS, LINKS, SHOP, Require, written

CONFIG = yaml.safe_load(generated(SHOP, LINKS)["alertmanager/alertmanager.yml"])
ROUTES = {
    "page": ({"severity": "page", "component": "customers", "moment": "delivery"}, "pager"),
    "ticket": ({"severity": "ticket", "component": "customers", "moment": "delivery"}, "tickets"),
    "board": ({"severity": "board", "component": "customers", "moment": "delivery"}, "board"),
    "pipeline page": ({"severity": "page", "component": "pipeline"}, "pager"),
    "pipeline ticket": ({"severity": "ticket", "component": "pipeline"}, "tickets"),
    "snoozed": ({"severity": "none", "component": "customers", "moment": "delivery"}, "board"),
    "somebody else's": ({"severity": "critical"}, "board"),
}


@pytest.mark.parametrize("case", ROUTES)
def test_each_alert_goes_to_those_whom_its_tier_concerns(case: str, require_tools: Require, tmp_path: Path) -> None:
    require_tools("amtool")
    labels, receiver = ROUTES[case]
    written(SHOP, tmp_path)
    config = str(tmp_path / "alertmanager" / "alertmanager.yml")
    subprocess.run(["amtool", "check-config", config], check=True, capture_output=True, timeout=60)
    command = ["amtool", "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}"]
    done = subprocess.run([*command, *(f"{k}={v}" for k, v in labels.items())], capture_output=True, timeout=60)
    assert done.returncode == 0, done


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    for matcher in matchers:
        name, operator, value = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher).groups()  # type: ignore[union-attr]
        found = labels.get(name, "")
        hit = bool(re.fullmatch(value, found)) if "~" in operator else found == value
        if hit == operator.startswith("!"):
            return False
    return True


def mutes(source: dict[str, str], target: dict[str, str]) -> bool:
    return any(
        matches(rule["source_matchers"], source)
        and matches(rule["target_matchers"], target)
        and all(source.get(x) == target.get(x) for x in rule.get("equal", ()))
        for rule in CONFIG["inhibit_rules"]
    )


URGENT = ["page", "ticket", "board"]


def alert(name: str, severity: str, segment: str = "all", moment: str = "pay") -> dict[str, str]:
    """One of customers; `severity` of a mole that is snoozed is what it would have awake."""
    labels = {"alertname": name, "segment": segment, "moment": moment, "component": "customers"}
    labels["tier"] = TIERS[URGENT.index(severity)]
    return labels | {"severity": "none" if name == "CxMoleSnoozed" else severity, "awake": severity}


CUSTOMERS = [
    alert(name, severity, segment, moment)
    for name in ALERTS
    if name.startswith("Cx")
    for severity in URGENT
    for segment in (
        ("all", "region=north") if "CxMole" in name else ("region=north",) if "Segment" in name else ("all",)
    )
    for moment in ("pay", "delivery")
]


def test_nothing_mutes_what_is_more_urgent_or_of_another_moment() -> None:
    pairs = [(a, b) for a, b in itertools.product(CUSTOMERS, repeat=2) if mutes(a, b)]
    assert pairs
    assert [p for p in pairs if p[0]["moment"] != p[1]["moment"]] == []
    assert [(a, b) for a, b in pairs if URGENT.index(a["awake"]) > URGENT.index(b["awake"])] == []


def test_no_two_alerts_mute_each_other() -> None:
    assert [(a, b) for a, b in itertools.combinations(CUSTOMERS, 2) if mutes(a, b) and mutes(b, a)] == []


@pytest.mark.parametrize(
    "told", CUSTOMERS, ids=lambda a: f"{a['alertname']} {a['severity']} {a['segment']} {a['moment']}"
)
def test_a_stale_pipeline_mutes_all_that_is_said_of_customers_and_a_dead_one_the_rest_too(
    told: dict[str, str],
) -> None:
    stale = {"alertname": "MolehillClockStale", "severity": "page", "component": "pipeline", "stale": "yes"}
    down = stale | {"alertname": "MolehillDown"}
    assert mutes(stale, told)
    assert mutes(down, stale)
    assert not mutes(stale, down)
    assert not mutes(told, stale)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (alert("CxMole", "page"), alert("CxMole", "page", "region=north")),
        (alert("CxMole", "page"), alert("CxBurnSlow", "ticket")),
        (alert("CxMoleSnoozed", "page"), alert("CxMole", "page", "region=north")),
        (alert("CxMoleSnoozed", "page"), alert("CxBudgetNearlySpent", "ticket")),
        (alert("CxMoleSnoozed", "ticket"), alert("CxBurnFast", "ticket")),
        (alert("CxMole", "page", "region=north"), alert("CxBurnFast", "page")),
        (alert("CxMole", "ticket"), alert("CxBurnFast", "ticket")),
        (alert("CxBurnFast", "page"), alert("CxSegmentBurn", "ticket", "region=north")),
        (alert("CxBurnFast", "ticket"), alert("CxSegmentBurn", "board", "region=north")),
    ],
)
def test_the_wider_and_the_better_told_mutes_the_narrower(source: dict[str, str], target: dict[str, str]) -> None:
    assert mutes(source, target)


def test_a_snoozed_mole_mutes_what_it_would_mute_awake() -> None:
    def muted(name: str, severity: str, segment: str) -> list[dict[str, str]]:
        return [
            b for b in CUSTOMERS if b["alertname"] != "CxMoleSnoozed" and mutes(alert(name, severity, segment), b)
        ]

    for severity, segment in itertools.product(URGENT, ("all", "region=north")):
        assert muted("CxMoleSnoozed", severity, segment) == muted("CxMole", severity, segment)


@pytest.mark.parametrize("severity", URGENT)
@pytest.mark.parametrize("segment", ["all", "region=north"])
def test_a_snoozed_mole_mutes_no_other_of_its_kind_and_not_the_end_of_its_own_alert(
    severity: str, segment: str
) -> None:
    assert not mutes(alert("CxMoleSnoozed", severity, segment), alert("CxMole", severity, segment))
