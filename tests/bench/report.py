"""Medians and ranges of the runs, and the bars that they reach: tables for people, JSON for programs."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from rich.table import Table

from tests.bench.measure import Run


@dataclass(frozen=True)
class Bar:
    """What issue 4 asks for: a figure of a variant, over that of a peer."""

    load: str
    variant: str
    peer: str
    figure: str
    ratio: float

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.figure == "events_per_s"


BARS: Final = (
    *(
        Bar(load, variant, peer, "events_per_s", 4.0)
        for load in ("sparse", "dense")
        for variant, peer in (
            ("molehill", "quix"),
            *(
                (ours, peer)
                for ours in ("molehill", "molehill-2")  # it has two threads, and uses both processors
                for peer in ("kafka-streams", "kafka-streams-full", "kafka-streams-thread")
            ),
        )
    ),
    *(Bar(load, "molehill-2", "molehill", "events_per_s", 1.7) for load in ("sparse", "dense")),
    *(
        Bar(load, variant, peer, "cpu_s_per_million", 1.5 if load == "dense" else 2.0)
        for load, variant in (("dense", "molehill"), ("sparse", "molehill"), ("sparse", "moles"))
        for peer in ("bare", "plain")
    ),
)  # fmt: skip


def bars(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the bars whose two variants were measured, on equally many events, and whether each is reached."""
    found = {(e["load"], e["events"], e["variant"]): e for e in entries}
    out = []
    for bar in BARS:
        for (load, events, variant), e in found.items():
            peer = found.get((load, events, bar.peer))
            if (load, variant) == (bar.load, bar.variant) and peer is not None:
                ratio = e[bar.figure] / peer[bar.figure]
                reached = ratio >= bar.ratio if bar.at_least else ratio <= bar.ratio
                verified = e["verified"] and peer["verified"]
                name = "events/s" if bar.at_least else "CPU-s / million"
                what = f"{load}: {variant} over {bar.peer}, {name}"
                wanted = f"{'≥' if bar.at_least else '≤'} {bar.ratio:g}"
                out.append({"bar": what, "wanted": wanted, "measured": ratio, "reached": reached and verified})
    return out


def bars_table(found: list[dict[str, Any]]) -> Table:
    """For the terminal."""
    out = Table(title="Bars")
    for name in ("bar", "wanted", "measured", "reached"):
        out.add_column(name, justify="left" if name == "bar" else "right")
    for f in found:
        out.add_row(f["bar"], f["wanted"], f"{f['measured']:.2f}", "yes" if f["reached"] else "[bold red]NO")
    return out


def grouped(runs: Iterable[Run]) -> dict[tuple[str, int], dict[str, list[Run]]]:
    """(load, events) → variant → its runs."""
    out: dict[tuple[str, int], dict[str, list[Run]]] = {}
    for run in runs:
        out.setdefault((run.load, run.events), {}).setdefault(run.variant, []).append(run)
    return out


def summary(runs: list[Run]) -> list[dict[str, Any]]:
    """One entry for each load and variant, with what it is compared to molehill."""
    out = []
    for (load, events), variants in grouped(runs).items():
        for variant, some in variants.items():
            rates = [r.rate for r in some]
            hops = {
                topic: {
                    "records_per_event": median(r.traffic[topic].records / events for r in some),
                    "bytes_per_event": median(r.traffic[topic].bytes / events for r in some),
                }
                for topic in some[0].traffic
                if all(topic in r.traffic for r in some)
            }
            out.append(
                {
                    "load": load,
                    "events": events,
                    "variant": variant,
                    "runs": len(some),
                    "events_per_s": median(rates),
                    "events_per_s_range": [min(rates), max(rates)],
                    "cpu_s_per_million": median(r.cpu_per_million for r in some),
                    "peak_rss_mb": max(r.rss_mb for r in some),
                    "hops": hops,
                    "verified": not any(r.wrong for r in some),
                }
            )
    return out


def table(entries: list[dict[str, Any]]) -> Table:
    """What the terminal shows. Ratios compare with molehill on the same load."""
    out = Table(title="Draining a backlog")
    for name, justify in (
        ("load", "left"), ("variant", "left"), ("events", "right"), ("events/s (range)", "right"),
        ("× molehill", "right"), ("CPU-s / million", "right"), ("× molehill", "right"), ("RSS MB", "right"),
        ("records / event", "right"), ("bytes / event", "right"), ("totals", "left"),
    ):  # fmt: skip
        out.add_column(name, justify="left" if justify == "left" else "right")
    ours = {(e["load"], e["events"]): e for e in entries if e["variant"] == "molehill"}
    for e in entries:
        own = ours.get((e["load"], e["events"]))
        low, high = e["events_per_s_range"]
        out.add_row(
            e["load"],
            e["variant"],
            f"{e['events']:,}",
            f"{e['events_per_s']:,.0f} ({low / 1000:,.1f}–{high / 1000:,.1f}k)",
            f"{e['events_per_s'] / own['events_per_s']:.2f}" if own else "",
            f"{e['cpu_s_per_million']:.1f}",
            f"{e['cpu_s_per_million'] / own['cpu_s_per_million']:.2f}" if own else "",
            f"{e['peak_rss_mb']:,.0f}",
            f"{sum(h['records_per_event'] for h in e['hops'].values()):.4f}" if e["hops"] else "",
            f"{sum(h['bytes_per_event'] for h in e['hops'].values()):.0f}" if e["hops"] else "",
            "exact" if e["verified"] else "[bold red]WRONG",
        )
    return out


def hops(entries: list[dict[str, Any]]) -> Table:
    """Records and bytes by topic."""
    out = Table(title="What each event costs on the broker, by topic")
    for name in ("load", "variant", "topic"):
        out.add_column(name)
    for name in ("records / event", "bytes / event"):
        out.add_column(name, justify="right")
    for e in entries:
        for topic, h in e["hops"].items():
            if h["records_per_event"]:
                records, size = h["records_per_event"], h["bytes_per_event"]
                out.add_row(e["load"], e["variant"], topic, f"{records:.5f}", f"{size:.1f}")
    return out
