"""Catalogue → Prometheus rules: few generic ones, joined on what the workers say of the catalogue.

Two groups, since rules of one group run in their order and see what was recorded before them. A series has the
`instance` of the worker that owns it, and another one after a takeover, 15 to 30 s later (see design.md). So every
rule aggregates `instance` away, and looks back over BRIDGE: a takeover resolves nothing and pages nobody again.
"""

from dataclasses import dataclass
from typing import Any

from streams import names
from streams.alerts import Alert, customer_alerts
from streams.alerts_pipeline import pipeline_alerts
from streams.burn import CAP, PAIRS, uncapped
from streams.catalogue import Catalogue
from streams.promql import (
    BAD,
    BUDGET,
    EVENTS,
    INFO,
    INFO_BRIDGE,
    LAG,
    LAG_SUM,
    LOW,
    MOLE_QUIET,
    MOLE_UP,
    OBJECTIVE,
    RECEIVED,
    REJECTED,
    RUNBOOK,
    THRESHOLD,
    bridged,
    window,
)

Rule = dict[str, Any]
Group = dict[str, Any]


@dataclass(frozen=True)
class Links:
    """Where a person, and Alertmanager, find things. URLs without a slash at the end."""

    grafana: str = "http://127.0.0.1:3000"
    board: str = "http://127.0.0.1:6066"  # any worker's pages
    pager: str = "http://pager:9099/page"  # a webhook
    tickets: str = "http://pager:9099/ticket"  # a webhook


def groups(catalogue: Catalogue, links: Links) -> list[Group]:
    """All rule groups, in the order of the file."""
    return [
        {
            "name": "molehill-customers",
            "rules": [*_catalogue(catalogue), *_health(), *_moles()]
            + [_alert(a) for a in customer_alerts(links.grafana)],
        },
        {
            "name": "molehill-pipeline",
            "rules": _pipeline() + [_alert(a) for a in pipeline_alerts(catalogue, links.grafana)],
        },
    ]


def _record(name: str, expr: str, **labels: str) -> Rule:
    return {"record": name, "expr": expr} | ({"labels": labels} if labels else {})


def _catalogue(catalogue: Catalogue) -> list[Rule]:
    """What the alerts are joined with. Runbooks are no metric of a worker: they come from here, as Sloth's
    `sloth_slo_info` does."""
    of = "moment, tier, phase, owner, title"
    return [
        *(
            _record(RUNBOOK, "vector(1)", moment=m.name, runbook=m.runbook)
            for m in catalogue.moments.values()
            if m.runbook
        ),
        # Two catalogues at once, in a rolling change, must not make the joins fail: one series for each moment.
        _record(
            f"{INFO}_without_runbook",
            f"topk by (moment) (1,\n  group by ({of}) (last_over_time({names.MOMENT_INFO}[{INFO_BRIDGE}]))\n)",
        ),
        _record(
            INFO,
            f"{INFO}_without_runbook * on (moment) group_left (runbook) {RUNBOOK}\n"
            f"or\n{INFO}_without_runbook unless on (moment) {RUNBOOK}",
        ),
        _record(OBJECTIVE, bridged("max", "moment, signal", names.OBJECTIVE, "")),
        *(
            _record(
                THRESHOLD,
                f"clamp_max({CAP} / (1 - {OBJECTIVE}), {uncapped(pair, catalogue.budget_period):.4g})",
                window=window(pair.long_s),
            )
            for pair in PAIRS
        ),
    ]


def _health() -> list[Rule]:
    """Of whole moments, which is what pages are about."""
    by = "moment, signal, window"
    both = bridged("max", f"{by}, result", names.WINDOW_EVENTS, 'segment="all"')
    return [
        _record(LOW, bridged("max", by, names.BURN_LOW, 'segment="all"')),
        _record(BAD, bridged("max", by, names.WINDOW_EVENTS, 'segment="all", result="bad"')),
        _record(EVENTS, f"sum by ({by}) ({both})"),
        _record(BUDGET, bridged("min", "moment, signal", names.BUDGET, 'segment="all"')),
    ]


def _moles() -> list[Rule]:
    """One that is whacked, or wakes, is so at once; the bridge is for when no desk speaks that would know."""
    of = "moment, segment, signal, kind, tier"
    return [
        _record(
            record,
            f"max by ({by}) ({metric} == 1)\nor\n"
            f"{bridged('max', by, metric, '')} == 1 unless on () {names.MOLES}_total",
        )
        for record, metric, by in (
            (MOLE_UP, names.MOLE_ACTIVE, of),
            (MOLE_QUIET, names.MOLE_QUIET, f"{of}, why"),
        )
    ]


def _pipeline() -> list[Rule]:
    where = "topic, partition"
    return [
        _record(RECEIVED, bridged("max", where, f"{names.RECEIVED}_total", "")),
        _record(REJECTED, bridged("max", f"{where}, reason", f"{names.REJECTED}_total", "")),
        _record(LAG, bridged("max", where, names.LAG, "")),
        _record(LAG_SUM, f"sum by (topic) ({LAG})"),
    ]


def _alert(alert: Alert) -> Rule:
    rule: Rule = {"alert": alert.name, "expr": alert.expr}
    if alert.hold:
        rule["for"] = alert.hold
    return rule | {
        "keep_firing_for": alert.keep,
        "labels": alert.labels,
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": alert.runbook_url,
            "dashboard_url": alert.dashboard_url,
        },
    }
