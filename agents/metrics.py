"""`/metrics`: what one reading of the state says, as text; nothing is held between two scrapes.

State is read on the event loop (`agents.reading`: arrays, some milliseconds for 45,000 series). The samples of the
series, tens for each, are written by hand in pieces (`streams.exposition`), and between two pieces the loop does what
else there is: with a thread each of its turns would wait up to 5 ms for the interpreter's lock. All other families
are prometheus_client's.
"""

import importlib.metadata
import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from agents.ingest import Durations
from agents.reading import Reading
from streams import names
from streams.candidates import BOUNDS, COUNTED
from streams.catalogue import Catalogue
from streams.events import SECOND
from streams.moles import Kind
from streams.route import fingerprint

log = logging.getLogger("molehill")

SERIES = ("moment", "segment", "signal")


class Notice:
    """Says once in the log, at the first scrape that lacks some, that --max-series keeps series back; how many there
    are by now, each scrape has."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.said = False

    def of(self, refused: int) -> None:
        """So many are kept back now."""
        if refused and not self.said:
            self.said = True
            log.warning(
                "%d series are over --max-series %d: they are counted, but no alert and no dashboard has them; lower "
                "the limits of segments in the catalogue, add workers, or raise it", refused, self.limit,
            )  # fmt: skip


class ReadingCollector(Collector):
    """The samples of one reading, but for those of its series and scores."""

    def __init__(self, reading: Reading, catalogue: Catalogue) -> None:
        self.reading = reading
        self.catalogue = catalogue

    def describe(self) -> Iterable[Metric]:
        """Nothing: it would be asked at each scrape, and collect everything twice."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families; a family without a sample is left out."""
        families = self._catalogue(), self._waits(), self._moles(), self._pipeline(), self._operation()
        for family in itertools.chain(*families):
            if family.samples:
                yield family

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

    def _waits(self) -> Iterator[Metric]:
        waits = HistogramMetricFamily(names.WAIT, "How long customers were kept waiting.", labels=["moment"])
        for v in self.reading.views:
            for w in v.waits:
                waits.add_metric([w.moment], [(_bound(b), n) for b, n in w.buckets], w.sum_s)
        yield waits

    def _moles(self) -> Iterator[Metric]:
        moles = self.reading.moles
        if moles is None:
            return
        active = GaugeMetricFamily(
            names.MOLE_ACTIVE, "1 while a mole is up.", labels=[*SERIES, "kind", "tier"],
        )  # fmt: skip
        quiet = GaugeMetricFamily(
            names.MOLE_QUIET, "1 while nobody is to be told of a mole that is up.",
            labels=[*SERIES, "kind", "tier", "why"],
        )  # fmt: skip
        for labels, why in moles.active.items():
            active.add_metric(labels, 1)
            if why:
                quiet.add_metric([*labels, why], 1)
        told = CounterMetricFamily(names.MOLES, "Steps in the lives of moles.", labels=["moment", "kind", "event"])
        every = [(m, k, e) for m in self.catalogue.moments for k in get_args(Kind) for e in COUNTED]
        for key, n in (dict.fromkeys(every, 0) | moles.told).items():
            told.add_metric(key, n)
        yield from (active, quiet, told)
        for name, what, found in (
            (names.MOLE_DETECT, "From first harm to pop.", moles.detect),
            (names.MOLE_WHACK, "From pop to whacked.", moles.whack),
        ):
            histogram = HistogramMetricFamily(name, what, labels=["tier"])
            edges = [*map(_bound, BOUNDS), "+Inf"]
            for tier, (counts, sum_s) in found.items():
                histogram.add_metric([tier], list(zip(edges, itertools.accumulate(counts), strict=True)), sum_s)
            yield histogram

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
        late = CounterMetricFamily(names.LATE, "Events accepted behind the watermark.", labels=where)
        for tp, (head, _) in self.reading.sources.items():
            late.add_metric([tp.topic, str(tp.partition)], head.late)
        clocks = [v.clock for v in self.reading.views if v.clock]
        if clocks:
            clock.add_metric([], min(clocks) / SECOND)
        judged = GaugeMetricFamily(names.JUDGED, "How far moments have been judged, in event time.")
        if self.reading.judged is not None:
            judged.add_metric([], self.reading.judged)
        build = GaugeMetricFamily(names.BUILD_INFO, "The version that runs.", labels=["version"])
        build.add_metric([importlib.metadata.version("molehill")], 1)
        runs = GaugeMetricFamily(names.CATALOGUE_INFO, "The catalogue that runs.", labels=["name", "fingerprint"])
        runs.add_metric([self.catalogue.name, fingerprint(self.catalogue)], 1)
        yield from (received, accepted, duplicates, rejected, late, watermark, lag, clock, judged, build, runs)

    def _operation(self) -> Iterator[Metric]:
        o = self.reading.operation
        where = ["topic", "partition"]
        flush = HistogramMetricFamily(names.FLUSH, "From taking a flush to its last acknowledgement.")
        edges = [*map(str, Durations.bounds), "+Inf"]
        flush.add_metric([], list(zip(edges, itertools.accumulate(o.flush_counts), strict=True)), o.flush_sum_s)
        records = CounterMetricFamily(names.WRITTEN_RECORDS, "Records written to a topic.", labels=["topic"])
        size = CounterMetricFamily(names.WRITTEN_BYTES, "Bytes written, before compression.", labels=["topic"])
        for topic, n in o.written_records.items():
            records.add_metric([topic], n)
            size.add_metric([topic], o.written_bytes[topic])
        rows = CounterMetricFamily(names.RECOVERY_ROWS, "Changelog rows read to recover.", labels=["table"])
        for table, n in o.recovery_rows.items():
            rows.add_metric([table], n)
        skipped = CounterMetricFamily(names.SKIPPED, "Offsets deleted before they were read.", labels=where)
        for tp, n in o.skipped.items():
            skipped.add_metric([tp.topic, str(tp.partition)], n)
        seconds = GaugeMetricFamily(names.RECOVERY_SECONDS, "How long the last recovery took.")
        seconds.add_metric([], o.recovery_s)
        remaining = GaugeMetricFamily(names.RECOVERY_REMAINING, "Changelog rows still to be read.", labels=where)
        for tp, n in o.remaining.items():
            remaining.add_metric([tp.topic, str(tp.partition)], n)
        behind = GaugeMetricFamily(names.TALLIES_LAG, "Tallies that health has not folded in.", labels=["partition"])
        for partition, lag in o.tallies_lag.items():
            if lag is not None:
                behind.add_metric([str(partition)], lag)
        yield from (flush, records, size, rows, skipped, seconds, remaining, behind)
        memory = [
            GaugeMetricFamily(name, what, labels=where)
            for name, what in (
                (names.REMEMBERED, "Event ids remembered against repeats."),
                (names.OPEN_CELLS, "Cells of buckets that may still change."),
                (names.LANES, "Counters kept for a source partition."),
            )
        ]
        for tp, sizes in o.memory.items():
            for family, n in zip(memory, sizes, strict=True):
                family.add_metric([tp.topic, str(tp.partition)], n)
        series = GaugeMetricFamily(names.SERIES, "Series that this worker exports.")
        series.add_metric([], sum(len(v.series) for v in self.reading.views))
        refused = GaugeMetricFamily(names.SERIES_REFUSED, "Series that --max-series keeps from being exported.")
        refused.add_metric([], self.reading.refused)
        yield from (*memory, series, refused)


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)
