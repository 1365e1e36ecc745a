"""Sorted arrays of open cells: (bucket, lane) → an absolute count.

Used on both sides of the tallies topic: ingest keeps what it counted, health what it was told. Bounded by the
events of one `allowed_lateness`, 16 to 32 bytes a cell.
"""

import numpy as np

from streams.windows import NONE, Ints, Mask

LANE_BITS = 24  # 16 million lanes; a bucket of 10 s up to the year 9999 takes 32 bits more
LANE_MASK = (1 << LANE_BITS) - 1
SPARE = 64


def keys(buckets: Ints, lanes: Ints) -> Ints:
    """One sortable number for a bucket (start // BUCKET_S) and a lane."""
    return (buckets << LANE_BITS) | lanes


def distinct(ordered: Ints) -> Ints:
    """Where each new value of a sorted array begins. (numpy's `unique` hashes, which is slower for our sizes.)"""
    if not len(ordered):
        return NONE
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


class Cells:
    """Absolute counts by key, in key order.

    Arrays with room at their ends: most cells are new in the newest buckets, so that only these are moved. (With an
    array made anew for each flush, 1.9 million cells cost 6 ms a flush.)
    """

    def __init__(self, keys: Ints = NONE, values: Ints = NONE) -> None:
        self._keys = keys
        self._values = values
        self._begin = 0
        self._end = len(keys)

    @property
    def keys(self) -> Ints:
        """In order; to look at, until cells are added next."""
        return self._keys[self._begin : self._end]

    @property
    def values(self) -> Ints:
        """As `keys`."""
        return self._values[self._begin : self._end]

    def _find(self, found: Ints) -> tuple[Ints, Mask]:
        keys = self.keys
        at = np.searchsorted(keys, found)
        known = np.zeros(len(found), bool)
        inside = at < len(keys)
        known[inside] = keys[at[inside]] == found[inside]
        return at, known

    def add(self, found: Ints, amounts: Ints) -> Ints:
        """Adds to distinct, sorted keys; returns their new absolute values."""
        at, known = self._find(found)
        self.values[at[known]] += amounts[known]
        values: Ints = amounts.copy()
        values[known] = self.values[at[known]]
        self._insert(at, known, found, values)
        return values

    def raise_to(self, found: Ints, values: Ints) -> Ints:
        """Takes the larger of known and given values for distinct keys; returns by how much each one grew."""
        order = np.argsort(found, kind="stable")
        found, values = found[order], values[order]
        at, known = self._find(found)
        old = np.zeros(len(found), np.int64)
        old[known] = self.values[at[known]]
        grown: Ints = np.maximum(values - old, 0)
        self.values[at[known]] += grown[known]
        self._insert(at, known, found, values)
        out: Ints = np.empty_like(grown)
        out[order] = grown
        return out

    def _insert(self, at: Ints, known: Mask, found: Ints, values: Ints) -> None:
        new = ~known
        at, found, values = at[new], found[new], values[new]
        if not len(at):
            return
        self._resize(len(at))
        first = int(at[0])
        old = np.ones(self._end - self._begin - first + len(at), bool)  # of the tail; the others are new
        old[at - first + np.arange(len(at))] = False
        begin, self._end = self._begin + first, self._end + len(at)
        for whole, some in ((self._keys, found), (self._values, values)):
            tail = whole[begin : self._end]
            tail[old] = tail[: len(tail) - len(some)].copy()
            tail[~old] = some

    def _resize(self, more: int) -> None:
        """Makes room for so many more at the end, and gives back what is much too much."""
        size = self._end - self._begin + more
        if self._end + more > len(self._keys) or len(self._keys) > 2 * size + SPARE:
            room = size + size // 4 + SPARE
            self._keys, self._values = (
                np.concatenate((a, np.empty(room - len(a), np.int64))) for a in (self.keys, self.values)
            )
            self._begin, self._end = 0, size - more

    def evict(self, bucket: int) -> None:
        """Forgets every cell before a bucket."""
        self._begin += int(np.searchsorted(self.keys, bucket << LANE_BITS))
        self._resize(0)

    @property
    def buckets(self) -> Ints:
        """The bucket of each cell."""
        return self.keys >> LANE_BITS

    @property
    def lanes(self) -> Ints:
        """The lane of each cell."""
        return self.keys & LANE_MASK
