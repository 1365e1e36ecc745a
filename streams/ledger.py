"""What one source topic-partition ever counted: a total a lane, and the open cells; and what changed of it."""

from typing import Final

import numpy as np

from streams import names
from streams.cells import LANE_BITS, LANE_MASK, Cells, distinct, keys
from streams.route import INGEST_FACTOR, Routes
from streams.signals import CAME, LEFT, windowed
from streams.windows import NONE, Ints, Mask
from streams.wire import Changes, Lane, Tallies, encode, pack, unpack

NEVER: Final = -2  # a lane whose late events count in no other: -1 is not known yet
NOBODY: Final = -1  # the target of messages that only the journal holds
GRID: Final = 4  # cells for each amount that is added
_OWNER, _WINDOWED, _BYTES, _LEFT, _CAME = range(5)


class Ledger:
    """Absolute counts by lane. Which names may have lanes of their own is capped here, first come."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.names: list[Lane] = []
        self.lanes: dict[Lane, int] = {}
        self.totals = np.zeros(64, np.int64)
        self.info = np.zeros((5, 64), np.int64)
        self.open = Cells()
        self.undeclared: set[str] = set()  # moments
        self.values: dict[tuple[str, str], set[str]] = {}  # moment, dimension → values
        self._changed = np.zeros(64, bool)  # by lane
        self._changed_cells: list[Ints] = []

    def lane(self, lane: Lane) -> int:
        """The number of a lane, a new one where it has none."""
        found = self.lanes.get(lane)
        if found is not None:
            return found
        i = self.lanes[lane] = len(self.names)
        self.names.append(lane)
        if i >= len(self.totals):
            self.totals = np.concatenate((self.totals, np.zeros_like(self.totals)))
            self.info = np.concatenate((self.info, np.zeros_like(self.info)), axis=1)
            self._changed = np.concatenate((self._changed, np.zeros_like(self._changed)))
        moment, segment, field = lane
        size = sum(len(x.encode()) + 3 for x in lane)
        late = -1 if field[-1] in "+-" else NEVER
        self.info[:, i] = self.routes.owner(moment), windowed(field), size, late, late
        if moment not in self.routes.catalogue.moments:
            self.undeclared.add(moment)
        dimension, _, value = segment.partition("=")
        if value:
            self.values.setdefault((moment, dimension), set()).add(value)
        return i

    def late(self, lanes: Ints) -> tuple[Ints, Mask]:
        """What lanes' late events count in besides: two rows, `LEFT` and `CAME`; and which lanes have that."""
        judged: Mask = self.info[_LEFT, lanes] != NEVER
        lanes = lanes[judged]
        for row, mark in ((_LEFT, LEFT), (_CAME, CAME)):
            for i in lanes[self.info[row, lanes] < 0].tolist():
                moment, segment, field = self.names[i]
                late = self.lane((moment, segment, field + mark))  # may make `info` a new array
                self.info[row, i] = late
        return self.info[_LEFT : _CAME + 1, lanes], judged

    def admit_moment(self, moment: str) -> str:
        """An undeclared moment's name, or `other` once there are ten times too many."""
        limit = INGEST_FACTOR * self.routes.catalogue.discovered.limit
        return moment if moment in self.undeclared or len(self.undeclared) < limit else names.OTHER

    def admit_value(self, moment: str, dimension: str, value: str) -> str:
        """A segment's value, or `other` once there are ten times too many."""
        known = self.values.get((moment, dimension), ())
        limit = INGEST_FACTOR * self.routes.catalogue.dimensions[dimension].limit
        return value if value in known or len(known) < limit else names.OTHER

    def add(self, buckets: Ints, lanes: Ints, amounts: Ints) -> None:
        """Adds amounts to lanes, in buckets where the lane is kept by bucket; repeats are summed."""
        buckets, lanes, amounts = _summed(buckets, lanes, amounts, len(self.names))
        np.add.at(self.totals, lanes, amounts)
        self._changed[lanes] = True
        kept = self.info[_WINDOWED, lanes] == 1
        if kept.any():
            found = keys(buckets[kept], lanes[kept])
            self.open.add(found, amounts[kept])
            self._changed_cells.append(found)

    def add_total(self, lane: int, amount: int) -> None:
        """Adds to a lane that is not kept by bucket."""
        self.totals[lane] += amount
        self._changed[lane] = True

    def take(self) -> Changes:
        """What changed since it was last taken, as absolute values."""
        lanes = np.flatnonzero(self._changed)
        self._changed[:] = False
        cells = np.sort(np.concatenate([NONE, *self._changed_cells]))
        cells = cells[distinct(cells)]
        self._changed_cells = []
        at = np.searchsorted(self.open.keys, cells)
        only = Cells(cells, self.open.values[at])
        return Changes(lanes, self.totals[lanes], only.buckets, only.lanes, only.values)

    def everything(self) -> Changes:
        """All totals and all open cells."""
        lanes = np.flatnonzero(self.totals)
        return Changes(lanes, self.totals[lanes], self.open.buckets, self.open.lanes, self.open.values)

    def messages(self, changes: Changes, head: Tallies, by_owner: bool) -> list[tuple[int, bytes]]:
        """The changes packed under `head`, for the owner of each lane or for nobody."""
        if not by_owner:
            return self._packed(NOBODY, changes, head)
        owner = self.info[_OWNER]
        targets = np.flatnonzero(np.bincount(owner[changes.lanes])).tolist()
        if head.whole:  # to everyone, even with nothing in it: who waits for it must hear that this is all
            targets = list(range(self.routes.partitions))
        out: list[tuple[int, bytes]] = []
        for target in targets:
            mine = changes.only(owner[changes.lanes] == target, owner[changes.cell_lanes] == target)
            out += self._packed(target, mine, head)
        return out

    def _packed(self, target: int, changes: Changes, head: Tallies) -> list[tuple[int, bytes]]:
        parts = changes.chunks(self.info[_BYTES])
        head.chunks = len(parts)
        out = []
        for head.chunk, part in enumerate(parts):
            out.append((target, encode(pack(part, self.names, head))))
        return out

    def load(self, message: Tallies) -> None:
        """Takes the absolute values of a message that this ledger once sent."""
        ids = np.array([self.lane((m, s, f)) for m, s, f in message.lanes], np.int64)
        changes = unpack(message, ids)
        self.totals[changes.lanes] = np.maximum(self.totals[changes.lanes], changes.totals)
        self.open.raise_to(keys(changes.buckets, changes.cell_lanes), changes.cells)


def _summed(buckets: Ints, lanes: Ints, amounts: Ints, width: int) -> tuple[Ints, Ints, Ints]:
    """One (bucket, lane, amount) for each bucket and lane, in their order; `width` lanes exist.

    By adding into a grid of them where that is hardly larger than what is added, and by sorting where it is.
    """
    first = int(buckets.min()) if len(buckets) else 0
    size = (int(buckets.max()) - first + 1) * width if len(buckets) else 0
    if size <= GRID * len(buckets):
        grid = np.zeros(size, np.int64)
        np.add.at(grid, (buckets - first) * width + lanes, amounts)
        at = np.flatnonzero(grid)
        return at // width + first, at % width, grid[at]
    found = keys(buckets, lanes)
    order = np.argsort(found, kind="stable")
    found = found[order]
    begins = distinct(found)
    found = found[begins]
    return found >> LANE_BITS, found & LANE_MASK, np.add.reduceat(amounts[order], begins)
