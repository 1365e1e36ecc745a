"""The pipeline without Kafka, and what its health shows: logs are lists, and it can be killed between any two."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from streams import names
from streams.health import Health
from streams.journal import Flush, Journal, Row, restore
from streams.route import Routes
from streams.tally import Refused, Tally
from streams.view import View, view
from streams.wire import Frontier, Tallies, decode, encode, squeeze
from tests.core import FAR_MS, Record, ints
from tests.expected import Total

SOURCES = ((names.TOUCHPOINTS, 0), (names.TOUCHPOINTS, 1), (names.FEEDBACK, 0), (names.FEEDBACK, 1))


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
