"""The moments as a table in a terminal, from the text of `/metrics`."""

import datetime as dt
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from agents.simulate_moles import Mole
from streams import names
from streams.catalogue import TIERS

BURNING = 1.0

Series = tuple[str, str, str]  # moment, segment, signal


@dataclass
class Figures:
    """What the table needs of a scrape."""

    tiers: dict[str, str] = field(default_factory=dict)
    hour: dict[Series, dict[str, int]] = field(default_factory=dict)
    burn: dict[Series, float] = field(default_factory=dict)
    budget: dict[Series, float] = field(default_factory=dict)
    moles: list[Series] = field(default_factory=list)
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
        names.MOLE_ACTIVE,
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
            elif family.name == names.MOLE_ACTIVE and s.value:
                out.moles.append(series)
    return out


def moments_table(figures: Figures | None, moles: tuple[Mole, ...], now: dt.datetime) -> Table:
    """One row a moment, by tier: the signal that burns most. The caption tells what the simulator is hurting."""
    table = Table(
        title="molehill: the shop's moments, by the signal that burns most", title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("moment", no_wrap=True, min_width=18)
    table.add_column("signal", no_wrap=True, min_width=9)
    for name in ("1h", "bad", "burn", "budget"):
        table.add_column(name, justify="right", no_wrap=True, min_width=6)
    table.add_column("burns most in")
    table.caption_justify = "left"
    if figures is None:
        table.caption = "waiting for the worker"
        return table
    tier = ""
    for series in _rows(figures):
        if figures.tiers.get(series[0], "") != tier:
            tier = figures.tiers.get(series[0], "")
            table.add_section()
            table.add_row(Text(tier, style="italic"))
        table.add_row(*_row(figures, series))
    hurt = [f"{m.moment} {'='.join(m.segment or ())}: {m.what}" for m in moles if m.start <= now < m.end]
    found = [f"{moment}{'' if seg == names.ALL else f' {seg}'}: {signal}" for moment, seg, signal in figures.moles]
    clock = dt.datetime.fromtimestamp(figures.clock, dt.UTC).strftime("%F %T")
    table.caption = (
        f"{figures.accepted:,} events, event time {clock}Z. burn: last 5 min, at least.\n"
        f"The simulator is hurting {', '.join(hurt) or 'nobody'}.\n"
        f"Moles that are up: {', '.join(found) or 'none'}."
    )
    return table


def _rows(figures: Figures) -> list[Series]:
    """Of each moment the signal that burns most, worst first within a tier."""
    worst: dict[str, Series] = {}
    for series in figures.budget:
        moment, segment, _ = series
        if segment == names.ALL and (moment not in worst or _heat(figures, series) > _heat(figures, worst[moment])):
            worst[moment] = series
    return sorted(worst.values(), key=lambda s: (_tier(figures, s), *(-x for x in _heat(figures, s)), s))


def _heat(figures: Figures, series: Series) -> tuple[float, float]:
    """Burning now comes before a budget that is gone."""
    return figures.burn.get(series, 0.0), 1 - figures.budget[series]


def _tier(figures: Figures, series: Series) -> int:
    tier = figures.tiers.get(series[0], "")
    return TIERS.index(tier) if tier in TIERS else len(TIERS)


def _row(figures: Figures, series: Series) -> list[str | Text]:
    moment, _, signal = series
    counts = figures.hour.get(series, {})
    total = sum(counts.values())
    burn, budget = figures.burn.get(series, 0.0), figures.budget[series]
    segments = [(b, s[1]) for s, b in figures.burn.items() if s[0] == moment and s[2] == signal and s[1] != names.ALL]
    hottest, where = max(segments, default=(0.0, ""))
    style = "bold red" if burn >= BURNING else "yellow" if hottest >= BURNING else ""
    return [
        Text(moment, style=style),
        signal,
        f"{total:,}",
        f"{100 * counts.get('bad', 0) / total:.1f} %" if total else "",
        Text(f"{burn:.1f}×", style=style),
        Text(f"{100 * budget:.0f} %", style="red" if budget < 0 else ""),
        f"{where} {hottest:.1f}×" if hottest >= BURNING else "",
    ]
