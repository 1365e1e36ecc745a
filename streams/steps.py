"""What each step of event time saw of one tallies partition's moments, for the judges.

What a judgement sees is a function of each source's events in their order, never of where a flush was cut: an
event belongs to the step in which it *arrived*, that of its source topic-partition's watermark. On time that is
the step of its own time. A late one was counted there too, and says so by two more fields (`signals.LEFT`,
`signals.CAME`): what left the step of its time, and what came in that of its arrival. A step is judged once, when
the clock has passed its end; what still turns up for it (a source that was idle) is judged with the next one.

        step of 10 s     on time    left    came       judged
        12:00:00            7        -2       0           5
        12:00:10            4         0      +2           6     the two were sent late, and known only now
"""

from typing import NamedTuple

import numpy as np

from streams.route import Routes
from streams.series import DAY_S, HOUR_S
from streams.signals import CAME, LEFT
from streams.windows import BUCKET_S, NONE, Ahead, Cells, Ints, Mask, joined
from streams.wire import Lane


class Step(NamedTuple):
    """What one step saw of a moment, by series: its place in `Steps.names`, events, bad ones. In order of names."""

    end: int  # unix seconds
    series: list[int]
    events: list[int]
    bad: list[int]


class Steps:
    """Counts that wait for their step. `through` is the end of the last step that was taken, in seconds."""

    def __init__(self, routes: Routes, partition: int) -> None:
        self.routes = routes
        self.partition = partition
        self.through = 0
        self._series: dict[tuple[str, str, str], int] = {}  # moment, segment, signal
        self.names: list[tuple[str, str, str]] = []
        self._moments: dict[str, int] = {}
        self._moment = NONE  # of the series
        self._order = NONE  # of the series, by name
        self._of = np.zeros((3, 64), np.int64)  # by lane: 2 × series + bad, or -1; its sign; whether it is late
        self._runs: list[Cells] = []  # those whose hour has come: buckets, which ascend; lanes; values
        self._ahead = Ahead()  # by their starts, and not by their buckets

    def lane(self, i: int, lane: Lane) -> None:
        """Tells what a lane counts."""
        if i >= self._of.shape[1]:
            self._of = np.concatenate((self._of, np.zeros_like(self._of)), axis=1)
        moment, segment, field = lane
        late = field[-1] in (LEFT, CAME)
        sign = -1 if field[-1] == LEFT else 1
        field = field[:-1] if late else field
        if (
            field[-1] not in "+-"
            or field[:-1] not in self.routes.signals(moment)
            or self.routes.owner(moment) != self.partition
        ):
            self._of[:, i] = -1, sign, late
            return
        key = moment, segment, field[:-1]
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = len(self.names)
            self.names.append(key)
        self._of[:, i] = 2 * series + (field[-1] == "-"), sign, late

    def late(self, lanes: Ints) -> Mask:
        """Which lanes only say what was late: no window has them."""
        late: Mask = self._of[2, lanes] == 1
        return late

    def add(self, buckets: Ints, lanes: Ints, values: Ints) -> None:
        """Takes what cells grew by."""
        mine = self._of[0, lanes] >= 0
        if mine.any():
            self._wait(self._ahead.add(buckets[mine] * BUCKET_S, lanes[mine], values[mine]))

    def _wait(self, cells: Cells) -> None:
        starts, lanes, values = cells
        if len(starts):
            order = np.argsort(starts, kind="stable")
            self._runs.append((starts[order] // BUCKET_S, lanes[order], values[order]))

    @property
    def cells(self) -> int:
        """How many wait."""
        return self._ahead.size + sum(len(buckets) for buckets, _, _ in self._runs)

    def end(self, clock_s: int, most: int) -> int:
        """Where to take to, at most the clock: a day, or about as far as it takes to have `most` counts."""
        limit = self._release(clock_s, most)
        if not self._runs:
            return limit
        first = max(self.through, int(min(buckets[0] for buckets, _, _ in self._runs)) * BUCKET_S)
        ready = sum(len(buckets) for buckets, _, _ in self._runs)
        if ready > most:
            longest = max((buckets for buckets, _, _ in self._runs), key=len)
            limit = min(limit, max(int(longest[len(longest) * most // ready]) * BUCKET_S, first + BUCKET_S))
        return min(limit, first + DAY_S)

    def _release(self, clock_s: int, most: int) -> int:
        """Lets so many come forward, hour by hour, for each pass looks at all that have; the end of these hours."""
        forward: list[Cells] = []
        ready = sum(len(buckets) for buckets, _, _ in self._runs)
        while ready <= most and (hour := self._ahead.first) is not None and hour <= clock_s // HOUR_S:
            forward.append(self._ahead.advance(hour * HOUR_S))
            ready += len(forward[-1][0])
        self._wait(joined(forward))
        hour = self._ahead.first
        if hour is not None and hour <= clock_s // HOUR_S:
            return hour * HOUR_S
        self._ahead.advance(clock_s)
        return clock_s

    def take(self, end: int) -> dict[str, list[Step]]:
        """By moment the steps that end at or before `end` and saw anything, in order."""
        buckets, lanes, values = self._due(end)
        steps: dict[str, list[Step]] = {}
        if not len(buckets):
            self.through = end
            return steps
        if len(self._order) < len(self.names):
            self._order = np.array(sorted(range(len(self.names)), key=self.names.__getitem__), np.int64)
            self._moment = np.array([self._moments.setdefault(m, len(self._moments)) for m, _, _ in self.names])
        size = len(self._order)
        rank = np.empty_like(self._order)
        rank[self._order] = np.arange(size)
        of, sign, _ = self._of[:, lanes]
        keys, at = np.unique(
            np.maximum(buckets, self.through // BUCKET_S) * size + rank[of >> 1], return_inverse=True
        )
        n = np.bincount(at, values * sign)
        bad = np.bincount(at, values * sign * (of & 1))
        keys, n, bad = keys[n > 0], n[n > 0], bad[n > 0]
        series = self._order[keys % size]
        moment, ends = self._moment[series], (keys // size + 1) * BUCKET_S
        cuts = np.flatnonzero(np.diff(moment) | np.diff(ends)) + 1
        moments = list(self._moments)
        every = [x.astype(np.int64).tolist() for x in (series, n, bad)]
        for a, z in zip([0, *cuts.tolist()], [*cuts.tolist(), len(keys)], strict=True):
            if a < z:
                mine = steps.setdefault(moments[moment[a]], [])
                mine.append(Step(int(ends[a]), every[0][a:z], every[1][a:z], every[2][a:z]))
        self.through = end
        return steps

    def _due(self, end: int) -> Cells:
        """Takes the cells of the steps up to `end` from those that wait."""
        self._wait(self._ahead.advance(end - BUCKET_S))
        due: list[Cells] = []
        left: list[Cells] = []
        for buckets, lanes, values in self._runs:
            i = int(np.searchsorted(buckets, end // BUCKET_S))
            due.append((buckets[:i], lanes[:i], values[:i]))
            if i < len(buckets):
                left.append((buckets[i:], lanes[i:], values[i:]))
        self._runs = left
        return joined(due)

    def waiting(self) -> Cells:
        """Buckets, lanes, values of all that is not judged yet."""
        starts, lanes, values = self._ahead.dump()
        return joined([(starts // BUCKET_S, lanes, values), *self._runs])
