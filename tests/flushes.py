"""Flushes of a journal, and what is restored from the rows that they leave."""

from streams.dedupe import Ids
from streams.journal import Flush, Head, Journal, Restored, Row, restore
from streams.ledger import NOBODY

T = "cx.touchpoints"


def head(to: int, floor: int = 0, catalogue: str = "c") -> Head:
    return Head(to, to, floor, to + 1, to, 1, {"bad_json": 1}, catalogue)


def flush(
    to: int, ids: list[Ids] | None = None, snapshot: bool = False, all_ids: bool = False, floor: int = 0
) -> Flush:
    """A flush that tells one tallies partition, and as a snapshot also the journal alone."""
    messages = [(0, b"told %d" % to)] + [(NOBODY, b"whole %d" % to)] * snapshot
    return Flush(head(to, floor), ids or [], messages, snapshot, all_ids)


def compacted(rows: list[Row]) -> list[tuple[bytes, bytes]]:
    last = dict(rows)
    return [(k, v) for k, v in last.items() if v is not None]


def again(rows: list[Row], nonce: str = "next") -> Restored:
    return restore(T, 0, compacted(rows), nonce, 1)


def written(journal: Journal, *flushes: Flush) -> list[Row]:
    return [row for f in flushes for row in journal.write(f)]
