"""Catalogue → Grafana dashboards: the moles now, one moment, moles over time, the pipeline, and what to do.

They read what workers export and the recorded series of the rules. No series is shown by its `instance`, but for
the workers themselves.
"""

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from streams import names
from streams.alerts import MOLES, MOMENT, OVERVIEW, PIPELINE, RUNBOOK, SEGMENTS, customer_alerts
from streams.alerts_pipeline import pipeline_alerts
from streams.catalogue import TIERS, Catalogue
from streams.panels import (
    BUDGET_STEPS,
    BURN_STEPS,
    SHARE,
    SOURCE,
    TIMES,
    WIDTH,
    bars,
    dump,
    later,
    lines,
    note,
    number,
    rows,
    stripes,
)
from streams.promql import INFO
from streams.rules import Links
from streams.windows import WINDOWS

TAG: Final = "molehill"
TITLES: Final = {
    OVERVIEW: "molehill: overview",
    MOMENT: "molehill: one moment",
    MOLES: "molehill: moles over time",
    PIPELINE: "molehill: pipeline",
    RUNBOOK: "molehill: what to do",
}
ACTIVE: Final = f"max by (moment, segment, signal, kind, tier) ({names.MOLE_ACTIVE}) == 1"
QUIET: Final = ((None, "green"), (1, "red"))
OPEN_MOMENT: Final = f"/d/{MOMENT}?var-moment=${{__data.fields.Moment}}&var-segment=${{__data.fields.Segment}}"


def frame(uid: str, about: str, mark: str, links: Links, since: str = "now-6h") -> build.Dashboard:
    """What all dashboards share: their source, the way to each other and to the board, moles as annotations."""
    made = (
        build.Dashboard(TITLES[uid])
        .uid(uid)
        .description(f"{about} {mark}")
        .tags([TAG])
        .refresh("30s")
        .time(since, "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .annotation(
            build.AnnotationQuery()
            .name("Moles")
            .datasource(SOURCE)
            .icon_color("red")
            .enable(True)
            .expr(ACTIVE.replace("cx_mole_active", 'cx_mole_active{moment=~"$moment"}') if uid == MOMENT else ACTIVE)
        )
        .link(_link("Board", links.board))
        .link(_link("What to do", f"/d/{RUNBOOK}"))
    )
    dashboards = build.DashboardLink("Dashboards").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return made.link(dashboards.as_dropdown(True).include_vars(True).keep_time(True))


def _link(title: str, url: str) -> build.DashboardLink:
    return build.DashboardLink(title).type(model.DashboardLinkType.LINK).icon("external link").url(url)


def finish(made: build.Dashboard) -> dict[str, Any]:
    """JSON data, with what the builders have no word for: what an annotation says."""
    data = dump(made)
    for annotation in data["annotations"]["list"]:
        annotation["titleFormat"] = "{{moment}} {{segment}}"
        annotation["textFormat"] = "{{signal}}: {{kind}}"
        annotation["tagKeys"] = "tier"
    return data


def window_variable() -> build.CustomVariable:
    """One of the windows that workers keep."""
    one_hour = model.VariableOption(selected=True, text="1h", value="1h")
    return build.CustomVariable("window").label("Window").values(",".join(WINDOWS)).current(one_hour)


def overview(mark: str, links: Links) -> dict[str, Any]:
    """For the wall: is a mole up, which promises are in danger, who is hurt."""
    made = frame(OVERVIEW, "Which customers are hurt now, and how much patience is left.", mark, links)
    made.with_variable(window_variable())
    for tier, about in zip(TIERS, ("they page", "they open a ticket", "they show here"), strict=True):
        expr = (
            f'count(max by (moment, segment, signal, kind) ({names.MOLE_ACTIVE}{{tier="{tier}"}}) == 1) or vector(0)'
        )
        made.with_panel(number(f"Moles: {tier}", expr, "short", QUIET, about=f"Moles that are up; {about}."))
    spent = f'count(min by (moment) ({names.BUDGET}{{segment="all"}}) < 0) or vector(0)'
    made.with_panel(number("Budgets overspent", spent, "short", ((None, "green"), (1, "orange")), about="Moments."))
    workers = f"count({names.BUILD_INFO}) or vector(0)"
    made.with_panel(number("Workers", workers, "short", ((None, "red"), (1, "green"))))
    late = ((None, "green"), (120, "orange"), (600, "red"))
    made.with_panel(number("Behind", f"time() - min({names.CLOCK})", "s", late, about="Age of what is shown."))
    made.with_panel(
        rows(
            "The mole board",
            [(f"({ACTIVE}) * on (moment) group_left (owner, title, runbook) {INFO}", "")],
            {
                "tier": "Tier", "title": "Title", "moment": "Moment", "segment": "Segment", "signal": "Signal",
                "kind": "Kind", "owner": "Owner", "runbook": "Runbook",
            },
            (WIDTH, 8),
            links={"Moment": OPEN_MOMENT, "Runbook": "${__value.raw}"},
            about="Empty is good. The board of a worker has the buttons.",
        )
    )  # fmt: skip
    for tier in TIERS:
        left = f'min by (moment) ({names.BUDGET}{{segment="all"}})'
        expr = f'sort({left} * on (moment) group_left () {INFO}{{tier="{tier}"}})'
        made.with_panel(
            bars(
                f"Error budget left: {tier}", expr, "{{moment}}", SHARE, BUDGET_STEPS, (8, 9),
                f"/d/{MOMENT}?var-moment=${{__field.labels.moment}}",
                "The worst signal of each moment; below zero it is overspent.",
            ).min(-1).max(1)
        )  # fmt: skip
    made.with_panel(
        stripes(
            "Burn rate of moments",
            f'max by (moment) ({names.BURN_LOW}{{segment="all", window="$window"}})',
            "{{moment}}",
            TIMES,
            BURN_STEPS,
            (12, 10),
        )
    )
    made.with_panel(
        worst("Worst segments", f'{SEGMENTS}, window="$window"', ("moment", "segment", "signal"), (12, 10))
    )
    made.with_row(
        later(
            "Journeys",
            "Where customers leave their route: `cx_journeys_total`, `cx_drop_offs_total`, `cx_off_route_total`.",
        )
    )
    return finish(made)


