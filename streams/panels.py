"""Panels with molehill's defaults, on Grafana's own builders: one look, one grid, queries without `instance`.

A burn rate is red from where it pages and orange from where the promise breaks; a budget is red once overspent.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeNamePlacement,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH: Final = 24  # columns of Grafana's grid
TIMES: Final = "suffix: ×"
SHARE: Final = "percentunit"
PER_SECOND: Final = "cps"
Query = tuple[str, str]  # PromQL and legend
Steps = Sequence[tuple[float | None, str]]
BURN_STEPS: Final[Steps] = ((None, "green"), (1, "orange"), (5.6, "red"))
BUDGET_STEPS: Final[Steps] = ((None, "red"), (0, "orange"), (0.1, "yellow"), (0.25, "green"))


P = TypeVar("P", bound=Any)  # any of the builders: they share no type


def common_parts(panel: P, title: str, size: tuple[int, int], about: str) -> P:
    """Title, width and height on the grid, and what the panel is about."""
    panel.title(title).span(size[0]).height(size[1]).datasource(SOURCE)
    if about:
        panel.description(about)
    return panel


def query(expr: str, legend: str = "", *, ref: str = "A", now: bool = False) -> Dataquery:
    """A Prometheus query; `now` for one value and no history."""
    made = Dataquery().expr(expr).ref_id(ref).datasource(SOURCE)
    if legend:
        made = made.legend_format(legend)
    return made.instant() if now else made.range()


def steps(values: Steps) -> build.ThresholdsConfig:
    """Colours from these values on; the first has none."""
    mode = model.ThresholdsMode.ABSOLUTE
    return build.ThresholdsConfig().mode(mode).steps([model.Threshold(value=v, color=c) for v, c in values])


def _refs(queries: Sequence[Query]) -> list[tuple[str, str, str]]:
    return [(expr, legend, chr(ord("A") + i)) for i, (expr, legend) in enumerate(queries)]


def lines(
    title: str, queries: Sequence[Query], unit: str, size: tuple[int, int] = (12, 8), about: str = ""
) -> timeseries.Panel:
    """Values over time, a legend below with the last one."""
    panel = common_parts(timeseries.Panel(), title, size, about).unit(unit).fill_opacity(8).line_width(2)
    panel.show_points(VisibilityMode.NEVER)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull"])
    )
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    for expr, legend, ref in _refs(queries):
        panel.with_target(query(expr, legend, ref=ref))
    return panel


def number(
    title: str,
    expr: str,
    unit: str,
    colours: Steps,
    size: tuple[int, int] = (4, 4),
    about: str = "",
    legend: str = "",
) -> stat.Panel:
    """One big number with its history behind it."""
    panel = common_parts(stat.Panel(), title, size, about).unit(unit).thresholds(steps(colours))
    panel.color_mode(BigValueColorMode.BACKGROUND).graph_mode(BigValueGraphMode.AREA)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.with_target(query(expr, legend))


def words(title: str, expr: str, legend: str, size: tuple[int, int] = (4, 4), about: str = "") -> stat.Panel:
    """A label's value, large."""
    panel = number(title, expr, "short", ((None, "blue"),), size, about, legend)
    return panel.text_mode(BigValueTextMode.NAME).graph_mode(BigValueGraphMode.NONE)


def bars(
    title: str,
    expr: str,
    legend: str,
    unit: str,
    colours: Steps,
    size: tuple[int, int],
    link: str = "",
    about: str = "",
) -> bargauge.Panel:
    """One bar for each series, as it is now."""
    panel = common_parts(bargauge.Panel(), title, size, about).unit(unit).thresholds(steps(colours))
    panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC)
    panel.name_placement(BarGaugeNamePlacement.LEFT).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if link:
        panel.data_links([build.DashboardLink("Open the moment").url(link)])
    return panel.with_target(query(expr, legend, now=True))


def rows(
    title: str,
    queries: Sequence[Query],
    columns: dict[str, str],
    size: tuple[int, int],
    units: dict[str, tuple[str, Steps]] | None = None,
    links: dict[str, str] | None = None,
    about: str = "",
) -> table.Panel:
    """A table of now: the queries' labels and values side by side. `columns` are field → heading, in order; the
    value of a query is the field `Value #A`, of the next one `Value #B`."""
    panel = common_parts(table.Panel(), title, size, about)
    for expr, _, ref in _refs(queries):
        panel.with_target(query(expr, ref=ref, now=True).format(PromQueryFormat.TABLE))
    panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "includeByName": dict.fromkeys(columns, True),
                "indexByName": {field: i for i, field in enumerate(columns)},
                "renameByName": columns,
            },
        )
    )
    for heading, (unit, colours) in (units or {}).items():
        values = [
            model.DynamicConfigValue(id_val="unit", value=unit),
            model.DynamicConfigValue(id_val="thresholds", value=steps(colours).build()),
            model.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        ]
        panel.override_by_name(heading, values)
    for heading, url in (links or {}).items():
        panel.override_by_name(
            heading, [model.DynamicConfigValue(id_val="links", value=[{"title": f"Open {heading}", "url": url}])]
        )
    return panel


def stripes(title: str, expr: str, legend: str, unit: str, colours: Steps, size: tuple[int, int]) -> Any:
    """A stripe for each series, coloured by its value over time: readable from across the room."""
    panel = common_parts(statetimeline.Panel(), title, size, "").unit(unit).thresholds(steps(colours))
    panel.color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    panel.show_value(VisibilityMode.NEVER).merge_values(True).row_height(0.85)
    return panel.with_target(query(expr, legend))


def heat(title: str, expr: str, size: tuple[int, int], about: str = "") -> heatmap.Panel:
    """A histogram over time, in seconds."""
    panel = common_parts(heatmap.Panel(), title, size, about)
    panel.y_axis(heatmap.YAxisConfig().unit("s")).calculate(False)
    return panel.with_target(query(expr, "{{le}}").format(PromQueryFormat.HEATMAP))


def note(title: str, markdown: str, size: tuple[int, int]) -> text.Panel:
    """Text in Markdown."""
    return text.Panel().title(title).span(size[0]).height(size[1]).content(markdown)


def later(title: str, markdown: str) -> build.Row:
    """A closed row that keeps the place of what is to come."""
    return build.Row(title).with_panel(note("", markdown, (WIDTH, 3)))


def dump(made: build.Dashboard) -> dict[str, Any]:
    """A dashboard as JSON data, its panels numbered: links to a panel need an id, and builders give none."""
    data: dict[str, Any] = json.loads(JSONEncoder().encode(made.build()))
    number_of = 0
    for panel in data["panels"]:
        for each in (panel, *(panel.get("panels") or ())):
            number_of += 1
            each["id"] = number_of
    for variable in data["templating"]["list"]:
        for field in ("auto", "auto_min", "auto_count"):  # of interval variables, and no part of the schema
            del variable[field]
    return data
