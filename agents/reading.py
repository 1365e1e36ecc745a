"""One reading of a worker's state, for one scrape: arrays and numbers, taken at one instant on the event loop."""

from dataclasses import dataclass

from faust.types import TP

from agents.app import Molehill
from agents.sinks import Outbox
from streams.candidates import BOUNDS, Candidates, Histogram
from streams.journal import Head
from streams.lives import Labels, Quiet
from streams.view import View, views


@dataclass(frozen=True)
class Operation:
    """How the worker itself is doing."""

    flush_counts: list[int]
    flush_sum_s: float
    written_records: dict[str, int]
    written_bytes: dict[str, int]
    recovery_rows: dict[str, int]
    recovery_s: float
    remaining: dict[TP, int]
    tallies_lag: dict[int, int | None]
    memory: dict[TP, tuple[int, int, int]]  # remembered ids, open cells, lanes
    skipped: dict[TP, int]  # offsets of our sources that were gone before they were read


@dataclass(frozen=True)
class Moles:
    """What the worker that owns the desk shows of the moles."""

    active: dict[Labels, Quiet | None]  # of those that are up; why nobody is to be told
    told: dict[tuple[str, str, str], int]  # moment, kind, event
    detect: dict[str, tuple[list[int], float]]  # tier → counts by bound, sum in seconds
    whack: dict[str, tuple[list[int], float]]


@dataclass(frozen=True)
class Reading:
    """Everything that one scrape shows, taken at one instant."""

    views: list[View]
    sources: dict[TP, tuple[Head, int | None]]  # what the broker has acknowledged, and lag
    refused: int  # series over the limit
    operation: Operation
    moles: Moles | None = None
    judged: int | None = None  # seconds; how far the slowest of our partitions has judged


def read(molehill: Molehill) -> Reading:
    """Reads the state of what this worker owns and has recovered."""
    operation = _operation(molehill)
    if not molehill.serving:
        return Reading([], {}, 0, operation)
    owned = [o for o in molehill.health.owned.values() if o.recovered]
    shown = views([o.viewer for o in owned], molehill.settings.max_series)
    sources = {tp: (s.published, molehill.lag(tp)) for tp, s in molehill.ingest.sources.items()}
    moles = _moles(molehill.desk.fold) if molehill.desk.serving else None
    through = [o.health.judging.through for o in owned]
    judged = min(through, default=0) or None
    return Reading(shown, sources, sum(v.refused for v in shown), operation, moles, judged)


def _moles(fold: Candidates) -> Moles:
    empty = Histogram([0] * (len(BOUNDS) + 1))
    tiers = ("game-over", "important", "tolerable")
    detect, whack = (
        {t: (list(h.counts), h.sum_s) for t, h in ((t, found.get(t, empty)) for t in tiers)}
        for found in (fold.detect, fold.whack)
    )
    return Moles(fold.desk.up(), dict(fold.told), detect, whack)


def _operation(molehill: Molehill) -> Operation:
    flushes = molehill.ingest.flushes
    return Operation(
        list(flushes.counts),
        flushes.sum_s,
        dict(Outbox.written.records),
        dict(Outbox.written.bytes),
        {name: table.data.read for name, table in molehill.app.tables.items()},
        molehill.recovery_s,
        molehill.remaining(),
        {p: molehill.tallies_lag(p) for p in molehill.health.owned} if molehill.loaded else {},
        {
            tp: (len(s.tally.dedupe), len(s.tally.ledger.open.keys), len(s.tally.ledger.names))
            for tp, s in molehill.ingest.sources.items()
        },
        {tp: molehill.consumer.skipped.get(tp, 0) for tp in molehill.ingest.sources},
    )
