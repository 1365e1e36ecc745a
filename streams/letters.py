"""Dead letters: what a refused record was, read from what its letter says."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from streams import names

Header = tuple[str, bytes | None]
OWN: Final = (names.H_REASON, names.H_ERROR, names.H_TOPIC, names.H_PARTITION, names.H_OFFSET)
"""The headers that molehill puts behind the original's, in their order (agents/sinks.py); a hash may follow."""


class Letter(NamedTuple):
    """A refused record: where it was, why it was refused, and itself, byte for byte."""

    topic: str
    partition: int
    offset: int
    reason: str
    error: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]  # the original's
    whole: bool  # False: the original was too large for a letter, and only its hash is left

    @property
    def identity(self) -> bytes:
        """Topic, partition and offset identify a letter, however often it was sent."""
        return f"{self.topic}/{self.partition}/{self.offset}".encode()


def letter_of(key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> Letter | None:
    """The letter in a record; None where molehill did not write it. Only the last headers are molehill's: an original
    may have had the same names, as one does that was sent back with another tool."""
    whole = not headers or headers[-1][0] != names.H_SHA256
    end = len(headers) - (not whole)
    begin = end - len(OWN)
    if begin < 0 or tuple(name for name, _ in headers[begin:end]) != OWN:
        return None
    reason, error, topic, partition, offset = ((v or b"").decode("utf-8", "replace") for _, v in headers[begin:end])
    if not (topic and partition.isdecimal() and offset.isdecimal()):
        return None
    return Letter(topic, int(partition), int(offset), reason, error, key, value, list(headers[:begin]), whole)


def printable(text: str) -> str:
    """Whoever may write letters must not write to the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
