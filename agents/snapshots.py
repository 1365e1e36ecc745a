"""Snapshots as rows of a compacted topic: packed, cut into chunks, and complete or not there at all.

A snapshot's key is its own, so one that a dying worker wrote half harms no other; the ones before it are deleted
once it is acknowledged.
"""

import asyncio
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from agents.sinks import Outbox

CHUNK = 450_000


class _Chunk(msgspec.Struct, array_like=True):
    offset: int
    chunks: int
    blob: bytes


class Snapshots:
    """The snapshots of one partition of a topic. `offset`: of the log, up to which the newest one reaches."""

    def __init__(self, app: Any, topic: str, partition: int, nonce: str) -> None:
        self.app = app
        self.topic = topic
        self.partition = partition
        self.nonce = nonce
        self.offset = -1
        self.size = 0
        self._keys: dict[bytes, None] = {}  # of what is there

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        """The newest whole snapshot among the rows."""
        sets: dict[str, dict[int, _Chunk]] = {}
        for key, value in rows:
            self._keys[key] = None
            name, _, i = key.decode().rpartition("|")
            sets.setdefault(name, {})[int(i)] = msgspec.msgpack.decode(value, type=_Chunk)
        whole = [s for s in sets.values() if 0 in s and len(s) == s[0].chunks]
        if not whole:
            return None
        best = max(whole, key=lambda s: s[0].offset)
        self.offset = best[0].offset
        return zlib.decompress(b"".join(best[i].blob for i in range(len(best))))

    def saw(self, key: bytes, value: bytes | None) -> None:
        """Takes note of a row that somebody wrote: the next snapshot deletes it."""
        if value is None:
            self._keys.pop(key, None)
        else:
            self._keys[key] = None

    async def write(self, offset: int, blob: bytes) -> None:
        """Writes a snapshot, waits for its acknowledgement, and deletes those before it."""
        packed = await asyncio.get_running_loop().run_in_executor(None, zlib.compress, blob, 1)
        chunks = [packed[i : i + CHUNK] for i in range(0, len(packed), CHUNK)]
        old, self._keys = self._keys, {}
        outbox = Outbox(self.app)
        for i, chunk in enumerate(chunks):
            key = f"{self.partition}|{offset}-{self.nonce}|{i}".encode()
            self._keys[key] = None
            value = msgspec.msgpack.encode(_Chunk(offset, len(chunks), chunk))
            await outbox.send(self.topic, self.partition, key, value)
        await outbox.settled()
        for key in old:
            await outbox.send(self.topic, self.partition, key, None)
        await outbox.settled()
        self.offset, self.size = offset, len(packed)
