"""The journal of one source topic-partition: one atomic entry a flush, chained, in a compacted topic.

Why exact: an entry is complete or it does not count; it names the entry before it; state is the newest unbroken
chain. An entry's key is never used again, so a stale owner (stopped past its session, then resumed) can add a
fork but not harm its successor's chain; and as tallying is a function of the source's records, every unbroken
chain is a true state at its offset. Entries are deleted (null values, for the compaction) once a snapshot and the
expiry of their ids have made them useless.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from streams.dedupe import Ids
from streams.errors import StateError

MAX_BYTES: Final = 450_000  # of one record; a flush may take several, the last one completes it
FRAME: Final = 24  # bytes around a source's ids
SNAPSHOT_EVERY: Final = 256  # entries
SNAPSHOT_BYTES: Final = 4_000_000  # or so many bytes since the last snapshot
FEW_IDS: Final = 50_000  # so many are written again with a snapshot, to free the entries that hold them

Row = tuple[bytes, bytes | None]  # key, value; no value deletes


class Head(msgspec.Struct, array_like=True):
    """The state of a source topic-partition after a flush, but for ids and tallies."""

    to: int
    watermark: int | None
    floor: int
    received: int
    accepted: int
    duplicates: int
    rejected: dict[str, int]
    catalogue: str  # fingerprint: with another one all tallies are sent again
    late: int = 0  # accepted behind the watermark


class Flush(msgspec.Struct):
    """One flush, as the tally made it."""

    head: Head
    ids: list[Ids]
    messages: list[tuple[int, bytes]]  # tallies partition → Tallies; `ledger.NOBODY`: for the snapshot alone
    snapshot: bool = False  # `messages` hold everything
    all_ids: bool = False  # `ids` hold everything


class Part(msgspec.Struct, array_like=True):
    """One record of an entry."""

    previous: str | None
    oldest: str  # the entry that the chain must reach back to, or ids are missing
    parts: int
    ids: list[Ids]
    messages: list[tuple[int, bytes]]
    snapshot: bool
    all_ids: bool
    head: Head | None  # in the last part


class Entry(msgspec.Struct):
    """A live entry of the chain: what it needs to be freed."""

    name: str
    parts: int
    expires: int  # the end of its last slice of ids


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Part).decode


class Journal:
    """Writes entries, and frees those that no restart needs."""

    def __init__(self, topic: str, partition: int, epoch: int, nonce: str) -> None:
        self.prefix = f"{topic}|{partition}|"
        self.owner = f"{epoch}-{nonce}"
        self.sequence = 0
        self.live: list[Entry] = []
        self.garbage: list[bytes] = []
        self.since_snapshot = SNAPSHOT_EVERY  # a new owner begins with a snapshot
        self.bytes_since = 0
        self._before_snapshot = 0  # entries of `live` that are older than the last snapshot
        self._ids_needed = True  # of those

    @property
    def wants_snapshot(self) -> bool:
        """Whether the next flush should hold everything."""
        return self.since_snapshot >= SNAPSHOT_EVERY or self.bytes_since >= SNAPSHOT_BYTES

    def write(self, flush: Flush) -> list[Row]:
        """The records of a flush, in order; the last one completes it."""
        previous = self.live[-1].name if self.live else None
        self.sequence += 1
        name = f"{self.owner}-{self.sequence}"
        groups = _grouped(flush)
        self.live.append(Entry(name, len(groups), max((i[0] for i in flush.ids), default=0)))
        if flush.snapshot:
            self._before_snapshot = len(self.live) - 1
            self._ids_needed = not flush.all_ids
        self._retire(flush.head.floor)
        rows: list[Row] = []
        for i, (ids, messages) in enumerate(groups):
            head = flush.head if i == len(groups) - 1 else None
            part = Part(previous, self.live[0].name, len(groups), ids, messages, flush.snapshot, flush.all_ids, head)
            rows.append((self._key(name, i), _encode(part)))
        size = sum(len(v) for _, v in rows if v)
        self.since_snapshot = 0 if flush.snapshot else self.since_snapshot + 1
        self.bytes_since = 0 if flush.snapshot else self.bytes_since + size
        return rows

    def _retire(self, floor: int) -> None:
        """Drops the oldest entries that a state from here on does not need."""
        cut = 0
        while cut < self._before_snapshot and not (self._ids_needed and self.live[cut].expires > floor):
            cut += 1
        for entry in self.live[:cut]:
            self.garbage += [self._key(entry.name, i) for i in range(entry.parts)]
        del self.live[:cut]
        self._before_snapshot -= cut

    def freed(self) -> list[Row]:
        """Deletions that are due; to be sent only after the broker has acknowledged every flush so far."""
        out: list[Row] = [(key, None) for key in self.garbage]
        self.garbage = []
        return out

    def _key(self, name: str, part: int) -> bytes:
        return f"{self.prefix}{name}|{part}".encode()


def _grouped(flush: Flush) -> list[tuple[list[Ids], list[tuple[int, bytes]]]]:
    """Ids and messages in groups of at most `MAX_BYTES`; at least one group."""
    groups: list[tuple[list[Ids], list[tuple[int, bytes]]]] = [([], [])]
    size = 0
    for end, source, ids in flush.ids:
        begin = 0
        while begin < len(ids):
            room, i = MAX_BYTES - size - len(source.encode()) - FRAME, begin
            rest = len("".join(ids[begin:]).encode()) + 5 * (len(ids) - begin)
            if rest < room:
                room, i = room - rest, len(ids)
            while i < len(ids) and room > 0:
                room -= len(ids[i].encode()) + 5
                i += 1
            if i == begin:  # nothing fits: a new group, in which at least one does
                groups.append(([], []))
                size = 0
                continue
            groups[-1][0].append((end, source, ids[begin:i]))
            size, begin = MAX_BYTES - room, i
    for target, message in flush.messages:
        if size and size + len(message) > MAX_BYTES:
            groups.append(([], []))
            size = 0
        groups[-1][1].append((target, message))
        size += len(message)
    return groups


class Restored(msgspec.Struct):
    """What a journal's rows say."""

    journal: Journal
    head: Head | None
    ids: list[Ids]
    tallies: list[bytes]  # to be loaded in this order
    resend: list[tuple[int, bytes]]  # the last flush's: a crash may have come before they were sent


