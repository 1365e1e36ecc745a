"""From the catalogue: how a moment is measured, which segments an event counts under, who owns what."""

import zlib
from typing import Any

import msgspec

from streams import names
from streams.catalogue import DISCOVERED_SIGNALS, Catalogue, Dimension, Signal
from streams.signals import AnswerKey, wait_bounds

MAX_SEGMENT_VALUE = 128  # characters of a label's value; a longer one counts as `other`
INGEST_FACTOR = 10  # ingest lets through ten times what the owner will admit, and no more

Key = tuple[bytes, int | AnswerKey | None]  # the segment as it came, and what was observed


def partition_of(moment: str, partitions: int) -> int:
    """The tallies partition of a declared moment; all undeclared ones share that of the empty name."""
    return zlib.crc32(moment.encode()) % partitions


def fingerprint(catalogue: Catalogue) -> str:
    """8 hex digits that differ where two catalogues do: what runs against what rules were generated from.

    Of what a catalogue states: a key that a later molehill knows, and this catalogue lacks, changes nothing.
    """
    stated = _stated(msgspec.to_builtins(catalogue))
    return f"{zlib.crc32(msgspec.json.encode(stated, order='sorted')):08x}"


def _stated(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _stated(v) for k, v in value.items() if v is not None and v not in ({}, [], ())}
    return [_stated(v) for v in value] if isinstance(value, list | tuple) else value


class Measured:
    """One moment as it is measured. `codes` is a cache of what its events' keys stand for."""

    __slots__ = ("bounds", "codes", "declared", "duration_within", "name", "signals")

    def __init__(self, name: str, signals: dict[str, Signal], declared: bool) -> None:
        self.name = name
        self.signals = signals
        self.declared = declared
        self.bounds = wait_bounds(signals.get("wait"))
        duration = signals.get("duration")
        self.duration_within = None if duration is None else duration.within
        self.codes: dict[Key, int] = {}


class Routes:
    """What the catalogue says of any moment and any segment value."""

    def __init__(self, catalogue: Catalogue, partitions: int) -> None:
        self.catalogue = catalogue
        self.partitions = partitions
        self.sources = {names.TOUCHPOINTS, names.FEEDBACK, *(s.topic for s in catalogue.sources)}
        self.fingerprint = f"{zlib.crc32(repr((catalogue, partitions)).encode()):08x}"
        self.unknown = {s: Signal(s, catalogue.discovered.objective, None, None) for s in DISCOVERED_SIGNALS}

    def measured(self, moment: str) -> Measured:
        """How a moment is measured, declared or not."""
        declared = self.catalogue.moments.get(moment)
        if declared is None:
            return Measured(moment, self.unknown, declared=False)
        return Measured(moment, declared.signals, declared=True)

    def signals(self, moment: str) -> dict[str, Signal]:
        """The signals of a moment, with their objectives."""
        declared = self.catalogue.moments.get(moment)
        return self.unknown if declared is None else declared.signals

    def owner(self, moment: str) -> int:
        """The tallies partition that owns a moment."""
        return partition_of(moment if moment in self.catalogue.moments else "", self.partitions)

    def value(self, dimension: Dimension, value: str) -> str:
        """The value that is counted: `other` where the catalogue does not know it or no label could hold it."""
        if dimension.values is not None:
            return value if value in dimension.values else names.OTHER
        return value if len(value) <= MAX_SEGMENT_VALUE else names.OTHER


def segment_of(dimension: str, value: str) -> str:
    """A segment's name."""
    return f"{dimension}={value}"
