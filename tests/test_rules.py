"""Rules and routing as Prometheus and Alertmanager read them, on the catalogue that is shipped and on odd ones."""

import itertools
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import names
from streams.burn import CAP, PAIRS, factor, uncapped
from streams.catalogue import TIERS, Catalogue, parse
from streams.generated import RULES, generated
from streams.promql import FAST, SLOW, quoted, window
from streams.route import fingerprint
from streams.rules import Links

ROOT = Path(__file__).parents[1]
SHOP = parse((ROOT / "deploy" / "moments.yaml").read_text(), "moments.yaml")
LINKS = Links(grafana="https://grafana.example", board="https://board.example")
Require = Callable[..., None]

ONE = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: one}
budget_period: 7d
moments:
  pay:
    title: 'Say "pay", \\ and go'
    tier: important
    signals:
      csat: {objective: 60%}
"""


def promtool(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=directory, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def written(catalogue: Catalogue, directory: Path) -> Path:
    """The generated files; returns the directory of the rules."""
    for name, text in generated(catalogue, LINKS).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory / "prometheus"


def rules_of(catalogue: Catalogue) -> list[dict[str, Any]]:
    data = yaml.safe_load(generated(catalogue, LINKS)[f"prometheus/{RULES}"])
    return [rule for group in data["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules_of(SHOP) if "alert" in rule}
TESTS = yaml.safe_load(generated(SHOP, LINKS)["prometheus/molehill.test.yml"])["tests"]


@pytest.mark.parametrize("catalogue", [SHOP, parse(ONE, "one.yaml")], ids=lambda c: c.name)
def test_promtool_finds_no_fault_and_all_generated_tests_pass(
    catalogue: Catalogue, require_tools: Require, tmp_path: Path
) -> None:
    require_tools("promtool")
    directory = written(catalogue, tmp_path)
    assert "SUCCESS" in promtool(directory, "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert (
        promtool(directory, "test", "rules", "molehill.test.yml", "molehill.takeover.test.yml").count("SUCCESS") == 2
    )


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_stays_quiet(alert: str) -> None:
    outcomes = {bool(c["exp_samples"]) for t in TESTS for c in t["promql_expr_test"] if f'"{alert}"' in c["expr"]}
    assert outcomes == {True, False}


def test_customers_alerts_are_tested_on_a_moment_of_each_tier() -> None:
    fired = [
        c["exp_samples"] for t in TESTS for c in t["promql_expr_test"] if c["exp_samples"] and '"Cx' in c["expr"]
    ]
    assert fired
    for samples in fired:
        assert {re.search(r'tier="([a-z-]+)"', s["labels"])[1] for s in samples} == set(TIERS)  # type: ignore[index]


TIERED = (
    '{{ if eq $labels.tier "game-over" }}page{{ else if eq $labels.tier "important" }}ticket{{ else }}board{{ end }}'
)
MUTATIONS = {
    "fewer bad events are enough": (">= 3", ">= 2"),
    "more bad events are needed": (">= 3", ">= 4"),
    "a slower burn is enough": ("13.44)", "13.2)"),
    "a faster burn is needed": ("13.44)", "14.4)"),
    "there is no cap": (f"clamp_max({CAP} / ", "clamp_max(80 / "),
    "a takeover is not bridged": ("[2m]", "[20s]"),
    "every tier pages": (TIERED, "page"),
    "a snoozed mole is told": ("unless ignoring (why)", "or ignoring (why)"),
    "a mole that wakes is quiet for a while": (" == 1 unless on () cx_moles_total", " == 1"),
    "what has settled is snoozed": ('{why="snoozed"}', ""),
    "probes are customers": ("all|voice=.*", "all"),
    "any catalogue will do": ("fingerprint!=", "fingerprint="),
    "a late clock is fine": ("> 600", "> 6000"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_rule_fails_the_generated_tests(mutation: str, require_tools: Require, tmp_path: Path) -> None:
    require_tools("promtool")
    directory = written(SHOP, tmp_path)
    rules = yaml.safe_load((directory / RULES).read_text())
    before, after = MUTATIONS[mutation]
    changed = json.dumps(rules).replace(json.dumps(before)[1:-1], json.dumps(after)[1:-1])
    assert json.loads(changed) != rules
    (directory / RULES).write_text(changed)
    with pytest.raises(AssertionError, match="FAILED"):
        promtool(directory, "test", "rules", "molehill.test.yml", "molehill.takeover.test.yml")


HAND = """
rule_files: [molehill.rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'cx_moment_info{moment="delivery", tier="game-over", phase="after", owner="logistics", title="Hold it"}', values: 1x30}
      - {series: 'cx_objective_ratio{moment="delivery", signal="promise"}', values: 0.95x30}
      - {series: 'cx_mole_active{moment="delivery", segment="region=a\\"b", signal="promise", kind="shift", tier="game-over"}', values: 1x30}
      - {series: 'cx_mole_active{moment="new", segment="all", signal="outcome", kind="burn", tier="tolerable"}', values: 1x30}
      - {series: 'cx_window_events{moment="delivery", segment="region=a\\"b", signal="promise", window="1h", result="bad"}', values: 12x30}
      - {series: 'cx_window_events{moment="delivery", segment="region=a\\"b", signal="promise", window="1h", result="good"}', values: 30x30}
      - {series: 'cx_window_events{moment="delivery", segment="region=a\\"b", signal="promise", window="1d", result="bad"}', values: 1500x30}
      - {series: 'cx_window_events{moment="delivery", segment="region=a\\"b", signal="promise", window="1d", result="good"}', values: 3000x30}
      - {series: 'cx_error_budget_remaining_ratio{moment="delivery", segment="all", signal="promise"}', values: -0.25x30}
    alert_rule_test:
      - alertname: CxMole
        eval_time: 5m
        exp_alerts:
          - exp_labels: {moment: delivery, segment: 'region=a"b', signal: promise, kind: shift, tier: game-over,
                         owner: logistics, severity: page, component: customers}
            exp_annotations:
              summary: 'Hold it: customers are hurt for region=a"b (promise, shift)'
              description: >-
                A mole is up in delivery for region=a"b: 12 of 42 went wrong in the last hour, 1500 of 4500 in the
                last day (promise). The objective is 95%; -25% of the error budget is left.
              runbook_url: https://example.com/runbooks/delivery
              dashboard_url: https://grafana.example/d/molehill-moment?var-moment=delivery&var-segment=region%3Da%22b&var-signal=promise
          - exp_labels: {moment: new, segment: all, signal: outcome, kind: burn, tier: tolerable, owner: nobody,
                         severity: board, component: customers}
            exp_annotations:
              summary: 'new: customers are hurt (outcome, burn)'
              description: >-
                A mole is up in new: ? of ? went wrong in the last hour, ? of ? in the last day (outcome). The
                objective is ?; ? of the error budget is left.
              runbook_url: https://grafana.example/d/molehill-runbook
              dashboard_url: https://grafana.example/d/molehill-moment?var-moment=new&var-segment=all&var-signal=outcome
  - interval: 1m
    name: burn rates
    input_series:
      - {series: 'cx_moment_info{moment="delivery", tier="game-over", owner="logistics", title="Hold it"}', values: 1x90}
      - {series: 'cx_objective_ratio{moment="delivery", signal="promise"}', values: 0.95x90}
      - {series: 'cx_error_budget_remaining_ratio{moment="delivery", segment="all", signal="promise"}', values: 0.05x90}
      - {series: 'cx_events_total{moment="delivery", segment="all", signal="promise", result="bad"}', values: 9x90}
      - {series: 'cx_burn_rate_low_ratio{moment="delivery", segment="all", signal="promise", window="1h"}', values: 15.5x90}
      - {series: 'cx_burn_rate_low_ratio{moment="delivery", segment="all", signal="promise", window="5m"}', values: 19x90}
      - {series: 'cx_burn_rate_low_ratio{moment="delivery", segment="all", signal="promise", window="1d"}', values: 3.25x90}
      - {series: 'cx_burn_rate_low_ratio{moment="delivery", segment="all", signal="promise", window="2h"}', values: 4x90}
      - {series: 'cx_burn_rate_low_ratio{moment="delivery", segment="plan=pro", signal="promise", window="1h"}', values: 16x90}
      - {series: 'cx_burn_rate_low_ratio{moment="delivery", segment="plan=pro", signal="promise", window="5m"}', values: 17x90}
      - {series: 'cx_window_events{moment="delivery", segment="plan=pro", signal="promise", window="5m", result="bad"}', values: 4x90}
      - {series: 'cx_window_events{moment="delivery", segment="plan=pro", signal="promise", window="1h", result="bad"}', values: 5x90}
      - {series: 'cx_window_events{moment="delivery", segment="plan=pro", signal="promise", window="1h", result="good"}', values: 1x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="5m", result="bad"}', values: 3x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="2h", result="bad"}', values: 9x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="1h", result="bad"}', values: 7x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="1h", result="good"}', values: 1x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="6h", result="bad"}', values: 70x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="6h", result="good"}', values: 30x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="1d", result="bad"}', values: 80x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="1d", result="good"}', values: 400x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="3d", result="bad"}', values: 90x90}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="3d", result="good"}', values: 910x90}
    alert_rule_test:
      - alertname: CxBurnFast
        eval_time: 5m
        exp_alerts:
          - exp_labels: {moment: delivery, segment: all, signal: promise, tier: game-over, owner: logistics, severity: page, component: customers}
            exp_annotations:
              summary: 'Hold it: the error budget burns at least 15.5 times too fast (promise)'
              description: >-
                7 of 8 went wrong in the last hour, 70 of 100 in the last six (delivery, promise). The objective is
                95%; 5% of the error budget is left. At this pace it is spent within days.
              runbook_url: https://example.com/runbooks/delivery
              dashboard_url: https://grafana.example/d/molehill-moment?var-moment=delivery&var-segment=all&var-signal=promise
      - alertname: CxBurnSlow
        eval_time: 70m
        exp_alerts:
          - exp_labels: {moment: delivery, segment: all, signal: promise, tier: game-over, owner: logistics, severity: ticket, component: customers}
            exp_annotations:
              summary: 'Hold it: the error budget will not last (promise, at least 3.25 times too fast)'
              description: >-
                80 of 480 went wrong in the last day, 90 of 1000 in the last three (delivery, promise). The objective is
                95%; 5% of the error budget is left.
              runbook_url: https://example.com/runbooks/delivery
              dashboard_url: https://grafana.example/d/molehill-moment?var-moment=delivery&var-segment=all&var-signal=promise
      - alertname: CxSegmentBurn
        eval_time: 5m
        exp_alerts:
          - exp_labels: {moment: delivery, segment: plan=pro, signal: promise, tier: game-over, owner: logistics, severity: ticket, component: customers}
            exp_annotations:
              summary: 'Hold it: plan=pro burns at least 16 times too fast (promise)'
              description: >-
                5 of 6 of plan=pro went wrong in the last hour (delivery, promise). The objective is 95%; 5% of the
                error budget is left.
              runbook_url: https://example.com/runbooks/delivery
              dashboard_url: https://grafana.example/d/molehill-moment?var-moment=delivery&var-segment=plan%3Dpro&var-signal=promise
      - alertname: CxBudgetNearlySpent
        eval_time: 15m
        exp_alerts:
          - exp_labels: {moment: delivery, segment: all, signal: promise, tier: game-over, owner: logistics, severity: ticket, component: customers}
            exp_annotations:
              summary: 'Hold it: 5% of the error budget is left (promise)'
              description: >-
                90 of 1000 went wrong in the last three days (delivery, promise). The objective is 95%; 5% of the error
                budget is left. Below zero it is overspent.
              runbook_url: https://example.com/runbooks/delivery
              dashboard_url: https://grafana.example/d/molehill-moment?var-moment=delivery&var-segment=all&var-signal=promise
  - interval: 1m
    name: a burn that pauses for less than the shortest window stays one alert
    input_series:
      - {series: 'cx_moment_info{moment="delivery", tier="game-over", title="Hold it"}', values: 1x60}
      - {series: 'cx_objective_ratio{moment="delivery", signal="promise"}', values: 0.95x60}
      - {series: 'cx_burn_rate_low_ratio{moment="delivery", segment="all", signal="promise", window="1h"}', values: 15x60}
      - {series: 'cx_burn_rate_low_ratio{moment="delivery", segment="all", signal="promise", window="5m"}', values: 15x10 0x3 15x9 0x60}
      - {series: 'cx_window_events{moment="delivery", segment="all", signal="promise", window="5m", result="bad"}', values: 9x60}
    promql_expr_test:
      - {expr: 'count(ALERTS{alertname="CxBurnFast", alertstate="firing"})', eval_time: 12m, exp_samples: [{labels: '{}', value: 1}]}
      - {expr: 'ALERTS_FOR_STATE{alertname="CxBurnFast"} < 10', eval_time: 20m, exp_samples: [{labels: 'ALERTS_FOR_STATE{alertname="CxBurnFast", component="customers", moment="delivery", owner="nobody", segment="all", severity="page", signal="promise", tier="game-over"}', value: 0}]}
      - {expr: 'ALERTS{alertname="CxBurnFast"}', eval_time: 35m, exp_samples: []}
  - interval: 1m
    name: the pipeline
    input_series:
      - {series: 'molehill_build_info{version="1", instance="a"}', values: 1x3 stale}
      - {series: 'molehill_received_total{topic="t", partition="0"}', values: 0+1000x40}
      - {series: 'molehill_rejected_total{topic="t", partition="0", reason="bad_field"}', values: 0+100x40}
    alert_rule_test:
      - alertname: MolehillDown
        eval_time: 6m
        exp_alerts:
          - exp_labels: {severity: page, component: pipeline, tier: game-over, owner: molehill, stale: 'yes'}
            exp_annotations:
              summary: 'molehill: no worker runs, nobody watches the customers'
              description: Prometheus has scraped no worker for a minute. Customers' alerts are muted until one is back.
              runbook_url: https://grafana.example/d/molehill-runbook
              dashboard_url: https://grafana.example/d/molehill-pipeline
      - alertname: MolehillDeadLettersRising
        eval_time: 25m
        exp_alerts:
          - exp_labels: {severity: ticket, component: pipeline, tier: important, owner: molehill, topic: t, reason: bad_field}
            exp_annotations:
              summary: 'molehill: 10% of t is refused (bad_field)'
              description: >-
                10% of what came to t in 15 minutes went to the dead letters as bad_field; the strictest objective
                allows 0.50% to go wrong.
              runbook_url: https://grafana.example/d/molehill-runbook
              dashboard_url: https://grafana.example/d/molehill-pipeline
