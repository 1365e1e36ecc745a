"""Tumbling buckets, and the sliding windows that are summed from them when they are read.

A bucket is a row of int64, one column a lane; rows exist only for buckets with events. Four resolutions keep
three days of windows and the budget period in 180 + 360 + 432 + 672 rows at most. Cells ahead of the clock (a
topic-partition that is read faster than another) wait as flat arrays, so that a lead in event time costs 24 bytes
a cell and not a row a bucket.

        window of 30 s at clock 47 s, buckets of 10 s:      10   20   30   40   50
                                                             |    [####|####|##T#]    starts in (40-30, 40]
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from streams.events import SECOND

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BUCKET_S: Final = 10  # the finest bucket; cells are sent at this resolution
WINDOWS: Final = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21_600, "1d": 86_400, "3d": 259_200}
RESOLUTIONS: Final = ((BUCKET_S, 1800), (60, 21_600), (600, 259_200))  # seconds: bucket, longest window
HOUR_S: Final = 3600
NONE: Final = np.zeros(0, np.int64)


class Ring:
    """The buckets of one resolution. Times are in seconds since 1970, lanes are column numbers."""

    def __init__(self, resolution_s: int, longest_s: int) -> None:
        self.resolution_s = resolution_s
        self.longest_s = longest_s
        self.rows: dict[int, Ints] = {}  # start of the bucket → one number a lane
        self.top = 0  # start of the bucket that the clock is in
        self.ahead: list[tuple[int, Ints, Ints, Ints]] = []  # smallest start, then starts, lanes, values

    def add(self, starts: Ints, lanes: Ints, values: Ints, width: int) -> None:
        """Adds cells: `values[i]` to lane `lanes[i]` of the bucket that holds `starts[i]`; `width` lanes exist."""
        if not len(starts):
            return
        starts = starts // self.resolution_s * self.resolution_s
        inside = (starts <= self.top) & (starts > self.top - self.longest_s)
        later = starts > self.top
        if later.any():
            kept = starts[later]
            self.ahead.append((int(kept.min()), kept, lanes[later], values[later]))
        if inside.all():
            self._put(starts, lanes, values, width)
        elif inside.any():
            self._put(starts[inside], lanes[inside], values[inside], width)

    def _put(self, starts: Ints, lanes: Ints, values: Ints, width: int) -> None:
        order = np.argsort(starts, kind="stable")
        starts, lanes, values = starts[order], lanes[order], values[order]
        cuts = np.flatnonzero(starts[1:] != starts[:-1]) + 1
        begins = [0, *cuts.tolist()]
        for begin, end, start in zip(begins, [*begins[1:], len(starts)], starts[begins].tolist(), strict=True):
            row = self.rows.get(start)
            if row is None:
                row = self.rows[start] = np.zeros(width, np.int64)
            elif len(row) < width:
                row = self.rows[start] = np.concatenate((row, np.zeros(width - len(row), np.int64)))
            np.add.at(row, lanes[begin:end], values[begin:end])

    def advance(self, clock_s: int, width: int) -> None:
        """Moves the clock: what was ahead comes in, what no window covers goes."""
        top = clock_s // self.resolution_s * self.resolution_s
        if top <= self.top:
            return
        self.top = top
        oldest = top - self.longest_s
        for start in [s for s in self.rows if s <= oldest]:
            del self.rows[start]
        due = [a for a in self.ahead if a[0] <= top]
        if due:
            self.ahead = [a for a in self.ahead if a[0] > top]
            starts, lanes, values = (np.concatenate([a[i] for a in due]) for i in (1, 2, 3))
            self.add(starts, lanes, values, width)

    def sums(self, window_s: int, width: int) -> Ints:
        """One number a lane: the buckets that start in (top - window, top]."""
        total = np.zeros(width, np.int64)
        oldest = self.top - window_s
        for start, row in self.rows.items():
            if start > oldest:
                total[: len(row)] += row
        return total

    def dump(self) -> tuple[Ints, Ints, Ints]:
        """Every cell that is not zero, those ahead of the clock too: starts, lanes, values."""
        parts = [(a[1], a[2], a[3]) for a in self.ahead]
        for start, row in self.rows.items():
            lanes = np.flatnonzero(row)
            parts.append((np.full(len(lanes), start, np.int64), lanes, row[lanes]))
        if not parts:
            return NONE, NONE, NONE
        starts, lanes, values = (np.concatenate([p[i] for p in parts]) for i in range(3))
        return starts, lanes, values


class Windows:
    """All resolutions together, and the budget period."""

    def __init__(self, budget_s: int) -> None:
        self.budget_s = budget_s
        self.rings = [Ring(r, longest) for r, longest in RESOLUTIONS] + [Ring(HOUR_S, budget_s)]
        self.width = 0

    def add(self, starts: Ints, lanes: Ints, values: Ints, width: int) -> None:
        """Adds cells of `BUCKET_S`; see `Ring.add`."""
        self.width = width
        for ring in self.rings:
            ring.add(starts, lanes, values, width)

    def advance(self, clock: int) -> None:
        """Moves the clock, in microseconds."""
        for ring in self.rings:
            ring.advance(clock // SECOND, self.width)

    def sums(self, window: str) -> Ints:
        """One number a lane, for a name of `WINDOWS`."""
        seconds = WINDOWS[window]
        ring = next(r for r in self.rings if seconds <= r.longest_s)
        return ring.sums(seconds, self.width)

    def budget(self) -> Ints:
        """One number a lane, over the budget period."""
        return self.rings[-1].sums(self.budget_s, self.width)
