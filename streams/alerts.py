"""The alerts: what is said to whom, when, and what to do about it. Every number has its reason beside it.

Customers' alerts carry a moment, and `severity` follows from its tier: game-over pages, important opens a ticket,
tolerable shows on the board. A snoozed mole has `none`: by it Alertmanager keeps quiet what the mole kept quiet. The
pipeline's alerts say that molehill itself cannot be trusted; those that mean that customers' alerts are about the
past have `stale: "yes"`, and Alertmanager mutes the customers' meanwhile.
"""

from dataclasses import dataclass
from typing import Final

from streams import names
from streams.burn import FAST, SLOW, Pair
from streams.evidence import MIN_BAD
from streams.promql import (
    BAD,
    BUDGET,
    EVENTS,
    INFO,
    LOW,
    MOLE_QUIET,
    MOLE_UP,
    OBJECTIVE,
    THRESHOLD,
    bridged,
    number,
    window,
)

OVERVIEW, MOMENT, MOLES, PIPELINE, RUNBOOK = (
    f"molehill-{x}" for x in ("overview", "moment", "moles", "pipeline", "runbook")
)
"""The dashboards' uids."""
SEGMENTS: Final = 'segment!~"all|voice=.*"'  # probes and the company's own voice are no customers
NEARLY_SPENT: Final = 0.1  # what one slow pair (10 %) would use up before it tells

_TICKET: Final = '{{ if eq $labels.tier "tolerable" }}board{{ else }}ticket{{ end }}'
_BY_TIER: Final = (
    '{{ if eq $labels.tier "game-over" }}page{{ else if eq $labels.tier "important" }}ticket{{ else }}board{{ end }}'
)
_ONE_LESS: Final = '{{ if eq $labels.tier "game-over" }}ticket{{ else }}board{{ end }}'
_TITLE: Final = "{{ or $labels.title $labels.moment }}"
_WHERE: Final = '{{ if ne $labels.segment "all" }} for {{ $labels.segment }}{{ end }}'


@dataclass(frozen=True)
class Alert:
    """One alerting rule. `hold` is Prometheus' `for`, `advice` what a person does about it, in Markdown."""

    name: str
    expr: str
    hold: str
    keep: str
    labels: dict[str, str]
    summary: str
    description: str
    runbook_url: str
    dashboard_url: str
    advice: str


def _customers(severity: str, grafana: str, segment: str, **texts: str) -> Alert:
    labels = {"severity": severity, "component": "customers"}
    labels["owner"] = "{{ or $labels.owner `nobody` }}"
    if segment == names.ALL:
        labels["segment"] = names.ALL
    labels |= {"title": "", "phase": "", "runbook": ""}  # for the texts only: they do not make an alert another one
    shown = "all" if segment == names.ALL else "{{ $labels.segment | urlquery }}"
    url = f"{grafana}/d/{MOMENT}?var-moment={{{{ $labels.moment }}}}&var-segment={shown}"
    return Alert(
        labels=labels,
        runbook_url=f"{{{{ or $labels.runbook `{grafana}/d/{RUNBOOK}` }}}}",
        dashboard_url=f"{url}&var-signal={{{{ $labels.signal }}}}",
        **texts,
    )


def _joined(expr: str, told: str = "") -> str:
    """With what the catalogue says of the moment. `told`: not while a mole is up there, nor so long after: somebody
    knows, and the windows still hold the harm that was whacked."""
    if told:
        expr += f"\n  unless on (moment)\n    last_over_time({names.MOLE_ACTIVE}[{told}])"
    return f"({expr}\n)\n* on (moment) group_left (tier, phase, owner, title, runbook) {INFO}"


def _described(moles: str) -> str:
    """With what the catalogue says of the moment, under the tier that the mole was given; a moment that no worker
    describes now still has its mole."""
    return (
        f"({moles})\n* on (moment) group_left (phase, owner, title, runbook) {INFO}\n"
        f"or ({moles}) unless on (moment) {INFO}"
    )


