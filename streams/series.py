"""One series that is judged: a (segment, signal) of a moment, with its past, its evidence and its last three days.

Everything is plain state (it serialises as it is); what it means is in `baseline`, `evidence` and `silence`.
Counts are kept in blocks of ten minutes for six hours, by the hour up to three days, and by the day beyond (quiet
moments only), where something happened: 131 entries at most, 200 before they are packed.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from streams.intervals import Floats

STEP_S: Final = 10
BLOCK_S: Final = 600
HOUR_S: Final = 3600
DAY_S: Final = 86_400
HOUR_BLOCKS: Final = HOUR_S // BLOCK_S
DAY_BLOCKS: Final = DAY_S // BLOCK_S
MEMORY_S: Final = 3 * DAY_S
"""The longest burn window (3 d): older evidence fades with this time constant, but for quiet moments."""
LONGEST_S: Final = 7 * DAY_S
"""What no evidence outlasts, however quiet the series: the shortest span that has every kind of day in it. (With 30 d
cases of a few events stay open for weeks, and others hide in them.)"""
FINE_S: Final = 6 * HOUR_S
"""The long window of the second burn pair: so long the onset of a case is known to the block."""
HOURS: Final = 24
WEEK_HOURS: Final = 168
_FULL: Final = 200  # entries at which the past is packed again

RATIOS: Final = (2.0, 8.0, 32.0)
"""Odds ratios that are looked for: a slow leak, a failure, a collapse; evenly spread on the log scale from the
least that is worth a person's time. The last one turns an ordinary 1 % into a quarter."""


