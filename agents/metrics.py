"""`/metrics`: a collector that reads state when it is scraped, and holds none.

State is read on the event loop (arrays: under a millisecond for thousands of series), the text is made in a thread,
so that a scrape of 50,000 samples does not hold up ingestion.
"""

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from faust.types import TP
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from agents.app import Molehill
from streams import names
from streams.catalogue import Catalogue
from streams.events import SECOND
from streams.intervals import mean_interval, nps_interval
from streams.journal import Head
from streams.view import View, view
from streams.windows import WINDOWS

SERIES = ("moment", "segment", "signal")


@dataclass(frozen=True)
class Reading:
    """Everything that one scrape shows, taken at one instant."""

    views: list[View]
    sources: dict[TP, tuple[Head, int | None]]  # what the broker has acknowledged, and lag


def read(molehill: Molehill) -> Reading:
    """Reads the state of what this worker owns and has recovered."""
    if not molehill.loaded:
        return Reading([], {})
    return Reading(
        [view(o.health) for o in molehill.health.owned.values() if o.recovered],
        {tp: (s.published, molehill.lag(tp)) for tp, s in molehill.ingest.sources.items()},
    )


class ReadingCollector(Collector):
    """The samples of one reading."""

    def __init__(self, reading: Reading, catalogue: Catalogue) -> None:
        self.reading = reading
        self.catalogue = catalogue

    def describe(self) -> Iterable[Metric]:
        """Names only; prometheus_client asks for them to check for clashes and to select by name."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """All families; a family without a sample is left out."""
        for family in (*self._series(), *self._catalogue(), *self._scores(), *self._pipeline()):
            if family.samples:
                yield family

    def _series(self) -> Iterator[Metric]:
        events = CounterMetricFamily(names.EVENTS, "Events ever counted for a signal.", labels=[*SERIES, "result"])
        windows = GaugeMetricFamily(
            names.WINDOW_EVENTS, "Events in a sliding window.", labels=[*SERIES, "window", "result"]
        )
        burn = GaugeMetricFamily(
            names.BURN, "Bad share over the share that the objective allows.", labels=[*SERIES, "window"]
        )
        low = GaugeMetricFamily(
            names.BURN_LOW,
            "The same from the lower bound of the bad share (Wilson, 95 %).",
            labels=[*SERIES, "window"],
        )
        budget = GaugeMetricFamily(
            names.BUDGET, "Share of the error budget that is left over the budget period.", labels=SERIES
        )
        for v in self.reading.views:
            for labels, g, b in zip(v.series, v.ever.good.tolist(), v.ever.bad.tolist(), strict=True):
                events.add_metric([*labels, "good"], g)
                events.add_metric([*labels, "bad"], b)
            for window in WINDOWS:
                c = v.windows[window]
                rates, lows = v.burn(window)
                for labels, g, b, r, x in zip(
                    v.series, c.good.tolist(), c.bad.tolist(), rates.tolist(), lows.tolist(), strict=True
                ):
                    windows.add_metric([*labels, window, "good"], g)
                    windows.add_metric([*labels, window, "bad"], b)
                    burn.add_metric([*labels, window], r)
                    low.add_metric([*labels, window], x)
            for labels, left in zip(v.series, v.remaining().tolist(), strict=True):
                budget.add_metric(labels, left)
        yield from (events, windows, burn, low, budget)

    def _catalogue(self) -> Iterator[Metric]:
        objective = GaugeMetricFamily(names.OBJECTIVE, "The objective of a signal.", labels=["moment", "signal"])
        info = GaugeMetricFamily(
            names.MOMENT_INFO, "What the catalogue says of a moment.",
            labels=["moment", "tier", "phase", "owner", "title"],
        )  # fmt: skip
        for v in self.reading.views:
            objectives = {(m, s): o for (m, _, s), o in zip(v.series, v.objectives.tolist(), strict=True)}
            for (moment, signal), value in objectives.items():
                objective.add_metric([moment, signal], value)
            for moment in v.moments:
                m = self.catalogue.moments.get(moment)
                if m is None:
                    info.add_metric([moment, self.catalogue.discovered.tier, "", "", moment], 1)
                else:
                    info.add_metric([moment, m.tier, m.phase or "", m.owner or "", m.title], 1)
        yield from (objective, info)

    def _scores(self) -> Iterator[Metric]:
        labels = ["moment", "segment", "survey", "window"]
        mean = [
            GaugeMetricFamily(n, f"Mean score, {what}.", labels=labels)
            for n, what in zip((names.SCORE_MEAN, names.SCORE_LOW, names.SCORE_HIGH), _BOUNDS, strict=True)
        ]
        nps = [
            GaugeMetricFamily(n, f"Net promoter share, {what}.", labels=["moment", "segment", "window"])
            for n, what in zip((names.NPS, names.NPS_LOW, names.NPS_HIGH), _BOUNDS, strict=True)
        ]
        waits = HistogramMetricFamily(names.WAIT, "How long customers were kept waiting.", labels=["moment"])
        for v in self.reading.views:
            for s in v.scores:
                found = mean_interval(s.n, s.total / 1000, s.squares / 1_000_000)
                for family, value in zip(mean, found, strict=True):
                    family.add_metric([s.moment, s.segment, s.survey, s.window], value)
                if s.survey == "nps":
                    for family, value in zip(nps, nps_interval(s.promoters, s.detractors, s.n), strict=True):
                        family.add_metric([s.moment, s.segment, s.window], value)
            for w in v.waits:
                waits.add_metric([w.moment], [(_bound(b), n) for b, n in w.buckets], w.sum_s)
        yield from (*mean, *nps, waits)

    def _pipeline(self) -> Iterator[Metric]:
        where = ["topic", "partition"]
        received = CounterMetricFamily(names.RECEIVED, "Records read.", labels=where)
        accepted = CounterMetricFamily(names.ACCEPTED, "Events counted.", labels=where)
        duplicates = CounterMetricFamily(names.DUPLICATES, "Events seen before.", labels=where)
        rejected = CounterMetricFamily(names.REJECTED, "Events refused.", labels=[*where, "reason"])
        watermark = GaugeMetricFamily(names.WATERMARK, "Highest accepted event time.", labels=where)
        lag = GaugeMetricFamily(names.LAG, "Records that are not read yet.", labels=where)
        clock = GaugeMetricFamily(names.CLOCK, "The merged clock of event time.")
        for tp, (head, behind) in self.reading.sources.items():
            labels = [tp.topic, str(tp.partition)]
            received.add_metric(labels, head.received)
            accepted.add_metric(labels, head.accepted)
            duplicates.add_metric(labels, head.duplicates)
            for reason in names.REASONS:
                rejected.add_metric([*labels, reason], head.rejected.get(reason, 0))
            if head.watermark is not None:
                watermark.add_metric(labels, head.watermark / SECOND)
            if behind is not None:
                lag.add_metric(labels, behind)
        clocks = [v.clock for v in self.reading.views if v.clock]
        if clocks:
            clock.add_metric([], min(clocks) / SECOND)
        build = GaugeMetricFamily(names.BUILD_INFO, "The version that runs.", labels=["version"])
        build.add_metric([importlib.metadata.version("molehill")], 1)
        yield from (received, accepted, duplicates, rejected, watermark, lag, clock, build)


_BOUNDS = ("as measured", "lower end of the 95 % interval", "upper end of the 95 % interval")


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)