def _burning(pair: Pair) -> str:
    """A whole moment burns in both windows, and enough were hurt."""
    long, short = window(pair.long_s), window(pair.short_s)
    at = f'> on (moment, signal) {THRESHOLD}{{window="{long}"}}'
    return (
        f'\n    {LOW}{{window="{long}"}} {at}'
        f'\n  and on (moment, signal)\n    {LOW}{{window="{short}"}} {at}'
        f'\n  and on (moment, signal)\n    {BAD}{{window="{short}"}} >= {MIN_BAD}'
    )


def _segment_burning(pair: Pair) -> str:
    """The same of a segment; not recorded, since segments are many."""
    long, short = window(pair.long_s), window(pair.short_s)
    at = f'> on (moment, signal) group_left () {THRESHOLD}{{window="{long}"}}'
    by = "moment, segment, signal"
    slow, fast = (bridged("max", by, names.BURN_LOW, f'{SEGMENTS}, window="{w}"') for w in (long, short))
    bad = bridged("max", by, names.WINDOW_EVENTS, f'{SEGMENTS}, result="bad", window="{short}"')
    both = f"\n  and on ({by})\n    "
    return f"\n    {slow} {at}{both}{fast} {at}{both}{bad} >= {MIN_BAD}"


def _either(by: str, *burning: str) -> str:
    """One series, whichever pair burns: the alert stays the same one while harm moves between the windows."""
    return f"\n  max by ({by}) (" + "\n  or".join(burning) + "\n  )"


def _counts(window: str, segment: str = names.ALL) -> str:
    """`12 of 345`: bad events and all events."""
    if segment == names.ALL:
        of = f'{{moment=%q,signal=%q,window="{window}"}}'
        return " of ".join(number(f"{series}{of}", "moment", "signal") for series in (BAD, EVENTS))
    of = f'moment=%q,signal=%q,segment=%q,window="{window}"'
    labels = ("moment", "signal", "segment")
    bad = bridged("max", "moment", names.WINDOW_EVENTS, f'{of},result="bad"')
    both = f"sum({bridged('max', 'result', names.WINDOW_EVENTS, of)})"
    return f"{number(bad, *labels)} of {number(both, *labels)}"


def _of(series: str, shown: str = "humanizePercentage") -> str:
    return number(f"{series}{{moment=%q,signal=%q}}", "moment", "signal", shown=shown)


def _promise() -> str:
    return f"The objective is {_of(OBJECTIVE)}; {_of(BUDGET)} of the error budget is left."


