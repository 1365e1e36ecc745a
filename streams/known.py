"""What one source topic-partition has told so far: each flush applied whole or not at all, and once.

A flush comes as a set of chunks. It is taken when all have come, and only where it reaches beyond what was taken
before (or repeats everything, for who begins to read). Its values are absolute, and merged by maximum: what is asked
here is by how much they grow. Cells are kept until a flush says that it began after their bucket was closed; a closed
bucket was told in full, and what a stale owner still says of it is nothing new.

    flush    to    tells of a lane    grows by
    a         7                  5           5
    b         9                  6           1     a stale owner's: the same events, cut elsewhere
    c         8                  6           -     the new owner's: not beyond b
    d        12                  8           2
"""

from collections.abc import Callable

import msgspec
import numpy as np

from streams.cells import Cells, keys
from streams.events import SECOND
from streams.windows import BUCKET_S, NONE, Ints, Mask
from streams.wire import Changes, Tallies, decode, squeeze

BUCKET = BUCKET_S * SECOND

Dump = tuple[int, bytes, bytes, bytes, int, list[list[bytes]]]
"""Of a source: to, totals, keys and values of its cells, closed, and the chunks of each set that is not complete."""


class Known:
    """One source's counts, by raw lane: those that ingest named, as its reader numbers them."""

    def __init__(self) -> None:
        self.to = -1
        self.totals = NONE
        self.cells = Cells()
        self.closed = 0  # bucket: what is before it is told in full
        self.parts: dict[str, list[Tallies]] = {}  # flush → chunks of a set that is not complete
        self.whole = False  # whether this reader has seen everything that the source counts

    def collect(self, message: Tallies) -> list[Tallies] | None:
        """The set that a message completes; None where it completes none, or is known already.

        `grow` by each of its chunks, then `close` it.
        """
        if message.to <= self.to and not message.whole:
            return None
        parts = self.parts.get(message.flush, [])
        if message.chunk == len(parts):  # one that comes after a chunk which the log has lost is of no use
            self.parts[message.flush] = parts
            parts.append(message)
        return parts if len(parts) >= message.chunks else None

    @property
    def told(self) -> Mask:
        """The lanes of which this source has told."""
        told: Mask = self.totals > 0
        return told

    def grow(self, changes: Changes, told: Mask, width: int) -> Changes:
        """Takes absolute values; returns by how much they grew, without the cells that were told in full.

        `told` are the lanes of which there were counts before the set, `width` is how many lanes there are now.
        """
        if len(self.totals) < width:
            self.totals = np.concatenate((self.totals, np.zeros(width - len(self.totals), np.int64)))
        totals = np.maximum(changes.totals - self.totals[changes.lanes], 0)
        self.totals[changes.lanes] += totals
        # A closed bucket was told in full by whoever closed it; but for a lane that is new to this partition.
        told = np.concatenate((told, np.zeros(width - len(told), bool)))
        due = changes.only(np.s_[:], (changes.buckets >= self.closed) | ~told[changes.cell_lanes])
        cells = self.cells.raise_to(keys(due.buckets, due.cell_lanes), due.cells)
        return Changes(changes.lanes, totals, due.buckets, due.cell_lanes, cells)

    def close(self, message: Tallies) -> None:
        """Notes that a set is taken, by any message of it, and forgets what is no longer needed to compare."""
        self.to = max(self.to, message.to)
        self.whole |= message.whole
        self.parts = {f: p for f, p in self.parts.items() if p and p[0].to > self.to}
        self.closed = max(self.closed, message.floor // BUCKET)
        self.cells.evict(self.closed)

    def dump(self) -> Dump:
        """All but `whole`, which is of a reader and not of the log."""
        sets = [[msgspec.msgpack.encode(p) for p in parts] for parts in self.parts.values()]
        totals, cell_keys, values = map(squeeze, (self.totals, self.cells.keys, self.cells.values))
        return self.to, totals, cell_keys, values, self.closed, sets

    def load(self, dump: Dump, ints: Callable[[bytes], Ints]) -> None:
        """Takes what `dump` gave; `ints` reads its arrays."""
        self.to, totals, cell_keys, values, self.closed, sets = dump
        self.totals = ints(totals)
        self.cells = Cells(ints(cell_keys), ints(values))
        for some in sets:
            for message in map(decode, some):
                if isinstance(message, Tallies):
                    self.parts.setdefault(message.flush, []).append(message)
