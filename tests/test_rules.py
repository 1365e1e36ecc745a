"""Rules as Prometheus reads them, on the catalogue that is shipped and on odd ones."""

import json
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streams.burn import CAP
from streams.catalogue import TIERS, Catalogue, parse
from streams.generated import RULES, generated
from streams.promql import quoted
from streams.route import fingerprint
from tests.shop_rules import ALERTS, LINKS, ONE, SHOP, Require, promtool, rules_of, written

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


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs"])))
def test_a_quoted_text_reads_back_as_it_was(text: str) -> None:
    assert json.loads(quoted(text)) == text


def test_a_key_that_a_catalogue_lacks_does_not_change_its_fingerprint_and_an_objective_does() -> None:
    other = parse(ONE.replace("60%", "61%"), "one.yaml")
    assert fingerprint(parse(ONE, "one.yaml")) == fingerprint(parse(ONE + "journeys: {}\n", "one.yaml"))
    assert fingerprint(parse(ONE, "one.yaml")) != fingerprint(other)
