"""Codes: small numbers that stand for what an event adds, so that counting one is an append and adding up is numpy's.

A code is a list of lanes and amounts. All of them lie end to end in two arrays: what a flush costs depends on what it
adds up, not on how many codes are known. Where nearly every event is a code of its own (three dimensions of hundreds
of values), what is looked up for it is a row for each of its segments, and not a lane for each of its series.
"""

from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np

from streams import names
from streams.cells import distinct
from streams.ledger import Ledger
from streams.signals import Amounts
from streams.windows import Ints

CODE_BITS: Final = 24
CODE_MASK: Final = (1 << CODE_BITS) - 1
MAX_CODES: Final = 100_000  # that are remembered; past it they begin again with the next batch


class Codes:
    """The codes of one source topic-partition, counted from 1."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.clear()

    def clear(self) -> None:
        """Forgets all."""
        self._lanes = array("q")
        self._amounts = array("q")
        self._begins = array("q", (0, 0))  # of each code; the last number is the end
        self._rows: dict[tuple[str, str, object], list[int]] = {}
        self._twins: dict[int, int] = {}

    @property
    def full(self) -> bool:
        """Whether it is time to add up and to begin again."""
        return len(self) >= MAX_CODES

    def new(self, moment: str, observed: object, each: Amounts, segments: Sequence[str], whole: Amounts) -> int:
        """The code of what adds `each` to every segment and `whole` to `all`; `each` follows from `observed`."""
        lane = self.ledger.lane
        lanes, amounts = [lane((moment, names.ALL, field)) for field in whole], [*whole.values()]
        values = [*each.values()]
        for segment in segments:
            row = self._rows.get((moment, segment, observed))
            if row is None:
                row = self._rows[moment, segment, observed] = [lane((moment, segment, field)) for field in each]
            lanes += row
            amounts += values
        return self._add(lanes, amounts)

    def _add(self, lanes: list[int], amounts: list[int]) -> int:
        self._lanes.extend(lanes)
        self._amounts.extend(amounts)
        self._begins.append(len(self._lanes))
        return len(self)

    def __len__(self) -> int:
        return len(self._begins) - 2

    def lanes(self, code: int) -> list[int]:
        """What a code adds to."""
        return self._lanes[self._begins[code] : self._begins[code + 1]].tolist()

    def late(self, keys: list[int], arrivals: list[int]) -> list[Ints]:
        """For late events (bucket << CODE_BITS | code, and the bucket of arrival << CODE_BITS) two more keys each.

        A late event counts in the windows of its time, and is judged when it came (streams/judging.py).
        """
        late = np.array(keys, np.int64)
        codes = late & CODE_MASK
        twins = np.zeros(int(codes.max()) + 1, np.int64)
        for code in np.flatnonzero(np.bincount(codes)).tolist():
            twins[code] = self._twin(code)
        return [(late ^ codes) | (twins[codes] - 1), np.array(arrivals, np.int64) | twins[codes]]

    def _twin(self, code: int) -> int:
        """The second of the two codes that stand for a code's late events: what left, what came."""
        twin = self._twins.get(code)
        if twin is None:
            some = slice(self._begins[code], self._begins[code + 1])
            (left, came), judged = self.ledger.late(np.array(self.lanes(code), np.int64))
            amounts = np.array(self._amounts[some], np.int64)[judged].tolist()
            self._add(left.tolist(), amounts)
            twin = self._twins[code] = self._add(came.tolist(), amounts)
        return twin

    def sum(self, keys: Ints) -> tuple[Ints, Ints, Ints]:
        """Buckets, lanes and amounts of keys (bucket << CODE_BITS | code)."""
        keys = np.sort(keys)
        at = distinct(keys)
        counts, keys = np.diff(at, append=len(keys)), keys[at]
        codes = keys & CODE_MASK
        begins = np.frombuffer(self._begins, np.int64)
        per = begins[codes + 1] - begins[codes]  # lanes of each key; `at` picks them out of all that lie end to end
        at = np.arange(int(per.sum())) + np.repeat(begins[codes] - (np.cumsum(per) - per), per)
        amounts = np.frombuffer(self._amounts, np.int64)[at] * np.repeat(counts, per)
        return np.repeat(keys >> CODE_BITS, per), np.frombuffer(self._lanes, np.int64)[at], amounts
