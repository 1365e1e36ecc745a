"""What the tests of the core share: records, events, the contract as a plain loop, and the pipeline in memory.

`Expected` knows nothing of the core: it reads the events as dicts, in the contract's words, and adds up in
Counters. `Pipeline` is the shell without Kafka: its logs are lists, and it can be killed between any two of them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from streams import names
from streams.catalogue import Catalogue, parse
from streams.health import Health
from streams.journal import Flush, Journal, Row, restore
from streams.route import Routes
from streams.tally import Refused, Tally
from streams.view import View, view
from streams.wire import Frontier, Tallies, decode, encode, squeeze

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BASE = datetime(2024, 3, 1, tzinfo=UTC)
BASE_S = int(BASE.timestamp())
HOUR_S = 3600
DAY_S = 86_400
FAR_MS = 253_402_300_800_000  # a broker's timestamp that no event of these tests is ahead of
SOURCES = ((names.TOUCHPOINTS, 0), (names.TOUCHPOINTS, 1), (names.FEEDBACK, 0), (names.FEEDBACK, 1))

TEXT = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: test}
budget_period: 5d
allowed_lateness: 1h
segments:
  region: {limit: 4}
  plan: {values: [free, pro]}
discovered: {tier: tolerable, limit: 3, objective: 90%}
moments:
  pay:
    title: Pay
    tier: game-over
    signals:
      outcome: {objective: 99%}
      need: {objective: 97%}
      wait: {objective: 95%, within: 30s}
      promise: {objective: 97%}
      csat: {objective: 80%}
      nps: {objective: 70%}
  browse:
    title: Browse
    tier: tolerable
    signals:
      outcome: {objective: 90%}
      duration: {objective: 95%, within: 2s}
      rating: {objective: 75%, good: 3}
      ces: {objective: 75%}
      sentiment: {objective: 75%, good: 0.5}
      complaint: {objective: 90%}
"""
NEWLY = """  {name}:
    title: Not yet declared
    tier: important
    signals: {{outcome: {{objective: 90%}}}}
"""


def catalogue(text: str = TEXT, **changes: tuple[str, str]) -> Catalogue:
    """The test's catalogue; each change replaces its first text by its second."""
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    return parse(text, "test.yaml")


def routes(partitions: int = 3, text: str = TEXT) -> Routes:
    return Routes(catalogue(text), partitions)


@dataclass(slots=True)
class Record:
    """What a Kafka client gives for a record; `timestamp` in milliseconds."""

    offset: int
    value: bytes | None
    key: bytes | None = b"customer"
    timestamp: int = FAR_MS
    timestamp_type: int = 1
    headers: Sequence[tuple[str, bytes | None]] = ()


Event = dict[str, Any]


