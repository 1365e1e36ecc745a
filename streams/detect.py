"""The judge of one moment: all its segments and signals (skeleton)."""

from collections.abc import Iterable

import msgspec

from streams.catalogue import Catalogue
from streams.moles import Finding

Count = tuple[str, str, int, int]  # segment, signal, good, bad


class Judge:
    """A fold over the steps of a moment's clock.

    `due`: unix seconds (a multiple of 10) by which `step` wants to be called even where nothing was counted; None
    where it need not be. A step that comes later than `due` is the same as one at `due` and then that one.
    """

    def __init__(self, catalogue: Catalogue, moment: str) -> None:
        self.catalogue = catalogue
        self.moment = moment
        self.due: int | None = None
        self.at = 0

    def step(self, at: int, counts: Iterable[Count]) -> list[Finding]:
        """Judges the 10 s that end at `at` (later than all before); what was counted, in any order."""
        self.at = at
        return []

    def dump(self) -> bytes:
        """All state; `load` on a new judge takes it."""
        return msgspec.msgpack.encode(self.at)

    def load(self, blob: bytes) -> None:
        """Takes a dump's state."""
        self.at = msgspec.msgpack.decode(blob, type=int)