def customer_alerts(grafana: str) -> list[Alert]:
    """What is told about customers."""
    events = bridged("max", "moment, signal", f"{names.EVENTS}_total", 'segment="all", result="bad"')
    return [
        _customers(
            _BY_TIER,
            grafana,
            "",
            name="CxMole",
            # Quiet, it ends; what hurts again begins it anew, which is what makes Alertmanager tell again.
            expr=_described(f"{MOLE_UP} unless ignoring (why) {MOLE_QUIET}"),
            hold="",
            keep="30s",
            summary=f"{_TITLE}: customers are hurt{_WHERE} ({{{{ $labels.signal }}}}, {{{{ $labels.kind }}}})",
            description=f"A mole is up in {{{{ $labels.moment }}}}{_WHERE}: {_counts('1h', 'any')} went wrong in the"
            f" last hour, {_counts('1d', 'any')} in the last day ({{{{ $labels.signal }}}}). {_promise()}",
            advice="molehill has proof that customers are hurt: the board says since when, who, and how sure it is. "
            "Acknowledge it there, find out with the moment's owner what changed, and whack it. It is over when the "
            "evidence says so, not when it looks better for a minute. Snoozed, it is told again when that ends; "
            "recovering for six hours (game-over: three), when harm comes back.",
        ),
        _customers(
            "none",  # as kube-prometheus has it: nobody is told; by its tier it mutes what the mole would mute
            grafana,
            "",
            name="CxMoleSnoozed",
            expr=_described(f'max without (why) ({MOLE_QUIET}{{why="snoozed"}})'),
            hold="",
            keep="30s",
            summary=f"{_TITLE}: a mole is snoozed{_WHERE} ({{{{ $labels.signal }}}}, {{{{ $labels.kind }}}})",
            description=f"A mole is up in {{{{ $labels.moment }}}}{_WHERE}, and somebody knows:"
            f" {_counts('1h', 'any')} went wrong in the last hour ({{{{ $labels.signal }}}}). The board says when it"
            " wakes.",
            advice="Nobody is told. It mutes burn rates, segments and the budget of its moment, as the mole itself "
            "would: who has pressed snooze is not to be woken by the same harm from another side.",
        ),
        _customers(
            _BY_TIER,
            grafana,
            names.ALL,
            name="CxBurnFast",
            expr=_joined(_either("moment, signal", *map(_burning, FAST)), window(FAST[-1].short_s)),
            hold="2m",  # kubernetes-mixin; and long enough for the mole to come first and to mute this
            keep="5m",  # the shortest window
            summary=f"{_TITLE}: the error budget burns at least {{{{ $value | humanize }}}} times too fast"
            " ({{ $labels.signal }})",
            description=f"{_counts('1h')} went wrong in the last hour, {_counts('6h')} in the last six"
            f" ({{{{ $labels.moment }}}}, {{{{ $labels.signal }}}}). {_promise()} At this pace it is "
            "spent within days.",
            advice="Whole moments only. The burn rate is the lower end of what the evidence "
            "supports, in two windows at "
            "once (1h and 5m, or 6h and 30m). It comes only where no mole was up in the last half hour: look whether "
            "the pipeline's desk works.",
        ),
        _customers(
            _TICKET,
            grafana,
            names.ALL,
            name="CxBurnSlow",
            expr=_joined(_either("moment, signal", *map(_burning, SLOW)), window(SLOW[-1].short_s)),
            hold="1h",  # kubernetes-mixin
            keep="30m",
            summary=f"{_TITLE}: the error budget will not last ({{{{ $labels.signal }}}}, at least"
            " {{ $value | humanize }} times too fast)",
            description=f"{_counts('1d')} went wrong in the last day, {_counts('3d')} in the last three"
            f" ({{{{ $labels.moment }}}}, {{{{ $labels.signal }}}}). {_promise()}",
            advice="No emergency, but the promise will be broken within the budget period if nothing "
            "changes. Find the "
            "segments that carry it in the moment's dashboard, and plan the work.",
        ),
        _customers(
            _ONE_LESS,
            grafana,
            "",
            name="CxSegmentBurn",
            expr=_joined(_either("moment, segment, signal", *map(_segment_burning, FAST)), window(FAST[-1].short_s)),
            hold="2m",
            keep="5m",
            summary=f"{_TITLE}: {{{{ $labels.segment }}}} burns at least {{{{ $value | humanize }}}} times too fast"
            " ({{ $labels.signal }})",
            description=f"{_counts('1h', 'any')} of {{{{ $labels.segment }}}} went wrong in the last hour"
            f" ({{{{ $labels.moment }}}}, {{{{ $labels.signal }}}}). {_promise()}",
            advice="Some customers are hurt while the average looks fine. One step less urgent than "
            "the moment itself, "
            "since segments are many and small ones swing; a mole or the whole moment mutes it.",
        ),
        _customers(
            _TICKET,
            grafana,
            names.ALL,
            name="CxBudgetNearlySpent",
            expr=_joined(f"\n    {BUDGET} < {NEARLY_SPENT}\n  and on (moment, signal)\n    {events} >= {MIN_BAD}"),
            hold="10m",
            keep="30m",
            summary=f"{_TITLE}: {{{{ $value | humanizePercentage }}}} of the error budget is left"
            " ({{ $labels.signal }})",
            description=f"{_counts('3d')} went wrong in the last three days ({{{{ $labels.moment }}}},"
            f" {{{{ $labels.signal }}}}). {_promise()} Below zero it is overspent.",
            advice="What is risky for this moment waits until the budget has recovered: that is the "
            "agreement behind an "
            "objective. If it is spent all the time, the objective is not what the firm is ready to pay for.",
        ),
    ]