"""  # noqa: E501


def test_alerts_say_what_a_person_needs_with_numbers_and_nothing_of_the_worker_that_has_the_series(
    require_tools: Require, tmp_path: Path
) -> None:
    require_tools("promtool")
    directory = written(SHOP, tmp_path)
    (directory / "hand.yml").write_text(HAND.replace("{moment=", '{instance="a:6066", job="molehill", moment='))
    promtool(directory, "test", "rules", "hand.yml")


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_its_texts_its_links_its_owner_and_a_way_not_to_flap(alert: str) -> None:
    rule = ALERTS[alert]
    assert {"summary", "description", "runbook_url", "dashboard_url"} == set(rule["annotations"])
    assert all(rule["annotations"].values())
    assert rule["keep_firing_for"]
    assert {"severity", "component", "owner"} <= set(rule["labels"])
    assert "tier" in rule["labels"] or "tier" in rule["expr"]


def test_rules_are_few_and_the_same_however_many_moments_there_are() -> None:
    many = rules_of(hundreds(200))
    shop = rules_of(SHOP)
    generic = [[r for r in rules if r.get("record") != "moment:cx_runbook_info:one"] for rules in (many, shop)]
    assert len(generic[0]) == len(generic[1]) < 40


def hundreds(count: int) -> Catalogue:
    moments = {
        f"moment-{i}": {
            "title": f"Moment {i}",
            "tier": TIERS[i % 3],
            "owner": "team",
            "runbook": f"https://example.com/{i}",
            "signals": {
                "outcome": {"objective": "99%"},
                "promise": {"objective": "95%"},
                "csat": {"objective": "80%"},
            },
        }
        for i in range(count)
    }
    text = {"apiVersion": "molehill/v1", "kind": "Catalogue", "metadata": {"name": "many"}, "moments": moments}
    return parse(json.dumps(text), "many.json")


def test_two_hundred_moments_generate_well_within_five_seconds_of_the_processor() -> None:
    catalogue = hundreds(200)
    began = time.process_time()  # not the wall clock: a loaded machine changes nothing
    files = generated(catalogue, LINKS)
    assert time.process_time() - began < 5
    assert files == generated(catalogue, LINKS)


@given(objective=st.floats(0.01, 0.9999), days=st.integers(3, 366), pair=st.sampled_from(PAIRS))
@settings(max_examples=200)
def test_a_threshold_can_always_be_reached_and_never_blames_a_kept_promise(
    objective: float, days: int, pair: Any
) -> None:
    at = factor(pair, objective, days * 86_400)
    assert at < 1 / (1 - objective)
    assert at >= min(1, CAP / (1 - objective))


def test_thirty_days_give_the_workbooks_factors() -> None:
    assert [round(uncapped(pair, 30 * 86_400), 6) for pair in (*FAST, *SLOW)] == [14.4, 6, 3, 1]
    assert [(window(p.long_s), window(p.short_s)) for p in (*FAST, *SLOW)] == [
        ("1h", "5m"), ("6h", "30m"), ("1d", "2h"), ("3d", "6h"),
    ]  # fmt: skip


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs"])))
def test_a_quoted_text_reads_back_as_it_was(text: str) -> None:
    assert json.loads(quoted(text)) == text


def test_a_key_that_a_catalogue_lacks_does_not_change_its_fingerprint_and_an_objective_does() -> None:
    other = parse(ONE.replace("60%", "61%"), "one.yaml")
    assert fingerprint(parse(ONE, "one.yaml")) == fingerprint(parse(ONE + "journeys: {}\n", "one.yaml"))
    assert fingerprint(parse(ONE, "one.yaml")) != fingerprint(other)


# Alertmanager

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


def test_the_names_that_dashboards_link_to_are_the_alerts_links() -> None:
    ids = {
        name.rpartition("/")[2].removesuffix(".json")
        for name in generated(SHOP, LINKS)
        if name.startswith("grafana/")
    }
    for rule in ALERTS.values():
        for text in rule["annotations"].values():
            assert set(re.findall(r"/d/([a-z-]+)", text)) <= ids
    assert names.CATALOGUE_INFO in ALERTS["MolehillCatalogueChanged"]["expr"]
