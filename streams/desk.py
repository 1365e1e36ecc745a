"""The desk: one owner who sees all moments' findings, and lives the lives of the moles (skeleton)."""

from collections.abc import Sequence

import msgspec

from streams.catalogue import Catalogue
from streams.moles import Command, Finding, IllegalTransition, Mole, Transition

__all__ = ["Desk", "IllegalTransition"]


class Desk:
    """A fold over findings and commands, in the order of their time. Times in unix seconds."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.at = 0

    def advance(self, at: int, findings: Sequence[Finding]) -> list[Transition]:
        """Takes the findings up to and at `at`, sorted by (at, moment, segment, signal, kind)."""
        self.at = max(self.at, at)
        return []

    def command(self, at: int, command: Command) -> list[Transition]:
        """Does what a person asks. Raises IllegalTransition; an unknown mole is illegal too."""
        raise IllegalTransition(f"{command.action}: found no mole {command.mole[:80]!r}, expected one that is up")

    def moles(self) -> list[Mole]:
        """Those that are up, and those that ended lately; newest first."""
        return []

    def dump(self) -> bytes:
        """All state; `load` on a new desk takes it."""
        return msgspec.msgpack.encode(self.at)

    def load(self, blob: bytes) -> None:
        """Takes a dump's state."""
        self.at = msgspec.msgpack.decode(blob, type=int)
