"""The dashboard of one moment: its signals with what the evidence supports, windows, segments, waits and scores."""

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from streams import names
from streams.alerts import MOMENT
from streams.dashboards import finish, frame, window_variable, worst
from streams.panels import (
    BUDGET_STEPS,
    BURN_STEPS,
    PER_SECOND,
    SHARE,
    SOURCE,
    TIMES,
    WIDTH,
    bars,
    heat,
    later,
    lines,
    rows,
    words,
)
from streams.promql import INFO
from streams.rules import Links

HERE: Final = 'moment="$moment", segment="$segment", signal=~"$signal"'
THERE: Final = 'moment="$moment", segment="$segment"'


def moment(mark: str, links: Links) -> dict[str, Any]:
    """One moment, one segment, some signals."""
    made = frame(MOMENT, "One moment: its signals, windows, segments, waits and scores.", mark, links)
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    made.with_variable(_values("moment", f"label_values({names.MOMENT_INFO}, moment)"))
    whole = model.VariableOption(selected=True, text=names.ALL, value=names.ALL)
    segments = _values("segment", f'label_values({names.WINDOW_EVENTS}{{moment="$moment"}}, segment)')
    made.with_variable(segments.current(whole))
    signals = _values("signal", f'label_values({names.OBJECTIVE}{{moment="$moment"}}, signal)')
    made.with_variable(signals.multi(True).include_all(True).current(everything))
    made.with_variable(window_variable())

    info = f'{INFO}{{moment="$moment"}}'
    for title, label in (("Moment", "title"), ("Tier", "tier"), ("Owner", "owner")):
        made.with_panel(words(title, f"max by ({label}) ({info})", f"{{{{{label}}}}}", (8, 3)))
    left = f"min by (signal) ({names.BUDGET}{{{HERE}}})"
    made.with_panel(bars("Error budget left", left, "{{signal}}", SHARE, BUDGET_STEPS, (8, 8)).min(-1).max(1))
    made.with_panel(lines("Error budget over time", [(left, "{{signal}}")], SHARE, (8, 8)))
    made.with_panel(
        lines(
            "Burn rate that the evidence supports",
            [(f'max by (signal) ({names.BURN_LOW}{{{HERE}, window="$window"}})', "{{signal}}")],
            TIMES,
            (8, 8),
            "1 uses up the budget exactly within its period. The lower end of the 95 % interval.",
        )
    )
    made.with_row(build.Row("Signals in the chosen window"))
    made.with_panel(_signal())
    made.with_row(build.Row("Windows and segments"))
    made.with_panel(_windows())
    cut = 'moment="$moment", signal=~"$signal", window="$window"'
    made.with_panel(worst("Segments, worst first", cut, ("segment", "signal"), (12, 9)))
    made.with_panel(
        lines(
            "Burn rate of segments",
            [(f"topk(8, max by (segment) ({names.BURN_LOW}{{{cut}}}))", "{{segment}}")],
            TIMES,
            (WIDTH, 8),
            "The eight fastest at each time.",
        )
    )
    made.with_row(build.Row("Volume and waits"))
    rate = f"sum by (signal, result) (rate({names.EVENTS}_total{{{HERE}}}[$__rate_interval]))"
    made.with_panel(lines("Events", [(rate, "{{signal}} {{result}}")], PER_SECOND, (8, 8)))
    buckets = f'sum by (le) (rate({names.WAIT}_bucket{{moment="$moment"}}[$__rate_interval]))'
    made.with_panel(heat("Waits", buckets, (8, 8), "All customers of the moment."))
    quantiles = [
        (f"histogram_quantile({q}, {buckets})", name) for q, name in ((0.5, "median"), (0.9, "90 %"), (0.99, "99 %"))
    ]
    made.with_panel(lines("How long they wait", quantiles, "s", (8, 8)))
    made.with_row(build.Row("Scores"))
    made.with_panel(_scores("Mean score", (names.SCORE_MEAN, names.SCORE_LOW, names.SCORE_HIGH), "short"))
    made.with_panel(_scores("Net promoter share", (names.NPS, names.NPS_LOW, names.NPS_HIGH), SHARE))
    made.with_row(
        later("Closed loop", "Who failed and was followed up: `cx_recovery_total`, `cx_follow_up_seconds`.")
    )
    made.with_row(
        later(
            "Perception",
            "What the firm believes against what customers say: `cx_perception_gap_ratio`, `cx_response_ratio`.",
        )
    )
    return finish(made)


def _values(name: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def _signal() -> Any:
    """The good share as measured, the best that it can be by the evidence, and what was promised."""
    of = 'moment="$moment", segment="$segment", signal="$signal", window="$window"'
    good = f'max by (signal) ({names.WINDOW_EVENTS}{{{of}, result="good"}})'
    both = f"sum by (signal) (max by (signal, result) ({names.WINDOW_EVENTS}{{{of}}}))"
    promised = f'max by (signal) ({names.OBJECTIVE}{{moment="$moment", signal="$signal"}})'
    low = f"max by (signal) ({names.BURN_LOW}{{{of}}})"
    panel = lines(
        "$signal",
        [
            (f"{good} / {both}", "good"),
            (f"1 - {low} * on (signal) (1 - {promised})", "at best"),
            (promised, "promised"),
        ],
        SHARE,
        (8, 8),
        "Of the events in the window. 'At best' is the upper end of the 95 % interval: below the promise, it is "
        "broken beyond doubt.",
    )
    return panel.repeat("signal").repeat_direction("h").max_per_row(3).max(1)


def _windows() -> Any:
    by = "signal, window"
    queries = [
        f"max by ({by}) ({names.BURN_LOW}{{{HERE}}})",
        f"max by ({by}) ({names.BURN}{{{HERE}}})",
        f'max by ({by}) ({names.WINDOW_EVENTS}{{{HERE}, result="bad"}})',
        f"sum by ({by}) (max by ({by}, result) ({names.WINDOW_EVENTS}{{{HERE}}}))",
    ]
    columns = {"signal": "Signal", "window": "Window"}
    columns |= {f"Value #{x}": n for x, n in zip("ABCD", ("Burns at least", "As measured", "Bad", "Of"), strict=True)}
    burns = (TIMES, BURN_STEPS)
    return rows(
        "Windows", [(q, "") for q in queries], columns, (12, 9), {"Burns at least": burns, "As measured": burns}
    )


def _scores(title: str, metrics: tuple[str, str, str], unit: str) -> Any:
    queries = [
        (f'max by (survey) ({metric}{{{THERE}, window="$window"}})', f"{{{{survey}}}}{name}")
        for metric, name in zip(metrics, ("", " at least", " at most"), strict=True)
    ]
    return lines(title, queries, unit, (12, 8), "With the bounds of the 95 % interval.")
