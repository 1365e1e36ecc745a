"""Bounded memory of seen events: an identity is remembered while an event of its time would not be too late.

Identities lie in slices of event time; a slice whose end is too late goes whole, at the very record that makes it
so: whether a repeat counts must not depend on when memory is tidied. The ids themselves are kept, not hashes: a
collision would lose a customer's event. Measured: about 150 bytes each for ids of 20 characters.
"""

from collections.abc import Iterable
from typing import Final

from streams.events import SECOND

SLICES: Final = 8  # slices in one `allowed_lateness`: at most an eighth more than needed is remembered
NEVER: Final = 1 << 62

Ids = tuple[int, str, list[str]]  # end of the slice, source, ids


class Dedupe:
    """The identities of one source topic-partition; times in microseconds."""

    def __init__(self, lateness: int) -> None:
        self.slice = max(lateness // SLICES, 10 * SECOND)
        self.seen: dict[str, set[str]] = {}  # source → ids
        self.slices: dict[int, dict[str, list[list[str]]]] = {}  # end → source → lists of ids
        self.oldest = NEVER  # the first end: once it is too late, `evict` is due

    def end_of(self, time: int) -> int:
        """The end of the slice that holds a time."""
        return (time // self.slice + 1) * self.slice

    def keep(self, end: int, source: str, ids: list[str]) -> None:
        """Notes a list whose ids are in `seen` (or will be: it may grow), so that they are forgotten in time."""
        self.slices.setdefault(end, {}).setdefault(source, []).append(ids)
        self.oldest = min(self.oldest, end)

    def add(self, ids: Iterable[Ids]) -> None:
        """Remembers identities that a journal held."""
        for end, source, some in ids:
            self.seen.setdefault(source, set()).update(some)
            self.keep(end, source, some)

    def evict(self, floor: int) -> None:
        """Forgets every slice that ends at or before `floor`, the oldest time that is not too late."""
        for end in [s for s in self.slices if s <= floor]:
            for source, lists in self.slices.pop(end).items():
                known = self.seen.get(source, set())
                for ids in lists:
                    known.difference_update(ids)
                if not known:
                    self.seen.pop(source, None)
        self.oldest = min(self.slices, default=NEVER)

    def __len__(self) -> int:
        return sum(map(len, self.seen.values()))

    def dump(self) -> list[Ids]:
        """All identities."""
        return [
            (end, source, [i for ids in lists for i in ids])
            for end, by in self.slices.items()
            for source, lists in by.items()
        ]
