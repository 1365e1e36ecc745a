"""The dashboard of molehill itself: is it up, up to date, exact, and what does it cost."""

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build

from streams import names
from streams.alerts import PIPELINE
from streams.dashboards import finish, frame
from streams.panels import PER_SECOND, SHARE, lines, number, words
from streams.rules import Links

RATE: Final = "[$__rate_interval]"


def pipeline(mark: str, links: Links) -> dict[str, Any]:
    """From the source topics to `/metrics`."""
    made = frame(
        PIPELINE, "Whether molehill itself can be trusted: workers, lag, clock, refusals, cost.", mark, links
    )
    late = ((None, "green"), (120, "orange"), (600, "red"))
    made.with_panel(
        number("Workers", f"count({names.BUILD_INFO}) or vector(0)", "short", ((None, "red"), (1, "green")))
    )
    made.with_panel(number("Behind", f"time() - min({names.CLOCK})", "s", late, about="The clock of event time."))
    made.with_panel(number("Waiting", f"sum({names.LAG})", "short", ((None, "blue"),), about="Events not read yet."))
    refused = f"sum(increase({names.REJECTED}_total[$__range])) / sum(increase({names.RECEIVED}_total[$__range]))"
    made.with_panel(number("Refused", refused, SHARE, ((None, "green"), (0.001, "orange"), (0.01, "red"))))
    made.with_panel(words("Version", f"max by (version) ({names.BUILD_INFO})", "{{version}}"))
    made.with_panel(
        words("Catalogue", f"max by (name, fingerprint) ({names.CATALOGUE_INFO})", "{{name}} {{fingerprint}}")
    )

    made.with_row(build.Row("Events"))
    kinds = [
        (f"sum(rate({metric}_total{RATE}))", metric.removeprefix("molehill_"))
        for metric in (names.RECEIVED, names.ACCEPTED, names.DUPLICATES, names.REJECTED, names.LATE)
    ]
    made.with_panel(lines("Received = accepted + duplicates + rejected", kinds, PER_SECOND))
    reasons = f"sum by (topic, reason) (rate({names.REJECTED}_total{RATE}))"
    skipped = f"sum by (topic) (rate({names.SKIPPED}_total{RATE}))"
    lost = [(reasons, "{{topic}} {{reason}}"), (skipped, "{{topic}} deleted before it was read")]
    made.with_panel(lines("Dead letters", lost, PER_SECOND))
    made.with_panel(
        lines(
            "Waiting",
            [
                (f"sum by (topic) ({names.LAG})", "{{topic}}"),
                (f"sum({names.TALLIES_LAG})", "tallies"),
            ],
            "short",
        )
    )
    behind = f"time() - max by (topic, partition) ({names.WATERMARK})"
    made.with_panel(
        lines(
            "Age of the newest event",
            [(behind, "{{topic}} {{partition}}"), (f"time() - min({names.CLOCK})", "clock")],
            "s",
            about="A partition without events grows old, and does not hold the clock back.",
        )
    )

    made.with_row(build.Row("Writing"))
    flush = f"sum by (le) (rate({names.FLUSH}_bucket{RATE}))"
    quantiles = [(f"histogram_quantile({q}, {flush})", name) for q, name in ((0.5, "median"), (0.99, "99 %"))]
    made.with_panel(lines("A flush takes", quantiles, "s", (8, 8)))
    made.with_panel(
        lines(
            "Records",
            [(f"sum by (topic) (rate({names.WRITTEN_RECORDS}_total{RATE}))", "{{topic}}")],
            PER_SECOND,
            (8, 8),
        )
    )
    made.with_panel(
        lines("Bytes", [(f"sum by (topic) (rate({names.WRITTEN_BYTES}_total{RATE}))", "{{topic}}")], "Bps", (8, 8))
    )

    made.with_row(build.Row("State"))
    made.with_panel(
        lines(
            "What takes memory",
            [
                (f"sum({names.REMEMBERED})", "remembered ids"),
                (f"sum({names.OPEN_CELLS})", "open cells"),
                (f"sum({names.LANES})", "counters"),
            ],
            "short",
            (8, 8),
        )
    )
    series = [(f"sum({names.SERIES})", "exported"), (f"sum({names.SERIES_REFUSED})", "kept back by --max-series")]
    made.with_panel(lines("Series", series, "short", (8, 8)))
    recovery = [
        (f"max by (instance) ({names.RECOVERY_SECONDS})", "{{instance}}: last recovery"),
    ]
    made.with_panel(lines("Recovery takes", recovery, "s", (8, 8)))
    made.with_panel(
        lines(
            "Rows still to recover", [(f"sum by (topic) ({names.RECOVERY_REMAINING})", "{{topic}}")], "short", (8, 6)
        )
    )
    made.with_panel(
        lines("Rows recovered", [(f"sum by (table) ({names.RECOVERY_ROWS}_total)", "{{table}}")], "short", (8, 6))
    )
    made.with_panel(
        lines(
            "A scrape takes",
            [('max by (instance) (scrape_duration_seconds{job="molehill"})', "{{instance}}")],
            "s",
            (8, 6),
        )
    )
    return finish(made)
