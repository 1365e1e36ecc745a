"""Sorted arrays of open cells: (bucket, lane) → an absolute count.

Used on both sides of the tallies topic: ingest keeps what it counted, health what it was told. Bounded by the
events of one `allowed_lateness`, 16 bytes a cell.
"""

import numpy as np

from streams.windows import NONE, Ints, Mask

LANE_BITS = 24  # 16 million lanes; a bucket of 10 s up to the year 9999 takes 32 bits more
LANE_MASK = (1 << LANE_BITS) - 1


def keys(buckets: Ints, lanes: Ints) -> Ints:
    """One sortable number for a bucket (start // BUCKET_S) and a lane."""
    return (buckets << LANE_BITS) | lanes


def distinct(ordered: Ints) -> Ints:
    """Where each new value of a sorted array begins. (numpy's `unique` hashes, which is slower for our sizes.)"""
    if not len(ordered):
        return NONE
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


class Cells:
    """Absolute counts by key, in key order."""

    def __init__(self) -> None:
        self.keys = NONE
        self.values = NONE

    def _find(self, found: Ints) -> tuple[Ints, Mask]:
        at = np.searchsorted(self.keys, found)
        known = np.zeros(len(found), bool)
        inside = at < len(self.keys)
        known[inside] = self.keys[at[inside]] == found[inside]
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
        if new.any():
            self.keys = np.insert(self.keys, at[new], found[new])
            self.values = np.insert(self.values, at[new], values[new])

    def evict(self, bucket: int) -> None:
        """Forgets every cell before a bucket."""
        cut = int(np.searchsorted(self.keys, bucket << LANE_BITS))
        if cut:
            self.keys, self.values = self.keys[cut:].copy(), self.values[cut:].copy()

    @property
    def buckets(self) -> Ints:
        """The bucket of each cell."""
        return self.keys >> LANE_BITS

    @property
    def lanes(self) -> Ints:
        """The lane of each cell."""
        return self.keys & LANE_MASK
