"""What alerts say: their texts, links and owners, and nothing of the worker that has the series."""

import re
from pathlib import Path

import pytest

from streams import names
from streams.generated import generated
from tests.shop_rules import ALERTS, LINKS, SHOP, Require, promtool, written

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