def iso(seconds: float) -> str:
    """An RFC 3339 time, `seconds` after BASE."""
    return (BASE + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def event(kind: str, name: str, at_s: float, **data: Any) -> Event:
    """A CloudEvent as a dict, `at_s` seconds after BASE."""
    full = {"customer": "customer", **data}
    return {
        "specversion": "1.0", "id": name, "source": "test", "type": kind, "time": iso(at_s), "data": full,
    }  # fmt: skip


def touchpoint(name: str = "1", at_s: float = 0, **data: Any) -> Event:
    return event("cx.touchpoint", name, at_s, **{"moment": "pay", **data})


def answer(name: str = "1", at_s: float = 0, **data: Any) -> Event:
    return event("cx.feedback", name, at_s, **{"moment": "pay", "survey": "csat", **data})


def survey(name: str = "1", at_s: float = 0, **data: Any) -> Event:
    return event("cx.survey", name, at_s, **{"moment": "pay", "survey": "csat", **data})


def body(event: object) -> bytes:
    return json.dumps(event).encode()


def records(events: Iterable[Event], first: int = 0) -> list[Record]:
    return [Record(i, body(e)) for i, e in enumerate(events, first)]


# The contract, as a plain loop

Total = tuple[str, str, str, str]  # moment, segment, signal, result
GOOD = {"csat": 4, "rating": 4, "ces": 5, "nps": 9, "sentiment": 0}
WINDOWS = {"5m": (300, 10), "30m": (1800, 10), "1h": (3600, 60), "2h": (7200, 60), "6h": (21600, 60)}
WINDOWS |= {"1d": (86_400, 600), "3d": (259_200, 600)}
NEVER = ("wait", "duration")  # not measured in a discovered moment


def seconds_of(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def micros_of(time: str) -> int:
    return (datetime.fromisoformat(time) - EPOCH) // timedelta(microseconds=1)


def verdicts(e: Event, c: Catalogue) -> dict[str, str]:
    """What an event says of its moment's signals, by the contract's words: signal → good | bad."""
    d, out = e["data"], {}
    moment = d.get("moment", "relationship")
    declared = c.moments[moment].signals if moment in c.moments else None
    within = {s: declared[s].within for s in NEVER if declared and s in declared}
    limit = dict(GOOD)
    if declared:
        limit |= {s: declared[s].good for s in GOOD if s in declared}  # type: ignore[misc]
    if e["type"] == "cx.touchpoint":
        ok = d.get("outcome", "ok") == "ok"
        out["outcome"] = ok
        if d.get("need_met") is not None:
            out["need"] = d["need_met"]
        for s in NEVER:
            if d.get(f"{s}_s") is not None and within.get(s) is not None:
                out[s] = d[f"{s}_s"] <= within[s]
        if d.get("promised_by") is not None:
            out["promise"] = ok and micros_of(e["time"]) <= micros_of(d["promised_by"])
    elif e["type"] == "cx.feedback":
        score = d.get("score")
        if d["survey"] in ("complaint", "praise"):
            out["complaint"] = d["survey"] == "praise"
        elif score is not None and (d["survey"] != "nps" or score >= limit["nps"] or score <= 6):
            out[d["survey"]] = score >= limit[d["survey"]]
        if d.get("sentiment") is not None:
            out["sentiment"] = d["sentiment"] >= limit["sentiment"]
    return {s: "good" if v else "bad" for s, v in out.items() if declared is None or s in declared}


def segments_of(e: Event, c: Catalogue) -> list[str]:
    """The segments that an event counts under, where no limit is reached."""
    d = e["data"]
    if d.get("probe") or d.get("voice") == "probe":
        return ["voice=probe"]
    if d.get("voice") == "company":
        return ["voice=company"]
    out = ["all"]
    for name, value in (d.get("segment") or {}).items():
        if name in c.dimensions:
            values = c.dimensions[name].values
            out.append(f"{name}={value if values is None or value in values else 'other'}")
    return out


@dataclass
class Expected:
    """What the contract says of the records of several sources, each in the order of its offsets."""

    catalogue: Catalogue
    counts: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)
    watermarks: dict[tuple[str, int], int | None] = field(default_factory=dict)
    accepted: list[Event] = field(default_factory=list)

    def read(self, source: tuple[str, int], events: Iterable[Event | str]) -> None:
        """A whole source; a str stands for a bad message, and is its reason."""
        lateness = int(self.catalogue.allowed_lateness * 1e6)
        seen: set[tuple[str, str]] = set()
        count: Counter[str] = Counter()
        mark: int | None = None
        for e in events:
            count["received"] += 1
            if isinstance(e, str):
                count[e] += 1
                continue
            at, name = micros_of(e["time"]), (e["source"], e["id"])
            if mark is not None and at < mark - lateness:
                count["too_late"] += 1
            elif name in seen:
                count["duplicates"] += 1
            else:
                seen.add(name)
                count["accepted"] += 1
                mark = at if mark is None else max(mark, at)
                self.accepted.append(e)
        self.counts[source], self.watermarks[source] = count, mark

    def totals(self) -> Counter[Total]:
        """All that was ever counted."""
        return self._sum(self.accepted)

    def window(self, window: str, clock: int) -> Counter[Total]:
        """The events whose bucket starts in (floor(T) - w, floor(T)]; `clock` in microseconds."""
        length, bucket = WINDOWS[window]
        return self._between(length, bucket, clock)

    def budget(self, clock: int) -> Counter[Total]:
        return self._between(int(self.catalogue.budget_period), HOUR_S, clock)

    def _between(self, length: int, bucket: int, clock: int) -> Counter[Total]:
        top = clock // 1_000_000 // bucket * bucket
        starts = [(micros_of(e["time"]) // 1_000_000 // bucket * bucket, e) for e in self.accepted]
        return self._sum(e for start, e in starts if top - length < start <= top)

    def _sum(self, events: Iterable[Event]) -> Counter[Total]:
        out: Counter[Total] = Counter()
        for e in events:
            for signal, result in verdicts(e, self.catalogue).items():
                for segment in segments_of(e, self.catalogue):
                    out[e["data"].get("moment", "relationship"), segment, signal, result] += 1
        return out


# What the core shows


def shown(v: View, good: Iterable[int], bad: Iterable[int]) -> Counter[Total]:
    """Non-zero counts by series and result."""
    out: Counter[Total] = Counter()
    for (moment, segment, signal), g, b in zip(v.series, good, bad, strict=True):
        out[moment, segment, signal, "good"] = int(g)
        out[moment, segment, signal, "bad"] = int(b)
    return +out


def totals_of(healths: Iterable[Health]) -> Counter[Total]:
    """All exported totals; a series that two partitions export fails."""
    out: Counter[Total] = Counter()
    owned: set[tuple[str, str, str]] = set()
    for health in healths:
        v = view(health)
        assert not owned & set(v.series)
        owned |= set(v.series)
        out += shown(v, v.ever.good, v.ever.bad)
    return out


def window_of(healths: Iterable[Health], window: str) -> Counter[Total]:
    out: Counter[Total] = Counter()
    for v in map(view, healths):
        out += shown(v, v.windows[window].good, v.windows[window].bad)
    return out


def budget_of(healths: Iterable[Health]) -> Counter[Total]:
    out: Counter[Total] = Counter()
    for v in map(view, healths):
        out += shown(v, v.budget.good, v.budget.bad)
    return out


# The pipeline in memory


def split(message: bytes) -> list[bytes]:
    """One message as a set of two chunks, as a flush too big for one would send it."""
    m = decode(message)
    assert isinstance(m, Tallies)
    if m.chunks > 1:
        return [message]
    nothing = squeeze(ints())
    first = msgspec.structs.replace(m, chunks=2, first=0, steps=nothing, cell_lanes=nothing, cells=nothing)
    second = msgspec.structs.replace(m, chunks=2, chunk=1, total_lanes=nothing, totals=nothing)
    return [encode(first), encode(second)]


class Owner:
    """A worker's hold on one source topic-partition."""

    def __init__(self, tally: Tally, journal: Journal) -> None:
        self.tally = tally
        self.journal = journal
        self.refused: list[Refused] = []


@dataclass
class Sent:
    """A flush with all that its owner wants to send, before any of it has left."""

    rows: list[Row]
    messages: list[tuple[int, bytes]]
    floor: int


class Pipeline:
    """Sources, journal and tallies as lists; `kill` forgets all that is not in them."""

    def __init__(self, routes: Routes, sources: dict[tuple[str, int], list[Record]], chunked: bool = False) -> None:
        self.routes = routes
        self.sources = sources
        self.chunked = chunked
        self.journal: dict[int, list[Row]] = {p: [] for _, p in sources}
        self.tallies: dict[int, list[bytes]] = {p: [] for p in range(routes.partitions)}
        self.starts = 0
        self.owners = {tp: self.start(tp) for tp in sources}

    def compacted(self, partition: int) -> list[tuple[bytes, bytes]]:
        """The last value of each key, without the deleted ones."""
        last: dict[bytes, bytes | None] = {}
        for key, value in self.journal[partition]:
            last.pop(key, None)
            last[key] = value
        return [(k, v) for k, v in last.items() if v is not None]

    def start(self, tp: tuple[str, int]) -> Owner:
        """A new owner, from the journal alone; it sends the last flush's tallies again."""
        self.starts += 1
        restored = restore(*tp, self.compacted(tp[1]), f"n{self.starts}", 1)
        tally = Tally(*tp, self.routes)
        tally.load(restored)
        for target, message in restored.resend:
            if target < self.routes.partitions:
                self.tallies[target].append(message)
        return Owner(tally, restored.journal)

    def restart(self, tp: tuple[str, int]) -> Owner:
        """A new owner in place of the old one, which is returned: dead, or a zombie."""
        old = self.owners[tp]
        self.owners[tp] = self.start(tp)
        return old

    def feed(self, tp: tuple[str, int], n: int, owner: Owner | None = None) -> None:
        """The next n records, as one batch."""
        owner = owner or self.owners[tp]
        begin = owner.tally.offset + 1
        owner.refused += owner.tally.run(self.sources[tp][begin : begin + n], FAR_MS * 1000)

    def prepare(self, tp: tuple[str, int], owner: Owner | None = None) -> Sent | None:
        """A flush's records; None where there is nothing to flush."""
        owner = owner or self.owners[tp]
        tally, journal = owner.tally, owner.journal
        if tally.offset == tally.head.to and not tally.whole:
            return None
        flush = tally.flush(f"{journal.owner}-{journal.sequence}", journal.wants_snapshot)
        messages = flush.messages
        if self.chunked:
            messages = [(t, part) for t, m in messages for part in (split(m) if t >= 0 else [m])]
        rows = journal.write(Flush(flush.head, flush.ids, messages, flush.snapshot, flush.all_ids))
        return Sent(rows, [(t, m) for t, m in messages if t >= 0], flush.head.floor)

    def flush(self, tp: tuple[str, int], owner: Owner | None = None) -> None:
        """A whole flush, acknowledged, and the deletions that it makes due."""
        sent = self.prepare(tp, owner)
        if sent is not None:
            self.send(tp, sent, len(sent.rows), {p: len(sent.messages) for p in self.tallies})
            self.journal[tp[1]] += (owner or self.owners[tp]).journal.freed()

    def send(self, tp: tuple[str, int], sent: Sent, rows: int, messages: dict[int, int]) -> None:
        """As much as leaves before a crash: a prefix for the journal, and one for each tallies partition."""
        self.journal[tp[1]] += sent.rows[:rows]
        for target, n in messages.items():
            self.tallies[target] += [m for t, m in sent.messages if t == target][:n]

    def finish(self) -> None:
        """Reads every source to its end, and flushes it."""
        for tp, some in self.sources.items():
            self.feed(tp, len(some))
            self.flush(tp)

    def frontier(self, idle: bool, wall: int = 0) -> None:
        """What every worker says once a second, in one message."""
        sources = [(*tp, o.tally.head.watermark, idle) for tp, o in self.owners.items()]
        for log in self.tallies.values():
            log.append(encode(Frontier("w", wall, sources)))

    def healths(self) -> list[Health]:
        """Each tallies partition's log, folded."""
        out = []
        for partition, log in self.tallies.items():
            health = Health(self.routes, partition, len(self.sources))
            for offset, message in enumerate(log):
                health.apply(offset, message)
            out.append(health)
        return out

    def counts(self) -> dict[tuple[str, int], Counter[str]]:
        """Received, accepted, duplicates, and rejections by reason; of each source."""
        out = {}
        for tp, owner in self.owners.items():
            t = owner.tally
            found = {"received": t.received, "accepted": t.accepted, "duplicates": t.duplicates, **t.rejected}
            out[tp] = +Counter(found)
        return out


# Strategies

REGIONS = ("eu", "us", "a=b", "")
MOMENTS = ("pay", "browse", "found-1", "found-2")
wide_s = st.one_of(st.integers(0, 2 * HOUR_S), st.integers(0, 6 * DAY_S)).map(float)
"""Seconds after BASE: most within reach of each other, some far ahead (and what follows them too late)."""


@st.composite
def touchpoints(draw: st.DrawFn, at_s: st.SearchStrategy[float] = wide_s) -> Event:
    """A touchpoint of any shape; ids are few, so that some repeat."""
    at = draw(at_s)
    data: dict[str, Any] = {"moment": draw(st.sampled_from(MOMENTS))}
    options: dict[str, st.SearchStrategy[Any]] = {
        "outcome": st.sampled_from(["ok", "ok", "failed", "abandoned"]),
        "need_met": st.sampled_from([True, False, None]),
        "wait_s": st.sampled_from([0, 29.999, 30, 30.001, 31, 1e300]),
        "duration_s": st.sampled_from([0, 1.5, 2, 2.5]),
        "promised_by": st.sampled_from([-1, -0.000001, 0, 1]).map(lambda late: iso(at + late)),
        "probe": st.booleans(),
        "segment": _segments,
    }
    for key, strategy in options.items():
        if draw(st.booleans()):
            data[key] = draw(strategy)
    return touchpoint(str(draw(st.integers(0, 10**9))), at, **data)


@st.composite
def answers(draw: st.DrawFn, at_s: st.SearchStrategy[float] = wide_s) -> Event:
    """An answer of any shape, or a survey."""
    kind = draw(st.sampled_from(["csat", "nps", "ces", "rating", "complaint", "praise"]))
    high = {"csat": 5, "nps": 10, "ces": 7, "rating": 5}.get(kind)
    data: dict[str, Any] = {"moment": draw(st.sampled_from(MOMENTS)), "survey": kind}
    if draw(st.integers(0, 9)) == 0:
        return survey(str(draw(st.integers(0, 10**9))), draw(at_s), **data)
    if high and draw(st.integers(0, 9)):
        data["score"] = draw(st.sampled_from([x for x in (1, 2, 3, 4, 4.5, 5, 6, 7, 8, 9, 10) if x <= high]))
    if draw(st.booleans()):
        data["sentiment"] = draw(st.sampled_from([-1, -0.1, 0, 0.4, 0.5, 1]))
    if draw(st.booleans()):
        data["voice"] = draw(st.sampled_from(["customer", "company", "probe"]))
    if draw(st.booleans()):
        data["segment"] = draw(_segments)
    return answer(str(draw(st.integers(0, 10**9))), draw(at_s), **data)


_segments = st.fixed_dictionaries(
    {},
    optional={
        "region": st.sampled_from(REGIONS),
        "plan": st.sampled_from(["free", "pro", "gold"]),
        "unknown": st.just("x"),
    },
)


def events_of(topic: str, at_s: st.SearchStrategy[float] = wide_s) -> st.SearchStrategy[Event]:
    """Events of one of the two topics."""
    return touchpoints(at_s) if topic == names.TOUCHPOINTS else answers(at_s)


def distinct(events: Iterable[Event]) -> list[Event]:
    """The same events with ids of their own."""
    return [{**e, "id": f"{i}"} for i, e in enumerate(events)]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)