def worst(title: str, selector: str, by: tuple[str, ...], size: tuple[int, int]) -> Any:
    """Who burns fastest, by what the evidence supports, with the counts behind it."""
    of = ", ".join(by)
    top = f"topk(20, max by ({of}) ({names.BURN_LOW}{{{selector}}}) > 0)"
    with_top = f"and on ({of}) {top}"
    return rows(
        title,
        [
            (top, ""),
            (f'max by ({of}) ({names.WINDOW_EVENTS}{{{selector}, result="bad"}}) {with_top}', ""),
            (f"sum by ({of}) (max by ({of}, result) ({names.WINDOW_EVENTS}{{{selector}}})) {with_top}", ""),
        ],
        {label: label.capitalize() for label in by} | {"Value #A": "Burns", "Value #B": "Bad", "Value #C": "Of"},
        size,
        {"Burns": (TIMES, BURN_STEPS)},
        {
            "Segment": OPEN_MOMENT
            if "moment" in by
            else f"/d/{MOMENT}?var-segment=${{__value.raw}}&${{moment:queryparam}}"
        },
        "By the lower end of what the evidence supports, in the chosen window.",
    )


def moles(mark: str, links: Links) -> dict[str, Any]:
    """How good we are at this: how fast moles are found and whacked, which come back."""
    made = frame(MOLES, "How fast moles are found and whacked, and which come back.", mark, links, "now-28d")
    popped, again = f'{names.MOLES}_total{{event=~"popped|repopped"}}', f'{names.MOLES}_total{{event="repopped"}}'
    made.with_panel(number("Popped", f"sum(increase({popped}[$__range]))", "short", ((None, "blue"),), (6, 4)))
    share = f"sum(increase({again}[$__range])) / sum(increase({popped}[$__range]))"
    back = ((None, "green"), (0.2, "orange"), (0.5, "red"))
    made.with_panel(number("Came back", share, SHARE, back, (6, 4), "Whacked, and popped again: whacked too early."))
    for title, metric in (("Time to detect", names.MOLE_DETECT), ("Time to whack", names.MOLE_WHACK)):
        median = f"histogram_quantile(0.5, sum by (le) (increase({metric}_bucket[$__range])))"
        made.with_panel(number(f"{title}, median", median, "s", ((None, "blue"),), (6, 4)))
    made.with_panel(lines("Up, by tier", [(f"count by (tier) ({ACTIVE})", "{{tier}}")], "short", (12, 8)))
    each = f"sum by (event) (increase({names.MOLES}_total[1d]))"
    made.with_panel(lines("Events in a day", [(each, "{{event}}")], "short", (12, 8)))
    for title, metric, about in (
        ("Time to detect", names.MOLE_DETECT, "From the first harm, found backwards, to the pop."),
        ("Time to whack", names.MOLE_WHACK, "From the pop to the evidence that it is over."),
    ):
        quantiles = [
            (f"histogram_quantile({q}, sum by (le, tier) (increase({metric}_bucket[1d])))", f"{{{{tier}}}} {name}")
            for q, name in ((0.5, "median"), (0.9, "90 %"))
        ]
        made.with_panel(lines(title, quantiles, "s", (12, 8), about))
    columns = {"moment": "Moment", "kind": "Kind"}
    counts = [
        (f'sum by (moment, kind) (increase({names.MOLES}_total{{event="{event}"}}[$__range]))', "")
        for event in ("popped", "acked", "whacked", "repopped")
    ]
    columns |= {f"Value #{x}": n for x, n in zip("ABCD", ("Popped", "Acked", "Whacked", "Came back"), strict=True)}
    made.with_panel(
        rows("By moment", counts, columns, (WIDTH, 10), links={"Moment": f"/d/{MOMENT}?var-moment=${{__value.raw}}"})
    )
    return finish(made)


def runbook(catalogue: Catalogue, mark: str, links: Links) -> dict[str, Any]:
    """What each alert means and what to do; alerts of moments without a runbook of their own lead here."""
    made = frame(RUNBOOK, "What each alert means, and what to do about it.", mark, links)
    for alert in (*customer_alerts(links.grafana), *pipeline_alerts(catalogue, links.grafana)):
        made.with_panel(note(alert.name, alert.advice, (12, 5)))
    return finish(made)
