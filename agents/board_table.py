"""The moments as a table in a terminal, from the text of `/metrics`."""

import datetime as dt
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table
from rich.text import Text

from agents.simulate import Mole
from streams import names
from streams.catalogue import TIERS

MAX_ROWS = 40
WORST_SEGMENTS = 1
BURNING = 1.0


@dataclass
class Figures:
    """What the table needs of a scrape; series are (moment, segment, signal)."""

    tiers: dict[str, str] = field(default_factory=dict)
    hour: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)
    burn: dict[tuple[str, str, str], float] = field(default_factory=dict)
    budget: dict[tuple[str, str, str], float] = field(default_factory=dict)
    accepted: int = 0
    clock: float = 0.0


def read_figures(text: str) -> Figures:
    """Parses a scrape."""
    out = Figures()
    wanted = {
        names.MOMENT_INFO,
        names.WINDOW_EVENTS,
        names.BURN_LOW,
        names.BUDGET,
        names.ACCEPTED,
        names.CLOCK,
    }
    for family in text_string_to_metric_families(text):
        if family.name not in wanted:
            continue
        for s in family.samples:
            series = (s.labels.get("moment", ""), s.labels.get("segment", ""), s.labels.get("signal", ""))
            if family.name == names.MOMENT_INFO:
                out.tiers[s.labels["moment"]] = s.labels["tier"]
            elif family.name == names.WINDOW_EVENTS and s.labels["window"] == "1h":
                out.hour.setdefault(series, {})[s.labels["result"]] = int(s.value)
            elif family.name == names.BURN_LOW and s.labels["window"] == "5m":
                out.burn[series] = s.value
            elif family.name == names.BUDGET:
                out.budget[series] = s.value
            elif family.name == names.ACCEPTED and s.name.endswith("_total"):
                out.accepted += int(s.value)
            elif family.name == names.CLOCK:
                out.clock = s.value
    return out


def moments_table(figures: Figures | None, moles: tuple[Mole, ...], now: dt.datetime) -> Table:
    """Moments by tier with their worst segment; the caption tells which moles the simulator has up."""
    table = Table(title="molehill: the shop's moments", title_justify="left", expand=False)
    for name, right in (("moment", 0), ("tier", 0), ("signal", 0), ("last hour", 1), ("bad", 1)):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for name in ("burn 5m, at least", "budget left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("burns most in", no_wrap=True)
    if figures is None:
        table.caption = "waiting for the worker"
        return table
    rows = sorted(
        (s for s in figures.budget if s[1] == names.ALL),
        key=lambda s: (_tier(figures, s), -figures.burn.get(s, 0.0), s),
    )
    for series in rows[:MAX_ROWS]:
        table.add_row(*_row(figures, series))
    up = [
        f"{m.moment} {'='.join(m.segment) if m.segment else ''} ({m.what})" for m in moles if m.start <= now < m.end
    ]
    clock = dt.datetime.fromtimestamp(figures.clock, dt.UTC).strftime("%F %T")
    table.caption = (
        f"{figures.accepted:,} events, event time {clock}Z. The simulator is hurting: {', '.join(up) or 'nobody'}"
    )
    table.caption_justify = "left"
    return table


def _tier(figures: Figures, series: tuple[str, str, str]) -> int:
    tier = figures.tiers.get(series[0], "")
    return TIERS.index(tier) if tier in TIERS else len(TIERS)


def _row(figures: Figures, series: tuple[str, str, str]) -> list[str | Text]:
    moment, _, signal = series
    counts = figures.hour.get(series, {})
    total = sum(counts.values())
    burn, budget = figures.burn.get(series, 0.0), figures.budget[series]
    worst = sorted(
        ((b, s[1]) for s, b in figures.burn.items() if s[0] == moment and s[2] == signal and s[1] != names.ALL),
        reverse=True,
    )[:WORST_SEGMENTS]
    hot = [f"{segment} {b:.1f}×" for b, segment in worst if b >= BURNING]
    style = "bold red" if burn >= BURNING else "yellow" if hot else ""
    return [
        Text(moment, style=style),
        figures.tiers.get(moment, ""),
        signal,
        f"{total:,}",
        f"{100 * counts.get('bad', 0) / total:.1f} %" if total else "",
        Text(f"{burn:.1f}×", style=style),
        Text(f"{100 * budget:.0f} %", style="red" if budget < 0 else ""),
        ", ".join(hot),
    ]