class Series(msgspec.Struct, array_like=True):
    """`total` counts events, `b` and `bads` bad ones; times in unix seconds. Its past is `Group.past[row]`."""

    segment: str
    signal: str
    row: int = 0
    alone: bool = False  # a voice: no part of `all`
    total: int = 0  # events ever
    # The block that is being filled, and those before it
    block: int = 0
    base: int = 0  # `total` when it began
    b: int = 0
    blocks: list[int] = []
    ns: list[int] = []
    bs: list[int] = []
    by_hour: int = 0  # up to this block they are whole hours …
    by_day: int = 0  # … and up to this one whole days
    memory: int = MEMORY_S  # seconds; what is older may be forgotten
    last: int = 0  # start of the last step with an event …
    before: int = 0  # … and `total` and `b` before it
    b_before: int = 0
    born: int = 0
    # Evidence (CUSUMs, one for each ratio, since its last zero)
    active: bool = False  # some score is above zero
    weighed: int = 0  # time of the scores …
    paid: int = 0  # … and `total` then
    scores: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(RATIOS))
    starts: list[int] = msgspec.field(default_factory=lambda: [0] * len(RATIOS))
    seen: list[int] = msgspec.field(default_factory=lambda: [0] * len(RATIOS))
    bads: list[int] = msgspec.field(default_factory=lambda: [0] * len(RATIOS))
    expects: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(RATIOS))
    case: str = ""  # the open case that this series belongs to
    # What this hour expects; made anew when the hour changes
    hour: int = -1
    p: float = 0.0
    cv: float = 0.0  # day-to-day variation
    odds: float = 0.0  # of an ordinary bad day
    costs: list[float] = []
    limits: list[float] = []
    rest_block: int = -1
    rest_b: int = 0  # of the hour before this block
    rest_n: int = 0
    # Silence
    silent: bool = False  # a case of silence is open: its hours teach no volume
    growth: float = 0.0  # evidence that a second of silence is, at most
    not_before: int = 0  # it cannot be known to have stopped
    quiet: float = 0.0  # evidence that too little comes
    quiet_since: int = 0
    quiet_at: int = 0  # up to when it is worked out …
    heard: int = 0  # … and `total` then
    looked: bool = False  # its silence is on somebody's list

    @property
    def n(self) -> int:
        """Events of the block that is being filled."""
        return self.total - self.base

    def roll(self, block: int) -> None:
        """Begins another block."""
        n = self.total - self.base
        if n:
            blocks = self.blocks
            blocks.append(self.block)
            self.ns.append(n)
            self.bs.append(self.b)
            self.base = self.total
            self.b = 0
            if len(blocks) > _FULL:
                self._pack(block)
        self.block = block

    def _pack(self, block: int) -> None:
        """Forgets what is too old, and makes hours and days of blocks that are no longer fine."""
        hours = (block - FINE_S // BLOCK_S) // HOUR_BLOCKS * HOUR_BLOCKS
        days = (block - MEMORY_S // BLOCK_S) // DAY_BLOCKS * DAY_BLOCKS
        self._drop(block - self.memory // BLOCK_S)
        self._merge(self.by_day, days, DAY_BLOCKS)
        self._merge(max(self.by_hour, days), hours, HOUR_BLOCKS)
        self.by_day, self.by_hour = max(days, self.by_day), max(hours, self.by_hour)

    def _drop(self, oldest: int) -> None:
        i = bisect_left(self.blocks, oldest)
        del self.blocks[:i], self.ns[:i], self.bs[:i]

    def _merge(self, begin: int, end: int, size: int) -> None:
        i, j = bisect_left(self.blocks, begin), bisect_left(self.blocks, end)
        merged: dict[int, tuple[int, int]] = {}
        for at, n, b in zip(self.blocks[i:j], self.ns[i:j], self.bs[i:j], strict=True):
            whole = at // size * size
            n0, b0 = merged.get(whole, (0, 0))
            merged[whole] = n0 + n, b0 + b
        self.blocks[i:j] = merged
        self.ns[i:j] = [n for n, _ in merged.values()]
        self.bs[i:j] = [b for _, b in merged.values()]

    def since(self, at: int) -> tuple[int, int]:
        """Events and bad ones until now from the block (hour, day: as it lies back) that holds `at`."""
        block = at // BLOCK_S
        if block < self.by_day:
            block = block // DAY_BLOCKS * DAY_BLOCKS
        elif block < self.by_hour:
            block = block // HOUR_BLOCKS * HOUR_BLOCKS
        if self.block < block:
            return 0, 0  # nothing came since: the running block is an old one
        i = bisect_left(self.blocks, block)
        return sum(self.ns[i:]) + self.total - self.base, sum(self.bs[i:]) + self.b

    def last_hour(self) -> tuple[int, int]:
        """Events and bad ones of this block and the six before it: what it does now."""
        if self.rest_block != self.block:
            i = bisect_left(self.blocks, self.block - HOUR_BLOCKS)
            self.rest_n, self.rest_b, self.rest_block = sum(self.ns[i:]), sum(self.bs[i:]), self.block
        return self.rest_n + self.total - self.base, self.rest_b + self.b

    def forget_evidence(self) -> None:
        """Back to nothing suspected."""
        zero = len(RATIOS)
        self.scores, self.starts, self.seen = [0.0] * zero, [0] * zero, [0] * zero
        self.bads, self.expects, self.active, self.case = [0] * zero, [0.0] * zero, False, ""


def of_day(some: Sequence[Series], begin: int) -> tuple[Floats, Floats]:
    """Events and bad ones [series, hour] of the day that begins at `begin`, where nothing is later than it."""
    first = begin // BLOCK_S
    lengths: list[int] = []
    blocks: list[int] = []
    ns: list[int] = []
    bs: list[int] = []
    for s in some:
        before = len(blocks)
        if s.blocks and s.blocks[-1] >= first:
            i = bisect_left(s.blocks, first)
            blocks += s.blocks[i:]
            ns += s.ns[i:]
            bs += s.bs[i:]
        if s.block >= first and s.total > s.base:
            blocks.append(s.block)
            ns.append(s.total - s.base)
            bs.append(s.b)
        lengths.append(len(blocks) - before)
    cells = np.repeat(np.arange(len(some)) * HOURS, lengths) + (np.array(blocks, np.int64) - first) // HOUR_BLOCKS
    size = len(some) * HOURS
    n, b = np.zeros(size), np.zeros(size)
    n += np.bincount(cells, ns, size)
    b += np.bincount(cells, bs, size)
    return n.reshape(-1, HOURS), b.reshape(-1, HOURS)
