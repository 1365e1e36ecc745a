"""Tumbling buckets, and the sliding windows that are summed from them when they are read.

A bucket is a row of numbers, one a lane; rows exist only for buckets with events. Four resolutions keep three days
of windows and the budget period in 180 + 360 + 432 + 672 rows at most. With many lanes a row is packed once the clock
has left it. Cells ahead of the clock (a topic-partition that is read faster than another) wait as flat arrays, so
that a lead in event time costs 24 bytes a cell and not a row a bucket.

        window of 30 s at clock 47 s, buckets of 10 s:      10   20   30   40   50
                                                             |    [####|####|##T#]    starts in (40-30, 40]
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streams.events import SECOND

Ints = npt.NDArray[np.int64]
Cells = tuple[Ints, Ints, Ints]  # starts in unix seconds, lanes, values
Mask = npt.NDArray[np.bool_]

BUCKET_S: Final = 10  # the finest bucket; cells are sent at this resolution
WINDOWS: Final = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21_600, "1d": 86_400, "3d": 259_200}
RESOLUTIONS: Final = ((BUCKET_S, 1800), (60, 21_600), (600, 259_200))  # seconds: bucket, longest window
HOUR_S: Final = 3600
NONE: Final = np.zeros(0, np.int64)
FEW: Final = 1024  # lanes: rows of fewer are left as they are
LOOSE: Final = 64  # rows of a ring that wait to be packed; one more is packed at once
PACKED: Final = 8  # rows at most in one go, some 100 µs each with 100,000 lanes
NARROW: Final = (("u1", 8), ("u2", 16), ("u4", 32), ("i8", 63))  # type, bits


class Row:
    """One bucket, a number a lane: dense, or packed into the fewest bytes.

    Packed it is the narrowest numbers that hold it, of all lanes or of those that have any. With 90,000 lanes that
    is 20 to 90 KB and not 720.
    """

    __slots__ = ("lanes", "values")

    def __init__(self, width: int) -> None:
        self.lanes: npt.NDArray[np.uint32] | None = None  # whose `values` are; None: of lanes 0, 1, 2 …
        self.values: npt.NDArray[Any] = np.zeros(width, np.int64)

    def add(self, lanes: Ints, values: Ints, width: int) -> None:
        """Adds to lanes (there are `width`); a packed row is dense after it."""
        if self.lanes is not None or self.values.dtype != np.int64 or len(self.values) < width:
            dense = np.zeros(width, np.int64)
            self.add_to(dense)
            self.lanes, self.values = None, dense
        np.add.at(self.values, lanes, values)

    def pack(self) -> None:
        """Changes no number."""
        at, values = self.cells()
        top = int(values.max()) if len(values) else 0
        kind = next(np.dtype(k) for k, bits in NARROW if top < 1 << bits)
        if len(at) * (4 + kind.itemsize) < len(self.values) * kind.itemsize:
            self.lanes, self.values = at.astype(np.uint32), values.astype(kind)
        else:
            self.values = self.values.astype(kind)

    def add_to(self, total: Ints, sign: int = 1) -> None:
        """Adds the row to (or with -1 takes it from) one number a lane."""
        to: Any = np.s_[: len(self.values)] if self.lanes is None else self.lanes
        if sign > 0:
            total[to] += self.values
        else:
            total[to] -= self.values

    def cells(self) -> tuple[Ints, Ints]:
        """The lanes that have any, and how much."""
        if self.lanes is not None:
            return self.lanes.astype(np.int64), self.values.astype(np.int64)
        at = np.flatnonzero(self.values)
        return at, self.values[at].astype(np.int64)

    def get(self, lane: int) -> int:
        """A lane's number."""
        if self.lanes is None:
            return int(self.values[lane]) if lane < len(self.values) else 0
        at = int(np.searchsorted(self.lanes, lane))
        return int(self.values[at]) if at < len(self.lanes) and self.lanes[at] == lane else 0


def joined(parts: list[Cells]) -> Cells:
    """Them all, end to end."""
    if not parts:
        return NONE, NONE, NONE
    starts, lanes, values = (np.concatenate([p[i] for p in parts]) for i in range(3))
    return starts, lanes, values


