"""The health stage: the log of each assigned tallies partition, folded; and a snapshot of it now and then.

Because a partition's state is a fold over its log, nothing is journaled: on assignment the newest snapshot is
loaded and the log read from there. A partition counts as recovered, and is exported, once the worker has read its
own frontier back from the log: everything that was ever exported lies before it.
"""

import asyncio
import time
import zlib
from typing import Any

import msgspec
from faust.types import TP

from agents.settings import Settings
from agents.sinks import Outbox
from streams.health import Health
from streams.route import Routes

CHUNK = 450_000
SNAPSHOT_S = 30.0
SNAPSHOT_BYTES = 16_000_000  # of log, or twice the last snapshot


class _Chunk(msgspec.Struct, array_like=True):
    offset: int
    chunks: int
    blob: bytes


class Owned:
    """One assigned tallies partition."""

    def __init__(self, health: Health, turn: int) -> None:
        self.health = health
        self.turn = turn  # of our last frontier before the assignment
        self.recovered = False
        self.snapshot_offset = health.offset
        self.snapshot_at = time.monotonic()
        self.snapshot_keys: list[bytes] = []
        self.snapshot_size = 0
        self.read_bytes = 0


class HealthStage:
    """All assigned tallies partitions of this worker."""

    def __init__(self, settings: Settings, routes: Routes, app: Any, table: Any) -> None:
        self.settings = settings
        self.routes = routes
        self.app = app
        self.table = table
        self.owned: dict[int, Owned] = {}
        self._lock = asyncio.Lock()

    def load(self, assigned: set[TP], turn: int) -> dict[int, Owned]:
        """The newest whole snapshot of each assigned partition; the caller installs them."""
        loaded: dict[int, Owned] = {}
        for tp in sorted(assigned):
            if tp.topic != self.settings.tallies:
                continue
            health = Health(self.routes, tp.partition, 2 * self.routes.partitions)
            sets: dict[str, dict[int, _Chunk]] = {}
            keys = []
            for key, value in self.table.data.take(tp.partition):
                keys.append(key)
                name, _, i = key.decode().rpartition("|")
                sets.setdefault(name, {})[int(i)] = msgspec.msgpack.decode(value, type=_Chunk)
            whole = [s for s in sets.values() if 0 in s and len(s) == s[0].chunks]
            if whole:
                best = max(whole, key=lambda s: s[0].offset)
                health.restore(zlib.decompress(b"".join(best[i].blob for i in range(len(best)))))
            owned = loaded[tp.partition] = Owned(health, turn)
            owned.snapshot_keys = keys
        return loaded

    def positions(self) -> dict[TP, int]:
        """The next offset of each partition."""
        return {TP(self.settings.tallies, p): o.health.offset + 1 for p, o in self.owned.items()}

    def take(self, event: Any) -> None:
        """Folds one fetched batch in."""
        owned = self.owned.get(event.message.partition)
        if owned is not None:
            for record in event.value:
                owned.health.apply(record.offset, record.value)
                owned.read_bytes += len(record.value)
            if not owned.recovered:
                owned.recovered = owned.health.workers.get(self.settings.nonce, 0) > owned.turn
        event.value = event.message.value = None
        event.ack()

    async def snapshots(self, all_of_them: bool = False) -> None:
        """Writes the snapshots that are due."""
        async with self._lock:
            for partition, owned in list(self.owned.items()):
                age = time.monotonic() - owned.snapshot_at
                due = age >= SNAPSHOT_S or owned.read_bytes >= max(SNAPSHOT_BYTES, 2 * owned.snapshot_size)
                if (due or all_of_them) and owned.recovered and owned.health.offset > owned.snapshot_offset:
                    await self._snapshot(partition, owned)

    async def _snapshot(self, partition: int, owned: Owned) -> None:
        offset, blob = owned.health.offset, owned.health.snapshot()
        owned.read_bytes, owned.snapshot_at = 0, time.monotonic()
        packed = await asyncio.get_running_loop().run_in_executor(None, zlib.compress, blob, 1)
        chunks = [packed[i : i + CHUNK] for i in range(0, len(packed), CHUNK)]
        old, owned.snapshot_keys = owned.snapshot_keys, []
        outbox = Outbox(self.app)
        for i, chunk in enumerate(chunks):
            key = f"{partition}|{offset}-{self.settings.nonce}|{i}".encode()
            owned.snapshot_keys.append(key)
            value = msgspec.msgpack.encode(_Chunk(offset, len(chunks), chunk))
            await outbox.send(self.settings.snapshots, partition, key, value)
        await outbox.settled()
        for key in old:
            await outbox.send(self.settings.snapshots, partition, key, None)
        await outbox.settled()
        owned.snapshot_offset, owned.snapshot_size = offset, len(packed)
