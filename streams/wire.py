"""What ingest tells health: tallies and frontiers, as messages of one tallies partition.

Tallies are absolute (all that this source topic-partition ever counted in a lane, and in an open bucket), so a
repeat changes nothing and a gap heals. Numbers travel as packed little-endian arrays: a tuple a cell cost more
than the counting itself.
"""

from typing import Any, Final

import msgspec
import numpy as np

from streams.windows import Ints, Mask

MAX_BYTES: Final = 400_000  # of one message: well under the broker's usual 1 MB, keys and headers included
CELL_BYTES: Final = 20  # at most; some 5 in practice, see `squeeze`
TOTAL_BYTES: Final = 12

Lane = tuple[str, str, str]  # moment, segment, field


class Tallies(msgspec.Struct, array_like=True, tag=1):
    """One chunk of what one flush of one source topic-partition changed; applied when its set is complete."""

    topic: str
    partition: int
    flush: str  # the set's id
    chunk: int
    chunks: int
    to: int  # the last source offset that is counted
    floor: int  # microseconds; buckets before it were closed before this flush began
    watermark: int
    whole: bool  # everything, not only what changed: sent again after the catalogue has changed
    lanes: list[Lane]
    total_lanes: bytes
    totals: bytes
    first: int  # the first cell's bucket
    steps: bytes  # from each cell's bucket to the next one's: cells come in their order
    cell_lanes: bytes
    cells: bytes


class Frontier(msgspec.Struct, array_like=True, tag=2):
    """Once a second from each worker to each tallies partition, after its tallies: how far its sources are."""

    worker: str
    wall: int  # microseconds
    sources: list[tuple[str, int, int | None, bool]]  # topic, partition, watermark, idle
    turn: int = 0  # counts this worker's frontiers: unlike the wall clock it never goes back


Message = Tallies | Frontier
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode


class Changes(msgspec.Struct):
    """Totals and cells by lane number, before they are packed; a cell's bucket is its start // BUCKET_S.

    Cells are in the order of their buckets.
    """

    lanes: Ints
    totals: Ints
    buckets: Ints
    cell_lanes: Ints
    cells: Ints

    def only(self, totals: Any, cells: Any) -> "Changes":
        """The part that two masks (or slices) choose."""
        return Changes(
            self.lanes[totals],
            self.totals[totals],
            self.buckets[cells],
            self.cell_lanes[cells],
            self.cells[cells],
        )

    def used(self, lanes: int) -> Mask:
        """A mask of the lanes that occur, of so many."""
        mask = np.zeros(lanes, bool)
        mask[self.lanes] = True
        mask[self.cell_lanes] = True
        return mask

    def chunks(self, name_bytes: Ints) -> list["Changes"]:
        """Halved until each part packs into `MAX_BYTES`; `name_bytes[lane]` is the size of a lane's name."""
        used = self.used(len(name_bytes))
        size = TOTAL_BYTES * len(self.lanes) + CELL_BYTES * len(self.cells) + int(name_bytes[used].sum())
        if size <= MAX_BYTES or len(self.lanes) + len(self.cells) <= 1:
            return [self]
        a, b = len(self.lanes) // 2, len(self.cells) // 2
        first = self.only(np.s_[:a], np.s_[:b])
        second = self.only(np.s_[a:], np.s_[b:])
        return first.chunks(name_bytes) + second.chunks(name_bytes)


def squeeze(a: Ints) -> bytes:
    """Non-negative numbers in the narrowest type that holds them all, named by the first byte."""
    top = int(a.max()) if len(a) else 0
    code = next(c for c, bits in (("1", 8), ("2", 16), ("4", 32), ("8", 63)) if top < 1 << bits)
    return code.encode() + a.astype(f"<u{code}").tobytes()


def expand(data: bytes) -> Ints:
    """What `squeeze` was given."""
    return np.frombuffer(data, f"<u{chr(data[0])}", offset=1).astype(np.int64)


def pack(changes: Changes, names: list[Lane], head: Tallies) -> Tallies:
    """`head` with the changes in it; `names[lane]` is a lane's name."""
    used = changes.used(len(names))
    local = np.cumsum(used) - 1
    head.lanes = [names[i] for i in np.flatnonzero(used).tolist()]
    head.total_lanes = squeeze(local[changes.lanes])
    head.totals = squeeze(changes.totals)
    head.first = int(changes.buckets[0]) if len(changes.buckets) else 0
    head.steps = squeeze(np.diff(changes.buckets, prepend=head.first))
    head.cell_lanes = squeeze(local[changes.cell_lanes])
    head.cells = squeeze(changes.cells)
    return head


def unpack(message: Tallies, ids: Ints) -> Changes:
    """The changes of a message; `ids[i]` is the reader's number for `message.lanes[i]`."""
    return Changes(
        ids[expand(message.total_lanes)],
        expand(message.totals),
        np.cumsum(expand(message.steps)) + message.first,
        ids[expand(message.cell_lanes)],
        expand(message.cells),
    )