def restore(topic: str, partition: int, rows: Iterable[tuple[bytes, bytes]], nonce: str, generation: int) -> Restored:
    """The newest unbroken chain of a partition's rows; raises StateError where rows exist but no chain does."""
    prefix = f"{topic}|{partition}|"
    entries: dict[str, dict[int, Part]] = {}
    keys: list[bytes] = []
    for key, value in rows:
        text = key.decode()
        if text.startswith(prefix):
            keys.append(key)
            name, _, i = text[len(prefix) :].rpartition("|")
            entries.setdefault(name, {})[int(i)] = _decode(value)
    epoch = max((int(n.split("-")[0]) for n in entries), default=0)
    journal = Journal(topic, partition, max(epoch + 1, generation), nonce)
    whole = {n: [p[i] for i in range(len(p))] for n, p in entries.items() if _complete(p)}
    heads = sorted(((p[-1].head.to, n) for n, p in whole.items() if p[-1].head), reverse=True)
    for _, name in heads:
        chain = _chain(name, whole)
        if chain is not None:
            return _restored(journal, [(n, whole[n]) for n in chain], keys)
    if heads:
        raise StateError(f"the journal of {topic}/{partition} has no unbroken chain: delete the changelog topics")
    journal.garbage = keys
    return Restored(journal, None, [], [], [])


def _complete(parts: dict[int, Part]) -> bool:
    last = parts.get(len(parts) - 1)
    return last is not None and last.head is not None and last.parts == len(parts)


def _chain(name: str, whole: dict[str, list[Part]]) -> list[str] | None:
    """The entries up to `name`, oldest first; None where one that is needed is missing."""
    oldest = whole[name][0].oldest
    chain = [name]
    while chain[-1] != oldest:
        previous = whole[chain[-1]][0].previous
        if previous is None or previous not in whole:
            return None
        chain.append(previous)
    return chain[::-1]


def _restored(journal: Journal, chain: list[tuple[str, list[Part]]], keys: list[bytes]) -> Restored:
    base = max((i for i, (_, p) in enumerate(chain) if p[0].snapshot), default=0)
    with_ids = max((i for i, (_, p) in enumerate(chain) if p[0].all_ids), default=0)
    out = Restored(journal, chain[-1][1][-1].head, [], [], [])
    for i, (name, parts) in enumerate(chain):
        ids = [x for p in parts for x in p.ids]
        journal.live.append(Entry(name, len(parts), max((x[0] for x in ids), default=0)))
        if i >= with_ids:
            out.ids += ids
        sent = [m for p in parts for m in p.messages]
        wanted = [m for t, m in sent if not parts[0].snapshot or t < 0]
        if i >= base:
            out.tallies += wanted
    out.resend = [m for p in chain[-1][1] for m in p.messages if m[0] >= 0]
    used = {journal._key(e.name, i) for e in journal.live for i in range(e.parts)}
    journal.garbage = [k for k in keys if k not in used]
    return out