def pieces(keys: Ints) -> Iterator[tuple[int, slice]]:
    """Each key and where it lies; the keys are sorted."""
    if len(keys):
        cuts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        begins = [0, *cuts.tolist()]
        for begin, end, key in zip(begins, [*begins[1:], len(keys)], keys[begins].tolist(), strict=True):
            yield key, slice(begin, end)


class Ahead:
    """Cells of hours after that of the clock, by the hour in which they come due; `hour` counts from 1970.

    In a backlog a topic-partition leads another one by days. What it has told waits here once, and not once a
    resolution, as flat arrays of 24 bytes a cell; and a step of the clock touches those of its own hour only, for a
    lead that costs something at each step costs its square.
    """

    def __init__(self) -> None:
        self.hour = 0  # that of the clock
        self.size = 0  # cells
        self._hours: dict[int, list[Cells]] = {}
        self._heap: list[int] = []  # of `_hours`

    def add(self, starts: Ints, lanes: Ints, values: Ints) -> Cells:
        """Keeps what is of a later hour; returns what is not."""
        later = starts >= (self.hour + 1) * HOUR_S
        if not later.any():
            return starts, lanes, values
        order = np.flatnonzero(later)
        order = order[np.argsort(starts[order], kind="stable")]
        kept = starts[order], lanes[order], values[order]
        for hour, some in pieces(kept[0] // HOUR_S):
            if hour not in self._hours:
                self._hours[hour] = []
                heappush(self._heap, hour)
            self._hours[hour].append((kept[0][some], kept[1][some], kept[2][some]))
        self.size += len(order)
        return starts[~later], lanes[~later], values[~later]

    def advance(self, clock_s: int) -> Cells:
        """Moves the clock, and gives away what is of its hour or of one before it."""
        self.hour = max(self.hour, clock_s // HOUR_S)
        due: list[Cells] = []
        while self._heap and self._heap[0] <= self.hour:
            due += self._hours.pop(heappop(self._heap))
        self.size -= sum(len(starts) for starts, _, _ in due)
        return joined(due)

    @property
    def first(self) -> int | None:
        """The first hour of which something waits."""
        return self._heap[0] if self._heap else None

    def dump(self) -> Cells:
        """All of it."""
        return joined([c for some in self._hours.values() for c in some])


class Ring:
    """The buckets of one resolution. Times are in seconds since 1970, lanes are column numbers.

    A window that was read once is kept up from then on, by what comes in and what it leaves behind, until that has
    cost as much as summing anew: with 90,000 lanes the rows of all windows take some 100 ms, in which nothing else is
    done.
    """

    def __init__(self, resolution_s: int, longest_s: int) -> None:
        self.resolution_s = resolution_s
        self.longest_s = longest_s
        self.rows: dict[int, Row] = {}  # start of the bucket → one number a lane
        self.top = 0  # start of the bucket that the clock is in
        self.ahead: dict[int, list[Cells]] = {}  # by start; the clock has not come to them
        self._sums: dict[int, Ints] = {}  # by window
        self._spent = 0  # cells and lanes touched to keep `_sums` up, since the last read
        self._dense: dict[int, None] = {}  # starts of rows to be packed

    def add(self, starts: Ints, lanes: Ints, values: Ints, width: int) -> None:
        """Adds cells: `values[i]` to lane `lanes[i]` of the bucket that holds `starts[i]`; `width` lanes exist."""
        if not len(starts):
            return
        starts = starts // self.resolution_s * self.resolution_s
        order = np.argsort(starts, kind="stable")
        starts, lanes, values = starts[order], lanes[order], values[order]
        begin, end = np.searchsorted(starts, (self.top - self.longest_s, self.top), side="right").tolist()
        for start, some in pieces(starts[end:]):
            self.ahead.setdefault(start, []).append((starts[end:][some], lanes[end:][some], values[end:][some]))
        if begin < end:
            self._put(starts[begin:end], lanes[begin:end], values[begin:end], width)

    def _put(self, starts: Ints, lanes: Ints, values: Ints, width: int) -> None:
        """Adds cells that some window covers; they are sorted by start."""
        for start, some in pieces(starts):
            row = self.rows.get(start)
            if row is None:
                row = self.rows[start] = Row(width)
            row.add(lanes[some], values[some], width)
            if width > FEW and (len(self._dense) < LOOSE or start == self.top):
                self._dense[start] = None
            elif width > FEW and start not in self._dense:
                row.pack()
        self._spend(len(starts) * len(self._sums))
        for window_s in self._sums:
            since = int(np.searchsorted(starts, self.top - window_s, side="right"))
            np.add.at(self._sum(window_s, width), lanes[since:], values[since:])

    def _spend(self, touched: int) -> None:
        self._spent += 4 * touched  # each one costs as much as four of a row that is added as a whole
        if self._spent > sum(len(total) for total in self._sums.values()) * max(len(self.rows), 1):
            self._sums.clear()

    def advance(self, clock_s: int, width: int) -> None:
        """Moves the clock: what was ahead comes in, what no window covers goes."""
        top = clock_s // self.resolution_s * self.resolution_s
        for start in [s for s in self._dense if s < top][:PACKED]:
            del self._dense[start]
            if start in self.rows:
                self.rows[start].pack()
        if top <= self.top:
            return
        for window_s, total in list(self._sums.items()):
            for start in [s for s in self.rows if self.top - window_s < s <= top - window_s]:
                self.rows[start].add_to(total, -1)
                self._spend(len(total) // 4)
        self.top = top
        oldest = top - self.longest_s
        for start in [s for s in self.rows if s <= oldest]:
            del self.rows[start]
        due = sorted(start for start in self.ahead if start <= top)
        self.add(*joined([cells for start in due for cells in self.ahead.pop(start)]), width)

    def sums(self, window_s: int, width: int) -> Ints:
        """One number a lane: the buckets that start in (top - window, top]."""
        self._spent = 0
        if window_s not in self._sums:
            total = self._sums[window_s] = np.zeros(width, np.int64)
            for start, row in self.rows.items():
                if start > self.top - window_s:
                    row.add_to(total)
        return self._sum(window_s, width)[:width].copy()

    def _sum(self, window_s: int, width: int) -> Ints:
        total = self._sums[window_s]
        if len(total) < width:
            total = self._sums[window_s] = np.concatenate((total, np.zeros(width - len(total), np.int64)))
        return total

    def dump(self) -> Cells:
        """Every cell that is not zero, those ahead of the clock too."""
        parts = [cells for some in self.ahead.values() for cells in some]
        for start, row in self.rows.items():
            lanes, values = row.cells()
            parts.append((np.full(len(lanes), start, np.int64), lanes, values))
        return joined(parts)


class Windows:
    """All resolutions together, and the budget period."""

    def __init__(self, budget_s: int) -> None:
        self.budget_s = budget_s
        self.rings = [Ring(r, longest) for r, longest in RESOLUTIONS] + [Ring(HOUR_S, budget_s)]
        self.width = 0
        self.ahead = Ahead()  # of hours that no ring has come to: once, and not once a ring

    def add(self, starts: Ints, lanes: Ints, values: Ints, width: int) -> None:
        """Adds cells of `BUCKET_S`; see `Ring.add`."""
        self.width = width
        self._add(self.ahead.add(starts, lanes, values))

    def _add(self, cells: Cells) -> None:
        for ring in self.rings:
            ring.add(*cells, self.width)

    def advance(self, clock: int) -> None:
        """Moves the clock, in microseconds."""
        for ring in self.rings:
            ring.advance(clock // SECOND, self.width)
        self._add(self.ahead.advance(clock // SECOND))

    def dump(self) -> Iterator[tuple[int, Cells]]:
        """By resolution the cells of each ring, and as 0 those that none has come to."""
        yield 0, self.ahead.dump()
        for ring in self.rings:
            yield ring.resolution_s, ring.dump()

    def load(self, resolution_s: int, starts: Ints, lanes: Ints, values: Ints, width: int) -> None:
        """Takes what `dump` gave, after the clock."""
        if not resolution_s:
            self.add(starts, lanes, values, width)
        for ring in self.rings:
            if ring.resolution_s == resolution_s:
                ring.add(starts, lanes, values, width)

    def sums(self, window: str, width: int = 0) -> Ints:
        """One number a lane, for a name of `WINDOWS`; of `width` lanes, where some have had no cell yet."""
        seconds = WINDOWS[window]
        ring = next(r for r in self.rings if seconds <= r.longest_s)
        return ring.sums(seconds, max(self.width, width))

    def budget(self, width: int = 0) -> Ints:
        """One number a lane, over the budget period; see `sums`."""
        return self.rings[-1].sums(self.budget_s, max(self.width, width))
